//! The one driver of the operation tests: a service on a store in memory, called with JSON as a client would.

use std::sync::Arc;

use outport_aws_ecs::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Reply, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Principal};
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::network::{Ipv4Cidr, SecurityGroup, Subnet, Vpc};
use outport_model::node::{Architecture, Node, NodeCapacity};
use outport_model::task_definition::TaskDefinition;
use outport_model::{
    AccountId, ClusterName, DhcpOptionsId, NodeId, Region, Scope, SecurityGroupId, SubnetId, Tags,
    VpcId,
};
use outport_planner::Settings;
use outport_store::journal::MemoryJournal;
use outport_store::{ManualClock, Row, SeededIds, Store};
use serde_json::{Value, json};

use crate::task_definition::Workloads;
use crate::{EcsService, default_cluster};

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

pub struct World {
    pub store: Store,
    pub scope: Scope,
    pub clock: Arc<ManualClock>,
    service: EcsService,
    principal: Principal,
    permissions: Option<Arc<WatchedPermissions>>,
}

impl World {
    /// A new account with its default cluster and no node.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::in_memory(clock.clone(), Arc::new(SeededIds::new(1)));
        Self::on(store, clock)
    }

    /// The same, with a store that counts its bytes and takes so many of callers.
    pub fn bounded(bytes_max: u64) -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let (journal, ids) = (MemoryJournal::default(), Arc::new(SeededIds::new(1)));
        let store = Store::with_journal(journal, clock.clone(), ids).unwrap();
        store.limit_bytes(bytes_max);
        Self::on(store, clock)
    }

    fn on(store: Store, clock: Arc<ManualClock>) -> Self {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let world = Self {
            service: EcsService::new(store.clone(), Settings::default(), Workloads::default()),
            principal: Principal::root(scope.account.clone()),
            permissions: None,
            store,
            scope,
            clock,
        };
        world.put(|tx| default_cluster::ensure(tx, &world.scope));
        world.add_network();
        world
    }

    /// A write that a test does by hand.
    pub fn put(&self, change: impl FnOnce(&mut outport_store::Transaction<'_>)) {
        write_now(&self.store, change);
    }

    fn call_context(&self) -> Call {
        let call = Call::for_tests().at(self.store.now_ms()).by(self.principal.clone());
        match &self.permissions {
            Some(permissions) => call.asking(permissions.clone()),
            None => call,
        }
    }

    /// From now on this answers every question of permission.
    pub fn ask(&mut self, permissions: Arc<WatchedPermissions>) {
        self.permissions = Some(permissions);
    }

    /// A new account with a node on which the given CPU units and MiB are free.
    pub fn with_node(cpu_units: u32, memory_mib: u32) -> Self {
        let world = Self::new();
        world.add_node(cpu_units, memory_mib);
        world
    }

    /// A node that is there, and a container instance of the default cluster.
    pub fn add_node(&self, cpu_units: u32, memory_mib: u32) {
        self.add_instance("0123456789abcdef0123456789abcdef", cpu_units, memory_mib, &[]);
    }

    /// The same, of a node of this id, with attributes.
    pub fn add_instance(
        &self,
        id: &str,
        cpu_units: u32,
        memory_mib: u32,
        attributes: &[(&str, &str)],
    ) {
        let id = NodeId::new(id);
        let own = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut attributes = vec![("ecs.os-type".to_owned(), "linux".to_owned())];
        attributes.extend(own);
        let now_ms = self.store.now_ms();
        self.put(|tx| {
            tx.put(Node {
                id: id.clone(),
                host_name: "host".to_owned(),
                agent_version: "1.0.0".to_owned(),
                architecture: Architecture::X86_64,
                capacity: NodeCapacity { cpu_units, memory_mib, reserved_ports: vec![22] },
                boot_id: "boot".to_owned(),
                registered_at_ms: now_ms,
                last_seen_ms: now_ms,
                assignment_generation: 0,
                accepts_tasks: true,
                connected: true,
                regions: Vec::new(),
            });
            tx.put(ContainerInstance {
                scope: self.scope.clone(),
                cluster: ClusterName::new("default"),
                id: tx.container_instance_id(),
                node: id,
                ec2_instance_id: "i-0123456789abcdef0".to_owned(),
                status: ContainerInstanceStatus::Active,
                attributes,
                registered_at_ms: now_ms,
                version: 1,
                tags: Tags::new(),
            });
        });
    }

    /// As if nothing referred to any revision and all were deleted.
    pub fn forget_task_definitions(&self) {
        let revisions: Vec<_> =
            self.store.snapshot().task_definitions.iter().map(|row| row.key()).collect();
        self.put(|tx| {
            for key in &revisions {
                tx.remove::<TaskDefinition>(key);
            }
        });
    }

    /// A VPC with one subnet and a default security group.
    fn add_network(&self) {
        let cidr = |text: &str| Ipv4Cidr::parse(text).unwrap();
        self.put(|tx| {
            tx.put(Vpc {
                scope: self.scope.clone(),
                id: VpcId::new("vpc-0"),
                cidr: cidr("172.31.0.0/16"),
                is_default: true,
                dhcp_options_id: DhcpOptionsId::new("dopt-0"),
                tags: Tags::new(),
            });
            tx.put(Subnet {
                scope: self.scope.clone(),
                id: SubnetId::new(self.subnet()),
                vpc_id: VpcId::new("vpc-0"),
                cidr: cidr("172.31.0.0/20"),
                availability_zone: "us-east-1a".to_owned(),
                availability_zone_id: "use1-az1".to_owned(),
                is_default_for_az: true,
                map_public_ip_on_launch: true,
                tags: Tags::new(),
            });
            tx.put(SecurityGroup {
                scope: self.scope.clone(),
                id: SecurityGroupId::new(self.security_group()),
                name: "default".to_owned(),
                description: "default VPC security group".to_owned(),
                vpc_id: VpcId::new("vpc-0"),
                ingress: Vec::new(),
                egress: Vec::new(),
                tags: Tags::new(),
            });
        });
    }

    pub fn subnet(&self) -> String {
        "subnet-0".to_owned()
    }

    pub fn security_group(&self) -> String {
        "sg-0".to_owned()
    }

    /// The ARN of a new Fargate task of a new definition.
    pub async fn run(&self, family: &str) -> String {
        self.register(family, json!({})).await;
        let input = json!({
            "taskDefinition": family,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": [self.subnet()]}},
        });
        let answer = self.call("RunTask", input).await;
        answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    /// A Fargate service; the answer's `service`.
    pub async fn create_service(&self, name: &str, definition: &str, desired_count: u32) -> Value {
        let input = json!({
            "serviceName": name, "taskDefinition": definition, "desiredCount": desired_count,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": [self.subnet()]}},
        });
        self.call("CreateService", input).await["service"].clone()
    }

    /// From now on the calls come from another account's root.
    pub fn become_stranger(&mut self) {
        self.principal = Principal::root(AccountId::new("999999999999"));
    }

    pub async fn reply(&self, operation: &str, input: &Value) -> (u16, Value) {
        let body = input.to_string().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Json11,
            operation,
            body: &body,
            request_id: "request",
        };
        let call = self.call_context();
        let reply: Reply = match Exchange::new(request) {
            Ok(mut exchange) => {
                match dispatch(&self.service, &call, operation, &mut exchange).await {
                    Ok(()) => exchange.into_reply(),
                    Err(error) => request.failure(&error),
                }
            }
            Err(error) => request.failure(&error),
        };
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    /// The answer to a call that must succeed.
    pub async fn call(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.reply(operation, &input).await;
        assert_eq!(status, 200, "{operation} {input}: {answer}");
        answer
    }

    /// The call succeeds, and its answer has at least what is expected.
    pub async fn check(&self, operation: &str, input: Value, expected: Value) {
        let answer = self.call(operation, input).await;
        assert_has(&answer, &expected, operation);
    }

    /// The call is refused with this exception and text.
    pub async fn refuses(&self, operation: &str, input: Value, exception: &str, message: &str) {
        let (status, answer) = self.reply(operation, &input).await;
        assert_eq!(status, 400, "{operation} {input}: {answer}");
        let expected = (json!(exception), json!(message));
        assert_eq!(
            (answer["__type"].clone(), answer["message"].clone()),
            expected,
            "{operation} {input}"
        );
    }

    /// Registers a Fargate definition; `changes` replace its members.
    pub async fn register(&self, family: &str, changes: Value) -> Value {
        let mut input = json!({
            "family": family,
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [{"name": "web", "image": "registry/app:1"}],
        });
        for (member, value) in changes.as_object().unwrap() {
            input[member] = value.clone();
        }
        self.call("RegisterTaskDefinition", input).await
    }

    /// Now, as the wire has it.
    pub fn now_s(&self) -> Value {
        json!(self.store.now_ms() / 1000)
    }
}

/// A write that is done on return: in memory it is done at the first poll.
pub fn write_now(store: &Store, change: impl FnOnce(&mut outport_store::Transaction<'_>)) {
    let write = store.write(|tx| {
        change(tx);
        Ok::<(), std::convert::Infallible>(())
    });
    let mut write = std::pin::pin!(write);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match write.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result.unwrap(),
        std::task::Poll::Pending => panic!("a store in memory writes at once"),
    }
}

/// Objects have at least the expected members; everything else is equal.
#[track_caller]
pub fn assert_has(actual: &Value, expected: &Value, path: &str) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (name, expected) in expected {
                let value = actual.get(name).unwrap_or(&Value::Null);
                assert_has(value, expected, &format!("{path}.{name}"));
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            assert_eq!(actual.len(), expected.len(), "{path}: {actual:?}");
            for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                assert_has(actual, expected, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(actual, expected, "{path}"),
    }
}
