//! A subnet.

use outport_model::SubnetId;
use outport_model::network::Subnet;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(SubnetKey { id: SubnetId });

impl Row for Subnet {
    type Key = SubnetKey;
    type Index = ();
    const TABLE: &'static str = "subnet";
    fn key(&self) -> SubnetKey {
        SubnetKey::new(&self.scope, self.id.clone())
    }
}

impl Related for Subnet {}
