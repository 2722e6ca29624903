//! Metrics of what the store says: tasks, services, deployments, nodes and what they have left.
//!
//! **Invariant:** sums only. A gauge with the name of a service or a cluster would stay for good once that is gone, and there
//! would be as many as callers make; which one it is says `outport status`.

use std::collections::BTreeMap;

use metrics::{Unit, describe_gauge, gauge};
use outport_model::TaskStatus;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::deployment::{DeploymentStatus, RolloutState};
use outport_model::service::ServiceStatus;
use outport_store::{Row, Store, Tables};

const ROLLOUT_STATES: [RolloutState; 3] =
    [RolloutState::InProgress, RolloutState::Completed, RolloutState::Failed];

/// Sets all of them. Looks at every task, which takes a millisecond for ten thousand.
pub fn measure(store: &Store) {
    let snapshot = store.snapshot();
    measure_tasks(&snapshot);
    measure_services(&snapshot);
    measure_nodes(&snapshot);
    gauge!("outport_store_bytes").set(store.bytes() as f64);
}

fn measure_tasks(tables: &Tables) {
    let mut by_status: BTreeMap<TaskStatus, u32> = BTreeMap::new();
    for task in tables.tasks.iter() {
        *by_status.entry(task.last_status).or_default() += 1;
    }
    for status in TaskStatus::ALL {
        let count = by_status.get(&status).copied().unwrap_or(0);
        gauge!("outport_tasks", "status" => status.as_str()).set(count);
    }
}

fn measure_services(tables: &Tables) {
    let (mut services, mut below, mut desired, mut running) = (0_u32, 0_u32, 0_u64, 0_u64);
    let mut rollouts = [0_u32; ROLLOUT_STATES.len()];
    for service in tables.services.iter().filter(|row| row.status == ServiceStatus::Active) {
        let found = tables.tasks.counts_of_service(&service.key()).running as u64;
        let wanted = u64::from(service.desired_count);
        services += 1;
        below += u32::from(found < wanted);
        desired += wanted;
        running += found;
        let primary = service.deployments.iter().find(|of| of.status == DeploymentStatus::Primary);
        for (state, count) in ROLLOUT_STATES.iter().zip(&mut rollouts) {
            *count += u32::from(primary.is_some_and(|primary| primary.rollout_state == *state));
        }
    }
    gauge!("outport_services").set(services);
    gauge!("outport_services_below_desired").set(below);
    gauge!("outport_service_tasks_desired").set(desired as f64);
    gauge!("outport_service_tasks_running").set(running as f64);
    for (state, count) in ROLLOUT_STATES.iter().zip(rollouts) {
        gauge!("outport_deployments", "state" => state.as_str()).set(count);
    }
}

fn measure_nodes(tables: &Tables) {
    let (mut connected, mut silent) = (0_u32, 0_u32);
    let (mut cpu_units, mut memory_mib, mut cpu_used, mut memory_used) = (0_u64, 0_u64, 0, 0);
    for instance in tables.container_instances.iter() {
        if instance.status == ContainerInstanceStatus::Inactive {
            continue;
        }
        let Some(node) = tables.nodes.get(&instance.node) else { continue };
        if !node.connected {
            silent += 1;
            continue;
        }
        connected += 1;
        let used = tables.tasks.use_of_node(&node.id);
        cpu_units += u64::from(node.capacity.cpu_units);
        memory_mib += u64::from(node.capacity.memory_mib);
        cpu_used += used.cpu_units;
        memory_used += used.memory_mib;
    }
    gauge!("outport_nodes", "state" => "connected").set(connected);
    gauge!("outport_nodes", "state" => "silent").set(silent);
    gauge!("outport_node_cpu_units").set(cpu_units as f64);
    gauge!("outport_node_cpu_units_reserved").set(cpu_used as f64);
    gauge!("outport_node_memory_mib").set(memory_mib as f64);
    gauge!("outport_node_memory_mib_reserved").set(memory_used as f64);
}

pub fn describe() {
    describe_gauge!(
        "outport_tasks",
        "Tasks that are kept, by last status. Those that stopped are kept for an hour."
    );
    describe_gauge!("outport_services", "Services that are ACTIVE.");
    describe_gauge!(
        "outport_services_below_desired",
        "Of those, the ones with fewer tasks in RUNNING than are desired."
    );
    describe_gauge!("outport_service_tasks_desired", "Desired tasks of all services together.");
    describe_gauge!("outport_service_tasks_running", "Their tasks in RUNNING.");
    describe_gauge!(
        "outport_deployments",
        "Services by the rollout state of their primary deployment: IN_PROGRESS, COMPLETED, FAILED."
    );
    describe_gauge!(
        "outport_nodes",
        "Container instances that are not deregistered: connected, or silent, which get no tasks."
    );
    describe_gauge!("outport_node_cpu_units", "CPU units of the connected ones; 1,024 are a core.");
    describe_gauge!("outport_node_cpu_units_reserved", "What tasks have of them.");
    describe_gauge!("outport_node_memory_mib", "MiB of memory of the connected ones.");
    describe_gauge!("outport_node_memory_mib_reserved", "What tasks have of it.");
    describe_gauge!("outport_store_bytes", Unit::Bytes, "Rows of the store, as they are written.");
}
