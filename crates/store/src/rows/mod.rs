//! The nouns that are stored: each in its own file, with its key, its table's name, its indexes and what they answer.
//! A new noun is a file here and a line in [`crate::tables`].

mod account_setting;
mod address_cursor;
mod cluster;
mod container_instance;
mod event;
mod iam;
mod idempotency_token;
mod key;
mod kms;
mod network_interface;
mod node;
mod node_identity;
mod parameter;
mod placed_tasks;
mod secret;
mod security_group;
mod service;
mod service_deployment;
mod service_revision;
mod subnet;
mod task;
mod task_definition;
mod task_definition_family;
mod vpc;

pub use event::PENDING_EVENTS_MAX;
pub use iam::Attachments;
pub use placed_tasks::PlacedInCluster;
pub use service::ServiceCounts;
pub use task::{DeploymentCounts, TaskCounts, TaskFacet};
pub use task_definition::FamilyStatus;

/// The keys of the tables.
pub mod keys {
    pub use super::account_setting::AccountSettingKey;
    pub use super::cluster::ClusterKey;
    pub use super::container_instance::ContainerInstanceKey;
    pub use super::event::{EventBusKey, EventRuleKey, PendingEventKey, ScheduledRuleKey};
    pub use super::iam::keys::{
        AccessKeyKey, GroupKey, InstanceProfileKey, ManagedPolicyKey, OidcProviderKey, RoleKey,
        ServerCertificateKey, UserKey,
    };
    pub use super::idempotency_token::IdempotencyTokenKey;
    pub use super::kms::{KmsAliasKey, KmsGrantKey, KmsKeyKey};
    pub use super::network_interface::NetworkInterfaceKey;
    pub use super::parameter::{ParameterKey, ParameterVersionKey};
    pub use super::secret::{SecretKey, SecretValueKey};
    pub use super::security_group::SecurityGroupKey;
    pub use super::service::ServiceKey;
    pub use super::service_deployment::ServiceDeploymentKey;
    pub use super::service_revision::ServiceRevisionKey;
    pub use super::subnet::SubnetKey;
    pub use super::task::TaskKey;
    pub use super::task_definition::TaskDefinitionKey;
    pub use super::task_definition_family::FamilyKey;
    pub use super::vpc::VpcKey;
}
