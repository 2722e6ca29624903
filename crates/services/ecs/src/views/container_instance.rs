//! A container instance: a node as capacity of a cluster.

use outport_aws_ecs as wire;
use outport_model::container_instance::ContainerInstance;
use outport_model::node::Node;
use outport_model::task_definition::{LaunchType, TransportProtocol};
use outport_model::{Arn, TaskStatus};
use outport_store::Tables;

use super::{count, timestamp};
use crate::tags;

/// A container instance as DescribeContainerInstances shows it.
pub fn view(tables: &Tables, row: &ContainerInstance, with_tags: bool) -> wire::ContainerInstance {
    let node = tables.nodes.get(&row.node).map(|node| &**node);
    let tasks = tables.tasks.live_on_node(&row.node);
    let own = || {
        tasks.values().filter(|task| {
            task.launch_type != LaunchType::Fargate
                && task.container_instance.as_ref() == Some(&row.id)
        })
    };
    let running = own().filter(|task| task.last_status == TaskStatus::Running).count();
    let pending = own().filter(|task| task.last_status < TaskStatus::Running).count();
    wire::ContainerInstance {
        container_instance_arn: Some(
            Arn::container_instance(&row.scope, &row.cluster, &row.id).to_string(),
        ),
        ec2_instance_id: Some(row.ec2_instance_id.clone()),
        version: Some(i64::try_from(row.version).unwrap_or(i64::MAX)),
        version_info: node.map(|node| wire::VersionInfo {
            agent_version: Some(node.agent_version.clone()),
            ..wire::VersionInfo::default()
        }),
        remaining_resources: Some(node.map(|node| remaining(tables, node)).unwrap_or_default()),
        registered_resources: Some(node.map(registered).unwrap_or_default()),
        status: Some(row.status.as_str().to_owned()),
        agent_connected: Some(node.is_some_and(|node| node.connected)),
        running_tasks_count: count(running),
        pending_tasks_count: count(pending),
        attributes: Some(attributes(row)),
        registered_at: timestamp(Some(row.registered_at_ms)),
        attachments: Some(Vec::new()),
        tags: Some(if with_tags { tags::view(&row.tags) } else { Vec::new() }),
        ..wire::ContainerInstance::default()
    }
}

fn attributes(row: &ContainerInstance) -> Vec<wire::Attribute> {
    row.attributes
        .iter()
        .map(|(name, value)| wire::Attribute {
            name: Some(name.clone()),
            value: Some(value.clone()).filter(|value| !value.is_empty()),
            ..wire::Attribute::default()
        })
        .collect()
}

fn registered(node: &Node) -> Vec<wire::Resource> {
    let reserved: Vec<String> = node.capacity.reserved_ports.iter().map(u16::to_string).collect();
    vec![
        integer("CPU", u64::from(node.capacity.cpu_units)),
        integer("MEMORY", u64::from(node.capacity.memory_mib)),
        strings("PORTS", reserved),
        strings("PORTS_UDP", Vec::new()),
    ]
}

fn remaining(tables: &Tables, node: &Node) -> Vec<wire::Resource> {
    let used = tables.tasks.use_of_node(&node.id);
    let ports = |protocol: TransportProtocol| {
        used.host_ports
            .iter()
            .filter(move |(_, used)| *used == protocol)
            .map(|(port, _)| port.to_string())
    };
    let reserved = node.capacity.reserved_ports.iter().map(u16::to_string);
    vec![
        integer("CPU", u64::from(node.capacity.cpu_units).saturating_sub(used.cpu_units)),
        integer("MEMORY", u64::from(node.capacity.memory_mib).saturating_sub(used.memory_mib)),
        strings("PORTS", reserved.chain(ports(TransportProtocol::Tcp)).collect()),
        strings("PORTS_UDP", ports(TransportProtocol::Udp).collect()),
    ]
}

fn integer(name: &str, value: u64) -> wire::Resource {
    wire::Resource {
        name: Some(name.to_owned()),
        r#type: Some("INTEGER".to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(i32::try_from(value).unwrap_or(i32::MAX)),
        string_set_value: None,
    }
}

fn strings(name: &str, values: Vec<String>) -> wire::Resource {
    wire::Resource {
        name: Some(name.to_owned()),
        r#type: Some("STRINGSET".to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(0),
        string_set_value: Some(values),
    }
}
