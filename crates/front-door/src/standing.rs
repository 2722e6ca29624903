//! What a request's connection has proven, for whoever proves it.

use http::Extensions;

use crate::body::Sender;
use crate::slots::{Rank, Slot};

/// The place of the connection that a request came over: an extension of every request of a listener. Whoever proves
/// who sent the request says so here; then the connection is no stranger's any more and cannot lose its place to one.
#[derive(Clone, Debug)]
pub struct Standing(pub(crate) Slot);

impl Standing {
    /// A signature, a password or the like was good.
    pub fn prove_caller(&self) {
        self.0.prove(Rank::Caller);
    }

    /// Whether the connection is one of a caller or of a node now.
    pub(crate) fn is_proven(&self) -> bool {
        self.0.rank().is_some_and(|rank| rank != Rank::Stranger)
    }

    /// Whose memory a body of such a request takes before anything of the request itself is proven.
    pub(crate) fn sender(extensions: &Extensions) -> Sender {
        let rank = extensions.get::<Standing>().and_then(|Standing(slot)| slot.rank());
        match rank {
            Some(Rank::Stranger) | None => Self::stranger(extensions),
            Some(Rank::Node) => Sender::Node,
            Some(Rank::Caller | Rank::Upgraded) => Sender::Proven,
        }
    }

    /// The same where nothing that the connection has proven before counts.
    pub(crate) fn stranger(extensions: &Extensions) -> Sender {
        Sender::Stranger(extensions.get::<Standing>().and_then(|Standing(slot)| slot.peer()))
    }
}
