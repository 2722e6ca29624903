//! A security group.

use std::sync::Arc;

use imbl::OrdMap;
use outport_model::network::SecurityGroup;
use outport_model::{Scope, SecurityGroupId, VpcId};

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::rows::vpc::VpcKey;
use crate::table::Index;
use crate::tables::Related;

/// Every VPC has a group of this name. Source: "Default security groups" in the Amazon VPC User Guide.
const DEFAULT: &str = "default";

key!(SecurityGroupKey { id: SecurityGroupId });

impl Row for SecurityGroup {
    type Key = SecurityGroupKey;
    type Index = SecurityGroupIndex;
    const TABLE: &'static str = "security_group";
    fn key(&self) -> SecurityGroupKey {
        SecurityGroupKey::new(&self.scope, self.id.clone())
    }
}

impl Related for SecurityGroup {}

#[derive(Clone, Debug, Default)]
pub struct SecurityGroupIndex {
    /// The group called `default` of each VPC.
    defaults: OrdMap<VpcKey, Arc<SecurityGroup>>,
}

impl Index<SecurityGroup> for SecurityGroupIndex {
    fn add(&mut self, row: &Arc<SecurityGroup>) {
        if row.name == DEFAULT {
            self.defaults.insert(VpcKey::new(&row.scope, row.vpc_id.clone()), Arc::clone(row));
        }
    }
    fn remove(&mut self, row: &SecurityGroup) {
        if row.name == DEFAULT {
            self.defaults.remove(&VpcKey::new(&row.scope, row.vpc_id.clone()));
        }
    }
}

impl ColdTable<SecurityGroup> {
    /// The group of who names none.
    pub fn default_of(&self, scope: &Scope, vpc_id: &VpcId) -> Option<&Arc<SecurityGroup>> {
        self.index.defaults.get(&VpcKey::new(scope, vpc_id.clone()))
    }
}
