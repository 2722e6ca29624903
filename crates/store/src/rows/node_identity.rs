//! The keys of a node.

use outport_model::NodeId;
use outport_model::node_identity::NodeIdentity;

use crate::row::Row;

impl Row for NodeIdentity {
    type Key = NodeId;
    type Index = ();
    const TABLE: &'static str = "node_identity";
    fn key(&self) -> NodeId {
        self.node.clone()
    }
}
