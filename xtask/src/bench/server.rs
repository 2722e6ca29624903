//! An `outport server` that is measured, on an address of its own; it makes nothing on the host but its data directory.

use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::{Client, KEY, PATIENCE};
use crate::process::{Started, memory_mib};
use crate::reservation::Reservation;

const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// A poll finer than the answer that is waited for.
const POLL: Duration = Duration::from_micros(500);

/// A control plane, and a connection to it. Calls of the API are its [`Client`]'s.
pub struct Server {
    binary: PathBuf,
    data_dir: PathBuf,
    place: Reservation,
    running: Option<Started>,
    client: Client,
}

impl Server {
    /// Starts it and waits for its first signed answer; how long that took.
    pub fn start(binary: &Path, data_dir: &Path) -> Result<(Self, Duration)> {
        let place = Reservation::new()?;
        let client = Client::new(place.address());
        let (binary, data_dir) = (binary.to_owned(), data_dir.to_owned());
        let mut server = Self { binary, data_dir, place, running: None, client };
        let took = server.start_again()?;
        Ok((server, took))
    }

    /// Starts it after a [`Server::stop`].
    pub fn start_again(&mut self) -> Result<Duration> {
        let log = self.data_dir.with_extension("log");
        let file = File::create(&log)?;
        let mut command = Command::new(&self.binary);
        command
            .args([
                "server",
                "--no-host-integration",
                "--listen",
                &self.place.address().to_string(),
            ])
            .args(["--default-vpc-cidr", &self.place.vpc_cidr(), "--data-dir"])
            .arg(&self.data_dir)
            .env("OUTPORT_TASK_HEALTHY_AFTER", "1")
            .env("OUTPORT_ROOT_ACCESS_KEY_ID", KEY)
            .env("OUTPORT_ROOT_SECRET_ACCESS_KEY", KEY)
            .stdout(file.try_clone()?)
            .stderr(file);
        let began = Instant::now();
        let started = self.running.insert(Started::new(&mut command)?);
        self.client = Client::new(self.place.address());
        while !self.client.answers() {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(started.is_running()?, "outport has ended: {}", said());
            ensure!(began.elapsed() < PATIENCE, "outport did not answer: {}", said());
            std::thread::sleep(POLL);
        }
        Ok(began.elapsed())
    }

    /// SIGTERM; fails unless it ends well.
    pub fn stop(&mut self) -> Result<()> {
        self.running.take().context("it runs")?.stop(STOP_PATIENCE)
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.place.address()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What it has used of processors since it started, in steps of 10 ms.
    pub fn processor_time(&self) -> Result<Duration> {
        const TICK: Duration = Duration::from_millis(10);
        let id = self.running.as_ref().context("it runs")?.id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // Behind the name, which may have anything in it: the 12th and 13th fields.
        let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(TICK * ticks.sum::<Result<u32, _>>()?)
    }

    pub fn resident_mib(&self) -> Result<f64> {
        let running = self.running.as_ref().context("it runs")?;
        Ok(memory_mib(running.id())?.0)
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
