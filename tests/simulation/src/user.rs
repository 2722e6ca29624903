//! Who calls the API: JSON through the generated dispatcher to the real operations, as the front door would do it.
//!
//! **Invariant:** no row is written here but by an operation; [`set_up`] alone writes what an installation has before
//! anybody calls.

use outport_aws_ecs::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Reply, Request};
use outport_identity::Call;
use outport_model::network::{Ipv4Cidr, SecurityGroup, Subnet, Vpc};
use outport_model::task_definition::{LaunchType, NetworkMode};
use outport_model::{
    AccountId, ClusterName, DhcpOptionsId, Region, Scope, SecurityGroupId, ServiceName, SubnetId,
    Tags, VpcId,
};
use outport_planner::Settings;
use outport_service_ecs::task_definition::Workloads;
use outport_service_ecs::{EcsService, default_cluster};
use outport_store::keys::ServiceKey;
use outport_store::{Store, Transaction};
use serde_json::{Value, json};

const SUBNET: &str = "subnet-00000000000000001";
/// Revisions of each family with which a world begins.
const REVISIONS: u32 = 4;

/// A family for each kind of network; `web` is Fargate, the others run on container instances. The service of a family
/// has its name.
pub const FAMILIES: [(&str, NetworkMode); 3] =
    [("web", NetworkMode::Awsvpc), ("api", NetworkMode::Bridge), ("job", NetworkMode::Host)];

pub fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

pub fn cluster() -> ClusterName {
    ClusterName::new("default")
}

pub fn service_key(name: &str) -> ServiceKey {
    ServiceKey::new(&scope(), cluster(), ServiceName::new(name))
}

/// What a new installation has: the default cluster, VPC, subnet and security group.
pub fn set_up(tx: &mut Transaction<'_>) {
    let cidr = |text| Ipv4Cidr::parse(text).expect("a valid range");
    default_cluster::ensure(tx, &scope());
    tx.put(Vpc {
        scope: scope(),
        id: VpcId::new("vpc-1"),
        cidr: cidr("172.31.0.0/16"),
        is_default: true,
        dhcp_options_id: DhcpOptionsId::new("dopt-1"),
        tags: Tags::new(),
    });
    tx.put(Subnet {
        scope: scope(),
        id: SubnetId::new(SUBNET),
        vpc_id: VpcId::new("vpc-1"),
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
        id: SecurityGroupId::new("sg-1"),
        name: "default".into(),
        description: "default VPC security group".into(),
        vpc_id: VpcId::new("vpc-1"),
        ingress: Vec::new(),
        egress: Vec::new(),
        tags: Tags::new(),
    });
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The output.
    Taken(Value),
    /// The exception and its message: what the user asked for cannot be.
    Refused(String, String),
    /// A fault of the service: nobody knows whether it was done.
    Failed(Value),
}

/// The root of the account, at a control plane.
pub struct User {
    store: Store,
    service: EcsService,
}

impl User {
    /// `settings` and `workloads` are the ones that the controllers have too.
    pub fn new(store: &Store, settings: Settings, workloads: Workloads) -> Self {
        let service = EcsService::new(store.clone(), settings, workloads);
        Self { store: store.clone(), service }
    }

    /// One call of the ECS API.
    pub async fn call(&self, operation: &str, input: &Value) -> Answer {
        let body = input.to_string().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let call = Call::for_tests().at(self.store.now_ms());
        let reply = match Exchange::new(request) {
            Ok(mut exchange) => {
                match dispatch(&self.service, &call, operation, &mut exchange).await {
                    Ok(()) => exchange.into_reply(),
                    Err(error) => request.failure(&error),
                }
            }
            Err(error) => request.failure(&error),
        };
        read(&reply)
    }

    /// The task definitions with which a world begins.
    pub async fn register_families(&self) {
        for (family, mode) in FAMILIES {
            for _ in 0..REVISIONS {
                let answer = self.call("RegisterTaskDefinition", &definition(family, mode)).await;
                assert!(matches!(answer, Answer::Taken(_)), "{answer:?}");
            }
        }
    }
}

fn read(reply: &Reply) -> Answer {
    let body: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    match reply.status {
        200 => Answer::Taken(body),
        400..500 => Answer::Refused(text("__type"), text("message")),
        _ => Answer::Failed(body),
    }
}

/// The input of RegisterTaskDefinition: one container, and a port where the network has ports.
pub fn definition(family: &str, mode: NetworkMode) -> Value {
    // Of bridge the host port is open, of host it is the container's.
    let host_port = if mode == NetworkMode::Bridge { 0 } else { 8_000 };
    let ports = match mode {
        NetworkMode::None => json!([]),
        _ => json!([{ "containerPort": 8_000, "hostPort": host_port, "protocol": "tcp" }]),
    };
    json!({
        "family": family,
        "networkMode": mode.as_str(),
        "cpu": "256",
        "memory": "512",
        "requiresCompatibilities": [launch_type(mode).as_str()],
        "containerDefinitions": [{
            "name": "app", "image": "app:1", "essential": true, "portMappings": ports,
        }],
    })
}

/// The members of RunTask and CreateService that say where a task of this network mode runs.
pub fn with_place(mut input: Value, mode: NetworkMode) -> Value {
    input["launchType"] = json!(launch_type(mode).as_str());
    if mode == NetworkMode::Awsvpc {
        input["networkConfiguration"] = json!({ "awsvpcConfiguration": { "subnets": [SUBNET] } });
    }
    input
}

/// The input of RunTask of one task of the newest revision.
pub fn one_task(family: usize) -> Value {
    let (name, mode) = FAMILIES[family];
    with_place(json!({ "taskDefinition": name }), mode)
}

fn launch_type(mode: NetworkMode) -> LaunchType {
    match mode {
        NetworkMode::Awsvpc => LaunchType::Fargate,
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => LaunchType::Ec2,
    }
}
