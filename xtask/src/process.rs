//! Running other programs: what failed is said, with what it was.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;

const POLL: Duration = Duration::from_millis(20);

/// A program with arguments, in a directory.
pub fn command<S: AsRef<OsStr>>(
    directory: &Path,
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_our_own_package(name)) {
        command.env_remove(name);
    }
    command
}

/// What `cargo xtask` says to this program of its own package. A cargo that we start would hand it to build scripts:
/// ring's looks at them, and so was built again, with all that stands on it, each time that a chore and a plain
/// `cargo build` took turns.
fn is_of_our_own_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_")
        || [
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PRIMARY_PACKAGE",
        ]
        .contains(&name.as_ref())
}

/// Runs it with its output shown; fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    interrupt::check()?;
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    interrupt::check()?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs it and answers what it printed; its errors are part of ours.
pub fn output(command: &mut Command) -> Result<String> {
    interrupt::check()?;
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    interrupt::check()?;
    if !done.status.success() {
        bail!(
            "{} failed ({}): {}",
            shown(command),
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8(done.stdout)?)
}

/// Where a program is, on the path or where Debian keeps the ones of the administrator.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(places)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// The command line, for messages.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Asks until there is an answer, at most for so long.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        interrupt::check()?;
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {} s", patience.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Waits for the end of a program; fails when it fails, takes longer, or a signal comes.
pub fn until_end_within(started: &mut Started, patience: Duration) -> Result<()> {
    let name = started.name.clone();
    until(&format!("the end of {name}"), patience, || Ok((!started.is_running()?).then_some(())))?;
    started.stop(Duration::ZERO)
}

/// A program that we started and that must not outlive us.
pub struct Started {
    child: Child,
    name: String,
}

impl Started {
    pub fn new(command: &mut Command) -> Result<Self> {
        let name = shown(command);
        // In a group of its own: a Ctrl-C is for us, who then tell it to end, once.
        let started = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = started.with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// SIGKILL, and the wait for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and the wait for its end; SIGKILL when it takes longer than `patience`.
    pub fn stop(&mut self, patience: Duration) -> Result<()> {
        if self.is_running()? {
            // Not through `run`: also an interrupted chore stops what it started.
            Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        }
        let deadline = Instant::now() + patience;
        while self.is_running()? {
            if Instant::now() > deadline {
                self.kill()?;
                bail!("{} did not stop within {} s of SIGTERM", self.name, patience.as_secs());
            }
            std::thread::sleep(POLL);
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} did not end well ({status})", self.name);
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(120);
        if self.is_running().unwrap_or(false)
            && let Err(error) = self.stop(PATIENCE)
        {
            eprintln!("{error}");
        }
    }
}

/// Resident and proportional memory of a process, MiB.
pub fn memory_mib(id: u32) -> Result<(f64, f64)> {
    let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let kib = |name: &str| -> Option<f64> {
        let line = rollup.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let mib = |name| Ok::<_, anyhow::Error>(kib(name).context("smaps_rollup has it")? / 1024.0);
    Ok((mib("Rss:")?, mib("Pss:")?))
}

/// A directory of ours below the system's for temporary files, gone at the end.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("outport-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cargo_that_is_started_is_not_told_of_our_package() {
        // `cargo test` says these to a test, as `cargo run` does to a chore.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR"] {
            assert!(std::env::var_os(name).is_some(), "{name}");
        }
        let env = command(Path::new("/"), "env", [""; 0]).output().unwrap();
        let told = String::from_utf8(env.stdout).unwrap();
        let of_package = told
            .lines()
            .find(|line| line.starts_with("CARGO_PKG_") || line.starts_with("CARGO_MANIFEST"));
        assert_eq!(of_package, None);
        assert!(told.contains("PATH="), "the rest is passed on");
    }
}
