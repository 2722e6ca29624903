//! The operations of CloudWatch Logs over the log store: what a request may say, who may say it, and
//! how the store's answers and refusals read in AWS's words.
//!
//! **Invariant:** an operation asks for authorization before it reads or changes any event, and keeps
//! nothing of its own: all state is the store's.

mod access;
mod arns;
mod handler;
mod operations;
mod page;
mod rejection;
mod tags;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use outport_aws_logs::LogsError;
use outport_aws_wire::WireError;
use outport_identity::Call;
use outport_log_store::LogStore;
use tokio::sync::Semaphore;

/// Pages of events that are read at once: two for each processor, within these bounds.
const READS_MIN: usize = 4;
const READS_MAX: usize = 16;

/// Answers the operations of CloudWatch Logs. Implements [`outport_aws_logs::LogsHandler`].
#[derive(Clone)]
pub struct LogsService {
    store: Arc<LogStore>,
    reads: Arc<Semaphore>,
}

impl LogsService {
    pub fn new(store: Arc<LogStore>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let reads = Semaphore::new((2 * processors).clamp(READS_MIN, READS_MAX));
        Self { store, reads: Arc::new(reads) }
    }

    /// As [`LogsService::blocking`], a few at a time: a page of events is a megabyte, which many callers at once would
    /// have in memory before any of it is on its way.
    async fn reading<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&LogStore, &Call) -> Result<T, LogsError> + Send + 'static,
    ) -> Result<T, LogsError> {
        // It is never closed.
        let _turn = self.reads.acquire().await;
        self.blocking(call, work).await
    }

    /// Runs an operation on a thread that may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&LogStore, &Call) -> Result<T, LogsError> + Send + 'static,
    ) -> Result<T, LogsError> {
        let (store, call) = (self.store.clone(), call.clone());
        match tokio::task::spawn_blocking(move || work(&store, &call)).await {
            Ok(done) => done,
            Err(error) => {
                let message = format!("a log store call did not finish: {error}");
                Err(WireError::internal(message).into())
            }
        }
    }
}
