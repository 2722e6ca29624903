//! Listens, and serves connections until the shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::FrontDoor;

/// After the system had no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl FrontDoor {
    /// Serves the listeners until `shutdown` completes; then accepts nothing more, lets running
    /// requests end within [`Limits::shutdown_timeout`](crate::Limits), and returns.
    pub async fn serve(&self, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(self.inner.limits.connections_max));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let front_door = self.clone();
            let (slots, stopping) = (Arc::clone(&slots), stopping.clone());
            accepting.spawn(async move { front_door.accept(listener, slots, stopping).await });
        }
        drop(stopping);
        shutdown.await;
        // Nobody listens any more only when every acceptor and connection has ended already.
        let _ = stop.send(true);
        let ended = async { while accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(self.inner.limits.shutdown_timeout, ended).await.is_err() {
            tracing::warn!("some connections did not end in time and were cut");
        }
    }

    /// Accepts connections until the stop, then waits for all of them.
    async fn accept(
        &self,
        listener: TcpListener,
        slots: Arc<Semaphore>,
        stopping: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        let stopped = stopped(stopping.clone());
        tokio::pin!(stopped);
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (listener.accept().await, slot)
            };
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection's task failed");
                    }
                }
                (accepted, slot) = next => match (accepted, slot) {
                    (Ok((stream, peer)), Ok(slot)) => {
                        let front_door = self.clone();
                        let stopping = stopping.clone();
                        connections.spawn(async move {
                            front_door.connection(stream, peer, stopping).await;
                            drop(slot);
                        });
                    }
                    (Err(error), _) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    (Ok(_), Err(_)) => break,
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

/// Ends with the shutdown, or when nobody is left who could begin one.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    if let Err(error) = stopping.wait_for(|stop| *stop).await {
        tracing::debug!(%error, "the server is gone");
    }
}
