//! A node joins: its row, its cluster, its container instance.

use std::sync::Arc;

use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::container_instance::{
    CUSTOM_ATTRIBUTES_MAX, ContainerInstance, ContainerInstanceStatus, is_reserved_attribute,
};
use outport_model::linux_capability::PRIVILEGED_ATTRIBUTE;
use outport_model::node::Node;
use outport_model::{AccountId, Arn, ClusterName, Region, Scope, Tags};
use outport_node_protocol::Registration;
use outport_planner::node_health::rebooted_reason;
use outport_store::keys::ClusterKey;
use outport_store::{Row, Transaction};

use super::LinkError;
use crate::node_health::give_up_tasks;

/// The cluster that AWS makes when its first container instance registers.
/// Source: botocore's documentation of `RegisterContainerInstance` and `CreateCluster`.
const DEFAULT_CLUSTER: &str = "default";
/// Source: "Amazon ECS service quotas", container instances per cluster. AWS's text for who would be one more is
/// not known; this one is ours.
const INSTANCES_PER_CLUSTER_MAX: usize = 5_000;

/// Whether it is new: it has no container instance, or only such as were deregistered.
pub(super) fn join(
    tx: &mut Transaction<'_>,
    scope: &Scope,
    registration: &Registration,
) -> Result<bool, LinkError> {
    let cluster = find_or_create_cluster(tx, scope, &registration.cluster)?;
    let known = tx.nodes.get(&registration.node).cloned();
    if known.as_ref().is_some_and(|node| node.boot_id != registration.boot_id) {
        let reason = rebooted_reason(&registration.node.ec2_instance_id());
        give_up_tasks(tx, &registration.node, &reason);
    }
    tx.put(Node {
        id: registration.node.clone(),
        host_name: registration.host_name.clone(),
        agent_version: registration.agent_version.clone(),
        architecture: registration.architecture,
        capacity: registration.capacity.clone(),
        boot_id: registration.boot_id.clone(),
        registered_at_ms: known.as_ref().map_or(tx.now_ms(), |node| node.registered_at_ms),
        last_seen_ms: tx.now_ms(),
        assignment_generation: known.as_ref().map_or(0, |node| node.assignment_generation),
        accepts_tasks: true,
        // Its first report connects it: who joined and then found that it cannot work gets no tasks.
        connected: known.as_ref().is_some_and(|node| node.connected),
        regions: registration.regions.clone(),
    });
    let mut own = tx.container_instances.of_node(&registration.node).values();
    let is_new = own.all(|instance| instance.status == ContainerInstanceStatus::Inactive);
    put_container_instance(tx, &cluster, registration)?;
    Ok(is_new)
}

/// `text`: a cluster of the installation's own account and region by its name, or one of any by its ARN.
fn find_or_create_cluster(
    tx: &mut Transaction<'_>,
    home: &Scope,
    text: &str,
) -> Result<ClusterKey, LinkError> {
    let named = cluster_of_arn(text);
    let (scope, name) = match &named {
        Some((scope, name)) if tx.accounts.get(&scope.account).is_some() => (scope, name.as_str()),
        Some((scope, _)) => {
            let account = &scope.account;
            return Err(LinkError::Refused(format!("there is no account {account} here")));
        }
        None => (home, text),
    };
    let key = ClusterKey::new(scope, ClusterName::new(name));
    let is_active = tx.clusters.get(&key).is_some_and(|row| row.status == ClusterStatus::Active);
    if is_active {
        return Ok(key);
    }
    if name != DEFAULT_CLUSTER {
        return Err(LinkError::ClusterNotFound(name.to_owned()));
    }
    let created_at_ms = tx.now_ms();
    tx.put(Cluster {
        scope: scope.clone(),
        name: key.cluster.clone(),
        status: ClusterStatus::Active,
        settings: Vec::new(),
        configuration: None,
        service_connect_defaults: None,
        capacity_providers: Vec::new(),
        default_strategy: None,
        tags: Tags::new(),
        created_at_ms,
        deleted_at_ms: None,
    });
    Ok(key)
}

fn cluster_of_arn(text: &str) -> Option<(Scope, String)> {
    let arn = Arn::parse(text).filter(|arn| arn.service() == "ecs")?;
    let name = arn.resource().strip_prefix("cluster/")?.to_owned();
    Some((Scope::new(AccountId::new(arn.account()), Region::new(arn.region())), name))
}

/// Whether one more fits. Those that were deregistered do not count.
fn check_quota(tx: &Transaction<'_>, cluster: &ClusterKey) -> Result<(), LinkError> {
    let of_cluster = tx.container_instances.in_cluster(cluster).values();
    let of_cluster = of_cluster.filter(|i| i.status != ContainerInstanceStatus::Inactive);
    if of_cluster.count() < INSTANCES_PER_CLUSTER_MAX {
        return Ok(());
    }
    Err(LinkError::Refused(format!(
        "the cluster {} has {INSTANCES_PER_CLUSTER_MAX} container instances already, the most that it may have",
        cluster.cluster
    )))
}

/// A node is capacity of one cluster: an instance that it has in another one becomes INACTIVE.
fn put_container_instance(
    tx: &mut Transaction<'_>,
    cluster: &ClusterKey,
    registration: &Registration,
) -> Result<(), LinkError> {
    let own: Vec<Arc<ContainerInstance>> =
        tx.container_instances.of_node(&registration.node).values().cloned().collect();
    let is_of_cluster = |instance: &ContainerInstance| {
        instance.cluster == cluster.cluster && instance.scope == cluster.scope
    };
    let known = own.iter().find(|instance| is_of_cluster(instance));
    for other in own.iter().filter(|instance| !is_of_cluster(instance)) {
        tx.update(&other.key(), |row: &mut ContainerInstance| {
            row.status = ContainerInstanceStatus::Inactive;
        });
    }
    let status = known.map(|instance| instance.status);
    let status = status.filter(|status| *status != ContainerInstanceStatus::Inactive);
    if status.is_none() {
        check_quota(tx, cluster)?;
    }
    let mut instance = ContainerInstance {
        scope: cluster.scope.clone(),
        cluster: cluster.cluster.clone(),
        id: known.map_or_else(|| tx.container_instance_id(), |instance| instance.id.clone()),
        node: registration.node.clone(),
        ec2_instance_id: registration.node.ec2_instance_id(),
        status: status.unwrap_or(ContainerInstanceStatus::Active),
        attributes: known.map_or_else(Vec::new, |instance| instance.attributes.clone()),
        registered_at_ms: known.map_or(tx.now_ms(), |instance| instance.registered_at_ms),
        version: known.map_or(1, |instance| instance.version),
        tags: known.map_or_else(Tags::new, |instance| instance.tags.clone()),
    };
    // What the node said before and says no more is gone; attributes of callers stay.
    instance.attributes.retain(|(known, _)| !is_reserved_attribute(known));
    for (name, value) in own_attributes(&cluster.scope, registration) {
        instance.attributes.retain(|(known, _)| *known != name);
        instance.attributes.push((name, value));
    }
    let custom = instance.attributes.iter().filter(|(name, _)| !is_reserved_attribute(name));
    if custom.count() > CUSTOM_ATTRIBUTES_MAX {
        return Err(LinkError::Refused(format!(
            "with the attributes that callers have put on its container instance it would have more than {CUSTOM_ATTRIBUTES_MAX}"
        )));
    }
    instance.attributes.sort();
    if known.is_some_and(|known| **known != instance) {
        instance.version += 1;
    }
    tx.put(instance);
    Ok(())
}

/// Source: "Container instance attributes" in the Amazon ECS Developer Guide.
fn own_attributes(scope: &Scope, registration: &Registration) -> Vec<(String, String)> {
    let architecture = match registration.architecture {
        outport_model::node::Architecture::X86_64 => "x86_64",
        outport_model::node::Architecture::Arm64 => "arm64",
    };
    let mut attributes = vec![
        ("ecs.availability-zone".to_owned(), format!("{}a", scope.region)),
        ("ecs.cpu-architecture".to_owned(), architecture.to_owned()),
        ("ecs.os-family".to_owned(), "LINUX".to_owned()),
        ("ecs.os-type".to_owned(), "linux".to_owned()),
    ];
    for (name, value) in &registration.attributes {
        attributes.retain(|(known, _)| known != name);
        attributes.push((name.clone(), value.clone()));
    }
    if registration.allows_privileged {
        attributes.push((PRIVILEGED_ATTRIBUTE.to_owned(), String::new()));
    }
    attributes
}
