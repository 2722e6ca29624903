//! Makes the rows of a new task: the one way in which RunTask and the service controller start one.

use std::collections::{BTreeMap, BTreeSet};

use outport_model::capacity::{
    AddressCursor, Candidate, Capacity, PlacedTasks, StartedTask, SubnetSpace,
};
use outport_model::linux_capability::asked_of_the_host;
use outport_model::network::{AwsvpcConfiguration, NetworkInterface};
use outport_model::task::{
    ContainerStatus, HealthStatus, NetworkBinding, Reservation, ServiceMembership, Task,
    TaskAttachment, TaskContainer, TaskOverrides,
};
use outport_model::task_definition::{
    ContainerDefinition, LaunchType, NetworkMode, TaskDefinition, TransportProtocol, Workload,
};
use outport_model::{
    Arn, AttachmentId, ClusterName, ContainerId, DesiredStatus, NetworkInterfaceId, NewIds, NodeId,
    Region, Tags, TaskAttachmentId, TaskId, TaskStatus, TimestampMs,
};

use crate::placement::{self, Batch, Place, Rejection, Requirements, Rules, Scene, Unplaceable};
use crate::settings::Settings;
use crate::task_health::task_health;
use crate::task_overrides::{cpu_units, memory_mib, memory_reservation_mib};
use crate::{address, ports};

/// What is asked for; valid and authorized already.
#[derive(Clone, Debug)]
pub struct StartRequest<'a> {
    pub definition: &'a TaskDefinition,
    /// What the definition runs.
    pub workload: &'a Workload,
    pub cluster: &'a ClusterName,
    pub launch_type: LaunchType,
    /// `FARGATE` or `FARGATE_SPOT` where a strategy chose it.
    pub capacity_provider: Option<String>,
    pub platform_version: Option<String>,
    /// `service:<name>`, `family:<family>` or what the caller said.
    pub group: String,
    pub started_by: Option<String>,
    pub service: Option<ServiceMembership>,
    pub overrides: &'a TaskOverrides,
    /// Of tasks in `awsvpc` mode; its subnets exist.
    pub network: &'a AwsvpcConfiguration,
    /// Image reference to digest, as the service's deployment resolved it before.
    pub image_digests: &'a [(String, String)],
    pub enable_execute_command: bool,
    pub tags: Tags,
    /// Nodes that come last, see [`placement`].
    pub troubled: &'a BTreeSet<NodeId>,
    /// What is asked of where the tasks go. Fargate has no such thing.
    pub rules: &'a Rules,
    /// The tasks that are there.
    pub tasks: &'a dyn PlacedTasks,
    /// Fargate: how many tasks of the service are in which zone. The next one goes where the fewest are.
    pub of_zones: BTreeMap<String, u64>,
}

/// Starts up to `count` tasks, each on what the ones before it left; until one finds no place, since the next would not
/// either. `spaces` are the subnets of `request.network`, of which modes other than `awsvpc` need none.
pub fn start_many(
    request: &StartRequest<'_>,
    count: u32,
    capacity: &impl Capacity,
    spaces: &mut [SubnetSpace<'_>],
    (ids, now_ms): (&dyn NewIds, TimestampMs),
    settings: &Settings,
) -> (Vec<StartedTask>, Option<Rejection>) {
    let workload = request.workload;
    if !workload.unsupported.is_empty() {
        return (Vec::new(), Some(Rejection::of_unsupported(&workload.unsupported)));
    }
    let needs = requirements(workload, request.launch_type, request.overrides);
    let scope = &request.definition.scope;
    let pool = placement::pool(request.launch_type, scope, request.cluster);
    let place = Place { pool: &pool, scope, cluster: request.cluster, rules: request.rules };
    let scene = Scene {
        needs: &needs,
        place,
        capacity,
        tasks: request.tasks,
        troubled: request.troubled,
        settings,
        seed: if request.rules.leaves_to_chance() { seed(&ids.hex17("")) } else { 0 },
    };
    let mut batch = Batch::new(&scene);
    let mut of_zones = request.of_zones.clone();
    let mut started = Vec::new();
    for _ in 0..count {
        let Some(chosen) = batch.pick() else {
            return (started, Some(placement::rejection(&batch)));
        };
        let (candidate, made) = (batch.candidate(chosen), (ids, now_ms));
        match start(request, &needs, &candidate, spaces, &of_zones, made, settings) {
            Ok(one) => {
                if let Some(interface) = &one.interface {
                    *of_zones.entry(interface.availability_zone.clone()).or_default() += 1;
                }
                batch.reserve(chosen, &one.task.reserved);
                started.push(one);
            }
            Err(rejection) => return (started, Some(rejection)),
        }
    }
    (started, None)
}

/// Starts one task on each of the container instances that are named, each on what the ones before it left. Strategies and
/// constraints are not asked: whoever names instances has chosen.
pub fn start_on(
    request: &StartRequest<'_>,
    nodes: &[NodeId],
    mut capacity: impl Capacity,
    spaces: &mut [SubnetSpace<'_>],
    (ids, now_ms): (&dyn NewIds, TimestampMs),
    settings: &Settings,
) -> Vec<Result<StartedTask, Rejection>> {
    let workload = request.workload;
    if !workload.unsupported.is_empty() {
        let refused = || Err(Rejection::of_unsupported(&workload.unsupported));
        return nodes.iter().map(|_| refused()).collect();
    }
    let needs = requirements(workload, request.launch_type, request.overrides);
    let scope = &request.definition.scope;
    let of_zones = BTreeMap::new();
    let start_there = |node: &NodeId| {
        let there = capacity.member(scope, request.cluster, node);
        let candidate = there.ok_or_else(|| Rejection::of(Unplaceable::Agent))?;
        placement::check(&needs, &candidate, settings)?;
        let made = (ids, now_ms);
        let started = start(request, &needs, &candidate, spaces, &of_zones, made, settings)?;
        capacity.reserve(node, &started.task.reserved);
        Ok(started)
    };
    nodes.iter().map(start_there).collect()
}

fn seed(hex: &str) -> u64 {
    hex.get(..15).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

/// Makes the rows of one task on a node that fits.
fn start(
    request: &StartRequest<'_>,
    needs: &Requirements,
    candidate: &Candidate<'_>,
    spaces: &mut [SubnetSpace<'_>],
    of_zones: &BTreeMap<String, u64>,
    (ids, now_ms): (&dyn NewIds, TimestampMs),
    settings: &Settings,
) -> Result<StartedTask, Rejection> {
    let (definition, workload) = (request.definition, request.workload);
    let id = ids.task_id();
    let host_ports = assign_ports(workload, candidate, &id, settings)?;
    let attached = match workload.network_mode {
        NetworkMode::Awsvpc => Some(attach(request, &id, spaces, of_zones, (ids, now_ms))?),
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => None,
    };
    let (attachment, interface, cursor) = match attached {
        None => (None, None, None),
        Some((attachment, interface, cursor)) => (Some(attachment), Some(interface), Some(cursor)),
    };
    let containers = containers(request, &host_ports, ids);
    let task = Task {
        scope: definition.scope.clone(),
        cluster: request.cluster.clone(),
        family: definition.family.clone(),
        revision: definition.revision,
        launch_type: request.launch_type,
        capacity_provider: request.capacity_provider.clone(),
        platform_version: request.platform_version.clone(),
        group: request.group.clone(),
        started_by: request.started_by.clone(),
        service: request.service.clone(),
        overrides: request.overrides.clone(),
        network: request.network.clone(),
        enable_execute_command: request.enable_execute_command,
        tags: request.tags.clone(),
        desired_status: DesiredStatus::Running,
        last_status: first_status(workload.network_mode),
        node: Some(candidate.node.id.clone()),
        container_instance: container_instance(request.launch_type, candidate),
        availability_zone: zone(interface.as_ref(), candidate),
        reserved: reservation(needs, workload.network_mode, &host_ports),
        attachment,
        health: task_health(&containers),
        containers,
        stop_code: None,
        stopped_reason: None,
        created_at_ms: now_ms,
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
        id,
    };
    Ok(StartedTask { task, interface, cursor })
}

/// What a task of this definition takes from its node. Without a size of the task as a whole, which
/// only EC2 and EXTERNAL allow, it is the sum over the containers, each with its soft limit if it has
/// one. Source: "Task size" and "memoryReservation" of the task definition parameters.
pub fn requirements(
    workload: &Workload,
    launch_type: LaunchType,
    overrides: &TaskOverrides,
) -> Requirements {
    let containers = &workload.containers;
    let cpu = || sum(containers, |container| cpu_units(container, overrides));
    let memory = || {
        sum(containers, |container| {
            memory_reservation_mib(container, overrides)
                .or(memory_mib(container, overrides))
                .unwrap_or(0)
        })
    };
    Requirements {
        launch_type,
        architecture: workload.architecture,
        privileged: containers
            .iter()
            .any(|container| asked_of_the_host(container, workload.network_mode).is_some()),
        cpu_units: overrides.cpu_units.or(workload.cpu_units).unwrap_or_else(cpu),
        memory_mib: overrides.memory_mib.or(workload.memory_mib).unwrap_or_else(memory),
        host_ports: ports::fixed(workload.network_mode, containers),
        open_ports: ports::open_count(workload.network_mode, containers),
    }
}

fn sum(containers: &[ContainerDefinition], of: impl Fn(&ContainerDefinition) -> u32) -> u32 {
    containers.iter().map(of).fold(0, u32::saturating_add)
}

/// Only a task with a network interface of its own has something to provision.
/// Source: "Amazon ECS task lifecycle", PROVISIONING.
fn first_status(mode: NetworkMode) -> TaskStatus {
    match mode {
        NetworkMode::Awsvpc => TaskStatus::Provisioning,
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => TaskStatus::Pending,
    }
}

type HostPorts = Vec<Vec<(outport_model::task_definition::PortMapping, u16)>>;

fn assign_ports(
    workload: &Workload,
    candidate: &Candidate<'_>,
    id: &TaskId,
    settings: &Settings,
) -> Result<HostPorts, Rejection> {
    let mut taken: BTreeSet<ports::HostPort> = candidate.used.host_ports.clone();
    for port in &candidate.node.capacity.reserved_ports {
        taken.extend([(*port, TransportProtocol::Tcp), (*port, TransportProtocol::Udp)]);
    }
    let seed = id.as_str().get(..8).and_then(|text| u64::from_str_radix(text, 16).ok());
    ports::assign(
        workload.network_mode,
        &workload.containers,
        &taken,
        &settings.dynamic_ports,
        seed.unwrap_or(0),
    )
    .ok_or_else(|| Rejection::of(Unplaceable::Ports))
}

fn reservation(needs: &Requirements, mode: NetworkMode, assigned: &HostPorts) -> Reservation {
    let on_the_host = matches!(mode, NetworkMode::Bridge | NetworkMode::Host);
    let ports = assigned.iter().flatten().map(|(mapping, port)| (*port, mapping.protocol));
    Reservation {
        cpu_units: needs.cpu_units,
        memory_mib: needs.memory_mib,
        host_ports: if on_the_host { ports.collect() } else { Vec::new() },
    }
}

fn containers(
    request: &StartRequest<'_>,
    assigned: &HostPorts,
    ids: &dyn NewIds,
) -> Vec<TaskContainer> {
    let on_the_host =
        matches!(request.workload.network_mode, NetworkMode::Bridge | NetworkMode::Host);
    let digest_of = |image: &str| {
        let known = request.image_digests.iter().find(|(reference, _)| reference == image);
        known.map(|(_, digest)| digest.clone())
    };
    request
        .workload
        .containers
        .iter()
        .zip(assigned)
        .map(|(container, mappings)| TaskContainer {
            id: ContainerId::new(ids.uuid()),
            name: container.name.clone(),
            image: container.image.clone(),
            essential: container.essential,
            resolved_digest: digest_of(&container.image),
            image_digest: None,
            runtime_id: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: container.health_check.as_ref().map(|_| HealthStatus::Unknown),
            network_bindings: mappings
                .iter()
                .filter(|_| on_the_host)
                .map(|(mapping, host_port)| NetworkBinding {
                    bind_ip: "0.0.0.0".to_owned(),
                    container_port: mapping.container_port,
                    host_port: *host_port,
                    protocol: mapping.protocol,
                })
                .collect(),
        })
        .collect()
}

/// A Fargate task runs on a machine that nobody sees.
fn container_instance(
    launch_type: LaunchType,
    candidate: &Candidate<'_>,
) -> Option<outport_model::ContainerInstanceId> {
    let instance = candidate.container_instance?;
    (launch_type != LaunchType::Fargate).then(|| instance.id.clone())
}

fn zone(interface: Option<&NetworkInterface>, candidate: &Candidate<'_>) -> Option<String> {
    let of_interface = interface.map(|interface| interface.availability_zone.clone());
    of_interface.or_else(|| {
        let attributes = &candidate.container_instance?.attributes;
        let zone = attributes.iter().find(|(name, _)| name == "ecs.availability-zone");
        zone.map(|(_, value)| value.clone())
    })
}

type Attached = (TaskAttachment, NetworkInterface, AddressCursor);

fn attach(
    request: &StartRequest<'_>,
    task: &TaskId,
    spaces: &mut [SubnetSpace<'_>],
    of_zones: &BTreeMap<String, u64>,
    (ids, now_ms): (&dyn NewIds, TimestampMs),
) -> Result<Attached, Rejection> {
    let (space, private_ip) =
        address::choose(spaces, of_zones).ok_or_else(|| Rejection::of(Unplaceable::Addresses))?;
    space.give(private_ip);
    let (subnet, scope) = (&space.subnet, &request.definition.scope);
    let named = &request.network.security_groups;
    let security_groups = match named.is_empty() {
        true => space.default_security_group.iter().cloned().collect(),
        false => named.clone(),
    };
    let attachment = TaskAttachment {
        id: TaskAttachmentId::new(ids.uuid()),
        network_interface_id: NetworkInterfaceId::new(ids.hex17("eni-")),
        subnet_id: subnet.id.clone(),
        mac_address: mac_address(private_ip, &ids.hex17("")),
        private_dns_name: private_dns_name(private_ip, &scope.region),
        private_ip,
    };
    let interface = NetworkInterface {
        scope: scope.clone(),
        id: attachment.network_interface_id.clone(),
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        security_groups,
        private_ip,
        mac_address: attachment.mac_address.clone(),
        private_dns_name: attachment.private_dns_name.clone(),
        description: Arn::of("ecs", scope, format!("attachment/{}", attachment.id)).to_string(),
        task: task.clone(),
        attachment_id: AttachmentId::new(ids.hex17("eni-attach-")),
        created_at_ms: now_ms,
    };
    let cursor =
        AddressCursor { scope: scope.clone(), subnet_id: subnet.id.clone(), last: private_ip };
    Ok((attachment, interface, cursor))
}

/// Locally administered; the address in it keeps it unique in its VPC, the rest is random.
fn mac_address(address: std::net::Ipv4Addr, random_hex: &str) -> String {
    let [a, b, c, d] = address.octets();
    let random = random_hex.get(..2).unwrap_or("00");
    format!("02:{random}:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// Source: "Amazon EC2 instance hostname types", IP-based names.
fn private_dns_name(address: std::net::Ipv4Addr, region: &Region) -> String {
    let [a, b, c, d] = address.octets();
    let domain = match region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        other => format!("{other}.compute.internal"),
    };
    format!("ip-{a}-{b}-{c}-{d}.{domain}")
}

#[cfg(test)]
pub(crate) mod tests {
    use outport_model::task::ContainerOverride;
    use outport_model::task_definition::PortMapping;

    use super::*;

    pub(crate) fn container(name: &str, port_mappings: Vec<PortMapping>) -> ContainerDefinition {
        ContainerDefinition { port_mappings, ..ContainerDefinition::new(name, "app:1") }
    }

    /// Containers as `cpu/hard/soft` with `-` for none.
    fn workload(task: (Option<u32>, Option<u32>), containers: &str) -> Workload {
        let containers = containers.split_whitespace().enumerate().map(|(index, text)| {
            let numbers: Vec<Option<u32>> = text.split('/').map(|n| n.parse().ok()).collect();
            ContainerDefinition {
                cpu_units: numbers[0].unwrap_or(0),
                memory_mib: numbers[1],
                memory_reservation_mib: numbers[2],
                ..container(&format!("c{index}"), Vec::new())
            }
        });
        Workload {
            is_readable: true,
            network_mode: NetworkMode::Bridge,
            cpu_units: task.0,
            memory_mib: task.1,
            storage_gib: None,
            compatibilities: vec![LaunchType::Ec2],
            architecture: None,
            task_role_arn: None,
            execution_role_arn: None,
            containers: containers.collect(),
            member_of: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    #[track_caller]
    fn check(
        task: (Option<u32>, Option<u32>),
        containers: &str,
        overrides: &TaskOverrides,
        expected: (u32, u32),
    ) {
        let needs = requirements(&workload(task, containers), LaunchType::Ec2, overrides);
        assert_eq!((needs.cpu_units, needs.memory_mib), expected);
    }

    #[test]
    fn a_task_takes_what_it_or_its_containers_ask_for() {
        let none = TaskOverrides::default();
        check((Some(256), Some(512)), "10/128/-", &none, (256, 512));
        check((None, None), "10/128/- 20/256/64", &none, (30, 192));
        check((None, None), "-/-/100", &none, (0, 100));
    }

    #[test]
    fn overrides_count() {
        let of_task =
            TaskOverrides { cpu_units: Some(1024), memory_mib: Some(2048), ..Default::default() };
        check((Some(256), Some(512)), "10/128/-", &of_task, (1024, 2048));
        let of_container = TaskOverrides {
            containers: vec![ContainerOverride {
                name: "c1".into(),
                cpu_units: Some(99),
                memory_mib: Some(1_000),
                ..Default::default()
            }],
            ..Default::default()
        };
        check((None, None), "10/128/- 20/256/-", &of_container, (109, 1_128));
    }

    #[test]
    fn names_follow_ec2() {
        let address = std::net::Ipv4Addr::new(172, 31, 0, 4);
        let name = |region: &str| private_dns_name(address, &Region::new(region));
        assert_eq!(name("us-east-1"), "ip-172-31-0-4.ec2.internal");
        assert_eq!(name("eu-west-1"), "ip-172-31-0-4.eu-west-1.compute.internal");
        assert_eq!(mac_address(address, "5c0"), "02:5c:ac:1f:00:04");
    }
}
