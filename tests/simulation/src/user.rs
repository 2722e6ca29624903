//! What users ask for, as the operations of the ECS API would write it.

use std::collections::BTreeSet;

use outport_model::network::{AwsvpcConfiguration, Ipv4Cidr, SecurityGroup, Subnet, Vpc};
use outport_model::service::{
    CircuitBreaker, DeploymentConfiguration, PropagateTags, SchedulingStrategy, Service,
    ServiceStatus, StartThrottle,
};
use outport_model::task::{StopCode, Task, TaskOverrides};
use outport_model::task_definition::{
    ContainerDefinition, LaunchType, LinuxParameters, LogConfiguration, NetworkMode, PortMapping,
    TaskDefinition, TaskDefinitionStatus, TransportProtocol,
};
use outport_model::{
    AccountId, ClusterName, DesiredStatus, Family, NewIds, Region, Revision, Scope, ServiceName,
    Tags,
};
use outport_planner::{Rejection, Settings, StartRequest, deployment, task_start};
use outport_store::Transaction;
use outport_store::keys::{ServiceKey, TaskDefinitionKey, TaskKey};

pub const SUBNET: &str = "subnet-00000000000000001";
/// Revisions 1 to this of each family exist.
pub const REVISIONS: Revision = 4;
/// `minimumHealthyPercent` and `maximumPercent` of the services.
const PERCENTS: [(u32, u32); 4] = [(100, 200), (50, 100), (0, 100), (50, 150)];

pub fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

pub fn cluster() -> ClusterName {
    ClusterName::new("default")
}

pub fn service_key(name: &str) -> ServiceKey {
    ServiceKey::new(&scope(), cluster(), ServiceName::new(name))
}

/// A family for each kind of network; `web` is Fargate, the others run on container instances.
pub const FAMILIES: [(&str, NetworkMode); 3] =
    [("web", NetworkMode::Awsvpc), ("api", NetworkMode::Bridge), ("job", NetworkMode::Host)];

/// The network of a new account, and the task definitions.
pub fn set_up(tx: &mut Transaction<'_>) {
    let cidr = |text| Ipv4Cidr::parse(text).expect("a valid range");
    tx.put(Vpc {
        scope: scope(),
        id: "vpc-1".into(),
        cidr: cidr("172.31.0.0/16"),
        is_default: true,
        dhcp_options_id: "dopt-1".into(),
        tags: Tags::new(),
    });
    tx.put(Subnet {
        scope: scope(),
        id: SUBNET.into(),
        vpc_id: "vpc-1".into(),
        // Small, so that addresses come round again.
        cidr: cidr("172.31.0.0/28"),
        availability_zone: "us-east-1a".into(),
        availability_zone_id: "use1-az1".into(),
        is_default_for_az: true,
        map_public_ip_on_launch: true,
        tags: Tags::new(),
    });
    tx.put(SecurityGroup {
        scope: scope(),
        id: "sg-1".into(),
        name: "default".into(),
        description: "default VPC security group".into(),
        vpc_id: "vpc-1".into(),
        ingress: Vec::new(),
        egress: Vec::new(),
        tags: Tags::new(),
    });
    for (family, mode) in FAMILIES {
        for revision in 1..=REVISIONS {
            tx.put(task_definition(family, revision, mode));
        }
    }
}

pub fn task_definition(
    family: &str,
    revision: Revision,
    network_mode: NetworkMode,
) -> TaskDefinition {
    TaskDefinition {
        scope: scope(),
        family: Family::new(family),
        revision,
        status: TaskDefinitionStatus::Active,
        document: "{}".into(),
        network_mode,
        cpu_units: Some(256),
        memory_mib: Some(512),
        storage_gib: None,
        compatibilities: vec![launch_type(network_mode)],
        architecture: None,
        task_role_arn: None,
        execution_role_arn: None,
        containers: vec![container(network_mode)],
        unsupported: Vec::new(),
        registered_at_ms: 0,
        registered_by: "root".into(),
        deregistered_at_ms: None,
        delete_requested_at_ms: None,
        tags: Tags::new(),
    }
}

fn launch_type(mode: NetworkMode) -> LaunchType {
    match mode {
        NetworkMode::Awsvpc => LaunchType::Fargate,
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => LaunchType::Ec2,
    }
}

fn container(mode: NetworkMode) -> ContainerDefinition {
    // Of bridge the host port is open, of host it is the container's.
    let host_port = if mode == NetworkMode::Bridge { 0 } else { 8_000 };
    ContainerDefinition {
        name: "app".into(),
        image: "app:1".into(),
        essential: true,
        entry_point: None,
        command: None,
        working_directory: None,
        user: None,
        environment: Vec::new(),
        cpu_units: 0,
        memory_mib: None,
        memory_reservation_mib: None,
        port_mappings: vec![PortMapping {
            container_port: 8_000,
            host_port,
            protocol: TransportProtocol::Tcp,
        }],
        ulimits: Vec::new(),
        readonly_root_filesystem: false,
        privileged: false,
        hostname: None,
        interactive: false,
        pseudo_terminal: false,
        docker_labels: Vec::new(),
        extra_hosts: Vec::new(),
        dns_servers: Vec::new(),
        dns_search_domains: Vec::new(),
        linux: LinuxParameters::default(),
        system_controls: Vec::new(),
        depends_on: Vec::new(),
        stop_timeout_s: None,
        start_timeout_s: None,
        log: LogConfiguration::Local,
    }
}

/// CreateService; `choice` picks the deployment configuration.
pub fn create_service(tx: &mut Transaction<'_>, family: usize, desired: u32, choice: usize) {
    let (name, mode) = FAMILIES[family];
    if tx.services.get(&service_key(name)).is_some_and(|s| s.status != ServiceStatus::Inactive) {
        return;
    }
    let (minimum_healthy_percent, maximum_percent) = PERCENTS[choice % PERCENTS.len()];
    let breaker =
        CircuitBreaker { enable: choice.is_multiple_of(2), rollback: choice.is_multiple_of(4) };
    let mut service = Service {
        scope: scope(),
        cluster: cluster(),
        name: ServiceName::new(name),
        status: ServiceStatus::Active,
        family: Family::new(name),
        revision: 1,
        desired_count: desired,
        launch_type: launch_type(mode),
        platform_version: None,
        scheduling_strategy: SchedulingStrategy::Replica,
        configuration: DeploymentConfiguration {
            minimum_healthy_percent,
            maximum_percent,
            circuit_breaker: breaker,
        },
        network: network(),
        health_check_grace_period_s: None,
        enable_ecs_managed_tags: true,
        enable_execute_command: false,
        propagate_tags: PropagateTags::None,
        availability_zone_rebalancing: false,
        document: "{}".into(),
        role_arn: None,
        created_by: "root".into(),
        created_at_ms: tx.now_ms(),
        deleted_at_ms: None,
        tags: Tags::new(),
        deployments: Vec::new(),
        events: Vec::new(),
        throttle: StartThrottle::default(),
    };
    begin_deployment(tx, &mut service);
    tx.put(service);
}

fn begin_deployment(tx: &mut Transaction<'_>, service: &mut Service) {
    let (id, history_id) = (tx.deployment_id(), tx.service_deployment_id());
    let history = deployment::begin(service, id, history_id, "{}".into(), tx.now_ms());
    tx.put(history);
}

fn network() -> AwsvpcConfiguration {
    AwsvpcConfiguration {
        subnets: vec![SUBNET.into()],
        security_groups: Vec::new(),
        assign_public_ip: false,
    }
}

/// UpdateService to another count.
pub fn scale(tx: &mut Transaction<'_>, name: &str, desired: u32) {
    tx.update(&service_key(name), |service: &mut Service| {
        if service.status == ServiceStatus::Active {
            service.desired_count = desired;
        }
    });
}

/// UpdateService to another revision.
pub fn deploy(tx: &mut Transaction<'_>, name: &str, revision: Revision) {
    let Some(service) = tx.services.get(&service_key(name)).cloned() else { return };
    if service.status != ServiceStatus::Active {
        return;
    }
    let mut service = Service::clone(&service);
    service.revision = revision;
    begin_deployment(tx, &mut service);
    tx.put(service);
}

/// DeleteService with force.
pub fn delete(tx: &mut Transaction<'_>, name: &str) {
    let now_ms = tx.now_ms();
    tx.update(&service_key(name), |service: &mut Service| {
        if service.status == ServiceStatus::Active {
            service.status = ServiceStatus::Draining;
            service.desired_count = 0;
            service.deleted_at_ms = Some(now_ms);
        }
    });
}

/// RunTask of one task.
pub fn run_task(
    tx: &mut Transaction<'_>,
    family: usize,
    settings: &Settings,
) -> Result<(), Rejection> {
    let (name, mode) = FAMILIES[family];
    let key = TaskDefinitionKey::new(&scope(), Family::new(name), 1u32);
    let definition = tx.task_definitions.get(&key).cloned().expect("set up");
    let (cluster, network, overrides) = (cluster(), network(), TaskOverrides::default());
    let request = StartRequest {
        definition: &definition,
        cluster: &cluster,
        launch_type: launch_type(mode),
        capacity_provider: None,
        platform_version: None,
        group: format!("family:{name}"),
        started_by: None,
        service: None,
        overrides: &overrides,
        network: &network,
        image_digests: &[],
        enable_execute_command: false,
        tags: Tags::new(),
        troubled: const { &BTreeSet::new() },
    };
    let (started, rejection) = {
        let mut spaces = tx.subnet_spaces(&scope(), &network.subnets);
        let made = (&*tx as &dyn NewIds, tx.now_ms());
        task_start::start_many(&request, 1, tx.rooms.clone(), &mut spaces, made, settings)
    };
    for started in started {
        tx.put_started(started);
    }
    rejection.map_or(Ok(()), Err)
}

/// StopTask.
pub fn stop_task(tx: &mut Transaction<'_>, key: &TaskKey) {
    let now_ms = tx.now_ms();
    tx.update(key, |task: &mut Task| {
        if task.desired_status == DesiredStatus::Running {
            task.desired_status = DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::UserInitiated);
            task.stopped_reason = Some("Task stopped by user".into());
            task.stopping_at_ms = Some(now_ms);
            task.version += 1;
        }
    });
}

pub fn stop_standalone_tasks(tx: &mut Transaction<'_>) {
    let standalone = tx.tasks.iter().filter(|task| task.service.is_none());
    let keys: Vec<TaskKey> =
        standalone.map(|task| outport_store::Row::key(task.as_ref())).collect();
    for key in keys {
        stop_task(tx, &key);
    }
}
