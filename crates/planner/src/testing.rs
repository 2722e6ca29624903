//! Rows for the tests of several rooms.

use outport_model::network::AwsvpcConfiguration;
use outport_model::node::{Architecture, Node, NodeCapacity};
use outport_model::task::{ContainerStatus, Reservation, Task, TaskContainer, TaskOverrides};
use outport_model::task_definition::LaunchType;
use outport_model::{
    AccountId, ClusterName, ContainerId, DesiredStatus, Family, NodeId, Region, Scope, Tags,
    TaskId, TaskStatus,
};

/// A task with one container, `app`, that was just placed on the node.
pub(crate) fn task(node: &str) -> Task {
    Task {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        cluster: ClusterName::new("default"),
        id: TaskId::new("t1"),
        family: Family::new("web"),
        revision: 1,
        launch_type: LaunchType::Fargate,
        capacity_provider: None,
        platform_version: None,
        group: "family:web".into(),
        started_by: None,
        service: None,
        overrides: TaskOverrides::default(),
        network: AwsvpcConfiguration::default(),
        enable_execute_command: false,
        tags: Tags::new(),
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Pending,
        node: Some(NodeId::new(node)),
        container_instance: None,
        availability_zone: None,
        reserved: Reservation::default(),
        attachment: None,
        health: None,
        containers: vec![TaskContainer {
            id: ContainerId::new("c1"),
            name: "app".into(),
            image: "app:1".into(),
            resolved_digest: None,
            essential: true,
            health: None,
            image_digest: None,
            runtime_id: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            network_bindings: Vec::new(),
        }],
        stop_code: None,
        stopped_reason: None,
        created_at_ms: 0,
        connectivity_at_ms: None,
        pull_started_at_ms: None,
        pull_stopped_at_ms: None,
        started_at_ms: None,
        stopping_at_ms: None,
        execution_stopped_at_ms: None,
        stopped_at_ms: None,
        version: 1,
        protected_until_ms: None,
        end_noted: false,
    }
}

/// A node that takes tasks, with 1,024 CPU units and 1,024 MiB.
pub(crate) fn node(id: &str) -> Node {
    Node {
        id: NodeId::new(id),
        host_name: id.into(),
        agent_version: "0".into(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity { cpu_units: 1_024, memory_mib: 1_024, reserved_ports: vec![22] },
        boot_id: "1".into(),
        registered_at_ms: 0,
        last_seen_ms: 0,
        assignment_generation: 0,
        accepts_tasks: true,
        connected: true,
        regions: Vec::new(),
    }
}
