//! What a node does over and over while it runs, beside following its assignment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outport_container_runtime::private;

use super::{AgentError, Shared};
use crate::machine::SWEEP_INTERVAL;
use crate::room::RoomWatch;
use crate::run_dir;
use crate::task::runner::StopReason;

/// A firewall that was restarted meanwhile took our rules with it.
const RULES_INTERVAL: Duration = Duration::from_secs(60);
/// How often somebody may have cleaned `/run` before it is seen.
const RUN_DIR_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked for what was kept of tasks long enough.
const OUTPUTS_INTERVAL: Duration = Duration::from_secs(30);
/// What lies in it: containers, namespaces, records.
const RUN_DIR_PARTS: [&str; 3] = ["c", "ns", "tasks"];

pub(super) async fn restore_rules(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RULES_INTERVAL).await;
        shared.machine.networks.restore_rules().await;
    }
}

pub(super) async fn measure_log_lag(shared: Arc<Shared>) {
    shared.machine.log_wakeups.lag.keep_measuring().await;
}

/// Cleaners of temporary files take directories away from under what runs: they are made again, before
/// the next task needs them.
pub(super) async fn keep_run_dir(shared: Arc<Shared>, run_dir: PathBuf) {
    loop {
        tokio::time::sleep(RUN_DIR_INTERVAL).await;
        keep_ids(&shared).await;
        if RUN_DIR_PARTS.iter().all(|part| run_dir.join(part).is_dir()) {
            continue;
        }
        tracing::warn!(
            event = "run_directory_removed",
            directory = %run_dir.display(),
            "somebody removed the run directory or a part of it; it is made again"
        );
        let (runtime, path) = (shared.machine.runtime.clone(), run_dir.clone());
        let restored = tokio::task::spawn_blocking(move || -> Result<(), AgentError> {
            run_dir::make(&path)?;
            private::make_directories(&path.join("tasks"))?;
            Ok(runtime.restore_run_dir()?)
        });
        match restored.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(
                event = "run_directory_not_made",
                %error,
                "cannot make the run directory again"
            ),
            Err(error) => tracing::error!(
                event = "run_directory_not_made",
                %error,
                "cannot make the run directory again"
            ),
        }
        shared.machine.endpoint.restore();
        shared.machine.networks.restore_records().await;
    }
}

/// The other instances of this host look there which ids are taken.
async fn keep_ids(shared: &Arc<Shared>) {
    let users = shared.machine.users.clone();
    match tokio::task::spawn_blocking(move || users.restore()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(
            event = "task_ids_not_written",
            %error,
            "cannot write down which ids of the host tasks have"
        ),
        Err(error) => tracing::error!(
            event = "task_ids_not_written",
            %error,
            "cannot write down which ids of the host tasks have"
        ),
    }
}

pub(super) async fn watch_room(shared: Arc<Shared>, directory: PathBuf) {
    let watch = RoomWatch {
        directory,
        disks: shared.machine.disks.clone(),
        images: shared.machine.images.store(),
        outputs: shared.machine.outputs.clone(),
        has_room: shared.has_room.clone(),
    };
    let changed = || shared.tasks.task_reports().wake();
    watch.run(changed, |task, reason| shared.tasks.stop_one(task, StopReason(reason))).await;
}

pub(super) async fn sweep_outputs(shared: Arc<Shared>) {
    loop {
        let outputs = shared.machine.outputs.clone();
        let swept = tokio::task::spawn_blocking(move || outputs.sweep(SystemTime::now())).await;
        if let Err(error) = swept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::error!(
                event = "task_outputs_not_removed",
                %error,
                "cannot remove what containers wrote whose tasks are over"
            );
        }
        tokio::time::sleep(OUTPUTS_INTERVAL).await;
    }
}

pub(super) async fn sweep_images(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        shared.machine.images.sweep().await;
    }
}
