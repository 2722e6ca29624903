//! The nouns of the orchestrator and the rules that hold for each of them alone: typed ids, ARNs,
//! the task lifecycle, and the rows that the store keeps.
//!
//! **Invariant:** no clock, no randomness, no I/O, no async, and nothing that knows a wire format of
//! AWS. A value that exists here is valid: text is parsed at the edge, by the constructors below.

pub mod account_setting;
pub mod arn;
pub mod capacity;
pub mod checked_json;
pub mod clock;
pub mod cluster;
pub mod container_instance;
pub mod deployment;
pub mod deployment_configuration;
pub mod ecr_registry;
pub mod event;
pub mod host_name;
pub mod iam;
pub mod idempotency;
pub mod ids;
pub mod kms;
pub mod lifecycle;
pub mod linux_capability;
pub mod nearness;
pub mod network;
pub mod node;
pub mod node_identity;
pub mod own_registry;
pub mod parameter;
pub mod placement;
pub mod rare_lines;
pub mod regions;
pub mod secret;
pub mod service;
pub mod tag;
pub mod task;
pub mod task_definition;
pub mod task_end;

pub use arn::Arn;
pub use clock::{Now, SteadyMs};
pub use ids::{
    AccountId, AttachmentId, ClusterName, ContainerId, ContainerInstanceId, DeploymentId,
    DhcpOptionsId, Family, NetworkInterfaceId, NewIds, NodeId, Region, Revision, Scope,
    SecurityGroupId, ServiceDeploymentId, ServiceEventId, ServiceName, SubnetId, TaskAttachmentId,
    TaskId, VpcId,
};
pub use lifecycle::{DesiredStatus, Owner, TaskStatus};
pub use regions::Regions;
pub use tag::Tags;

/// Milliseconds since the Unix epoch, as handed in by whoever has a clock.
pub type TimestampMs = i64;
