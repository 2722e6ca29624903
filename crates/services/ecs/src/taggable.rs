//! The resources that carry tags, by their ARN.

use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::TaskDefinition;
use outport_model::{
    Arn, ClusterName, ContainerInstanceId, Family, Scope, ServiceName, Tags, TaskId,
};
use outport_store::keys::{
    ClusterKey, ContainerInstanceKey, ServiceKey, TaskDefinitionKey, TaskKey,
};
use outport_store::{Tables, Transaction};

use crate::rejection::Rejection;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taggable {
    Cluster(ClusterKey),
    TaskDefinition(TaskDefinitionKey),
    Service(ServiceKey),
    Task(TaskKey),
    ContainerInstance(ContainerInstanceKey),
}

impl Taggable {
    /// Reads an ARN of this account and region.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is no such ARN, or of a kind that carries no tags here.
    pub fn parse(scope: &Scope, text: &str) -> Result<Self, Rejection> {
        let invalid = || Rejection::invalid_parameter("The ARN provided is invalid.");
        let arn = Arn::parse(text).filter(|arn| arn.service == "ecs" && arn.is_in(scope));
        let arn = arn.ok_or_else(invalid)?;
        let parts: Vec<&str> = arn.resource.split('/').collect();
        match parts[..] {
            ["cluster", name] => Ok(Self::Cluster(ClusterKey::new(scope, ClusterName::new(name)))),
            ["task-definition", name] => {
                let (family, revision) = name.split_once(':').ok_or_else(invalid)?;
                let revision: u32 = revision.parse().map_err(|_| invalid())?;
                Ok(Self::TaskDefinition(TaskDefinitionKey::new(
                    scope,
                    Family::new(family),
                    revision,
                )))
            }
            ["service", cluster, name] => Ok(Self::Service(ServiceKey::new(
                scope,
                ClusterName::new(cluster),
                ServiceName::new(name),
            ))),
            ["task", cluster, id] => {
                Ok(Self::Task(TaskKey::new(scope, ClusterName::new(cluster), TaskId::new(id))))
            }
            ["container-instance", cluster, id] => {
                Ok(Self::ContainerInstance(ContainerInstanceKey::new(
                    scope,
                    ClusterName::new(cluster),
                    ContainerInstanceId::new(id),
                )))
            }
            _ => Err(invalid()),
        }
    }

    /// The tags that it carries.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, for clusters `ClusterNotFoundException`.
    pub fn tags(&self, tables: &Tables) -> Result<Tags, Rejection> {
        let tags = match self {
            Self::Cluster(key) => tables.clusters.get(key).map(|row| row.tags.clone()),
            Self::TaskDefinition(key) => {
                tables.task_definitions.get(key).map(|row| row.tags.clone())
            }
            Self::Service(key) => tables.services.get(key).map(|row| row.tags.clone()),
            Self::Task(key) => tables.tasks.get(key).map(|row| row.tags.clone()),
            Self::ContainerInstance(key) => {
                tables.container_instances.get(key).map(|row| row.tags.clone())
            }
        };
        tags.ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> Rejection {
        let noun = match self {
            Self::Cluster(_) => return Rejection::ClusterNotFound,
            Self::TaskDefinition(_) => "task definition",
            Self::Service(_) => "service",
            Self::Task(_) => "task",
            Self::ContainerInstance(_) => "container instance",
        };
        Rejection::ResourceNotFound(format!("The specified {noun} was not found."))
    }

    /// Replaces the tags that it carries.
    ///
    /// # Errors
    /// As [`Taggable::tags`].
    pub fn set_tags(&self, tx: &mut Transaction<'_>, tags: Tags) -> Result<(), Rejection> {
        let is_there = match self {
            Self::Cluster(key) => tx.update::<Cluster>(key, |row| row.tags = tags),
            Self::TaskDefinition(key) => tx.update::<TaskDefinition>(key, |row| row.tags = tags),
            Self::Service(key) => tx.update::<Service>(key, |row| row.tags = tags),
            Self::Task(key) => tx.update::<Task>(key, |row| row.tags = tags),
            Self::ContainerInstance(key) => {
                tx.update::<ContainerInstance>(key, |row| row.tags = tags)
            }
        };
        if is_there { Ok(()) } else { Err(self.not_found()) }
    }
}
