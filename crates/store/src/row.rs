//! What makes a noun of `outport-model` a row: its key, its table, and its form on disk.

use std::fmt::{Debug, Display};

use outport_model::NodeId;
use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::idempotency::IdempotencyToken;
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::indexes::{
    ContainerInstanceIndex, NetworkInterfaceIndex, ServiceDeploymentIndex, ServiceIndex,
    ServiceRevisionIndex, TaskDefinitionIndex, TaskIndex,
};
use crate::keys::{
    AccountSettingKey, ClusterKey, ContainerInstanceKey, FamilyKey, IdempotencyTokenKey,
    NetworkInterfaceKey, SecurityGroupKey, ServiceDeploymentKey, ServiceKey, ServiceRevisionKey,
    SubnetKey, TaskDefinitionKey, TaskKey, VpcKey,
};
use crate::table::Index;

/// A row of the store.
///
/// The form on disk is the row's JSON and is a promise: fields are only added, with a default. When
/// more has to change, `VERSION` grows and `read` learns the old form; `tests/golden.rs` keeps bytes of
/// every version.
pub trait Row:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// `Display` gives the text under which the journal keeps the row; no two keys share one.
    type Key: Ord + Clone + Debug + Display + Send + Sync + 'static;
    type Index: Index<Self>;
    /// The table's name on disk.
    const TABLE: &'static str;
    /// The version of the form that is written.
    const VERSION: u32 = 1;

    fn key(&self) -> Self::Key;

    /// Reads the form of `version`, which is at most `VERSION`.
    fn read(_version: u32, bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

macro_rules! row {
    ($row:ty, $table:literal, $index:ty, $key:ty, |$self:ident| $make:expr) => {
        impl Row for $row {
            type Key = $key;
            type Index = $index;
            const TABLE: &'static str = $table;
            fn key(&self) -> $key {
                let $self = self;
                $make
            }
        }
    };
}

row!(Cluster, "cluster", (), ClusterKey, |row| ClusterKey::new(&row.scope, row.name.clone()));
row!(TaskDefinition, "task_definition", TaskDefinitionIndex, TaskDefinitionKey, |row| {
    TaskDefinitionKey::new(&row.scope, row.family.clone(), row.revision)
});
row!(TaskDefinitionFamily, "family", (), FamilyKey, |row| FamilyKey::new(
    &row.scope,
    row.family.clone()
));
row!(Service, "service", ServiceIndex, ServiceKey, |row| ServiceKey::new(
    &row.scope,
    row.cluster.clone(),
    row.name.clone()
));
row!(
    ServiceDeployment,
    "service_deployment",
    ServiceDeploymentIndex,
    ServiceDeploymentKey,
    |row| ServiceDeploymentKey::new(
        &row.scope,
        row.cluster.clone(),
        row.service.clone(),
        row.id.clone()
    )
);
row!(ServiceRevision, "service_revision", ServiceRevisionIndex, ServiceRevisionKey, |row| {
    ServiceRevisionKey::new(&row.scope, row.cluster.clone(), row.service.clone(), row.id.clone())
});
row!(Task, "task", TaskIndex, TaskKey, |row| TaskKey::new(
    &row.scope,
    row.cluster.clone(),
    row.id.clone()
));
row!(Node, "node", (), NodeId, |row| row.id.clone());
row!(NodeIdentity, "node_identity", (), NodeId, |row| row.node.clone());
row!(
    ContainerInstance,
    "container_instance",
    ContainerInstanceIndex,
    ContainerInstanceKey,
    |row| ContainerInstanceKey::new(&row.scope, row.cluster.clone(), row.id.clone())
);
row!(Vpc, "vpc", (), VpcKey, |row| VpcKey::new(&row.scope, row.id.clone()));
row!(Subnet, "subnet", (), SubnetKey, |row| SubnetKey::new(&row.scope, row.id.clone()));
row!(SecurityGroup, "security_group", (), SecurityGroupKey, |row| SecurityGroupKey::new(
    &row.scope,
    row.id.clone()
));
row!(NetworkInterface, "network_interface", NetworkInterfaceIndex, NetworkInterfaceKey, |row| {
    NetworkInterfaceKey::new(&row.scope, row.id.clone())
});
row!(AddressCursor, "address_cursor", (), SubnetKey, |row| SubnetKey::new(
    &row.scope,
    row.subnet_id.clone()
));
row!(AccountSetting, "account_setting", (), AccountSettingKey, |row| AccountSettingKey::new(
    &row.scope,
    row.name.clone(),
    row.principal_arn.clone()
));
row!(IdempotencyToken, "idempotency_token", (), IdempotencyTokenKey, |row| {
    IdempotencyTokenKey::new(&row.scope, row.operation.clone(), row.token.clone())
});
