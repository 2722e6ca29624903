//! The root file system of the image: Debian packages that Outport executes, with what they depend on, and no more.
//!
//! No shell, no package manager: packages are unpacked, none of their scripts is executed. So the image of another
//! kind of machine can be made here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use super::{Release, archive};
use crate::process::{command, output, run};

/// With its sibling `…-security`.
pub const MIRROR: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Releases of Debian and their C library; the first that the program runs with is taken.
const SUITES: [(&str, &str); 2] = [("bookworm", "2.36"), ("trixie", "2.41")];
/// What Outport executes. iptables: a host with Docker drops what is forwarded, and its rules are in there. tini: the
/// first process of a container has to wait for those whose parents are gone.
const PACKAGES: [&str; 4] = ["e2fsprogs", "iptables", "nftables", "tini"];
/// Of these the files are wanted, not what their scripts need.
const FILES_OF: [&str; 2] = ["base-files", "ca-certificates"];
/// What nobody reads in an image. Terms and copyrights stay.
const LEFT_OUT: [&str; 9] = [
    "./usr/include",
    "./usr/lib/*/gconv",
    "./usr/share/bash-completion",
    "./usr/share/info",
    "./usr/share/lintian",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/share/doc/*/*.gz",
    "./usr/src",
];
const FOLDERS: [&str; 7] = ["dev", "proc", "root", "run", "sys", "tmp", "var/lib/outport"];
/// What `update-alternatives` would make.
const LINKS: [(&str, &str); 1] = [("usr/sbin/iptables", "iptables-nft")];
const ACCOUNTS: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";

pub struct Package {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub suite: &'static str,
}

/// Makes it in `root`; which packages it has.
pub fn make(release: &Release, mirror: &str, root: &Path) -> Result<Vec<Package>> {
    let suite = suite(&release.binary.glibc)?;
    let archives = download(release, mirror, suite)?;
    for folder in ["usr/bin", "usr/lib", "usr/lib64", "usr/sbin"] {
        archive::folders(root, &root.join(folder))?;
        let name = folder.trim_start_matches("usr/");
        symlink(folder, root.join(name))?;
    }
    let mut packages = Vec::new();
    for deb in &archives {
        unpack(release, deb, root)?;
        let field = |name: &str| -> Result<String> {
            let field = [Path::new("--field"), deb, Path::new(name)];
            Ok(output(&mut command(root, "dpkg-deb", field))?.trim().to_owned())
        };
        let package = Package {
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture")?,
            suite,
        };
        // Where scanners of images look for what has no dpkg.
        let status = output(&mut command(root, "dpkg-deb", [Path::new("--field"), deb]))?;
        archive::place(root, &format!("var/lib/dpkg/status.d/{}", package.name), 0o644, status)?;
        packages.push(package);
    }
    for folder in FOLDERS {
        archive::folders(root, &root.join(folder))?;
    }
    let all = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(root.join("tmp"), all)?;
    for (link, target) in LINKS {
        symlink(target, root.join(link))?;
    }
    for (path, text) in ACCOUNTS {
        archive::place(root, path, 0o644, text)?;
    }
    archive::place(root, "etc/ssl/certs/ca-certificates.crt", 0o644, certificates(root)?)?;
    let loader = root.join(release.architecture.loader());
    ensure!(loader.exists(), "the image has no {}", loader.display());
    Ok(packages)
}

/// The release of Debian for a program that wants this C library.
fn suite(glibc: &str) -> Result<&'static str> {
    let numbers = |version: &str| {
        version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
    };
    let wanted = numbers(glibc);
    let found = SUITES.iter().find(|(_, has)| numbers(has) >= wanted);
    match (found, SUITES.last()) {
        (Some((suite, _)), _) => Ok(suite),
        (None, Some((suite, has))) => bail!(
            "the program was built for glibc {glibc}, and Debian {suite} has {has}: build it on that, or an older one"
        ),
        (None, None) => bail!("no release of Debian is known"),
    }
}

/// The archives of the packages, checked by apt with Debian's keys; by name.
fn download(release: &Release, mirror: &str, suite: &str) -> Result<Vec<PathBuf>> {
    ensure!(
        Path::new(KEYRING).exists(),
        "{KEYRING} is missing, with which Debian's packages are checked: apt-get install debian-archive-keyring"
    );
    let apt = release.scratch.join("apt");
    let archives = apt.join("cache/archives");
    for folder in ["lists/partial", "cache/archives/partial", "state"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    let source = |of: &str, suite: &str| format!("deb [signed-by={KEYRING}] {of} {suite} main\n");
    let sources = [
        source(mirror, suite),
        source(mirror, &format!("{suite}-updates")),
        source(&format!("{mirror}-security"), &format!("{suite}-security")),
    ];
    fs::write(apt.join("sources.list"), sources.concat())?;
    // A machine on which nothing is installed.
    fs::write(apt.join("state/status"), "")?;
    let (place, architecture) = (apt.display(), release.architecture.debian());
    let configuration = format!(
        "Dir::Etc::SourceList \"{place}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State \"{place}/state\";\n\
         Dir::State::Lists \"{place}/lists\";\n\
         Dir::State::Status \"{place}/state/status\";\n\
         Dir::Cache \"{place}/cache\";\n\
         APT::Architecture \"{architecture}\";\n\
         APT::Architectures {{ \"{architecture}\"; }};\n\
         APT::Install-Recommends \"false\";\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n"
    );
    let file = apt.join("apt.conf");
    fs::write(&file, configuration)?;
    let apt_get = |words: &[&str]| -> Result<()> {
        let mut apt_get = command(&archives, "apt-get", ["--quiet=2"]);
        // What the configuration of the machine may ask for beside.
        apt_get.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
        run(apt_get.args(words).env("APT_CONFIG", &file).stdout(Stdio::null()))
    };
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--download-only"], &PACKAGES[..]].concat())?;
    apt_get(&[&["download"], &FILES_OF[..]].concat())?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&archives)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unpack(release: &Release, deb: &Path, root: &Path) -> Result<()> {
    let fsys = [Path::new("--fsys-tarfile"), deb];
    let mut from = command(&release.scratch, "dpkg-deb", fsys).stdout(Stdio::piped()).spawn()?;
    let files = from.stdout.take().context("it is piped")?;
    // Not `dpkg-deb --extract`: it would put a folder in the place of a link such as /lib.
    let mut tar = command(root, "tar", ["--extract", "--preserve-permissions", "--no-same-owner"]);
    tar.args(["--keep-directory-symlink", "--anchored", "--wildcards"]);
    tar.args(LEFT_OUT.map(|path| format!("--exclude={path}"))).stdin(files);
    let status = tar.status()?;
    ensure!(status.success() && from.wait()?.success(), "{} cannot be unpacked", deb.display());
    Ok(())
}

/// All that Mozilla trusts, as `update-ca-certificates` writes them.
fn certificates(root: &Path) -> Result<Vec<u8>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root.join(CERTIFICATES))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut bundle = Vec::new();
    for file in files {
        bundle.extend(fs::read(file)?);
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_debian_that_the_program_runs_with() {
        let check = |glibc: &str, expected: Option<&str>| {
            assert_eq!(suite(glibc).ok(), expected, "{glibc}");
        };
        check("2.4", Some("bookworm"));
        check("2.36", Some("bookworm"));
        check("2.37", Some("trixie"));
        check("2.42", None);
    }
}
