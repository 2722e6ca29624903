//! What a user may want next: an operation and its input, drawn from what there is.
//!
//! Users ask for what cannot be, too: for a service that is there already, for a revision that is INACTIVE. What the
//! operations then say is an outcome like any other.

use std::collections::BTreeMap;

use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::task_definition::NetworkMode;
use outport_model::{Arn, ContainerInstanceId, DesiredStatus, ServiceName};
use outport_store::Tables;
use serde_json::{Value, json};

use crate::rng::Rng;
use crate::user::{self, Answer, FAMILIES};

/// `minimumHealthyPercent` and `maximumPercent` of the services.
const PERCENTS: [(u32, u32); 4] = [(100, 200), (50, 100), (0, 100), (50, 150)];
const PROPAGATED: [&str; 3] = ["NONE", "SERVICE", "TASK_DEFINITION"];
const TAG_KEYS: [&str; 3] = ["team", "stage", "cost"];
/// What a user must expect to hear. Anything else is an input that a user would not send, or a fault of ours.
const EXPECTED_REFUSALS: [&str; 7] = [
    "ClientException",
    "ConflictException",
    "InvalidParameterException",
    "ResourceNotFoundException",
    "ServiceDeploymentNotFoundException",
    "ServiceNotActiveException",
    "ServiceNotFoundException",
];
/// The operations that [`Wish::any`] draws from.
pub const OPERATIONS: [&str; 12] = [
    "CreateService",
    "DeleteService",
    "DeleteTaskDefinitions",
    "DeregisterTaskDefinition",
    "RegisterTaskDefinition",
    "RunTask",
    "StopServiceDeployment",
    "StopTask",
    "TagResource",
    "UntagResource",
    "UpdateContainerInstancesState",
    "UpdateService",
];

/// How often each operation was taken, and how often refused.
pub type Outcomes = BTreeMap<&'static str, [usize; 2]>;

#[derive(Clone, Debug)]
pub struct Wish {
    pub operation: &'static str,
    pub input: Value,
}

impl Wish {
    /// `None` where there is nothing of which to want something.
    pub fn any(tables: &Tables, rng: &mut Rng) -> Option<Self> {
        let family = rng.below(FAMILIES.len());
        let (name, _) = FAMILIES[family];
        // A host port is taken once a node, so `job` asks for one task at most.
        let desired = rng.below(if name == "job" { 2 } else { 6 });
        let choice = rng.below(8);
        let update = |mut members: Value| {
            members["service"] = json!(name);
            Self::new("UpdateService", members)
        };
        Some(match rng.below(20) {
            0..=2 => create_service(family, desired, choice, tables, rng),
            3 | 4 => update(json!({ "desiredCount": desired })),
            5 | 6 => update(json!({ "taskDefinition": revision(tables, name, rng)? })),
            7 => update(json!({ "forceNewDeployment": true })),
            8 => update(json!({ "deploymentConfiguration": configuration(choice) })),
            9 => update(json!({
                "taskDefinition": revision(tables, name, rng)?,
                "desiredCount": desired,
                "deploymentConfiguration": configuration(choice),
            })),
            10 => Self::new("DeleteService", json!({ "service": name, "force": choice > 0 })),
            11 => run_task(family, choice, rng),
            12 => stop_task(tables, rng)?,
            13 | 14 => Self::new("RegisterTaskDefinition", user::definition(name, mode(family))),
            15 => {
                let input = json!({ "taskDefinition": revision(tables, name, rng)? });
                Self::new("DeregisterTaskDefinition", input)
            }
            16 => {
                let input = json!({ "taskDefinitions": [revision(tables, name, rng)?] });
                Self::new("DeleteTaskDefinitions", input)
            }
            17 => stop_service_deployment(tables, rng)?,
            18 => set_state(tables, choice, rng)?,
            _ => tag(name, choice, rng),
        })
    }

    fn new(operation: &'static str, input: Value) -> Self {
        Self { operation, input }
    }

    /// Whether the same input may be sent again, for who has lost the answer.
    pub fn is_idempotent(&self) -> bool {
        self.input.get("clientToken").is_some()
    }
}

/// # Panics
/// If this is nothing that a user must expect.
pub fn check_answer(wish: &Wish, answer: &Answer) {
    if let Answer::Refused(exception, _) = answer {
        assert!(EXPECTED_REFUSALS.contains(&exception.as_str()), "{wish:?}: {answer:?}");
    }
}

/// Sent twice, done once. The rest of an answer may have moved on.
///
/// # Panics
/// If the second answer names another service or other tasks.
pub fn check_answered_again(wish: &Wish, first: &Value, second: &Value) {
    let named = |answer: &Value| {
        let tasks = answer["tasks"].as_array().into_iter().flatten();
        let tasks: Vec<Value> = tasks.map(|task| task["taskArn"].clone()).collect();
        (answer["service"]["serviceArn"].clone(), tasks)
    };
    assert_eq!(named(first), named(second), "{wish:?}");
}

/// StopTask of every task that is of no service.
pub fn stop_standalone_tasks(tables: &Tables) -> Vec<Wish> {
    let standalone = tables
        .tasks
        .iter()
        .filter(|task| task.service.is_none() && task.desired_status == DesiredStatus::Running);
    standalone.map(|task| Wish::new("StopTask", json!({ "task": task.id.as_str() }))).collect()
}

/// Every container instance takes tasks again.
pub fn activate_all(tables: &Tables) -> Vec<Wish> {
    let draining = tables
        .container_instances
        .iter()
        .filter(|row| row.status == ContainerInstanceStatus::Draining);
    draining.map(|row| state(&row.id, "ACTIVE")).collect()
}

fn state(instance: &ContainerInstanceId, status: &str) -> Wish {
    let input = json!({ "containerInstances": [instance.as_str()], "status": status });
    Wish::new("UpdateContainerInstancesState", input)
}

/// Machines are drained, and come back more often than that.
fn set_state(tables: &Tables, choice: usize, rng: &mut Rng) -> Option<Wish> {
    let ids: Vec<_> = tables.container_instances.iter().map(|row| &row.id).collect();
    let status = if choice < 3 { "DRAINING" } else { "ACTIVE" };
    Some(state(rng.pick(&ids)?, status))
}

/// Strategies, one after the other, of what is placed on container instances.
fn strategy(mode: NetworkMode, choice: usize) -> Value {
    let spread = |field: &str| json!({ "type": "spread", "field": field });
    let all = [
        json!([]),
        json!([spread("instanceId")]),
        json!([{ "type": "binpack", "field": "memory" }]),
        json!([{ "type": "random" }]),
        json!([spread("attribute:ecs.availability-zone"), { "type": "binpack", "field": "cpu" }]),
    ];
    match mode {
        NetworkMode::Awsvpc => json!([]),
        _ => all[choice % all.len()].clone(),
    }
}

fn mode(family: usize) -> NetworkMode {
    FAMILIES[family].1
}

fn token(rng: &mut Rng) -> Value {
    json!(format!("{:016x}", rng.below(usize::MAX)))
}

/// Times to bake are minutes at least: here nobody waits between two shifts.
fn stages(choice: usize) -> Value {
    match choice % 5 {
        2 => json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0 }),
        3 => json!({
            "strategy": "LINEAR",
            "linearConfiguration": { "stepPercent": 34.0, "stepBakeTimeInMinutes": 0 },
        }),
        4 => json!({
            "strategy": "CANARY",
            "canaryConfiguration": { "canaryPercent": 10.0, "canaryBakeTimeInMinutes": 0 },
        }),
        _ => json!({ "strategy": "ROLLING" }),
    }
}

fn configuration(choice: usize) -> Value {
    let (minimum, maximum) = PERCENTS[choice % PERCENTS.len()];
    let mut configuration = json!({
        "minimumHealthyPercent": minimum,
        "maximumPercent": maximum,
        "deploymentCircuitBreaker": {
            "enable": choice.is_multiple_of(2), "rollback": choice.is_multiple_of(4),
        },
    });
    let stages = stages(choice);
    for (member, value) in stages.as_object().into_iter().flatten() {
        configuration[member] = value.clone();
    }
    configuration
}

/// Any revision of the family, whatever its status; `None` when there is none.
fn revision(tables: &Tables, family: &str, rng: &mut Rng) -> Option<String> {
    let rows = tables.task_definitions.iter().filter(|row| row.family.as_str() == family);
    let revisions: Vec<_> = rows.map(|row| row.revision).collect();
    rng.pick(&revisions).map(|revision| format!("{family}:{revision}"))
}

fn create_service(
    family: usize,
    desired: usize,
    choice: usize,
    tables: &Tables,
    rng: &mut Rng,
) -> Wish {
    let (name, mode) = FAMILIES[family];
    let definition = if rng.below(2) == 0 { None } else { revision(tables, name, rng) };
    let input = json!({
        "serviceName": name,
        "taskDefinition": definition.unwrap_or_else(|| name.to_owned()),
        "desiredCount": desired,
        "deploymentConfiguration": configuration(choice),
        "enableECSManagedTags": true,
        "propagateTags": PROPAGATED[choice % PROPAGATED.len()],
        "tags": [{ "key": "team", "value": choice.to_string() }],
        "placementStrategy": strategy(mode, choice),
        "clientToken": token(rng),
    });
    Wish::new("CreateService", user::with_place(input, mode))
}

fn run_task(family: usize, choice: usize, rng: &mut Rng) -> Wish {
    let mut input = user::one_task(family);
    input["count"] = json!(1 + choice % 2);
    input["placementStrategy"] = strategy(mode(family), choice);
    input["tags"] = json!([{ "key": "team", "value": choice.to_string() }]);
    input["clientToken"] = token(rng);
    Wish::new("RunTask", input)
}

fn stop_task(tables: &Tables, rng: &mut Rng) -> Option<Wish> {
    let ids: Vec<_> = tables.tasks.iter().map(|task| &task.id).collect();
    let id = rng.pick(&ids)?;
    Some(Wish::new("StopTask", json!({ "task": id.as_str(), "reason": "the user says so" })))
}

fn stop_service_deployment(tables: &Tables, rng: &mut Rng) -> Option<Wish> {
    let rows: Vec<_> = tables.service_deployments.iter().collect();
    let row = rng.pick(&rows)?;
    let arn = Arn::service_deployment(&row.scope, &row.cluster, &row.service, &row.id);
    let input = json!({ "serviceDeploymentArn": arn.to_string() });
    Some(Wish::new("StopServiceDeployment", input))
}

fn tag(service: &str, choice: usize, rng: &mut Rng) -> Wish {
    let arn = Arn::service_of(&user::scope(), &user::cluster(), &ServiceName::new(service));
    let key = *rng.pick(&TAG_KEYS).expect("there are some");
    let arn = json!(arn.to_string());
    if choice.is_multiple_of(2) {
        let tags = json!([{ "key": key, "value": choice.to_string() }]);
        Wish::new("TagResource", json!({ "resourceArn": arn, "tags": tags }))
    } else {
        Wish::new("UntagResource", json!({ "resourceArn": arn, "tagKeys": [key] }))
    }
}
