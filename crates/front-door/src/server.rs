//! Listens, and serves connections until the shutdown.
//!
//! **Invariant**: nothing that a connection or the system does ends an acceptor. A connection is a task of its own; a
//! panic in an acceptor begins it anew; without a descriptor it lets go of whoever matters least and tries again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::{FrontDoor, memory, metrics};

/// After the system had no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How often deadlines of connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

impl FrontDoor {
    /// Serves the listeners until `shutdown` completes; then accepts nothing more, lets running
    /// requests end within [`Limits::shutdown_timeout`](crate::Limits), and returns.
    pub async fn serve(&self, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let connections_max = self.inner.limits.connections_max();
        let room = Arc::new(Semaphore::new(connections_max));
        let mut tasks = JoinSet::new();
        for listener in listeners {
            let acceptor = Acceptor {
                door: self.clone(),
                listener,
                room: Arc::clone(&room),
                stopping: stopping.clone(),
            };
            tasks.spawn(acceptor.run());
        }
        // Ends with this function.
        let mut sweeping = JoinSet::new();
        sweeping.spawn(self.clone().keep_sweeping());
        shutdown.await;
        // Nobody listens any more only when every acceptor and connection has ended already.
        let _ = stop.send(true);
        let ended = async {
            while tasks.join_next().await.is_some() {}
            let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            let _ = room.acquire_many(all).await;
        };
        if tokio::time::timeout(self.inner.limits.shutdown_timeout, ended).await.is_err() {
            tracing::warn!(
                event = "connections_cut",
                "connections were still open at the end of the stop and were closed"
            );
            self.inner.slots.end_all();
        }
    }

    async fn keep_sweeping(self) {
        while AssertUnwindSafe(self.sweep()).catch_unwind().await.is_err() {
            say(|| {
                tracing::error!(
                    event = "connection_sweep_panicked",
                    "the sweep of connections panicked and starts again"
                )
            });
        }
    }

    /// Ends whoever is late; and gives memory back once a flood is over.
    async fn sweep(&self) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tide = memory::Tide::default();
        loop {
            ticks.tick().await;
            let now = Instant::now();
            self.inner.slots.sweep(now);
            metrics::connections(&self.inner.slots);
            self.inner.answers.sweep(now);
            let level = memory::Level {
                connections: self.inner.slots.seen(),
                bytes: self.inner.budget.total() + self.inner.answers.total(),
            };
            if tide.is_over(level, now) {
                tokio::task::spawn_blocking(outport_memory::give_back);
            }
        }
    }
}

/// One listener's loop.
struct Acceptor {
    door: FrontDoor,
    listener: TcpListener,
    /// A permit for each connection that there may be, those included that are being taken down.
    room: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Acceptor {
    async fn run(self) {
        // A panic in here is a bug; that nobody gets in any more would be a worse one.
        while AssertUnwindSafe(self.accept()).catch_unwind().await.is_err() {
            say(|| {
                tracing::error!(
                    event = "acceptor_panicked",
                    "the loop that accepts connections panicked and starts again"
                )
            });
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Accepts connections until the stop.
    async fn accept(&self) {
        let stopped = stopped(self.stopping.clone());
        tokio::pin!(stopped);
        loop {
            let next = async {
                self.door.inner.slots.let_leave().await;
                let room = Arc::clone(&self.room).acquire_owned().await;
                (self.listener.accept().await, room)
            };
            let (accepted, room) = tokio::select! {
                () = &mut stopped => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, peer)) => self.serve_connection(stream, peer, room.ok()),
                Err(error) => self.refused_by_the_system(&error).await,
            }
        }
    }

    fn serve_connection(
        &self,
        stream: tokio::net::TcpStream,
        peer: std::net::SocketAddr,
        room: Option<OwnedSemaphorePermit>,
    ) {
        let slot = self.door.inner.slots.admit(peer.ip(), room, Instant::now());
        let (door, stopping) = (self.door.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let serving = AssertUnwindSafe(door.connection(stream, peer, slot, stopping));
            if serving.catch_unwind().await.is_err() {
                say(|| {
                    tracing::error!(
                        event = "connection_panicked",
                        %peer,
                        "a connection's task panicked"
                    )
                });
            }
        });
    }

    /// A connection that was reset while it waited is nothing. Otherwise the system is short of descriptors or memory:
    /// a stranger gives back what it has, and the queue waits a moment.
    async fn refused_by_the_system(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        {
            return;
        }
        let made_room = self.door.inner.slots.end_one();
        say(|| {
            tracing::warn!(
                event = "connection_not_accepted",
                %error,
                made_room,
                "cannot accept a connection"
            )
        });
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Writes to the log where a panic of whoever writes it must not matter.
fn say(write: impl FnOnce()) {
    // There is nobody left to tell.
    let _ = catch_unwind(AssertUnwindSafe(write));
}

/// Ends with the shutdown, or when nobody is left who could begin one.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stopping.wait_for(|stop| *stop).await {
        tracing::debug!(%error, "the server is gone");
    }
}
