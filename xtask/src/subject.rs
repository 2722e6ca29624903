//! An Outport of a chore's own that is measured or attacked, with a client of it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::client::{Client, KEY, PATIENCE};
use crate::outport::Outport;
use crate::process::{command, memory_mib, run};
use crate::reservation::Reservation;

/// More than the machine has: chores are about launching, not about placement.
const CAPACITY: [&str; 4] = ["--cpu-units", "1000000", "--memory-mib", "1000000"];

/// An Outport on an address and a range of its own, and a connection to it. Calls of the API are
/// its [`Client`]'s.
pub struct Subject {
    binary: PathBuf,
    data_dir: PathBuf,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    place: Reservation,
    /// `None` after a kill, until it is started again.
    outport: Option<Outport>,
    /// What it made is still on the host.
    killed: bool,
    client: Client,
}

impl Subject {
    /// Starts it and waits for its first signed answer; how long that took.
    pub fn start(binary: &Path, data_dir: &Path) -> Result<(Self, Duration)> {
        Self::start_with(binary, data_dir, &[])
    }

    /// The same with more options for `outport up`.
    pub fn start_with(
        binary: &Path,
        data_dir: &Path,
        options: &[&str],
    ) -> Result<(Self, Duration)> {
        Self::start_in(binary, data_dir, options, &[])
    }

    /// The same with more environment.
    pub fn start_in(
        binary: &Path,
        data_dir: &Path,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<(Self, Duration)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let place = Reservation::new()?;
        let mut subject = Self {
            binary: binary.to_owned(),
            data_dir: data_dir.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            environment: environment.iter().map(owned).collect(),
            client: Client::new(place.address()),
            place,
            outport: None,
            killed: false,
        };
        let took = subject.start_again()?;
        Ok((subject, took))
    }

    /// After a [`Subject::kill`]: starts it on the same data directory and address, and waits for its
    /// first signed answer; how long that took.
    pub fn start_again(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let (address, vpc_cidr) = (self.place.address(), self.place.vpc_cidr());
        let start = |up: &mut Command| {
            up.args(CAPACITY)
                .args(&self.options)
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .env("OUTPORT_ROOT_ACCESS_KEY_ID", KEY)
                .env("OUTPORT_ROOT_SECRET_ACCESS_KEY", KEY);
        };
        let outport = Outport::start(&self.binary, &self.data_dir, address, &vpc_cidr, start)?;
        self.outport = Some(outport);
        self.killed = false;
        self.client = Client::new(address);
        // A poll finer than the answer that is waited for.
        const POLL: Duration = Duration::from_micros(500);
        while !self.client.answers() {
            self.outport()?.require_running()?;
            if began.elapsed() > PATIENCE {
                bail!("outport did not answer: {}", self.log()?);
            }
            std::thread::sleep(POLL);
        }
        Ok(began.elapsed())
    }

    /// Waits until it takes tasks.
    pub fn ready(&mut self) -> Result<()> {
        self.outport()?.ready().map(drop)
    }

    /// SIGKILL, as a crash; its tasks run on.
    #[allow(dead_code, reason = "for the campaigns to come")]
    pub fn kill(&mut self) -> Result<()> {
        self.killed = true;
        self.outport.take().context("it runs")?.kill()
    }

    /// Ends it with its tasks running, by SIGTERM, which `--keep-tasks` makes harmless to them, or by SIGKILL, and starts
    /// another program in its place; how long that took to answer.
    pub fn replace(&mut self, binary: &Path, by_kill: bool) -> Result<Duration> {
        self.killed = true;
        match (self.outport.take(), by_kill) {
            (Some(outport), true) => outport.kill()?,
            (Some(outport), false) => outport.stop()?,
            // The last one did not start.
            (None, _) => {}
        }
        self.binary = binary.to_owned();
        let started = self.start_again();
        if started.is_err() {
            self.killed = true;
            // What it did not take over is for the next one.
            self.outport.take().map_or(Ok(()), Outport::kill)?;
        }
        started
    }

    /// Ends it and removes all that it made, its tasks too, with another program's `cleanup`.
    pub fn clean_up_with(&mut self, binary: &Path) {
        if let Some(outport) = self.outport.take()
            && let Err(error) = outport.stop()
        {
            eprintln!("{error:#}");
        }
        self.binary = binary.to_owned();
        self.killed = true;
    }

    /// SIGTERM; fails unless it ends well.
    pub fn stop(mut self) -> Result<()> {
        self.outport.take().context("it runs")?.stop()
    }

    /// The running program.
    pub fn outport(&mut self) -> Result<&mut Outport> {
        self.outport.as_mut().context("it runs")
    }

    pub fn address(&self) -> SocketAddr {
        self.place.address()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Everything that it printed since its last start.
    pub fn log(&self) -> Result<String> {
        self.outport.as_ref().context("it runs")?.log()
    }

    /// Makes a repository and pushes an OCI layout to it; the image's reference.
    pub fn push(&mut self, layout: &Path, tag: &str) -> Result<String> {
        let created = self.ecr("CreateRepository", &json!({ "repositoryName": "chore" }))?;
        let uri =
            created["repository"]["repositoryUri"].as_str().context("it has a URI")?.to_owned();
        let token = self.ecr("GetAuthorizationToken", &json!({}))?;
        let token =
            token["authorizationData"][0]["authorizationToken"].as_str().context("a token")?;
        let target = format!("docker://{uri}:{tag}");
        let source = format!("oci:{}:{tag}", layout.display());
        std::fs::write(
            self.data_dir.join("auth.json"),
            json!({ "auths": { uri.split('/').next().unwrap_or_default(): { "auth": token } } })
                .to_string(),
        )?;
        run(command(
            &self.data_dir,
            "skopeo",
            ["copy", "--quiet", "--insecure-policy", "--authfile", "auth.json", &source, &target],
        )
        .stdout(Stdio::null()))?;
        Ok(format!("{uri}:{tag}"))
    }

    /// Where the first byte of a container's output appears on this host.
    pub fn log_directory(&self, task: &str, container: &str) -> PathBuf {
        self.data_dir.join("node/tasks").join(task).join("c").join(container).join("log")
    }

    /// Resident and proportional memory, MiB.
    pub fn memory_mib(&mut self) -> Result<(f64, f64)> {
        memory_mib(self.outport()?.id()?)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.killed
            && let Err(error) = crate::outport::cleanup(&self.binary, &self.data_dir)
        {
            eprintln!("{error:#}");
        }
    }
}

impl Deref for Subject {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Subject {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
