//! A security group.

use outport_model::network::SecurityGroup;

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(SecurityGroupKey { id: String });

impl Row for SecurityGroup {
    type Key = SecurityGroupKey;
    type Index = ();
    const TABLE: &'static str = "security_group";
    fn key(&self) -> SecurityGroupKey {
        SecurityGroupKey::new(&self.scope, self.id.clone())
    }
}

impl Related for SecurityGroup {}
