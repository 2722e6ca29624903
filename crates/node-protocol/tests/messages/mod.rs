//! One message of each kind with every field set.

use std::net::Ipv4Addr;
use std::sync::Arc;

use outport_model::node::{Architecture, NodeCapacity};
use outport_model::task::{ContainerStatus, HealthStatus, StopCode};
use outport_model::task_definition::{
    AwslogsOptions, ContainerDefinition, ContainerDependency, DependencyCondition, HealthCheck,
    LaunchType, LinuxParameters, LogConfiguration, PortMapping, SecretReference, Tmpfs,
    TransportProtocol, Ulimit,
};
use outport_model::{
    AccountId, ClusterName, ContainerId, DesiredStatus, Family, NetworkInterfaceId, NodeId, Region,
    SecurityGroupId, ServiceName, TaskId, TaskStatus,
};
use outport_node_protocol::*;

const TIME_MS: i64 = 1_795_880_000_000;

pub fn node() -> NodeId {
    NodeId::new("0123456789abcdef0123456789abcdef")
}

fn task() -> TaskId {
    TaskId::new("f2dc86bb0cd1583525d464c92d2095a1")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn pair(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

pub fn join_request() -> JoinRequest {
    JoinRequest {
        node: node(),
        certificate_request: "-----BEGIN CERTIFICATE REQUEST-----".into(),
        proof: "00ff".into(),
    }
}

pub fn certificate_request() -> CertificateRequest {
    let JoinRequest { node, certificate_request, .. } = join_request();
    CertificateRequest { node, certificate_request }
}

pub fn issued_certificate() -> IssuedCertificate {
    IssuedCertificate { certificate_chain: "-----BEGIN CERTIFICATE-----".into() }
}

pub fn refusal() -> Refusal {
    Refusal { code: RefusalCode::NoCommonVersion, message: "upgrade the node".into() }
}

pub fn registration() -> Registration {
    Registration {
        node: node(),
        host_name: "host-1".into(),
        agent_version: "0.1.0".into(),
        boot_id: "2b0c7ff3-6e6c-4b4d-8f9c-3f9a3f0a8f10".into(),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity {
            cpu_units: 2048,
            memory_mib: 4096,
            reserved_ports: vec![22, 4566],
        },
        cluster: "default".into(),
        ask_only: true,
        allows_privileged: true,
        regions: Vec::new(),
        attributes: Vec::new(),
        protocol: ProtocolVersions { lowest: 1, highest: 2 },
    }
}

pub fn registered() -> Registered {
    Registered {
        registry_host: "127.0.0.1:4566".into(),
        registry_names: vec!["*.dkr.ecr.us-east-1.localhost:4566".into()],
        vpc_cidr: "172.31.0.0/16".into(),
        protocol_version: 2,
        takes_report_changes: true,
    }
}

/// Of version 2.
pub fn assignment_request() -> AssignmentRequest {
    let known = KnownGenerations { tasks: 4_294_967_297 };
    let boot_id = Some("4f9c3a52-6a2f-4d0e-9d43-1f6f3a1b2c3d".to_owned());
    AssignmentRequest { node: node(), known, takes_changes: true, takes_secrets: false, boot_id }
}

/// Of version 2, of a node that asks for secrets.
pub fn assignment_request_with_secrets() -> AssignmentRequest {
    AssignmentRequest { takes_secrets: true, ..assignment_request() }
}

/// Of version 2.
pub fn assignment() -> Assignment {
    Assignment { tasks: Some(Arc::new(task_section())) }
}

/// Of version 2, for a node that knows the generation before: one task is new, one is gone, of one no more can be said.
pub fn assignment_changes() -> Assignment {
    let section = TaskSection {
        generation: 4_294_967_299,
        since: Some(4_294_967_298),
        gone: vec![TaskId::new("0f3c1d1a8d0b4b0d9b8d7a6c5e4f3210")],
        tasks: vec![Arc::new(task_assignment())],
        unreadable: Vec::new(),
    };
    Assignment { tasks: Some(Arc::new(section)) }
}

/// The assignment of version 1.
pub fn task_section() -> TaskSection {
    let bare = |network, desired| TaskAssignment {
        desired,
        was_started: false,
        network,
        launch_type: LaunchType::Ec2,
        service: None,
        availability_zone: None,
        limits: TaskLimits::default(),
        containers: vec![bare_container()],
        ..task_assignment()
    };
    TaskSection {
        generation: 4_294_967_298,
        tasks: vec![
            Arc::new(task_assignment()),
            Arc::new(bare(TaskNetwork::Bridge, DesiredStatus::Stopped)),
            Arc::new(bare(TaskNetwork::Host, DesiredStatus::Running)),
            Arc::new(bare(TaskNetwork::None, DesiredStatus::Running)),
        ],
        ..TaskSection::default()
    }
}

/// Of version 2: its task has a role.
pub fn assignment_with_task_role() -> Assignment {
    let role = some("arn:aws:iam::000000000000:role/app");
    let task = TaskAssignment { task_role_arn: role, ..task_assignment() };
    let tasks = vec![Arc::new(task)];
    Assignment { tasks: Some(Arc::new(TaskSection { tasks, ..task_section() })) }
}

/// Of version 2: its task has secrets.
pub fn assignment_with_secrets() -> Assignment {
    let mut task = task_assignment();
    task.execution_role_arn = some("arn:aws:iam::000000000000:role/execution");
    task.containers[0].definition.secrets = vec![SecretReference {
        name: "PASSWORD".into(),
        value_from: "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf:password::"
            .into(),
    }];
    task.containers[0].definition.repository_credentials =
        some("arn:aws:secretsmanager:us-east-1:000000000000:secret:registry-AbCdEf");
    let tasks = vec![Arc::new(task)];
    Assignment { tasks: Some(Arc::new(TaskSection { tasks, ..task_section() })) }
}

/// Of version 2: a container has a health check, and waits for another one's.
pub fn assignment_with_health_check() -> Assignment {
    let mut task = task_assignment();
    let definition = &mut task.containers[0].definition;
    definition.depends_on[0].condition = DependencyCondition::Healthy;
    definition.health_check = Some(HealthCheck {
        command: vec!["CMD-SHELL".into(), "exit 0".into()],
        interval_s: 30,
        timeout_s: 5,
        retries: 3,
        start_period_s: 10,
    });
    let tasks = vec![Arc::new(task)];
    Assignment { tasks: Some(Arc::new(TaskSection { tasks, ..task_section() })) }
}

pub fn task_secrets() -> TaskSecrets {
    TaskSecrets {
        containers: vec![ContainerSecrets {
            container: "app".into(),
            environment: pair("PASSWORD", "x"),
            registry: Some(RegistryUser { user: "puller".into(), password: "y".into() }),
        }],
    }
}

pub fn task_tags() -> TaskTags {
    TaskTags { task: pair("team", "blue"), container_instance: pair("rack", "7") }
}

pub fn task_assignment() -> TaskAssignment {
    TaskAssignment {
        task: task(),
        desired: DesiredStatus::Running,
        was_started: false,
        account: AccountId::new("000000000000"),
        region: Region::new("us-east-1"),
        cluster: ClusterName::new("default"),
        task_arn:
            "arn:aws:ecs:us-east-1:000000000000:task/default/f2dc86bb0cd1583525d464c92d2095a1"
                .into(),
        family: Family::new("web"),
        revision: 7,
        launch_type: LaunchType::Fargate,
        availability_zone: some("us-east-1a"),
        service: Some(ServiceName::new("web")),
        task_role_arn: None,
        execution_role_arn: None,
        network: TaskNetwork::Awsvpc(AwsvpcAttachment {
            network_interface_id: NetworkInterfaceId::new("eni-d48e834376391ac96"),
            mac_address: "0a:58:ac:1f:00:04".into(),
            address: Ipv4Addr::new(172, 31, 0, 4),
            prefix: 20,
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            vpc_cidr: "172.31.0.0/16".into(),
            subnet_cidr: "172.31.0.0/20".into(),
            security_groups: vec![SecurityGroupId::new("sg-1")],
            private_dns_name: "ip-172-31-0-4.ec2.internal".into(),
        }),
        limits: TaskLimits {
            cpu_units: Some(256),
            memory_mib: Some(512),
            pids_max: 4096,
            storage_gib: Some(20),
        },
        containers: vec![container(), bare_container()],
    }
}

fn container() -> ContainerAssignment {
    let bare = bare_container();
    ContainerAssignment {
        image_digest: some(
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ports: vec![PortBinding {
            container_port: 80,
            host_port: 8080,
            protocol: TransportProtocol::Tcp,
        }],
        log: Some(LogDestination {
            group: "/web".into(),
            region: None,
            stream: "w/app/f2dc86bb0cd1583525d464c92d2095a1".into(),
            create_group: true,
            non_blocking: true,
            max_buffer_bytes: 1 << 20,
        }),
        definition: definition(bare.definition),
        ..bare
    }
}

fn definition(bare: ContainerDefinition) -> ContainerDefinition {
    ContainerDefinition {
        essential: false,
        entry_point: Some(vec!["/bin/sh".into(), "-c".into()]),
        command: Some(vec!["sleep 1".into()]),
        working_directory: some("/srv"),
        user: some("1000:1000"),
        environment: pair("A", "b"),
        cpu_units: 128,
        memory_mib: Some(256),
        memory_reservation_mib: Some(128),
        port_mappings: vec![PortMapping {
            container_port: 80,
            host_port: 0,
            protocol: TransportProtocol::Tcp,
        }],
        ulimits: vec![Ulimit { name: "nofile".into(), soft: 1024, hard: 4096 }],
        readonly_root_filesystem: true,
        privileged: true,
        hostname: some("web"),
        interactive: true,
        pseudo_terminal: true,
        extra_hosts: pair("db", "10.0.0.9"),
        dns_servers: vec!["10.0.0.2".into()],
        dns_search_domains: vec!["example.org".into()],
        docker_labels: pair("team", "a"),
        linux: LinuxParameters {
            capabilities_add: vec!["NET_ADMIN".into()],
            capabilities_drop: vec!["CHOWN".into()],
            init_process_enabled: true,
            shared_memory_size_mib: Some(64),
            tmpfs: vec![Tmpfs {
                container_path: "/tmp".into(),
                size_mib: 16,
                mount_options: vec!["noexec".into()],
            }],
        },
        system_controls: pair("net.core.somaxconn", "1024"),
        depends_on: vec![ContainerDependency {
            container_name: "side".into(),
            condition: DependencyCondition::Start,
        }],
        stop_timeout_s: 10,
        start_timeout_s: Some(20),
        log_configuration: LogConfiguration::Awslogs(AwslogsOptions {
            group: "/web".into(),
            region: "us-east-1".into(),
            stream_prefix: some("w"),
            create_group: true,
            non_blocking: true,
            max_buffer_bytes: 1 << 20,
        }),
        ..bare
    }
}

/// Everything that a reader may do without is at its default.
fn bare_container() -> ContainerAssignment {
    ContainerAssignment {
        id: ContainerId::new("1b4e28ba-2fa1-4d1f-a3f5-ef19b5a7633b"),
        arn: "arn:aws:ecs:us-east-1:000000000000:container/default/f2dc86bb0cd1583525d464c92d2095a1/1b4e28ba-2fa1-4d1f-a3f5-ef19b5a7633b".into(),
        image_digest: None,
        registry: None,
        ports: Vec::new(),
        log: None,
        definition: serde_json::from_str(r#"{"name":"app","image":"127.0.0.1:4566/app:1.0"}"#).unwrap(),
    }
}

/// From a node whose last report was delivered: nothing else has changed.
pub fn report_changes() -> Report {
    Report { changes_only: true, sequence: 1_795_880_000_000_002, ..report() }
}

/// Of a container with a health check. What the check wrote stays on the node.
pub fn report_of_health() -> Report {
    let mut report = report();
    report.tasks[0].containers[0].health = Some(ContainerHealth {
        status: HealthStatus::Unhealthy,
        since_ms: Some(TIME_MS + 7),
        ..ContainerHealth::default()
    });
    report
}

pub fn reported() -> Reported {
    Reported { wants_whole: true }
}

pub fn report() -> Report {
    Report {
        node: node(),
        boot_id: "2b0c7ff3-6e6c-4b4d-8f9c-3f9a3f0a8f10".into(),
        sequence: 1_795_880_000_000_001,
        generation: 4_294_967_298,
        tasks: vec![TaskReport {
            task: task(),
            status: TaskStatus::Stopped,
            containers: vec![ContainerReport {
                name: "app".into(),
                status: ContainerStatus::Stopped,
                runtime_id: some("1b4e28ba2fa14d1fa3f5ef19b5a7633b"),
                image_digest: some(
                    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                ),
                exit_code: Some(137),
                reason: some("OutOfMemoryError: Container killed due to memory usage"),
                health: None,
            }],
            pull_started_at_ms: Some(TIME_MS),
            pull_stopped_at_ms: Some(TIME_MS + 1),
            connectivity_at_ms: Some(TIME_MS + 2),
            started_at_ms: Some(TIME_MS + 3),
            stopping_at_ms: Some(TIME_MS + 4),
            execution_stopped_at_ms: Some(TIME_MS + 5),
            stopped_at_ms: Some(TIME_MS + 6),
            stop: Some(StopCause {
                code: StopCode::EssentialContainerExited,
                reason: "Essential container in task exited".into(),
            }),
        }],
        accepts_tasks: true,
        changes_only: false,
        unreadable: Vec::new(),
    }
}

pub fn log_batch() -> LogBatch {
    LogBatch {
        node: node(),
        task: task(),
        container: "app".into(),
        from_cursor: 4_294_967_296,
        to_cursor: 4_294_967_320,
        events: vec![LogEvent {
            timestamp_ms: TIME_MS,
            message: "héllo \"world\"".into(),
            end_cursor: 4_294_967_320,
        }],
    }
}

pub fn log_cursor() -> LogCursor {
    LogCursor { committed: 4_294_967_320 }
}

pub fn credential_request() -> CredentialRequest {
    CredentialRequest::new(node(), task())
}

pub fn task_credentials() -> TaskCredentials {
    TaskCredentials {
        role_arn: "arn:aws:iam::000000000000:role/app".into(),
        access_key_id: "ASIA0000000000000001".into(),
        secret_access_key: "secret".into(),
        session_token: "token".into(),
        expires_at_ms: TIME_MS,
        lifetime_ms: 21_600_000,
    }
}

pub fn registry_credential() -> RegistryCredential {
    RegistryCredential { user: "AWS".into(), password: "secret".into(), expires_at_ms: TIME_MS }
}
