//! Counts the long polls of nodes.

use metrics::{counter, gauge};
use outport_node_protocol::Assignment;

use super::LinkError;

/// A poll that waits for news; lowers the gauge when it is dropped.
pub(super) struct StandingPoll(());

impl StandingPoll {
    pub(super) fn begin() -> Self {
        gauge!("outport_node_polls_standing").increment(1.0);
        Self(())
    }
}

impl Drop for StandingPoll {
    fn drop(&mut self) {
        gauge!("outport_node_polls_standing").decrement(1.0);
    }
}

pub(super) fn answered(answer: &Result<Option<Assignment>, LinkError>) {
    let answer = match answer {
        Ok(Some(_)) => "assignment",
        Ok(None) => "nothing_new",
        Err(_) => "error",
    };
    counter!("outport_node_polls_total", "answer" => answer).increment(1);
}
