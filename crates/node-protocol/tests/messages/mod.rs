//! One message of each kind with every field set, as version 1 writes it.

use std::net::Ipv4Addr;

use outport_model::node::{Architecture, NodeCapacity};
use outport_model::task::{ContainerStatus, StopCode};
use outport_model::task_definition::{
    ContainerDependency, DependencyCondition, LinuxParameters, Tmpfs, TransportProtocol, Ulimit,
};
use outport_model::{DesiredStatus, NodeId, TaskId, TaskStatus};
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
        protocol: ProtocolVersions { lowest: 1, highest: 2 },
    }
}

pub fn registered() -> Registered {
    Registered {
        registry_host: "127.0.0.1:4566".into(),
        registry_names: vec!["*.dkr.ecr.us-east-1.localhost:4566".into()],
        vpc_cidr: "172.31.0.0/16".into(),
        protocol_version: 2,
    }
}

pub fn assignment_request() -> AssignmentRequest {
    AssignmentRequest { node: node(), known_generation: 4_294_967_297 }
}

pub fn assignment() -> Assignment {
    let bare = |network, desired| TaskAssignment {
        desired,
        network,
        launch_type: "EC2".into(),
        service: None,
        availability_zone: None,
        limits: TaskLimits::default(),
        containers: vec![bare_container()],
        ..task_assignment()
    };
    Assignment {
        generation: 4_294_967_298,
        tasks: vec![
            task_assignment(),
            bare(TaskNetwork::Bridge, DesiredStatus::Stopped),
            bare(TaskNetwork::Host, DesiredStatus::Running),
            bare(TaskNetwork::None, DesiredStatus::Running),
        ],
        unreadable: Vec::new(),
    }
}

pub fn task_assignment() -> TaskAssignment {
    TaskAssignment {
        task: task(),
        desired: DesiredStatus::Running,
        account: "000000000000".into(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        task_arn:
            "arn:aws:ecs:us-east-1:000000000000:task/default/f2dc86bb0cd1583525d464c92d2095a1"
                .into(),
        family: "web".into(),
        revision: 7,
        launch_type: "FARGATE".into(),
        availability_zone: some("us-east-1a"),
        service: some("web"),
        network: TaskNetwork::Awsvpc(AwsvpcAttachment {
            network_interface_id: "eni-d48e834376391ac96".into(),
            mac_address: "0a:58:ac:1f:00:04".into(),
            address: Ipv4Addr::new(172, 31, 0, 4),
            prefix: 20,
            gateway: Ipv4Addr::new(172, 31, 0, 1),
            vpc_cidr: "172.31.0.0/16".into(),
            subnet_cidr: "172.31.0.0/20".into(),
            security_groups: vec!["sg-1".into()],
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
    ContainerAssignment {
        image_digest: some(
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        essential: false,
        entry_point: Some(vec!["/bin/sh".into(), "-c".into()]),
        command: Some(vec!["sleep 1".into()]),
        working_directory: some("/srv"),
        user: some("1000:1000"),
        environment: pair("A", "b"),
        cpu_units: 128,
        memory_mib: Some(256),
        memory_reservation_mib: Some(128),
        ports: vec![PortBinding {
            container_port: 80,
            host_port: 8080,
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
        log: Some(LogDestination {
            group: "/web".into(),
            stream: "w/app/f2dc86bb0cd1583525d464c92d2095a1".into(),
            create_group: true,
            non_blocking: true,
            max_buffer_bytes: 1 << 20,
        }),
        ..bare_container()
    }
}

/// Everything that a reader may do without is at its default.
fn bare_container() -> ContainerAssignment {
    ContainerAssignment {
        id: "1b4e28ba-2fa1-4d1f-a3f5-ef19b5a7633b".into(),
        name: "app".into(),
        arn: "arn:aws:ecs:us-east-1:000000000000:container/default/f2dc86bb0cd1583525d464c92d2095a1/1b4e28ba-2fa1-4d1f-a3f5-ef19b5a7633b".into(),
        image: "127.0.0.1:4566/app:1.0".into(),
        image_digest: None,
        essential: true,
        entry_point: None,
        command: None,
        working_directory: None,
        user: None,
        environment: Vec::new(),
        cpu_units: 0,
        memory_mib: None,
        memory_reservation_mib: None,
        ports: Vec::new(),
        ulimits: Vec::new(),
        readonly_root_filesystem: false,
        privileged: false,
        hostname: None,
        interactive: false,
        pseudo_terminal: false,
        extra_hosts: Vec::new(),
        dns_servers: Vec::new(),
        dns_search_domains: Vec::new(),
        docker_labels: Vec::new(),
        linux: LinuxParameters::default(),
        system_controls: Vec::new(),
        depends_on: Vec::new(),
        stop_timeout_s: 30,
        start_timeout_s: None,
        log: None,
    }
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
    CredentialRequest { node: node(), task: task() }
}

pub fn registry_credential() -> RegistryCredential {
    RegistryCredential { user: "AWS".into(), password: "secret".into(), expires_at_ms: TIME_MS }
}
