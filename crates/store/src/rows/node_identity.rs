//! The keys of a node.

use outport_model::NodeId;
use outport_model::node_identity::NodeIdentity;

use crate::row::Row;
use crate::tables::{Related, Tables, Touched};

impl Row for NodeIdentity {
    type Key = NodeId;
    type Index = ();
    const TABLE: &'static str = "node_identity";
    fn key(&self) -> NodeId {
        self.node.clone()
    }
}

impl Related for NodeIdentity {
    /// A node that waits for news learns that it is believed no more.
    fn relate(_tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, touched: &mut Touched) {
        touched.nodes.extend([old, new].into_iter().flatten().map(|row| row.node.clone()));
    }
}
