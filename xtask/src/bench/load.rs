//! Requests that were signed before, sent by several connections at once, one after the other on each.
//!
//! A server reads and verifies a request anew each time that it comes; the load costs little beside, which matters where
//! both share the processors.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::figures::Figures;
use crate::client::Client;
use crate::interrupt;

/// When a load is over.
#[derive(Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    /// So many requests were answered.
    Count(usize),
}

pub struct Load {
    pub answers: usize,
    pub seconds: f64,
    pub latency: Figures,
}

impl Load {
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }
}

/// Sends the requests in turn until the end; all have to be answered with a status below 300.
pub fn run(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    until: Until,
) -> Result<Load> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let goes_on = |number: usize| match until {
        Until::Elapsed(time) => began.elapsed() < time,
        Until::Count(count) => number < count,
    };
    let work = || -> Result<Vec<Duration>> {
        let mut client = Client::new(address);
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(number) {
                return Ok(took);
            }
            interrupt::check()?;
            let sent = Instant::now();
            let (status, body) = client.exchange(&requests[number % requests.len()])?;
            took.push(sent.elapsed());
            ensure!(status < 300, "answered {status}: {}", String::from_utf8_lossy(&body));
        }
    };
    let took = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<Duration>>>| {
            thread.join().map_err(|_| anyhow!("a connection's thread panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let mut load = Load { answers: 0, seconds, latency: Figures::default() };
    for sample in took.into_iter().flatten() {
        load.answers += 1;
        load.latency.add(sample);
    }
    Ok(load)
}
