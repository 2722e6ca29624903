//! What the service manager that started this is told, where it asks for it by `NOTIFY_SOCKET`: systemd's `Type=notify`.
//! A unit that is started is then one that answers, and `systemctl stop` knows that the end has begun.
//!
//! **Invariant:** nobody waits for it and nothing fails for it: a manager that does not listen misses what it asked for.

use sd_notify::NotifyState;

/// The API answers, or the node has joined.
pub fn is_ready() {
    tell(NotifyState::Ready);
}

/// The end has begun.
pub fn is_stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState) {
    // The variable stays: taking it away is not for a process with threads, and no container inherits it.
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
