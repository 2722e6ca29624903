//! What a project is at Amazon ECS: one task definition, and a service that keeps it running.

use serde_json::{Map, Value, json};

use super::project::Project;
use super::service::{Condition, HealthCheck, Restart, Service};
use super::short::Port;

/// What a container without a limit is placed with, in MiB; it may use more.
const MEMORY_RESERVATION_MIB: u64 = 128;
/// Names that lead to the task itself: the other services of the project (design note 0026).
pub const LOCALHOST_LABEL: &str = "outport.localhost";

/// Ports of the machine that a container asks for, as the node reads them (design note 0026).
pub const PUBLISH_LABEL: &str = "outport.publish";

/// The repository of a service that is built.
pub fn repository(project: &str, service: &str) -> String {
    format!("compose/{project}/{}", service.to_lowercase())
}

pub fn log_group(project: &str) -> String {
    format!("/compose/{project}")
}

/// Input of `RegisterTaskDefinition`. `image` names that of a service.
pub fn task_definition(
    project: &Project,
    region: &str,
    image: impl Fn(&Service) -> String,
) -> Value {
    let containers: Vec<Value> = project
        .services
        .iter()
        .map(|service| container(project, service, image(service), region))
        .collect();
    json!({
        "family": project.name,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": containers,
    })
}

/// Input of `CreateService` without the subnets, which only the API knows.
pub fn service(project: &Project) -> Value {
    json!({
        "serviceName": project.name,
        "launchType": "EC2",
        "desiredCount": project.replicas,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": { "enable": true, "rollback": false },
        },
    })
}

fn container(project: &Project, service: &Service, image: String, region: &str) -> Value {
    let mut container = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_nothing = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_nothing {
            container.insert(name.to_owned(), value);
        }
    };
    put("name", json!(service.name));
    put("image", json!(image));
    put("essential", json!(is_essential(&project.services, service)));
    put("entryPoint", json!(service.entrypoint));
    put("command", json!(service.command));
    put("environment", environment(service));
    put("portMappings", ports(service));
    put("dependsOn", dependencies(service));
    put("healthCheck", service.health_check.as_ref().map_or(Value::Null, health_check));
    put("user", json!(service.user));
    put("workingDirectory", json!(service.working_dir));
    put("dockerLabels", labels(project, service));
    put("cpu", json!(service.reserved_cpu_units.or(service.cpu_units)));
    put("memory", json!(service.memory_mib));
    let reservation = service.memory_reservation_mib;
    let unlimited = service.memory_mib.is_none().then_some(MEMORY_RESERVATION_MIB);
    put("memoryReservation", json!(reservation.or(unlimited)));
    put("stopTimeout", json!(service.stop_grace_s));
    if service.read_only {
        put("readonlyRootFilesystem", json!(true));
    }
    put("linuxParameters", linux_parameters(service));
    put(
        "logConfiguration",
        json!({
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group(&project.name),
                "awslogs-region": region,
                "awslogs-stream-prefix": project.name,
                "awslogs-create-group": "true",
            },
        }),
    );
    Value::Object(container)
}

/// With an essential container its task ends, and another one comes.
pub fn is_essential(services: &[Service], service: &Service) -> bool {
    let is_waited_for = services.iter().flat_map(|other| &other.depends_on).any(|dependency| {
        dependency.on == service.name && dependency.condition == Condition::Completed
    });
    service.restart != Restart::No && !is_waited_for
}

fn environment(service: &Service) -> Value {
    let pairs = service
        .environment
        .iter()
        .filter_map(|(name, value)| Some(json!({ "name": name, "value": value.as_ref()? })));
    pairs.collect()
}

fn ports(service: &Service) -> Value {
    let mapping = |port: &Port| {
        let protocol = if port.is_udp { "udp" } else { "tcp" };
        json!({ "containerPort": port.number, "protocol": protocol })
    };
    let mut mappings: Vec<Value> = Vec::new();
    for mapping in service.ports.iter().map(mapping) {
        // Docker may publish one port at two places.
        if !mappings.contains(&mapping) {
            mappings.push(mapping);
        }
    }
    Value::Array(mappings)
}

fn dependencies(service: &Service) -> Value {
    let dependency = |dependency: &super::service::Dependency| {
        let condition = match dependency.condition {
            Condition::Started => "START",
            Condition::Healthy => "HEALTHY",
            Condition::Completed => "SUCCESS",
        };
        json!({ "containerName": dependency.on, "condition": condition })
    };
    service.depends_on.iter().map(dependency).collect()
}

fn health_check(check: &HealthCheck) -> Value {
    let mut value = json!({ "command": check.test });
    let members = [
        ("interval", check.interval_s),
        ("timeout", check.timeout_s),
        ("startPeriod", check.start_period_s),
        ("retries", check.retries),
    ];
    for (name, number) in members.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        value[name] = json!(number);
    }
    value
}

/// Those of the file, and by which names the services reach each other.
fn labels(project: &Project, service: &Service) -> Value {
    let mut labels: Map<String, Value> = service
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value.clone().unwrap_or_default())))
        .collect();
    let names: Vec<&str> = project
        .services
        .iter()
        .flat_map(|service| std::iter::once(&service.name).chain(&service.aliases))
        .map(String::as_str)
        .collect();
    labels.insert(LOCALHOST_LABEL.to_owned(), json!(names.join(" ")));
    let asked: Vec<String> = service.ports.iter().filter_map(Port::asks).collect();
    if !asked.is_empty() {
        labels.insert(PUBLISH_LABEL.to_owned(), json!(asked.join(" ")));
    }
    Value::Object(labels)
}

fn linux_parameters(service: &Service) -> Value {
    let mut parameters = Map::new();
    if service.init {
        parameters.insert("initProcessEnabled".to_owned(), json!(true));
    }
    if !service.cap_add.is_empty() || !service.cap_drop.is_empty() {
        let capabilities = json!({ "add": service.cap_add, "drop": service.cap_drop });
        parameters.insert("capabilities".to_owned(), capabilities);
    }
    Value::Object(parameters)
}
