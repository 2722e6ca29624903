//! SIGINT, SIGTERM, and SIGHUP, which a closed terminal sends: all three ask for an orderly end.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::service_manager;

/// Signals this close together are one request.
const ONE_REQUEST: Duration = Duration::from_millis(100);

/// Listens from the moment it is made, so that no signal is lost during the start.
pub struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
    /// `None` when it was ignored at the start: `nohup` asks to outlive the terminal.
    hang_up: Option<Signal>,
    /// One has come that no wait has answered yet.
    noticed: bool,
}

impl StopSignal {
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: if is_hang_up_ignored()? { None } else { Some(listen(SignalKind::hangup())?) },
            noticed: false,
        })
    }

    /// Waits for the next request. A wait that is given up loses none.
    pub async fn received(&mut self) {
        if !self.noticed {
            self.next().await;
            self.noticed = true;
            service_manager::is_stopping();
        }
        // `timeout` and some service managers signal a process and its group: one request, not two.
        let twins = async {
            loop {
                self.next().await;
            }
        };
        let Err(_elapsed) = tokio::time::timeout(ONE_REQUEST, twins).await;
        self.noticed = false;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = heard(self.hang_up.as_mut()) => {}
        }
    }
}

async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether who started us had SIGHUP ignored. Listening to it would undo that.
fn is_hang_up_ignored() -> Result<bool> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("cannot read my own state")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    Ok(mask.context("cannot read which signals are ignored")? & 1 == 1)
}
