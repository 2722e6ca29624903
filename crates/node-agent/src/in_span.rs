//! Work on other threads that keeps the span of whoever asked for it, so that its lines carry the ids of their task.

use tokio::task::JoinHandle;
use tracing::Span;

/// As tokio's.
pub fn spawn_blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(call))
}
