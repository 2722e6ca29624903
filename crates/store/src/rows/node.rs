//! A node.

use outport_model::NodeId;
use outport_model::node::Node;

use crate::row::Row;
use crate::tables::Related;

impl Row for Node {
    type Key = NodeId;
    type Index = ();
    const TABLE: &'static str = "node";
    fn key(&self) -> NodeId {
        self.id.clone()
    }
}

impl Related for Node {}
