//! SIGINT and SIGTERM.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals this close together are one request.
const ONE_REQUEST: Duration = Duration::from_millis(100);

/// Listens from the moment it is made, so that no signal is lost during the start.
pub struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
    /// One has come that no wait has answered yet.
    noticed: bool,
}

impl StopSignal {
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            noticed: false,
        })
    }

    /// Waits for the next request. A wait that is given up loses none.
    pub async fn received(&mut self) {
        if !self.noticed {
            self.next().await;
            self.noticed = true;
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
        }
    }
}
