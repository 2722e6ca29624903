//! The peer: `docker run` of the same root file system, on a Docker engine of the benchmark's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::runc::first_byte_of;
use crate::process::{Started, command, find, output, run, until};

const PATIENCE: Duration = Duration::from_secs(30);
const IMAGE: &str = "outport-bench";
/// The engine's bridge: not `docker0`, which another engine of this host may have.
const BRIDGE: &str = "opbench0";
const BRIDGE_ADDRESS: &str = "172.28.255.1/24";
/// The networks that are measured.
pub const NETWORKS: [&str; 3] = ["bridge", "host", "none"];

pub struct Docker {
    engine: Started,
    host: String,
    scratch: PathBuf,
}

impl Docker {
    /// `None`, with the reason said, where no engine can run.
    pub fn start(scratch: &Path, rootfs: &Path) -> Result<Option<Self>> {
        if find("dockerd").is_none() {
            println!(
                "no dockerd on this machine (Debian: docker.io): not compared with docker run"
            );
            return Ok(None);
        }
        let scratch = scratch.join("docker");
        std::fs::create_dir_all(&scratch)?;
        let host = format!("unix://{}", scratch.join("docker.sock").display());
        let log = scratch.join("dockerd.log");
        let output_file = std::fs::File::create(&log)?;
        run(&mut command(Path::new("/"), "ip", ["link", "add", BRIDGE, "type", "bridge"]))?;
        let engine = Started::new(
            Command::new("dockerd")
                .args(["--host", &host, "--bridge", BRIDGE])
                // The host's rules are not the benchmark's to change.
                .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"])
                .arg("--data-root")
                .arg(scratch.join("data"))
                .arg("--exec-root")
                .arg(scratch.join("run"))
                .arg("--pidfile")
                .arg(scratch.join("pid"))
                .stdout(output_file.try_clone()?)
                .stderr(output_file),
        );
        let engine = engine.inspect_err(|_| remove_bridge())?;
        let mut docker = Self { engine, host, scratch };
        for words in
            [["addr", "add", BRIDGE_ADDRESS, "dev", BRIDGE], ["link", "set", "dev", BRIDGE, "up"]]
        {
            run(&mut command(Path::new("/"), "ip", words))?;
        }
        let up = until("dockerd answers", PATIENCE, || {
            anyhow::ensure!(docker.engine.is_running()?, "dockerd ended");
            Ok(output(&mut docker.command(["info"])).ok())
        });
        if let Err(error) = up {
            let said = std::fs::read_to_string(&log)?;
            let last = said.lines().last().unwrap_or_default();
            println!("dockerd does not run here ({error}; {last}): not compared with docker run");
            return Ok(None);
        }
        let archive = docker.scratch.join("rootfs.tar");
        let (archive, rootfs) = (archive.to_string_lossy(), rootfs.to_string_lossy());
        run(&mut command(Path::new("/"), "tar", ["-C", &*rootfs, "-cf", &*archive, "."]))?;
        output(&mut docker.command(["import", &*archive, IMAGE]))?;
        Ok(Some(docker))
    }

    /// From the start of the command to the first byte of its output.
    pub fn first_byte(&self, network: &str, arguments: &[&str]) -> Result<Duration> {
        let options = ["run", "--rm", "--network", network, IMAGE];
        first_byte_of(&mut self.command(options.iter().chain(arguments)))
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = command(&self.scratch, "docker", ["--host", &self.host]);
        command.args(words);
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Err(error) = self.engine.stop(PATIENCE) {
            eprintln!("{error}");
        }
        remove_bridge();
        unmount_below(&self.scratch);
    }
}

/// What an engine leaves mounted when it ends: namespaces, shared memory.
fn unmount_below(scratch: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The innermost first.
    for place in places.rev().filter(|place| Path::new(place).starts_with(scratch)) {
        let done = Command::new("umount").arg(place).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{place} could not be unmounted");
        }
    }
}

fn remove_bridge() {
    let removed = Command::new("ip").args(["link", "del", BRIDGE]).status();
    if !removed.is_ok_and(|status| status.success()) {
        eprintln!("the bridge {BRIDGE} could not be removed");
    }
}
