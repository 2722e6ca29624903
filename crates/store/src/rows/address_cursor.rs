//! The address that a subnet gave out last.

use outport_model::capacity::AddressCursor;

use crate::row::Row;
use crate::rows::subnet::SubnetKey;
use crate::tables::Related;

impl Row for AddressCursor {
    type Key = SubnetKey;
    type Index = ();
    const TABLE: &'static str = "address_cursor";
    fn key(&self) -> SubnetKey {
        SubnetKey::new(&self.scope, self.subnet_id.clone())
    }
}

impl Related for AddressCursor {}
