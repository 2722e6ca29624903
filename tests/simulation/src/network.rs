//! Messages on their way between the control plane and the nodes.

use outport_model::NodeId;
use outport_node_protocol::{Report, TaskSection};

use crate::rng::Rng;

/// Chances in a thousand.
const LOST: usize = 80;
const REPEATED: usize = 60;
/// The longest delay of a message, in steps.
const DELAY_MAX: usize = 12;

#[derive(Clone, Debug)]
pub enum Message {
    Report(Report),
    Assignment(NodeId, TaskSection),
}

#[derive(Debug, Default)]
pub struct Network {
    in_flight: Vec<(u64, Message)>,
}

impl Network {
    /// A good network delivers at the next step, in order; a bad one does as it likes.
    pub fn send(&mut self, message: Message, step: u64, rng: &mut Rng, is_bad: bool) {
        if !is_bad {
            self.in_flight.push((step + 1, message));
            return;
        }
        if rng.per_mille(LOST) {
            return;
        }
        let copies = 1 + usize::from(rng.per_mille(REPEATED));
        for _ in 0..copies {
            let at = step + 1 + rng.below(DELAY_MAX) as u64;
            self.in_flight.push((at, message.clone()));
        }
    }

    /// What arrives now.
    pub fn arrivals(&mut self, step: u64) -> Vec<Message> {
        let all = std::mem::take(&mut self.in_flight);
        let (now, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(at, _)| *at <= step);
        self.in_flight = later;
        now.into_iter().map(|(_, message)| message).collect()
    }
}

impl Network {
    /// The connections of a node that restarts die with what is in them.
    pub fn cut(&mut self, node: &NodeId) {
        self.in_flight.retain(|(_, message)| match message {
            Message::Report(report) => report.node != *node,
            Message::Assignment(to, _) => to != node,
        });
    }
}
