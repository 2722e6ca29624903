//! The containers that are alive on this machine, and who waits for their end.
//!
//! **Invariant:** one watch per container, set once: when its shim says how it ended, or is gone.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use outport_container_runtime::{ExitRecord, Health, RuntimeError, ShimHandle};
use outport_model::TaskId;
use outport_node_protocol::ContainerHealth;
use tokio::sync::watch;
use tracing::Instrument;

use crate::control_plane::now_ms;
use crate::in_span::spawn_blocking;
use crate::readable::readable;
use crate::task::ContainerExit;

/// AWS's text for a container that the kernel killed.
/// Source: "OutOfMemoryError" in "Stopped tasks error messages".
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
pub const LOST: &str = "The container ended while nobody watched it";
/// How long a shim may take to tell of the end of its container's first process: it waits up to 5 seconds
/// for output that comes from elsewhere. One that takes longer is stopped or wedged.
const SHIM_PATIENCE: Duration = Duration::from_secs(15);
/// Pause before a shim that does not say how its container is is asked again.
const HEALTH_PAUSE: Duration = Duration::from_secs(5);
/// First pause before what lacked descriptors or memory is tried again; doubles up to the last.
const SHORTAGE_PAUSE_FIRST: Duration = Duration::from_millis(50);
const SHORTAGE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// One container that was made or taken over.
struct LiveContainer {
    shim: ShimHandle,
    stop_signal: i32,
    /// `Some` once it is over.
    exit: watch::Receiver<Option<ContainerExit>>,
    /// Of one with health checks.
    health: Option<watch::Receiver<ContainerHealth>>,
}

type Key = (TaskId, String);

/// A shim whose container's end is waited for; lowers the gauge when it is dropped.
struct RunningShim(());

impl RunningShim {
    fn begin() -> Self {
        gauge!("outport_shims_running").increment(1.0);
        Self(())
    }
}

impl Drop for RunningShim {
    fn drop(&mut self) {
        gauge!("outport_shims_running").decrement(1.0);
    }
}

#[derive(Default)]
pub struct Containers {
    live: Mutex<HashMap<Key, LiveContainer>>,
    /// True once a container's log is delivered, or there is none to deliver.
    shipped: Mutex<HashMap<Key, watch::Receiver<bool>>>,
}

impl Containers {
    /// Remembers a container and begins to wait for its end; what is answered becomes true then.
    pub fn add(
        &self,
        task: &TaskId,
        name: &str,
        shim: ShimHandle,
        stop_signal: i32,
        has_health_check: bool,
        shipped: watch::Receiver<bool>,
    ) -> watch::Receiver<bool> {
        let health = has_health_check.then(|| follow_health(shim.clone()));
        let (exit_sender, exit) = watch::channel(None);
        let (ended_sender, ended) = watch::channel(false);
        let watched = shim.clone();
        let running = RunningShim::begin();
        let wait = async move {
            let exit = wait_for_exit(watched).await;
            drop(running);
            exit_sender.send_replace(Some(exit));
            ended_sender.send_replace(true);
        };
        tokio::spawn(wait.in_current_span());
        let container = LiveContainer { shim, stop_signal, exit, health };
        self.lock().insert((task.clone(), name.to_owned()), container);
        self.add_ended(task, name, shipped);
        ended
    }

    /// Remembers the log of a container that was over when it was found.
    pub fn add_ended(&self, task: &TaskId, name: &str, shipped: watch::Receiver<bool>) {
        self.logs().insert((task.clone(), name.to_owned()), shipped);
    }

    /// The logs of a task's containers, each true once it is delivered.
    pub fn shipped(&self, task: &TaskId) -> Vec<watch::Receiver<bool>> {
        let logs = self.logs();
        logs.iter().filter(|((of, _), _)| of == task).map(|(_, log)| log.clone()).collect()
    }

    pub fn shim(&self, task: &TaskId, name: &str) -> Option<(ShimHandle, i32)> {
        let live = self.lock();
        let container = live.get(&(task.clone(), name.to_owned()))?;
        Some((container.shim.clone(), container.stop_signal))
    }

    pub fn exit(
        &self,
        task: &TaskId,
        name: &str,
    ) -> Option<watch::Receiver<Option<ContainerExit>>> {
        self.lock().get(&(task.clone(), name.to_owned())).map(|container| container.exit.clone())
    }

    pub fn health(&self, task: &TaskId, name: &str) -> Option<watch::Receiver<ContainerHealth>> {
        self.lock().get(&(task.clone(), name.to_owned()))?.health.clone()
    }

    /// Whether it was made and is not over.
    pub fn is_alive(&self, task: &TaskId, name: &str) -> bool {
        self.exit(task, name).is_some_and(|exit| exit.borrow().is_none())
    }

    /// Forgets one container of a task.
    pub fn forget(&self, task: &TaskId, name: &str) {
        let key = (task.clone(), name.to_owned());
        self.lock().remove(&key);
        self.logs().remove(&key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, LiveContainer>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logs(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<bool>>> {
        self.shipped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the checks of a container say, until it is over. What its shim does not say stays as it was.
fn follow_health(shim: ShimHandle) -> watch::Receiver<ContainerHealth> {
    let (sender, receiver) = watch::channel(ContainerHealth::default());
    let follow = async move {
        let mut seen = 0;
        loop {
            match next_health(&shim, seen).await {
                Ok(Some(health)) => {
                    seen = health.changes;
                    sender.send_replace(container_health(health));
                }
                // A shim of a version without health checks.
                Ok(None) => return,
                Err(error) => {
                    let over = shim.clone();
                    // Of a container that is over there is nothing more to learn.
                    if blocking(move || over.exit()).await.is_ok_and(|exit| exit.is_some()) {
                        return;
                    }
                    tracing::debug!(%error, "cannot follow the health of a container yet");
                    tokio::select! {
                        () = tokio::time::sleep(HEALTH_PAUSE) => {}
                        () = sender.closed() => return,
                    }
                }
            }
        }
    };
    tokio::spawn(follow.in_current_span());
    receiver
}

async fn next_health(shim: &ShimHandle, seen: u64) -> Result<Option<Health>, RuntimeError> {
    let asked = shim.clone();
    let Some(wait) = blocking(move || asked.health_wait(seen)).await? else { return Ok(None) };
    let unreadable = |source| RuntimeError::Io {
        operation: "wait for the health of",
        path: shim.key().to_string().into(),
        source,
    };
    match readable(wait) {
        Ok(wait) => {
            wait.readable().await.map_err(unreadable)?.retain_ready();
            blocking(move || wait.into_inner().take()).await.map(Some)
        }
        Err((_, error)) => Err(unreadable(error)),
    }
}

fn container_health(health: Health) -> ContainerHealth {
    let (exit_code, output) = match health.last {
        Some(last) => (Some(last.exit_code), last.output),
        None => (None, String::new()),
    };
    let since_ms = (health.changes > 0).then(|| i64::try_from(health.since_ms).unwrap_or(i64::MAX));
    ContainerHealth { status: health.status, since_ms, exit_code, output }
}

async fn wait_for_exit(shim: ShimHandle) -> ContainerExit {
    match wait_for_record(shim).await {
        Ok(record) => container_exit(&record),
        Err(error) => {
            tracing::error!(
                event = "container_exit_unknown",
                %error,
                "a container ended and left no exit record"
            );
            ContainerExit {
                exit_code: None,
                reason: Some(LOST.to_owned()),
                finished_at_ms: now_ms(),
            }
        }
    }
}

/// The end as the shim tells it. A shim that is gone, or says nothing of a container that is over, is done
/// without: then what is left is ended, and what the kernel knows of the end counts.
async fn wait_for_record(shim: ShimHandle) -> Result<ExitRecord, RuntimeError> {
    let watched = shim.clone();
    let told = async move {
        let asked = watched.clone();
        let ask = move || Ok((asked.exit_wait()?, asked.exit()?));
        let (wait, record) = once_there_is_room(ask).await?;
        // A container that is over has nothing that could be waited for.
        if let Some(record) = record {
            return Ok(record);
        }
        match readable(wait) {
            Ok(wait) => {
                if let Err(error) = wait.readable().await {
                    tracing::error!(
                        event = "container_wait_failed",
                        %error,
                        "cannot wait for a container's end"
                    );
                }
                blocking(move || wait.into_inner().take()).await
            }
            Err((wait, _)) => blocking(move || wait.take()).await,
        }
    };
    let told = tokio::select! {
        told = told => told,
        () = long_over(&shim) => Err(RuntimeError::Timeout {
            what: format!("the shim of {} with its container over", shim.key()),
            waited_ms: SHIM_PATIENCE.as_millis() as u64,
        }),
    };
    match told {
        Ok(record) => Ok(record),
        Err(error) => {
            tracing::warn!(
                event = "container_shim_gone",
                %error,
                "the shim of a container is gone or silent: the container is ended without it"
            );
            once_there_is_room(move || shim.conclude()).await
        }
    }
}

/// Resolves when the container's first process has been gone for as long as its shim may take to say so.
async fn long_over(shim: &ShimHandle) {
    let watched = shim.clone();
    match once_there_is_room(move || watched.first_process()).await {
        Ok(Some(process)) => gone(process).await,
        Ok(None) => {}
        // There is nothing to wait on; the shim's own word is still waited for.
        Err(error) => {
            tracing::warn!(
                event = "container_process_not_watched",
                %error,
                "cannot watch a container's first process"
            );
            std::future::pending::<()>().await;
        }
    }
    tokio::time::sleep(SHIM_PATIENCE).await;
}

async fn gone(process: OwnedFd) {
    match readable(process) {
        Ok(process) => {
            if let Err(error) = process.readable().await {
                tracing::error!(
                    event = "process_wait_failed",
                    %error,
                    "cannot wait for the end of a process"
                );
                std::future::pending::<()>().await;
            }
        }
        Err((_, error)) => {
            tracing::error!(
                event = "process_wait_failed",
                %error,
                "cannot wait for the end of a process"
            );
            std::future::pending::<()>().await;
        }
    }
}

/// How AWS shows an exit: the status, 128 plus the signal, and why the kernel killed it.
pub fn container_exit(record: &ExitRecord) -> ContainerExit {
    let reason = match &record.start_failure {
        Some(failure) => Some(format!("CannotStartContainerError: {failure}")),
        None => record.oom_killed.then(|| OUT_OF_MEMORY.to_owned()),
    };
    ContainerExit {
        exit_code: record.exit_code,
        reason,
        finished_at_ms: i64::try_from(record.finished_at_ms).unwrap_or(i64::MAX),
    }
}

/// Runs a call of the runtime, and again for as long as this process lacks descriptors or memory for it: no container
/// is ended, and no end is lost, for that.
async fn once_there_is_room<T: Send + 'static>(
    call: impl Fn() -> Result<T, RuntimeError> + Clone + Send + 'static,
) -> Result<T, RuntimeError> {
    let mut pause = SHORTAGE_PAUSE_FIRST;
    loop {
        match blocking(call.clone()).await {
            Err(error) if error.is_shortage() => {
                tracing::warn!(
                    event = "container_watch_retried",
                    %error,
                    "cannot watch a container yet; it is tried again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(SHORTAGE_PAUSE_MAX);
            }
            done => return done,
        }
    }
}

/// Runs a call of the runtime where it may block.
pub async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match spawn_blocking(call).await {
        Ok(outcome) => outcome,
        Err(error) => Err(RuntimeError::Io {
            operation: "run",
            path: "a call of the container runtime".into(),
            source: std::io::Error::other(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn failed(code: i32) -> RuntimeError {
        let source = std::io::Error::from_raw_os_error(code);
        RuntimeError::Io { operation: "open", path: "/x".into(), source }
    }

    #[tokio::test]
    async fn a_shortage_is_waited_out_and_nothing_else() {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let call = move || match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(failed(nix::errno::Errno::EMFILE as i32)),
            1 => {
                let (key, detail) = ("t/c".to_owned(), "Too many open files".to_owned());
                Err(RuntimeError::ShimGone { key, detail, is_shortage: true })
            }
            _ => Ok(7),
        };
        assert_eq!(once_there_is_room(call).await.unwrap(), 7);
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        once_there_is_room(|| Err::<(), _>(failed(nix::errno::Errno::EIO as i32)))
            .await
            .unwrap_err();
    }
}
