//! The resources that permissions are about and that carry tags, by what a request names.

use outport_identity::{Question, Subject};
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::TaskDefinition;
use outport_model::{
    Arn, ClusterName, ContainerInstanceId, Family, Revision, Scope, ServiceName, Tags, TaskId,
};
use outport_store::keys::{
    ClusterKey, ContainerInstanceKey, ServiceKey, TaskDefinitionKey, TaskKey,
};
use outport_store::{Tables, Transaction};

use crate::rejection::Rejection;

/// One of them, existing or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Cluster(ClusterKey),
    TaskDefinition(TaskDefinitionKey),
    Service(ServiceKey),
    Task(TaskKey),
    ContainerInstance(ContainerInstanceKey),
}

impl Resource {
    pub fn cluster(scope: &Scope, name: &ClusterName) -> Self {
        Self::Cluster(ClusterKey::new(scope, name.clone()))
    }
    pub fn task_definition(scope: &Scope, family: &Family, revision: Revision) -> Self {
        Self::TaskDefinition(TaskDefinitionKey::new(scope, family.clone(), revision))
    }
    pub fn service(scope: &Scope, cluster: &ClusterName, name: &ServiceName) -> Self {
        Self::Service(ServiceKey::new(scope, cluster.clone(), name.clone()))
    }
    pub fn task(scope: &Scope, cluster: &ClusterName, id: &TaskId) -> Self {
        Self::Task(TaskKey::new(scope, cluster.clone(), id.clone()))
    }
    pub fn container_instance(
        scope: &Scope,
        cluster: &ClusterName,
        id: &ContainerInstanceId,
    ) -> Self {
        Self::ContainerInstance(ContainerInstanceKey::new(scope, cluster.clone(), id.clone()))
    }

    /// Reads an ARN of this account and region.
    ///
    /// # Errors
    /// `InvalidParameterException` for what is no such ARN, or of a kind that carries no tags here.
    pub fn parse(scope: &Scope, text: &str) -> Result<Self, Rejection> {
        let invalid = || Rejection::invalid_parameter("The ARN provided is invalid.");
        let arn = Arn::parse(text).filter(|arn| arn.service() == "ecs" && arn.is_in(scope));
        let arn = arn.ok_or_else(invalid)?;
        let parts: Vec<&str> = arn.resource().split('/').collect();
        match parts[..] {
            ["cluster", name] => Ok(Self::cluster(scope, &ClusterName::new(name))),
            ["task-definition", name] => {
                let (family, revision) = name.split_once(':').ok_or_else(invalid)?;
                let revision: u32 = revision.parse().map_err(|_| invalid())?;
                Ok(Self::task_definition(scope, &Family::new(family), revision))
            }
            ["service", cluster, name] => {
                Ok(Self::service(scope, &ClusterName::new(cluster), &ServiceName::new(name)))
            }
            ["task", cluster, id] => {
                Ok(Self::task(scope, &ClusterName::new(cluster), &TaskId::new(id)))
            }
            ["container-instance", cluster, id] => {
                let (cluster, id) = (ClusterName::new(cluster), ContainerInstanceId::new(id));
                Ok(Self::container_instance(scope, &cluster, &id))
            }
            _ => Err(invalid()),
        }
    }

    pub fn arn(&self) -> Arn {
        match self {
            Self::Cluster(key) => Arn::cluster(&key.scope, &key.cluster),
            Self::TaskDefinition(key) => {
                Arn::task_definition(&key.scope, &key.family, key.revision)
            }
            Self::Service(key) => Arn::service_of(&key.scope, &key.cluster, &key.service),
            Self::Task(key) => Arn::task(&key.scope, &key.cluster, &key.task),
            Self::ContainerInstance(key) => {
                Arn::container_instance(&key.scope, &key.cluster, &key.id)
            }
        }
    }

    /// May the caller do `action` to it? With the condition keys that its kind brings: its tags, under both of their
    /// names, and the cluster that it is in.
    ///
    /// Source: "Resource types defined by Amazon Elastic Container Service" in the Service Authorization Reference.
    pub fn question(&self, tables: &Tables, action: &'static str) -> Question {
        self.question_of(action, self.tags_in(tables).as_ref())
    }

    /// The same, of one that was looked up: its tags, or nothing when it is not there.
    pub fn question_of(&self, action: &'static str, tags: Option<&Tags>) -> Question {
        let question = Question::new(action, self.arn().into_string());
        let question = question.with_optional("ecs:cluster", self.cluster_arn());
        match tags {
            Some(tags) => question.with_resource_tags_of("ecs", tags),
            None => question,
        }
    }

    /// The same about each of several; about everything of the kind `every` when there are none.
    pub fn questions<'a>(
        tables: &Tables,
        action: &'static str,
        resources: impl IntoIterator<Item = &'a Self>,
        every: &Arn,
    ) -> Subject<()> {
        let questions = resources.into_iter().map(|resource| resource.question(tables, action));
        Subject::about((), questions.collect(), Question::new(action, every.to_string()))
    }

    /// Of the cluster that it is in.
    fn cluster_arn(&self) -> Option<String> {
        let (scope, cluster) = match self {
            Self::Cluster(_) | Self::TaskDefinition(_) => return None,
            Self::Service(key) => (&key.scope, &key.cluster),
            Self::Task(key) => (&key.scope, &key.cluster),
            Self::ContainerInstance(key) => (&key.scope, &key.cluster),
        };
        Some(Arn::cluster(scope, cluster).into_string())
    }

    /// The tags that it carries.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, for clusters `ClusterNotFoundException`.
    pub fn tags(&self, tables: &Tables) -> Result<Tags, Rejection> {
        self.tags_in(tables).ok_or_else(|| self.not_found())
    }

    fn tags_in(&self, tables: &Tables) -> Option<Tags> {
        match self {
            Self::Cluster(key) => tables.clusters.get(key).map(|row| row.tags.clone()),
            Self::TaskDefinition(key) => {
                tables.task_definitions.get(key).map(|row| row.tags.clone())
            }
            Self::Service(key) => tables.services.get(key).map(|row| row.tags.clone()),
            Self::Task(key) => tables.tasks.get(key).map(|row| row.tags.clone()),
            Self::ContainerInstance(key) => {
                tables.container_instances.get(key).map(|row| row.tags.clone())
            }
        }
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
    /// As [`Resource::tags`].
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
