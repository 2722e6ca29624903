//! An `outport up` of a chore's own, on a scratch data directory.
//!
//! **Invariant**: dropped or stopped, it leaves nothing on the host; what a failed stop left is
//! removed by `outport cleanup`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Started, output, until};

pub const READY: &str = "outport is ready at";
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(120);

pub struct Outport {
    binary: PathBuf,
    started: Option<Started>,
    pub data_dir: PathBuf,
    log: PathBuf,
}

impl Outport {
    /// Starts it; `prepare` adds options and environment. It may not be ready yet.
    pub fn start(
        binary: &Path,
        data_dir: &Path,
        address: SocketAddr,
        vpc_cidr: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let log = data_dir.with_extension("log");
        let file = File::create(&log)?;
        let mut up = Command::new(binary);
        up.args(["up", "--listen", &address.to_string(), "--default-vpc-cidr", vpc_cidr])
            .arg("--data-dir")
            .arg(data_dir)
            // Nobody waits 40 seconds for each step of a roll-out.
            .env("OUTPORT_TASK_HEALTHY_AFTER", "1")
            .stdout(file.try_clone()?)
            .stderr(file);
        prepare(&mut up);
        let (binary, data_dir) = (binary.to_owned(), data_dir.to_owned());
        let mut outport = Self { binary, started: None, data_dir, log };
        outport.started = Some(Started::new(&mut up)?);
        Ok(outport)
    }

    /// Waits for the line that says that tasks can be taken, and answers it.
    pub fn ready(&mut self) -> Result<String> {
        until("outport is ready", START_PATIENCE, || {
            let log = self.log()?;
            if let Some(line) = log.lines().find(|line| line.contains(READY)) {
                return Ok(Some(line.to_owned()));
            }
            self.require_running()?;
            Ok(None)
        })
        .with_context(|| self.log().unwrap_or_default())
    }

    /// Fails, with its log, when it has ended.
    pub fn require_running(&mut self) -> Result<()> {
        let started = self.started.as_mut().context("it was started")?;
        if !started.is_running()? {
            bail!("outport has ended: {}", self.log()?);
        }
        Ok(())
    }

    pub fn id(&self) -> Result<u32> {
        Ok(self.started.as_ref().context("it was started")?.id())
    }

    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// What `eval "$(outport env)"` would set.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut env = Command::new(&self.binary);
        let lines = output(env.args(["env", "--data-dir"]).arg(&self.data_dir))?;
        Ok(lines
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect())
    }

    /// SIGKILL, as a crash: what it made stays, for its next start or for `outport cleanup`.
    #[allow(dead_code, reason = "for the campaigns to come")]
    pub fn kill(mut self) -> Result<()> {
        self.started.take().context("it was started")?.kill()
    }

    /// SIGTERM, the graceful way; fails unless it ends well.
    pub fn stop(mut self) -> Result<()> {
        let started = self.started.as_mut().context("it was started")?;
        started.stop(STOP_PATIENCE).with_context(|| self.log().unwrap_or_default())?;
        self.started = None;
        Ok(())
    }
}

impl Drop for Outport {
    fn drop(&mut self) {
        let Some(mut started) = self.started.take() else { return };
        if let Err(error) = started.stop(STOP_PATIENCE) {
            eprintln!("{error}");
        }
        if let Err(error) = cleanup(&self.binary, &self.data_dir) {
            eprintln!("{error:#}");
        }
    }
}

/// Removes what an Outport that did not end well left on the host. Also for an interrupted chore.
pub fn cleanup(binary: &Path, data_dir: &Path) -> Result<()> {
    let status = Command::new(binary).args(["cleanup", "--data-dir"]).arg(data_dir).status()?;
    if !status.success() {
        bail!("outport cleanup --data-dir {} failed", data_dir.display());
    }
    Ok(())
}
