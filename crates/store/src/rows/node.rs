//! A node.

use outport_model::NodeId;
use outport_model::node::Node;

use crate::row::Row;
use crate::tables::{Related, Tables, Touched};

impl Row for Node {
    type Key = NodeId;
    type Index = ();
    const TABLE: &'static str = "node";
    fn key(&self) -> NodeId {
        self.id.clone()
    }
}

impl Related for Node {
    fn relate(tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, _touched: &mut Touched) {
        if let Some(row) = old.or(new) {
            tables.refresh_room(&row.id);
        }
    }
}
