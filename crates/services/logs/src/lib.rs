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

/// Answers the operations of CloudWatch Logs. Implements [`outport_aws_logs::LogsHandler`].
#[derive(Clone)]
pub struct LogsService {
    store: Arc<LogStore>,
}

impl LogsService {
    pub fn new(store: Arc<LogStore>) -> Self {
        Self { store }
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
