//! What must hold after every step, whatever happened, and what must hold at rest.

use std::collections::{BTreeMap, BTreeSet};

use outport_model::capacity::NodeUse;
use outport_model::deployment::RolloutState;
use outport_model::deployment_configuration::ALL_PERMILLE;
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::Task;
use outport_model::{DesiredStatus, TaskId, TaskStatus};
use outport_planner::deployment::is_shifted;
use outport_planner::node_health::lost_reason;
use outport_store::keys::ServiceKey;
use outport_store::{Row, Snapshot, Tables};

use crate::node::Node;

/// What was seen of each task so far.
#[derive(Debug, Default)]
pub struct Memory {
    tasks: BTreeMap<TaskId, (TaskStatus, DesiredStatus, u64)>,
    ran: BTreeSet<TaskId>,
    given_up: BTreeSet<TaskId>,
}

impl Memory {
    /// A task moves forward only, an order to stop is not taken back, and versions only grow.
    pub fn check_lifecycles(&mut self, tables: &Tables) {
        for task in tables.tasks.iter() {
            if task.last_status == TaskStatus::Running {
                self.ran.insert(task.id.clone());
            }
            let now = (task.last_status, task.desired_status, task.version);
            if let Some(before) = self.tasks.insert(task.id.clone(), now) {
                assert!(
                    before.0 <= now.0,
                    "{} went back from {:?} to {:?}",
                    task.id,
                    before.0,
                    now.0
                );
                assert!(before.1 <= now.1, "{} was to stop and is not any more", task.id);
                assert!(before.2 <= now.2, "the version of {} went back", task.id);
            }
        }
    }
}

impl Memory {
    /// No task is stopped by a clock: one that is given up for its node's silence has a node of which
    /// nothing could be heard for `steps_min` steps, all of which the control plane was there to listen.
    pub fn check_given_up(&mut self, tables: &Tables, nodes: &[Node], steps_min: u64) {
        for task in tables.tasks.iter() {
            let Some(node) = nodes.iter().find(|node| task.node.as_ref() == Some(&node.id)) else {
                continue;
            };
            let reason = lost_reason(&node.id.ec2_instance_id());
            if task.stopped_reason.as_ref() == Some(&reason)
                && self.given_up.insert(task.id.clone())
            {
                let silent = node.silent_steps;
                assert!(silent >= steps_min, "{} was given up after {silent} steps", task.id);
            }
        }
        check_clashes(nodes);
    }

    pub fn tasks_that_ran(&self) -> usize {
        self.ran.len()
    }
}

/// No two tasks of a node get one address or port, not even when its node is back and has yet to end what the control plane
/// gave up.
fn check_clashes(nodes: &[Node]) {
    let clashes: Vec<TaskId> = nodes.iter().flat_map(Node::clashes).collect();
    assert!(clashes.is_empty(), "others got what {clashes:?} have");
}

/// Nodes hold no more than they have, no address or port means two live tasks, and the indexes say
/// what the rows say.
pub fn check_resources(tables: &Tables) {
    let mut addresses = BTreeSet::new();
    let live = || tables.tasks.iter().filter(|task| task.last_status < TaskStatus::Stopped);
    for task in live() {
        if let Some(attachment) = &task.attachment {
            assert!(addresses.insert(attachment.private_ip), "two tasks on one address");
        }
    }
    for node in tables.nodes.iter() {
        let mut used = NodeUse::default();
        for task in live().filter(|task| task.node.as_ref() == Some(&node.id)) {
            for port in &task.reserved.host_ports {
                assert!(!used.host_ports.contains(port), "two tasks on port {port:?}");
                assert!(!node.capacity.reserved_ports.contains(&port.0), "a reserved port");
            }
            used.add(&task.reserved);
        }
        assert!(used.cpu_units <= u64::from(node.capacity.cpu_units), "CPU given out twice");
        assert!(used.memory_mib <= u64::from(node.capacity.memory_mib), "memory given out twice");
        assert_eq!(tables.tasks.use_of_node(&node.id), used, "the index is not what the rows say");
    }
    for interface in tables.network_interfaces.iter() {
        let task = tables.tasks.by_id(&interface.task);
        let is_live = task.is_some_and(|task| task.last_status < TaskStatus::Stopped);
        assert!(is_live, "an address is held by a task that does not live");
    }
}

/// The tasks of each service that count, to compare before and after a pass of the controller.
pub fn measure(
    tables: &Tables,
    healthy: impl Fn(&Task) -> bool,
) -> BTreeMap<ServiceKey, [usize; 2]> {
    let mut measured = BTreeMap::new();
    for service in tables.services.iter() {
        let tasks = tables.tasks.of_service(&service.key());
        let wanted: Vec<_> = tasks.values().filter(|task| task.is_wanted()).collect();
        let healthy = wanted.iter().filter(|task| healthy(task)).count();
        measured.insert(service.key(), [wanted.len(), healthy]);
    }
    measured
}

/// The controller by itself goes neither above the ceiling nor below the floor.
pub fn check_floor_and_ceiling(
    before: &BTreeMap<ServiceKey, [usize; 2]>,
    after: &BTreeMap<ServiceKey, [usize; 2]>,
    tables: &Tables,
) {
    for (key, [wanted, healthy]) in after {
        let Some(service) = tables.services.get(key) else { continue };
        let [wanted_before, healthy_before] = before.get(key).copied().unwrap_or_default();
        let configuration = &service.configuration;
        // Where traffic is shifted, two revisions stand beside each other, each below its ceiling.
        let sides = if is_shifted(service) { 2 } else { 1 };
        let ceiling = sides * configuration.running_ceiling(service.desired_count) as usize;
        let floor = configuration.healthy_floor(service.desired_count) as usize;
        assert!(*wanted <= ceiling.max(wanted_before), "{key}: {wanted} tasks, ceiling {ceiling}");
        let floor = if service.status == ServiceStatus::Active { floor } else { 0 };
        assert!(
            *healthy >= floor.min(healthy_before),
            "{key}: {healthy} healthy of {healthy_before}, floor {floor}"
        );
    }
}

/// The weights of a service's deployments are 100 per cent together, or there are none.
pub fn check_traffic(tables: &Tables) {
    for service in tables.services.iter().filter(|service| !service.deployments.is_empty()) {
        let weights = service.deployments.iter().filter_map(|one| one.traffic_permille);
        let all = if is_shifted(service) { ALL_PERMILLE } else { 0 };
        assert_eq!(weights.sum::<u32>(), all, "{}: {:?}", service.name, service.deployments);
    }
}

/// The faults are over and time has passed: everything is as it was asked to be. `Err` says what not.
pub fn check_rest(tables: &Tables, nodes: &[Node]) -> Result<(), String> {
    for service in tables.services.iter() {
        check_service_at_rest(tables, service)?;
    }
    for task in tables.tasks.iter() {
        if task.desired_status == DesiredStatus::Stopped && task.last_status < TaskStatus::Stopped {
            return Err(format!("task {} does not stop", task.id));
        }
        let node = nodes.iter().find(|node| task.node.as_ref() == Some(&node.id));
        if task.last_status < TaskStatus::Stopped && node.is_none_or(|node| node.is_dead) {
            return Err(format!("task {} is on a dead node", task.id));
        }
    }
    for node in nodes.iter().filter(|node| !node.is_dead) {
        let live = tables.tasks.live_on_node(&node.id).values();
        let wanted: BTreeSet<TaskId> = live.map(|task| task.id.clone()).collect();
        if node.running() != wanted {
            return Err(format!("node {} runs {:?}, not {wanted:?}", node.id, node.running()));
        }
        let mut forgotten = node.traces();
        forgotten.retain(|task| !wanted.contains(task));
        if !forgotten.is_empty() {
            return Err(format!("node {} has something of {forgotten:?} still", node.id));
        }
    }
    Ok(())
}

/// Who is at rest commits nothing.
pub fn check_nothing_was_written(before: &Snapshot, after: &Snapshot) -> Result<(), String> {
    if before.version() == after.version() {
        return Ok(());
    }
    let [before, after] = [before, after].map(|snapshot| format!("{:?}", snapshot.tables()));
    let differs = before.bytes().zip(after.bytes()).position(|(one, other)| one != other);
    let Some(at) = differs else { return Err("rows are written to and fro".into()) };
    let around = |text: &str| {
        let chars = text.as_bytes()[at.saturating_sub(300)..].iter().take(400);
        String::from_utf8_lossy(&chars.copied().collect::<Vec<u8>>()).into_owned()
    };
    Err(format!("rows are written still: {} is now {}", around(&before), around(&after)))
}

fn check_service_at_rest(tables: &Tables, service: &Service) -> Result<(), String> {
    let name = &service.name;
    let key = service.key();
    let tasks: Vec<_> = tables.tasks.of_service(&key).values().collect();
    let running = tasks.iter().filter(|task| task.is_running()).count();
    let unfinished = tables.service_deployments.of_service(&key).values();
    let unfinished =
        unfinished.filter(|entry| outport_planner::service::is_unfinished(entry.status)).count();
    match service.status {
        ServiceStatus::Inactive => {
            let rests = tasks.iter().all(|task| task.last_status >= TaskStatus::Stopped);
            (rests && unfinished == 0).then_some(()).ok_or(format!("{name} is not over"))
        }
        ServiceStatus::Draining => Err(format!("{name} is DRAINING still")),
        ServiceStatus::Active => {
            let primary = service.deployments.first().ok_or(format!("{name}: no deployment"))?;
            if primary.rollout_state == RolloutState::Failed {
                // The circuit breaker without rollback leaves the rest to the user.
                return Ok(());
            }
            let configuration = &service.configuration;
            let floor = configuration.healthy_floor(service.desired_count);
            let ceiling = configuration.running_ceiling(service.desired_count);
            let has_no_safe_step = floor >= ceiling && service.desired_count > 0;
            if has_no_safe_step && primary.rollout_state == RolloutState::InProgress {
                // The service says so in an event, and leaves the rest to the user.
                return Ok(());
            }
            let wanted = tasks.iter().filter(|task| task.is_wanted()).count();
            let desired = service.desired_count as usize;
            let as_asked = wanted == desired && running == desired;
            let revisions_match = tasks
                .iter()
                .filter(|task| task.is_wanted())
                .all(|task| task.revision == service.revision);
            let steady = service.deployments.len() == 1
                && primary.rollout_state == RolloutState::Completed
                && unfinished == 0;
            if as_asked && revisions_match && steady {
                return Ok(());
            }
            Err(format!(
                "{name}: {running} running and {wanted} wanted of {desired}, deployments {:?}, \
                 throttle {:?}, {unfinished} unfinished, events {:?}",
                service.deployments.iter().map(|d| (&d.id, d.rollout_state)).collect::<Vec<_>>(),
                service.throttle,
                service.events.iter().take(4).map(|e| &e.message).collect::<Vec<_>>(),
            ))
        }
    }
}
