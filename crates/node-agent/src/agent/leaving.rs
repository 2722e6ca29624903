//! How a node that ends takes its containers along, and the next one what was left.
//!
//! **Invariant:** no thread keeps the process from its end.

use std::sync::Arc;
use std::time::Duration;

use outport_container_runtime::{Runtime, RuntimeError};

use super::{AgentError, FORGET_LOOK};

/// How long the end of a node removes what containers wrote; the rest is for the next start.
const REMOVE_PATIENCE: Duration = Duration::from_secs(20);
/// And how often it says so.
const REMOVE_WORD_INTERVAL: Duration = Duration::from_secs(5);

/// Removes every container of the node. What they wrote is removed as far as there is time.
pub(super) async fn remove_containers(runtime: &Arc<Runtime>) -> Result<(), AgentError> {
    let begun = tokio::time::Instant::now();
    let remover = runtime.clone();
    let mut removal = tokio::task::spawn_blocking(move || {
        remover.remove_all()?;
        // Another thread may still be at it.
        while remover.has_trash() && !remover.is_interrupted() {
            std::thread::sleep(FORGET_LOOK);
        }
        Ok(())
    });
    loop {
        match tokio::time::timeout(REMOVE_WORD_INTERVAL, &mut removal).await {
            Ok(removed) => {
                // No thread may keep the process from its end.
                runtime.interrupt_removals();
                let removed: Result<(), RuntimeError> = removed.map_err(std::io::Error::other)?;
                return Ok(removed?);
            }
            Err(_) if begun.elapsed() < REMOVE_PATIENCE => {
                let seconds = begun.elapsed().as_secs();
                tracing::info!(
                    event = "task_files_being_removed",
                    seconds,
                    "the tasks have stopped; removing the files that their containers wrote"
                );
            }
            Err(_) => {
                tracing::warn!(
                    event = "task_files_left",
                    "the containers wrote more files than can be removed now; the next start goes on with it"
                );
                runtime.interrupt_removals();
            }
        }
    }
}

/// What an earlier agent had no time to remove.
pub(super) fn empty_trash(runtime: &Runtime) {
    if let Err(error) = runtime.empty_trash() {
        tracing::error!(
            event = "container_trash_not_removed",
            %error,
            "cannot remove the files of containers that are gone"
        );
    }
}
