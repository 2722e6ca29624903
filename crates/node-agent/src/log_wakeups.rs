//! Wakes the shipper of a log that has grown.
//!
//! **Invariant:** one watch of the kernel's for all logs of the node, see [`LogWatch`], and never more than
//! [`BATCHES_MAX`] batches of lines in memory, however many logs flood it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outport_container_runtime::LogWatch;
use outport_container_runtime::log::{LogChange, WatchId};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::log_lag::LogLag;
use crate::readable::readable;

/// Changes are looked at this much apart: a container that writes much wakes nobody for each line.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Batches that are read and not delivered yet, of all logs together: 1 MiB each, and as much again on their
/// way. A container that writes faster waits or drops by its log mode.
const BATCHES_MAX: usize = 4;

/// Who is to be woken for which log.
pub struct LogWakeups {
    room: Semaphore,
    watch: AsyncFd<LogWatch>,
    listeners: Mutex<HashMap<WatchId, Arc<Notify>>>,
    pub lag: LogLag,
}

/// Listens to one log. Each log has one at a time.
pub struct LogListener {
    wakeups: Arc<LogWakeups>,
    id: WatchId,
    grown: Arc<Notify>,
}

impl LogWakeups {
    pub fn open() -> io::Result<Arc<LogWakeups>> {
        let watch = readable(LogWatch::new()?).map_err(|(_, error)| error)?;
        let room = Semaphore::new(BATCHES_MAX);
        let (listeners, lag) = Default::default();
        Ok(Arc::new(LogWakeups { room, watch, listeners, lag }))
    }

    /// Begins to listen to a log directory. Fails when it is not there.
    pub fn listen(self: &Arc<Self>, log_dir: &Path) -> io::Result<LogListener> {
        let grown = Arc::new(Notify::new());
        // Under the lock that `run` takes: what happens at once finds its listener.
        let mut listeners = self.listeners();
        let id = self.watch.get_ref().add(log_dir)?;
        listeners.insert(id, grown.clone());
        Ok(LogListener { wakeups: self.clone(), id, grown })
    }

    /// Waits until a batch may be read; there is room for it until what is answered is dropped. `None`: for
    /// as long as the node lives it never comes to that.
    pub async fn room_for_batch(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// Wakes listeners until it is dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(error) = self.wake().await {
                tracing::error!(
                    event = "container_logs_not_watched",
                    %error,
                    "cannot watch the files of container logs: they are shipped late"
                );
                tokio::time::sleep(RETRY_AFTER).await;
                self.notify(LogChange::OfAny);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn wake(&self) -> io::Result<()> {
        let mut ready = self.watch.readable().await?;
        loop {
            let changes = self.watch.get_ref().changes()?;
            if changes.is_empty() {
                ready.clear_ready();
                return Ok(());
            }
            changes.into_iter().for_each(|change| self.notify(change));
        }
    }

    fn notify(&self, change: LogChange) {
        let listeners = self.listeners();
        match change {
            LogChange::Of(id) => listeners.get(&id).into_iter().for_each(|one| one.notify_one()),
            LogChange::OfAny => listeners.values().for_each(|one| one.notify_one()),
        }
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<WatchId, Arc<Notify>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogListener {
    /// Waits until the log has grown since the last wait.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }
}

impl Drop for LogListener {
    fn drop(&mut self) {
        let mut listeners = self.wakeups.listeners();
        self.wakeups.watch.get_ref().remove(self.id);
        listeners.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The kernel's limit of watches a user, by default.
    const INSTANCES_MAX: usize = 128;

    #[tokio::test]
    async fn more_logs_wake_their_listeners_than_the_kernel_gives_watches() {
        let scratch = tempfile::tempdir().unwrap();
        let wakeups = LogWakeups::open().unwrap();
        let running = tokio::spawn(wakeups.clone().run());
        let logs: Vec<_> = (0..2 * INSTANCES_MAX)
            .map(|number| {
                let directory = scratch.path().join(number.to_string());
                fs::create_dir(&directory).unwrap();
                (wakeups.listen(&directory).unwrap(), directory)
            })
            .collect();
        for (listener, directory) in logs.iter().rev() {
            fs::write(directory.join("1"), "").unwrap();
            let heard = tokio::time::timeout(Duration::from_secs(60), listener.grown());
            heard.await.expect("it wakes its listener");
        }
        drop(logs);
        assert!(wakeups.listeners().is_empty());
        running.abort();
    }
}
