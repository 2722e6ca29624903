//! A cluster, with the counts that the store keeps of what is in it.

use outport_aws_ecs as wire;
use outport_model::Arn;
use outport_model::cluster::Cluster;
use outport_model::task_definition::LaunchType;
use outport_store::keys::ClusterKey;
use outport_store::{ServiceCounts, Tables, TaskCounts};

use super::count;
use crate::{capacity_provider, tags};

/// What `include` asks for beyond names and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    pub attachments: bool,
    pub configurations: bool,
    pub settings: bool,
    pub statistics: bool,
    pub tags: bool,
}

impl Include {
    /// What the operations that change a cluster answer with.
    pub const ALL: Self = Self {
        attachments: true,
        configurations: true,
        settings: true,
        statistics: false,
        tags: true,
    };

    pub fn parse(fields: Option<&[wire::ClusterField]>) -> Self {
        let has = |field| fields.is_some_and(|fields| fields.contains(&field));
        Self {
            attachments: has(wire::ClusterField::Attachments),
            configurations: has(wire::ClusterField::Configurations),
            settings: has(wire::ClusterField::Settings),
            statistics: has(wire::ClusterField::Statistics),
            tags: has(wire::ClusterField::Tags),
        }
    }
}

/// A cluster as DescribeClusters shows it.
pub fn view(tables: &Tables, cluster: &Cluster, include: Include) -> wire::Cluster {
    let key = ClusterKey::new(&cluster.scope, cluster.name.clone());
    let counts = Counts::of(tables, &key);
    let registered = tables.container_instances.registered(&key);
    let read = |text: &Option<String>| text.clone().filter(|_| include.configurations);
    wire::Cluster {
        cluster_arn: Some(Arn::cluster(&cluster.scope, &cluster.name).to_string()),
        cluster_name: Some(cluster.name.to_string()),
        configuration: read(&cluster.configuration).and_then(|text| super::stored(&text)),
        status: Some(cluster.status.as_str().to_owned()),
        registered_container_instances_count: count(registered),
        running_tasks_count: count(counts.running.iter().sum()),
        pending_tasks_count: count(counts.pending.iter().sum()),
        active_services_count: count(counts.active_services.iter().sum()),
        statistics: Some(if include.statistics { counts.statistics() } else { Vec::new() }),
        tags: Some(if include.tags { tags::view(&cluster.tags) } else { Vec::new() }),
        settings: Some(if include.settings { settings(cluster) } else { Vec::new() }),
        capacity_providers: Some(cluster.capacity_providers.clone()),
        default_capacity_provider_strategy: Some(
            capacity_provider::default_strategy(cluster).unwrap_or_default(),
        ),
        attachments: include.attachments.then(Vec::new),
        attachments_status: None,
        service_connect_defaults: cluster
            .service_connect_defaults
            .as_deref()
            .and_then(super::stored),
    }
}

/// What was set, else what a cluster has that nobody said anything about, such as one that a node made.
fn settings(cluster: &Cluster) -> Vec<wire::ClusterSetting> {
    if cluster.settings.is_empty() {
        return vec![wire::ClusterSetting {
            name: Some(wire::ClusterSettingName::ContainerInsights),
            value: Some("disabled".to_owned()),
        }];
    }
    cluster
        .settings
        .iter()
        .map(|setting| wire::ClusterSetting {
            name: wire::ClusterSettingName::from_name(&setting.name),
            value: Some(setting.value.clone()),
        })
        .collect()
}

/// Tasks and services by launch type, in the order EC2, FARGATE, EXTERNAL.
#[derive(Default)]
struct Counts {
    running: [usize; 3],
    pending: [usize; 3],
    active_services: [usize; 3],
    draining_services: [usize; 3],
}

impl Counts {
    fn of(tables: &Tables, key: &ClusterKey) -> Self {
        let mut counts = Self::default();
        for launch_type in [LaunchType::Ec2, LaunchType::Fargate, LaunchType::External] {
            let TaskCounts { running, pending } = tables.tasks.counts(key, launch_type);
            counts.running[index(launch_type)] = running;
            counts.pending[index(launch_type)] = pending;
            let ServiceCounts { active, draining } = tables.services.counts(key, launch_type);
            counts.active_services[index(launch_type)] = active;
            counts.draining_services[index(launch_type)] = draining;
        }
        counts
    }

    fn statistics(&self) -> Vec<wire::KeyValuePair> {
        const NAMES: [&str; 3] = ["EC2", "Fargate", "External"];
        let rows = [
            ("running", "TasksCount", self.running),
            ("pending", "TasksCount", self.pending),
            ("active", "ServiceCount", self.active_services),
            ("draining", "ServiceCount", self.draining_services),
        ];
        let pair = |name: String, value: usize| wire::KeyValuePair {
            name: Some(name),
            value: Some(value.to_string()),
        };
        rows.iter()
            .flat_map(|(state, noun, values)| {
                NAMES
                    .iter()
                    .zip(values)
                    .map(move |(name, value)| pair(format!("{state}{name}{noun}"), *value))
            })
            .collect()
    }
}

fn index(launch_type: LaunchType) -> usize {
    match launch_type {
        LaunchType::Ec2 => 0,
        LaunchType::Fargate => 1,
        LaunchType::External => 2,
    }
}
