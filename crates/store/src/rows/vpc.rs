//! A VPC.

use outport_model::VpcId;
use outport_model::network::Vpc;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(VpcKey { id: VpcId });

impl Row for Vpc {
    type Key = VpcKey;
    type Index = ();
    const TABLE: &'static str = "vpc";
    fn key(&self) -> VpcKey {
        VpcKey::new(&self.scope, self.id.clone())
    }
}

impl Related for Vpc {}
