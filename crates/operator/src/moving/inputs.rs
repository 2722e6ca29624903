//! Of what is described, the inputs of the operations that make the same.
//!
//! **Invariant:** pure; a member that is used is in an input or in `left`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Left;
use super::names::{is_ecs_name, is_log_group_name, is_repository_name, is_revision_arn};
use crate::value::{list, name_of, text};

/// An account's, or an Outport's, and whose registry its images name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// 12 digits.
    pub account: String,
    pub region: String,
    /// Hosts by which images name its registry beside AWS's name.
    pub registries: Vec<String>,
}

impl Place {
    /// AWS's name of its registry, which an Outport of this account and region takes for its own too.
    pub fn registry(&self) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", self.account, self.region)
    }
}

/// What is described there.
#[derive(Debug, Default)]
pub struct Found {
    pub place: Place,
    pub clusters: Vec<Value>,
    pub services: Vec<Value>,
    /// As `DescribeTaskDefinition` answers: `taskDefinition` and `tags`.
    pub definitions: Vec<Value>,
    /// With their `tags` and the texts of their policies.
    pub repositories: Vec<Value>,
    /// With their `tags`, by name.
    pub log_groups: Vec<Value>,
    /// What could not be read.
    pub left: Vec<Left>,
}

/// What makes the same, in the order in which it can be made.
#[derive(Debug, Default)]
pub struct Inputs {
    pub place: Place,
    pub clusters: Vec<Value>,
    pub repositories: Vec<Value>,
    pub policies: Vec<Policy>,
    pub log_groups: Vec<LogGroup>,
    /// Revisions of a family in their order, each with its services behind it, so that the newest revision is the
    /// service's when that is made.
    pub steps: Vec<Step>,
    pub left: Vec<Left>,
}

/// A policy of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub kind: PolicyKind,
    pub input: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Who may use it.
    Repository,
    /// Which images go by themselves.
    Lifecycle,
}

impl PolicyKind {
    /// The member that has its text, in inputs and answers.
    pub fn member(self) -> &'static str {
        match self {
            Self::Repository => "policyText",
            Self::Lifecycle => "lifecyclePolicyText",
        }
    }

    /// As it is called where it is listed, and in the names of files.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Repository => "repository-policy",
            Self::Lifecycle => "lifecycle-policy",
        }
    }

    pub fn get(self) -> &'static str {
        match self {
            Self::Repository => "GetRepositoryPolicy",
            Self::Lifecycle => "GetLifecyclePolicy",
        }
    }

    pub fn put(self) -> &'static str {
        match self {
            Self::Repository => "SetRepositoryPolicy",
            Self::Lifecycle => "PutLifecyclePolicy",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LogGroup {
    pub input: Value,
    pub retention_days: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An input of `RegisterTaskDefinition`, of the revision that has this ARN there.
    Register { arn: String, input: Value },
    /// An input of `CreateService`, whose `taskDefinition` is an ARN there.
    Service { cluster: String, input: Value },
}

/// Marks revisions that were imported, with the ARN that they had.
pub const SOURCE_TAG: &str = "outport:source";

/// Members of what is described that no input has: they say what became of it.
const DEFINITION_OUTPUTS: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];
const DEFINITION_INPUTS: [&str; 14] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "ephemeralStorage",
];
const DEFINITION_INPUTS_LATER: [&str; 4] = [
    "runtimePlatform",
    "enableFaultInjection",
    "trustedExecutionConfiguration",
    "inferenceAccelerators",
];
const SERVICE_INPUTS: [&str; 11] = [
    "serviceName",
    "taskDefinition",
    "desiredCount",
    "launchType",
    "platformVersion",
    "networkConfiguration",
    "schedulingStrategy",
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
    "availabilityZoneRebalancing",
];
const LOAD_BALANCERS: &str =
    "there are no load balancers yet; tasks are reached at published ports";
const NOT_BUILT: &str = "not built yet";
/// Of a service.
pub const NO_DEFINITION: &str = "its task definition was not made";
/// Fargate takes images of ECR from whoever names a role to pull them with.
const NO_ROLE: &str = "elsewhere it has the name of an image of ECR, which Fargate refuses without executionRoleArn: register a \
                       revision with one first";
/// Members of a service, of its deployment or of its configuration, that are not carried.
const SERVICE_LEFT: [(&str, &str); 6] = [
    ("loadBalancers", LOAD_BALANCERS),
    ("serviceRegistries", "there is no Cloud Map yet"),
    ("serviceConnectConfiguration", "there is no Service Connect yet"),
    ("volumeConfigurations", "there are no EBS volumes yet"),
    ("vpcLatticeConfigurations", NOT_BUILT),
    ("enableExecuteCommand", NOT_BUILT),
];
const DEPLOYMENT_INPUTS: [&str; 2] = ["maximumPercent", "minimumHealthyPercent"];
/// Of deployments in stages.
const STAGE_INPUTS: [&str; 5] = [
    "strategy",
    "bakeTimeInMinutes",
    "linearConfiguration",
    "canaryConfiguration",
    "earlySuccessCriteria",
];
const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// The inputs for all that was found.
pub fn inputs(found: Found) -> Inputs {
    let Found { place, clusters, services, definitions, repositories, log_groups, left } = found;
    let mut made = Inputs { place, left, ..Inputs::default() };
    for described in &clusters {
        made.cluster(described, &services);
    }
    for described in &repositories {
        made.repository(described);
    }
    for described in &log_groups {
        made.log_group(described);
    }
    let mut definitions: Vec<&Value> = definitions.iter().collect();
    definitions.sort_by_key(|described| {
        let definition = &described["taskDefinition"];
        (text(definition, "family").to_owned(), definition["revision"].as_i64())
    });
    let mut known = BTreeSet::new();
    for described in definitions {
        let arn = text(&described["taskDefinition"], "taskDefinitionArn").to_owned();
        let own: Vec<&Value> =
            services.iter().filter(|service| text(service, "taskDefinition") == arn).collect();
        if !known.insert(arn.clone()) {
            continue;
        }
        if !made.definition(described, &arn, &own) {
            for service in own {
                made.leave_whole(subject(service), NO_DEFINITION);
            }
            continue;
        }
        own.into_iter().for_each(|service| made.service(service));
    }
    for service in services.iter().filter(|s| !known.contains(text(s, "taskDefinition"))) {
        made.leave_whole(subject(service), "its task definition could not be read");
    }
    made
}

fn runs_on_fargate(service: &Value) -> bool {
    let mut strategy = list(service, "capacityProviderStrategy").iter();
    text(service, "launchType") == FARGATE[0]
        || strategy.any(|item| FARGATE.contains(&text(item, "capacityProvider")))
}

fn subject(service: &Value) -> String {
    let cluster = name_of(text(service, "clusterArn"));
    format!("service {} of {cluster}", text(service, "serviceName"))
}

impl Inputs {
    fn leave(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.left.push(Left::new(what, why));
    }

    fn leave_whole(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.left.push(Left::not_made(what, why));
    }

    /// Whether it is a name; one that is not is said in quotes, so that it does nothing to a terminal.
    fn is_name(&mut self, noun: &str, name: &str, is: fn(&str) -> bool) -> bool {
        let is_name = is(name);
        if !is_name {
            self.leave_whole(format!("{noun} {name:?}"), "this is no name that AWS takes");
        }
        is_name
    }

    fn cluster(&mut self, described: &Value, services: &[Value]) {
        let name = text(described, "clusterName");
        if !self.is_name("cluster", name, is_ecs_name) {
            return;
        }
        let mut input = picked(described, &["clusterName", "settings"]);
        set_tags(&mut input, described);
        let here = |provider: &&Value| provider.as_str().is_some_and(|p| FARGATE.contains(&p));
        let providers = list(described, "capacityProviders");
        let kept: Vec<&Value> = providers.iter().filter(here).collect();
        if kept.len() < providers.len() {
            let why =
                "machines are container instances that join: there are no Auto Scaling groups";
            self.leave(format!("cluster {name}: capacityProviders"), why);
        }
        if !kept.is_empty() {
            input["capacityProviders"] = json!(kept);
        }
        let strategy = list(described, "defaultCapacityProviderStrategy");
        let is_here = strategy.iter().all(|item| here(&&item["capacityProvider"]));
        if !strategy.is_empty() && is_here {
            input["defaultCapacityProviderStrategy"] = json!(strategy);
        } else if !strategy.is_empty() {
            self.leave(format!("cluster {name}: defaultCapacityProviderStrategy"), NOT_BUILT);
        }
        for member in ["configuration", "serviceConnectDefaults"] {
            if is_used(&described[member]) {
                self.leave(format!("cluster {name}: {member}"), NOT_BUILT);
            }
        }
        let mine =
            services.iter().filter(|service| service["clusterArn"] == described["clusterArn"]);
        let of_services: i64 = mine.filter_map(|service| service["runningCount"].as_i64()).sum();
        let others = described["runningTasksCount"].as_i64().unwrap_or_default() - of_services;
        if others > 0 {
            self.leave(format!("cluster {name}: {others} tasks of no service"), "run them again");
        }
        self.clusters.push(input);
    }

    fn repository(&mut self, described: &Value) {
        let name = text(described, "repositoryName");
        if !self.is_name("repository", name, is_repository_name) {
            return;
        }
        let members = [
            "repositoryName",
            "imageTagMutability",
            "imageTagMutabilityExclusionFilters",
            "imageScanningConfiguration",
        ];
        let mut input = picked(described, &members);
        set_tags(&mut input, described);
        if text(&described["encryptionConfiguration"], "encryptionType").starts_with("KMS") {
            self.leave(
                format!("repository {name}: encryptionConfiguration"),
                "the key is the account's",
            );
        }
        self.repositories.push(input);
        for kind in [PolicyKind::Repository, PolicyKind::Lifecycle] {
            if let Some(text) = described[kind.member()].as_str() {
                let mut input = json!({ "repositoryName": name });
                input[kind.member()] = text.into();
                self.policies.push(Policy { kind, input });
            }
        }
    }

    fn log_group(&mut self, described: &Value) {
        let name = text(described, "logGroupName");
        if !self.is_name("log group", name, is_log_group_name) {
            return;
        }
        let mut input = picked(described, &["logGroupName", "logGroupClass"]);
        if let Some(tags) = described["tags"].as_object() {
            let own = tags.iter().filter(|(key, _)| !key.starts_with("aws:"));
            let tags: Map<String, Value> = own.map(|(k, v)| (k.clone(), v.clone())).collect();
            if !tags.is_empty() {
                input["tags"] = tags.into();
            }
        }
        if is_used(&described["kmsKeyId"]) {
            self.leave(format!("log group {name}: kmsKeyId"), "the key is the account's");
        }
        let retention_days = described["retentionInDays"].as_i64();
        self.log_groups.push(LogGroup { input, retention_days });
    }

    /// Whether it is carried. `services`: those that run it.
    fn definition(&mut self, described: &Value, arn: &str, services: &[&Value]) -> bool {
        let definition = &described["taskDefinition"];
        let family = text(definition, "family");
        if !self.is_name("task definition", family, is_ecs_name) {
            return false;
        }
        if !is_revision_arn(arn, family) {
            self.leave_whole(format!("task definition {family}"), "it has no ARN that AWS gives");
            return false;
        }
        let mut input = picked(definition, &DEFINITION_INPUTS);
        merge(&mut input, &picked(definition, &DEFINITION_INPUTS_LATER));
        set_tags(&mut input, described);
        for (member, value) in definition.as_object().into_iter().flatten() {
            let is_known = [&DEFINITION_INPUTS[..], &DEFINITION_INPUTS_LATER, &DEFINITION_OUTPUTS]
                .iter()
                .any(|names| names.contains(&member.as_str()));
            if !is_known && is_used(value) {
                let what = format!("task definition {}: {member:?}", name_of(arn));
                self.leave(what, "this version does not know it");
            }
        }
        let is_for_fargate = list(definition, "requiresCompatibilities")
            .contains(&json!("FARGATE"))
            || services.iter().any(|service| runs_on_fargate(service));
        let needs_role = is_for_fargate && text(definition, "executionRoleArn").is_empty();
        self.canonical_images(&mut input, name_of(arn), needs_role);
        self.steps.push(Step::Register { arn: arn.to_owned(), input });
        true
    }

    /// Has images of the registry there named as AWS names it, wherever their host is reached. `needs_role`: with that name
    /// Fargate refuses them, since the definition has no execution role.
    fn canonical_images(&mut self, input: &mut Value, definition: &str, needs_role: bool) {
        let registry = self.place.registry();
        let containers = input.get_mut("containerDefinitions").and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let image = text(container, "image").to_owned();
            let Some((host, rest)) = image.split_once('/') else { continue };
            if self.place.registries.iter().any(|own| own == host) {
                container["image"] = json!(format!("{registry}/{rest}"));
                if needs_role {
                    self.leave(format!("task definition {definition}: image {image:?}"), NO_ROLE);
                }
            } else if host != registry && host.contains(".dkr.ecr.") {
                let why =
                    "the registry of another account or region; nothing here has a password for it";
                self.leave(format!("task definition {definition}: image {image:?}"), why);
            }
        }
    }

    fn service(&mut self, described: &Value) {
        let (name, subject) = (text(described, "serviceName"), subject(described));
        let cluster = name_of(text(described, "clusterArn")).to_owned();
        let is_named = self.is_name("service", name, is_ecs_name)
            && self.is_name("cluster of a service", &cluster, is_ecs_name);
        if !is_named {
            return;
        }
        if text(described, "schedulingStrategy") == "DAEMON" {
            return self.leave_whole(subject, "DAEMON services are not built yet");
        }
        let controller = text(&described["deploymentController"], "type");
        if !["", "ECS"].contains(&controller) {
            self.leave(
                format!("{subject}: deploymentController {controller:?}"),
                "rolling updates by ECS instead",
            );
        }
        let mut input = picked(described, &SERVICE_INPUTS);
        for member in ["placementConstraints", "placementStrategy"] {
            if is_used(&described[member]) {
                input[member] = described[member].clone();
            }
        }
        set_tags(&mut input, described);
        let deployments = list(described, "deployments").iter();
        let primary = deployments.clone().find(|one| text(one, "status") == "PRIMARY");
        for (member, why) in SERVICE_LEFT {
            let of_deployment = primary.is_some_and(|deployment| is_used(&deployment[member]));
            if is_used(&described[member]) || of_deployment {
                self.leave(format!("{subject}: {member}"), why);
            }
        }
        if let Some(configuration) = described["deploymentConfiguration"].as_object() {
            input["deploymentConfiguration"] = self.deployment(configuration, &subject);
        }
        self.strategy(described, &mut input, &subject);
        self.steps.push(Step::Service { cluster, input });
    }

    fn deployment(&mut self, described: &Map<String, Value>, subject: &str) -> Value {
        let mut input = json!({});
        for (member, value) in described {
            if DEPLOYMENT_INPUTS.contains(&member.as_str()) {
                input[member] = value.clone();
            } else if member == "deploymentCircuitBreaker" {
                input[member] = circuit_breaker(value);
            } else if member == "lifecycleHooks" {
                let is_pause = |hook: &&Value| text(hook, "targetType") == "PAUSE";
                let (pauses, others): (Vec<_>, Vec<_>) =
                    value.as_array().into_iter().flatten().partition(is_pause);
                if !pauses.is_empty() {
                    input[member] = json!(pauses);
                }
                if !others.is_empty() {
                    self.leave(format!("{subject}: lifecycle hooks of Lambda"), NOT_BUILT);
                }
            } else if STAGE_INPUTS.contains(&member.as_str()) {
                if is_used(value) && value != "ROLLING" {
                    input[member] = value.clone();
                }
            } else if is_used(value) {
                self.leave(format!("{subject}: deploymentConfiguration.{member}"), NOT_BUILT);
            }
        }
        input
    }

    /// One provider of Fargate goes as it is; several become what they have in common.
    fn strategy(&mut self, described: &Value, input: &mut Value, subject: &str) {
        let strategy = list(described, "capacityProviderStrategy");
        if strategy.is_empty() {
            return;
        }
        let provider = |item: &Value| text(item, "capacityProvider").to_owned();
        let is_fargate = strategy.iter().all(|item| FARGATE.contains(&provider(item).as_str()));
        if let Some(members) = input.as_object_mut() {
            members.remove("launchType");
        }
        if is_fargate && strategy.len() == 1 {
            input["capacityProviderStrategy"] = json!(strategy);
            return;
        }
        let launch_type = if is_fargate { "FARGATE" } else { "EC2" };
        input["launchType"] = json!(launch_type);
        if !is_fargate && let Some(members) = input.as_object_mut() {
            members.remove("platformVersion");
        }
        let why = format!("launchType {launch_type} instead");
        self.leave(format!("{subject}: capacityProviderStrategy"), why);
    }
}

/// These members, where they are there.
/// Without what it has unless something else is said: older clients do not know it.
fn circuit_breaker(described: &Value) -> Value {
    let mut input = picked(described, &["enable", "rollback"]);
    let threshold = &described["thresholdConfiguration"];
    if is_used(threshold) && *threshold != json!({ "type": "BOUNDED_PERCENT", "value": 50 }) {
        input["thresholdConfiguration"] = threshold.clone();
    }
    if described["resetOnHealthyTask"] == false {
        input["resetOnHealthyTask"] = json!(false);
    }
    input
}

fn picked(described: &Value, members: &[&str]) -> Value {
    let mut input = json!({});
    for member in members {
        if !described[*member].is_null() {
            input[*member] = described[*member].clone();
        }
    }
    input
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// AWS's own tags nobody may set.
fn set_tags(input: &mut Value, described: &Value) {
    // ECR's answers have `Key`, its inputs too; ECS has `key`.
    let key = |tag: &Value| format!("{}{}", text(tag, "key"), text(tag, "Key"));
    let own = list(described, "tags").iter().filter(|tag| {
        let key = key(tag);
        !key.starts_with("aws:") && key != SOURCE_TAG
    });
    let own: Vec<&Value> = own.collect();
    if !own.is_empty() {
        input["tags"] = json!(own);
    }
}

/// Whether it asks for anything: not null, false, 0 or empty, nor made of such.
pub fn is_used(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(is_used),
        Value::Bool(true) => true,
    }
}
