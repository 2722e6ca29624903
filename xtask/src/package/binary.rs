//! The program that is packaged: built so that the place of the build is not in it, stripped, and small enough.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::architecture::Architecture;
use crate::process::{command, find, output, run};

/// The most that a release may weigh, stripped.
const BYTES_MAX: u64 = 35_000_000;

pub struct Binary {
    pub path: PathBuf,
    /// The oldest C library that it runs with, such as `2.34`.
    pub glibc: String,
}

impl Binary {
    /// Builds the program in `directory`, with the profile `dist`.
    ///
    /// # Errors
    /// Also when it is too large.
    pub fn build(
        repository: &Path,
        directory: &Path,
        architecture: Architecture,
        scratch: &Path,
    ) -> Result<Self> {
        let target = architecture.rust_target();
        // With cargo's own progress: it takes minutes.
        let mut build = command(repository, "cargo", ["build", "--profile", "dist", "--locked"]);
        build.args(["--bin", "outport", "--target", target]);
        build.arg("--target-dir").arg(directory).env("CARGO_INCREMENTAL", "0");
        let places = places(repository, directory)?;
        let option = |option: &'static str| {
            places.iter().map(move |(from, to)| format!("{option}={}={to}", from.display()))
        };
        let flags: Vec<String> = option("--remap-path-prefix").collect();
        build.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env_remove("RUSTFLAGS");
        // What is of C names its files in assertions.
        build.env("CFLAGS", option("-ffile-prefix-map").collect::<Vec<_>>().join(" "));
        // mimalloc says when it was compiled. The same for every commit, as cargo does not compile it anew for the next.
        build.env("SOURCE_DATE_EPOCH", "0");
        if !architecture.is_this_machine() {
            let gcc = format!("{}-gcc", architecture.gnu());
            let name = target.replace('-', "_");
            build.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), &gcc);
            build.env(format!("CC_{name}"), &gcc);
            build.env("LIBSECCOMP_LIB_PATH", libraries(architecture));
        }
        run(&mut build)?;
        let built = directory.join(target).join("dist/outport");
        let binary = Self::of_file(&built, architecture, scratch)?;
        let bytes = binary.bytes()?;
        ensure!(
            bytes <= BYTES_MAX,
            "the program has {bytes} bytes, and a release may have {BYTES_MAX}: find what made it grow"
        );
        Ok(binary)
    }

    /// A stripped copy of a program that is there.
    ///
    /// # Errors
    /// When it is for another kind of machine.
    pub fn of_file(file: &Path, architecture: Architecture, scratch: &Path) -> Result<Self> {
        let header = ["--wide", "--file-header"].map(Path::new);
        let header = output(command(scratch, "readelf", header).arg(std::path::absolute(file)?))
            .with_context(|| format!("{} is no program", file.display()))?;
        ensure!(
            header.contains(architecture.elf_machine()),
            "{} is not for {}: name its kind with --arch",
            file.display(),
            architecture.debian()
        );
        let path = scratch.join("outport");
        let own = format!("{}-strip", architecture.gnu());
        let strip = if find(&own).is_some() { own.as_str() } else { "strip" };
        let mut strip = command(scratch, strip, ["--strip-all", "-o"]);
        strip.arg(&path).arg(std::path::absolute(file)?);
        if architecture.is_this_machine() {
            run(&mut strip)?;
        } else if let Err(error) = output(&mut strip) {
            println!("    not stripped ({error:#}); gcc-{} has a strip for it", architecture.gnu());
            std::fs::copy(file, &path)?;
        }
        let versions = ["--wide", "--version-info"].map(Path::new);
        let versions = output(command(scratch, "readelf", versions).arg(&path))?;
        let glibc = newest_glibc(&versions).context("the program uses the C library")?;
        let binary = Self { path, glibc };
        let bytes = binary.bytes()?;
        println!("    {:.1} MB; glibc {} or newer", bytes as f64 / 1e6, binary.glibc);
        if bytes > BYTES_MAX {
            println!("    that is more than the {} MB of a release", BYTES_MAX / 1_000_000);
        }
        Ok(binary)
    }

    fn bytes(&self) -> Result<u64> {
        Ok(self.path.metadata()?.len())
    }

    pub fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).context("cannot read the stripped program")
    }
}

/// Folders of this build, and what they are called in the program instead. The longest first: they lie in each other.
fn places(repository: &Path, build: &Path) -> Result<Vec<(PathBuf, &'static str)>> {
    let home = |name: &str, folder: &str| -> Result<PathBuf> {
        match std::env::var_os(name) {
            Some(home) => Ok(PathBuf::from(home)),
            None => {
                let home = std::env::var_os("HOME").with_context(|| format!("set {name}"))?;
                Ok(PathBuf::from(home).join(folder))
            }
        }
    };
    let sysroot = output(&mut command(repository, "rustc", ["--print", "sysroot"]))?;
    // Of two that fit, rustc and gcc take the last.
    let mut places = vec![
        (home("CARGO_HOME", ".cargo")?, "/cargo"),
        (PathBuf::from(sysroot.trim()), "/rust"),
        (repository.to_owned(), "/outport"),
        (build.to_owned(), "/build"),
    ];
    places.sort_by_key(|(from, _)| from.as_os_str().len());
    Ok(places)
}

fn libraries(architecture: Architecture) -> PathBuf {
    Path::new("/usr/lib").join(architecture.gnu())
}

/// # Errors
/// When something is missing that a build for another kind of machine takes, with the commands that bring it.
pub fn require_cross_tools(repository: &Path, architecture: Architecture) -> Result<()> {
    let (debian, target) = (architecture.debian(), architecture.rust_target());
    let mut missing = Vec::new();
    let library = ["--print", "target-libdir", "--target", target];
    let library = output(&mut command(repository, "rustc", library))?;
    if !Path::new(library.trim()).is_dir() {
        missing.push(format!("rustup target add {target}"));
    }
    if find(&format!("{}-gcc", architecture.gnu())).is_none() {
        let names = architecture.gnu();
        missing.push(format!("apt-get install gcc-{names} libc6-dev-{debian}-cross"));
    }
    if !libraries(architecture).join("libseccomp.a").is_file() {
        missing.push(format!(
            "dpkg --add-architecture {debian} && apt-get update && apt-get install libseccomp-dev:{debian}"
        ));
    }
    if !missing.is_empty() {
        bail!(
            "this machine cannot build for --arch {debian} yet; run: {}. Or build on such a machine, and name what was \
             built with --binary",
            missing.join("; ")
        );
    }
    Ok(())
}

/// Of the versions of symbols that `readelf --version-info` lists.
fn newest_glibc(versions: &str) -> Option<String> {
    let names = versions.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let numbers = |name: &str| -> Option<Vec<u32>> {
        name.split('.').map(|part| part.parse().ok()).collect()
    };
    names.filter_map(|name| Some((numbers(name)?, name))).max().map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_the_c_library_counts() {
        let check = |versions, expected: Option<&str>| {
            assert_eq!(newest_glibc(versions).as_deref(), expected, "{versions}");
        };
        check(
            "0x0010: Name: GLIBC_2.9  Flags: none\n  Name: GLIBC_2.34  Flags: none",
            Some("2.34"),
        );
        check("Name: GLIBC_2.2.5\nName: GLIBC_2.2", Some("2.2.5"));
        check("Name: GLIBC_PRIVATE Name: GCC_3.0", None);
    }
}
