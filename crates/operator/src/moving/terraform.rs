//! Files for Terraform, in its JSON syntax.
//!
//! What differs between the places where it may go is a variable: account, region, subnets and security groups. The blocks
//! that adopt what is there already stand apart, for the side that it came from.
//!
//! **Invariant:** pure. Of a text that is read nothing is a template: `${` and `%{` are escaped before variables are set in.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Left;
use super::cli::File;
use super::elsewhere::moved;
use super::inputs::{Inputs, Place, Policy, PolicyKind, Step};
use super::names::plain;
use crate::value::{list, text};

/// Maps of a definition whose keys are the user's, not the schema's.
const USER_KEYS: [&str; 2] = ["driver_opts", "labels"];

#[derive(Default)]
struct Module {
    resources: Map<String, Value>,
    imports: Vec<Value>,
    labels: BTreeSet<String>,
    /// Ids of subnets and security groups.
    networks: BTreeSet<String>,
}

/// `main.tf.json`, and `adopt/imports.tf.json` for the side that it was exported from.
pub fn files(inputs: &Inputs) -> Vec<File> {
    let mut module = Module::default();
    for cluster in &inputs.clusters {
        module.cluster(&escaped(cluster));
    }
    for repository in &inputs.repositories {
        module.repository(&escaped(repository));
    }
    for Policy { kind, input } in &inputs.policies {
        let mut input = escaped(input);
        moved(&mut input, &inputs.place, &variables());
        module.policy(*kind, &input);
    }
    for group in &inputs.log_groups {
        module.log_group(&escaped(&group.input), group.retention_days);
    }
    module.steps(inputs);
    let networks: Map<String, Value> =
        module.networks.iter().map(|id| (id.clone(), json!(id))).collect();
    let variable = |kind: &str, default: Value, description: &str| json!({ "type": kind, "default": default, "description": description });
    let main = json!({
        "terraform": {
            "required_version": ">= 1.5",
            "required_providers": { "aws": { "source": "hashicorp/aws", "version": ">= 5.0" } },
        },
        "variable": {
            "account": variable("string", json!(inputs.place.account), "Whose registry and roles are meant"),
            "region": variable("string", json!(inputs.place.region), "Of the registry and the logs"),
            "networks": variable("map(string)", networks.into(), "For each subnet and security group that was exported, the one to use"),
        },
        "resource": module.resources,
    });
    vec![
        File::json("main.tf.json", &main),
        File::json("adopt/imports.tf.json", &json!({ "import": module.imports })),
    ]
}

/// The place where it goes, as far as it is known there only.
fn variables() -> Place {
    Place {
        account: "${var.account}".to_owned(),
        region: "${var.region}".to_owned(),
        registries: Vec::new(),
    }
}

impl Module {
    /// Adds a resource with a label of its own; what refers to it.
    fn add(&mut self, kind: &str, name: &str, import: &str, arguments: Value) -> String {
        let stem = plain(name);
        let stem = stem.trim_start_matches('_');
        let is_begun = stem.starts_with(|c: char| c.is_ascii_alphabetic());
        let stem = format!("{}{stem}", if is_begun { "" } else { "_" });
        let label =
            |number: usize| if number == 1 { stem.clone() } else { format!("{stem}_{number}") };
        let mut labels = (1..).map(label);
        let label = labels.find(|label| self.labels.insert(format!("{kind}.{label}")));
        let label = label.unwrap_or_default();
        let address = format!("{kind}.{label}");
        if !import.is_empty() {
            self.imports.push(json!({ "to": address, "id": import }));
        }
        let of_kind = self.resources.entry(kind).or_insert_with(|| json!({}));
        of_kind[label] = arguments;
        address
    }

    fn cluster(&mut self, input: &Value) {
        let name = text(input, "clusterName");
        let mut cluster = json!({ "name": name, "setting": list(input, "settings") });
        set_tags(&mut cluster, input);
        let address = self.add("aws_ecs_cluster", name, name, cluster);
        let providers = list(input, "capacityProviders");
        if !providers.is_empty() {
            let strategy = list(input, "defaultCapacityProviderStrategy");
            let strategy: Vec<Value> = strategy.iter().map(snake).collect();
            let arguments = json!({
                "cluster_name": reference(&address, "name"),
                "capacity_providers": providers,
                "default_capacity_provider_strategy": strategy,
            });
            self.add("aws_ecs_cluster_capacity_providers", name, name, arguments);
        }
    }

    fn repository(&mut self, input: &Value) {
        let name = text(input, "repositoryName");
        let mut repository = json!({ "name": name });
        if let Some(mutability) = input["imageTagMutability"].as_str() {
            repository["image_tag_mutability"] = json!(mutability);
        }
        let exclusions = list(input, "imageTagMutabilityExclusionFilters");
        if !exclusions.is_empty() {
            let exclusions: Vec<Value> = exclusions.iter().map(snake).collect();
            repository["image_tag_mutability_exclusion_filter"] = json!(exclusions);
        }
        if !input["imageScanningConfiguration"].is_null() {
            repository["image_scanning_configuration"] =
                json!([snake(&input["imageScanningConfiguration"])]);
        }
        set_tags(&mut repository, input);
        self.add("aws_ecr_repository", name, name, repository);
    }

    fn policy(&mut self, kind: PolicyKind, input: &Value) {
        let name = text(input, "repositoryName");
        let of_kind = self.resources.get("aws_ecr_repository").and_then(Value::as_object);
        let label = of_kind.into_iter().flatten().find(|(_, made)| made["name"] == name);
        let address = format!("aws_ecr_repository.{}", label.map_or("", |(label, _)| label));
        let policy = json!({
            "repository": reference(&address, "name"),
            "policy": input[kind.member()],
        });
        let resource = match kind {
            PolicyKind::Repository => "aws_ecr_repository_policy",
            PolicyKind::Lifecycle => "aws_ecr_lifecycle_policy",
        };
        self.add(resource, name, name, policy);
    }

    fn log_group(&mut self, input: &Value, retention_days: Option<i64>) {
        let name = text(input, "logGroupName");
        let mut group = json!({ "name": name });
        if let Some(class) = input["logGroupClass"].as_str() {
            group["log_group_class"] = json!(class);
        }
        if let Some(days) = retention_days {
            group["retention_in_days"] = json!(days);
        }
        if input["tags"].is_object() {
            group["tags"] = input["tags"].clone();
        }
        self.add("aws_cloudwatch_log_group", name, name, group);
    }

    fn steps(&mut self, inputs: &Inputs) {
        let variables = variables();
        let (mut address, mut family) = (String::new(), "");
        for step in &inputs.steps {
            match step {
                Step::Register { arn, input } => {
                    let before = if family == text(input, "family") { &address } else { "" };
                    family = text(input, "family");
                    let mut input = escaped(input);
                    moved(&mut input, &inputs.place, &variables);
                    let mut definition = task_definition(&input);
                    if !before.is_empty() {
                        // Revisions are numbered as they are made.
                        definition["depends_on"] = json!([before]);
                    }
                    address = self.add("aws_ecs_task_definition", family, arn, definition);
                }
                Step::Service { cluster, input } => {
                    self.service(cluster, &address, &escaped(input))
                }
            }
        }
    }

    fn service(&mut self, cluster: &str, definition: &str, input: &Value) {
        let name = text(input, "serviceName");
        let mut service = json!({
            "name": name,
            "cluster": reference(&self.cluster_address(cluster), "arn"),
            // Not the ARN: this is what the provider reads of a service that it adopts, and its plan is then clean.
            "task_definition": format!(
                "{}:{}", reference(definition, "family"), reference(definition, "revision")
            ),
            "desired_count": input["desiredCount"],
        });
        for (member, argument) in [
            ("launchType", "launch_type"),
            ("platformVersion", "platform_version"),
            ("healthCheckGracePeriodSeconds", "health_check_grace_period_seconds"),
            ("enableECSManagedTags", "enable_ecs_managed_tags"),
            ("availabilityZoneRebalancing", "availability_zone_rebalancing"),
        ] {
            if !input[member].is_null() {
                service[argument] = input[member].clone();
            }
        }
        if !["", "NONE"].contains(&text(input, "propagateTags")) {
            service["propagate_tags"] = input["propagateTags"].clone();
        }
        let strategy: Vec<Value> =
            list(input, "capacityProviderStrategy").iter().map(snake).collect();
        if !strategy.is_empty() {
            service["capacity_provider_strategy"] = json!(strategy);
        }
        for (member, block) in [
            ("placementConstraints", "placement_constraints"),
            ("placementStrategy", "ordered_placement_strategy"),
        ] {
            if !list(input, member).is_empty() {
                service[block] = input[member].clone();
            }
        }
        let deployment = &input["deploymentConfiguration"];
        for (member, argument) in [
            ("maximumPercent", "deployment_maximum_percent"),
            ("minimumHealthyPercent", "deployment_minimum_healthy_percent"),
        ] {
            if !deployment[member].is_null() {
                service[argument] = deployment[member].clone();
            }
        }
        let breaker = &deployment["deploymentCircuitBreaker"];
        if breaker.is_object() {
            service["deployment_circuit_breaker"] =
                json!([{ "enable": breaker["enable"], "rollback": breaker["rollback"] }]);
        }
        if deployment["strategy"].is_string() {
            service["deployment_configuration"] = json!([stages(deployment)]);
        }
        if input["networkConfiguration"]["awsvpcConfiguration"].is_object() {
            service["network_configuration"] =
                json!([self.network(&input["networkConfiguration"]["awsvpcConfiguration"])]);
        }
        set_tags(&mut service, input);
        self.add("aws_ecs_service", name, &format!("{cluster}/{name}"), service);
    }

    fn cluster_address(&self, cluster: &str) -> String {
        let clusters = self.resources.get("aws_ecs_cluster").and_then(Value::as_object);
        let named = clusters.into_iter().flatten().find(|(_, made)| made["name"] == cluster);
        format!("aws_ecs_cluster.{}", named.map_or("default", |(label, _)| label))
    }

    fn network(&mut self, awsvpc: &Value) -> Value {
        let mut ids = |member: &str| -> Vec<String> {
            let ids = list(awsvpc, member).iter().filter_map(Value::as_str);
            // An id that is none has no place in a template.
            let ids = ids.map(|id| plain(id).replace('_', "-"));
            ids.inspect(|id| {
                self.networks.insert(id.clone());
            })
            .map(|id| format!("${{var.networks[\"{id}\"]}}"))
            .collect()
        };
        json!({
            "subnets": ids("subnets"),
            "security_groups": ids("securityGroups"),
            "assign_public_ip": text(awsvpc, "assignPublicIp") == "ENABLED",
        })
    }
}

fn task_definition(input: &Value) -> Value {
    let mut definition = json!({ "family": input["family"] });
    // The provider compares it with what is there, as JSON.
    definition["container_definitions"] = json!(input["containerDefinitions"].to_string());
    for (member, argument) in [
        ("taskRoleArn", "task_role_arn"),
        ("executionRoleArn", "execution_role_arn"),
        ("networkMode", "network_mode"),
        ("cpu", "cpu"),
        ("memory", "memory"),
        ("pidMode", "pid_mode"),
        ("ipcMode", "ipc_mode"),
        ("requiresCompatibilities", "requires_compatibilities"),
        ("enableFaultInjection", "enable_fault_injection"),
    ] {
        if !input[member].is_null() {
            definition[argument] = input[member].clone();
        }
    }
    if input["ephemeralStorage"].is_object() {
        let size = &input["ephemeralStorage"]["sizeInGiB"];
        definition["ephemeral_storage"] = json!([{ "size_in_gib": size }]);
    }
    if input["runtimePlatform"].is_object() {
        definition["runtime_platform"] = json!([snake(&input["runtimePlatform"])]);
    }
    let volumes: Vec<Value> = list(input, "volumes").iter().map(volume).collect();
    if !volumes.is_empty() {
        definition["volume"] = json!(volumes);
    }
    let constraints = list(input, "placementConstraints");
    if !constraints.is_empty() {
        definition["placement_constraints"] = json!(constraints);
    }
    let proxy = &input["proxyConfiguration"];
    if proxy.is_object() {
        let properties = list(proxy, "properties").iter();
        let properties: Map<String, Value> =
            properties.map(|one| (text(one, "name").to_owned(), one["value"].clone())).collect();
        let (kind, container) = (&proxy["type"], &proxy["containerName"]);
        definition["proxy_configuration"] =
            json!([{ "type": kind, "container_name": container, "properties": properties }]);
    }
    set_tags(&mut definition, input);
    definition
}

fn volume(volume: &Value) -> Value {
    let mut block = json!({});
    for (member, value) in volume.as_object().into_iter().flatten() {
        match member.as_str() {
            "host" if value["sourcePath"].is_string() => {
                block["host_path"] = value["sourcePath"].clone();
            }
            "host" => {}
            "configuredAtLaunch" => block["configure_at_launch"] = value.clone(),
            _ if value.is_object() => block[snake_case(member)] = json!([nested(value)]),
            _ => block[snake_case(member)] = value.clone(),
        }
    }
    block
}

/// The only object within a volume's configuration that is no map is a block, too.
fn nested(value: &Value) -> Value {
    let mut value = snake(value);
    if value["authorization_config"].is_object() {
        value["authorization_config"] = json!([value["authorization_config"]]);
    }
    value
}

/// Members as arguments of the provider.
/// The block `deployment_configuration`, whose blocks are lists.
fn stages(deployment: &Value) -> Value {
    let mut block = json!({ "strategy": deployment["strategy"] });
    if !deployment["bakeTimeInMinutes"].is_null() {
        block["bake_time_in_minutes"] = deployment["bakeTimeInMinutes"].clone();
    }
    for (member, name) in [
        ("linearConfiguration", "linear_configuration"),
        ("canaryConfiguration", "canary_configuration"),
    ] {
        if deployment[member].is_object() {
            block[name] = json!([snake(&deployment[member])]);
        }
    }
    block
}

/// What of the services the provider has no arguments for.
pub fn left(inputs: &Inputs) -> Vec<Left> {
    let mut left = Vec::new();
    for step in &inputs.steps {
        let Step::Service { cluster, input } = step else { continue };
        let deployment = &input["deploymentConfiguration"];
        let breaker = &deployment["deploymentCircuitBreaker"];
        for (what, is_there) in [
            ("pauses of deployments", !list(deployment, "lifecycleHooks").is_empty()),
            ("earlySuccessCriteria", deployment["earlySuccessCriteria"].is_object()),
            ("circuit breaker thresholds", breaker["thresholdConfiguration"].is_object()),
            ("circuit breaker that does not reset", breaker["resetOnHealthyTask"] == false),
        ] {
            if is_there {
                let name = text(input, "serviceName");
                let what = format!("service {name} of {cluster}: {what}");
                left.push(Left::new(what, "Terraform's provider has no argument for it"));
            }
        }
    }
    left
}

fn snake(value: &Value) -> Value {
    let Some(members) = value.as_object() else { return value.clone() };
    let argument = |(member, value): (&String, &Value)| {
        let name = snake_case(member);
        let value = if USER_KEYS.contains(&name.as_str()) { value.clone() } else { snake(value) };
        (name, value)
    };
    members.iter().map(argument).collect::<Map<String, Value>>().into()
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, c| {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        snake
    })
}

fn reference(address: &str, attribute: &str) -> String {
    format!("${{{address}.{attribute}}}")
}

fn set_tags(arguments: &mut Value, input: &Value) {
    let either = |tag: &Value, lower: &str, upper: &str| match tag[lower].as_str() {
        Some(value) => value.to_owned(),
        None => text(tag, upper).to_owned(),
    };
    let tags = list(input, "tags").iter();
    let tags: Map<String, Value> =
        tags.map(|tag| (either(tag, "key", "Key"), json!(either(tag, "value", "Value")))).collect();
    if !tags.is_empty() {
        arguments["tags"] = tags.into();
    }
}

/// With no template in any text, nor in any key.
fn escaped(value: &Value) -> Value {
    let plain = |text: &str| text.replace("${", "$${").replace("%{", "%%{");
    match value {
        Value::String(text) => json!(plain(text)),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (plain(name), escaped(value)));
            members.collect::<Map<String, Value>>().into()
        }
        other => other.clone(),
    }
}
