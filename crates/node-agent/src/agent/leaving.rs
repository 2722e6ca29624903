//! How a node that ends takes its containers along, and the next one what was left.
//!
//! **Invariant:** no thread keeps the process from its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use outport_container_runtime::{Runtime, RuntimeError};
use tokio::time::Instant;

use super::tasks::Tasks;
use super::{AgentError, FORGET_LOOK, KILL_ALL_PATIENCE, STOP_ALL_PATIENCE};
use crate::task::host::NodeHost;

/// How long the end of a node removes what containers wrote; the rest is for the next start.
const REMOVE_PATIENCE: Duration = Duration::from_secs(20);
/// And how often it says so.
const REMOVE_WORD_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is said which tasks are waited for, and how many of them by name.
const STOP_WORD_INTERVAL: Duration = Duration::from_secs(5);
const NAMED_MAX: usize = 5;

/// Waits until tasks that were told to stop have stopped, and says every few seconds for which it waits. Once `hurry` is
/// over they are killed, and have little time left.
pub(super) async fn wait_for_tasks<H: NodeHost>(tasks: &Tasks<H>, hurry: impl Future<Output = ()>) {
    let stopped = async {
        while !tasks.task_reports().all_stopped() {
            tokio::time::sleep(FORGET_LOOK).await;
        }
    };
    let (mut stopped, mut hurry) = (pin!(stopped), pin!(hurry));
    let mut deadline = Instant::now() + STOP_ALL_PATIENCE;
    let (mut next_word, mut is_hurried) = (Instant::now() + STOP_WORD_INTERVAL, false);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            () = &mut hurry, if !is_hurried => {
                is_hurried = true;
                tasks.kill_all();
                deadline = deadline.min(Instant::now() + KILL_ALL_PATIENCE);
            }
            () = tokio::time::sleep_until(next_word.min(deadline)) => {
                if Instant::now() >= deadline {
                    break;
                }
                next_word = Instant::now() + STOP_WORD_INTERVAL;
                let unstopped = tasks.unstopped();
                tracing::info!(
                    event = "tasks_being_stopped",
                    tasks = unstopped.len(),
                    seconds_max = (deadline - Instant::now()).as_secs(),
                    "waiting for tasks to stop: {}",
                    named(&unstopped)
                );
            }
        }
    }
    tracing::error!(
        event = "tasks_not_stopped",
        tasks = tasks.task_reports().unstopped().len(),
        "some tasks did not stop in time and are removed"
    );
}

/// The first few, and how many more there are.
fn named(tasks: &[String]) -> String {
    let first = tasks.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tasks.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_tasks_takes_one_line() {
        let tasks: Vec<String> = (1..=7).map(|number| format!("t{number} (web:1)")).collect();
        assert_eq!(named(&tasks[..2]), "t1 (web:1), t2 (web:1)");
        assert!(named(&tasks).ends_with("t5 (web:1) and 2 more"));
    }
}
