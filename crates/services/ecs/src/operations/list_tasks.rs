//! `ListTasks`: the ARNs of a cluster's tasks, by what is wanted of them.

use std::ops::Bound;

use outport_aws_ecs::{DesiredStatus, ListTasksRequest, ListTasksResponse};
use outport_identity::{Call, Question};
use outport_model::task_definition::LaunchType;
use outport_model::{Arn, ClusterName, ContainerInstanceId, Family, Scope, ServiceName, TaskId};
use outport_store::keys::ClusterKey;
use outport_store::{Tables, TaskFacet};

use crate::page::{self, PageRequest};
use crate::resource::Resource;
use crate::{EcsService, Rejection, access, lookup, names};

const PAGE_MAX: usize = 100;

pub async fn list_tasks(
    service: &EcsService,
    call: &Call,
    input: ListTasksRequest,
) -> Result<ListTasksResponse, Rejection> {
    let scope = access::scope(call);
    let cluster = names::cluster(&scope, input.cluster.as_deref())?;
    let request =
        PageRequest::parse(input.max_results, input.next_token.as_deref(), PAGE_MAX, PAGE_MAX)?;
    let filter = Filter::parse(&scope, &cluster, &input)?;
    let ask = |tables: &Tables| filter.question(tables, &scope, &cluster).into();
    let (tables, ()) = service.store.read(call, ask)?;
    lookup::active_cluster(&tables, &scope, &cluster)?;
    if let Some(name) = &filter.service
        && lookup::service(&tables, &scope, &cluster, name).is_none()
    {
        return Err(Rejection::ServiceNotFound);
    }
    let desired = match input.desired_status {
        Some(DesiredStatus::Stopped) => outport_model::DesiredStatus::Stopped,
        Some(DesiredStatus::Running) | None => outport_model::DesiredStatus::Running,
        // No task is ever wanted to be PENDING.
        Some(DesiredStatus::Pending) => {
            return Ok(ListTasksResponse { task_arns: Some(Vec::new()), next_token: None });
        }
    };
    let key = ClusterKey::new(&scope, cluster);
    let none = || ListTasksResponse { task_arns: Some(Vec::new()), next_token: None };
    let Some(facets) = filter.facets() else { return Ok(none()) };
    let set_of = |facet| tables.tasks.with_facet(&key, desired, facet);
    let mut found: Vec<_> = facets.into_iter().map(set_of).collect();
    // Along the one that fewest tasks have. No row is looked at: a page costs the same whatever else there is.
    found.sort_by_key(|ids| ids.len());
    let Some((fewest, others)) = found.split_first() else { return Ok(none()) };
    let start = request.start(TaskId::new(""), |id| Some(TaskId::new(id)));
    let start = start.ok_or_else(page::invalid_token)?;
    let ids = fewest.range((start, Bound::Unbounded));
    let listed = ids
        .filter(|id| others.iter().all(|ids| ids.contains(*id)))
        .map(|id| (id.to_string(), Arn::task(&scope, &key.cluster, id).to_string()));
    let page = request.take(listed);
    Ok(ListTasksResponse { task_arns: Some(page.items), next_token: page.next_token })
}

struct Filter {
    container_instance: Option<ContainerInstanceId>,
    family: Option<String>,
    started_by: Option<String>,
    service: Option<ServiceName>,
    launch_type: Option<outport_aws_ecs::LaunchType>,
}

impl Filter {
    fn parse(
        scope: &Scope,
        cluster: &ClusterName,
        input: &ListTasksRequest,
    ) -> Result<Self, Rejection> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if named(&input.daemon_name).is_some() {
            return Err(Rejection::not_built("daemonName"));
        }
        let others = [&input.container_instance, &input.family, &input.service_name];
        if named(&input.started_by).is_some()
            && others.into_iter().any(|other| named(other).is_some())
        {
            return Err(Rejection::invalid_parameter("startedBy must be the only filter."));
        }
        let instance = match named(&input.container_instance) {
            Some(text) => {
                names::container_instance(scope, cluster, &text)?.map(Some).ok_or_else(|| {
                    Rejection::invalid_parameter("The referenced container instance was not found.")
                })?
            }
            None => None,
        };
        let service = match named(&input.service_name) {
            Some(text) => names::service(scope, cluster, &text)?
                .map(Some)
                .ok_or(Rejection::ServiceNotFound)?,
            None => None,
        };
        Ok(Self {
            container_instance: instance,
            family: named(&input.family),
            started_by: named(&input.started_by),
            service,
            launch_type: input.launch_type,
        })
    }

    /// One for each filter that is given; the one that every task has if none is. `None`: no task passes.
    fn facets(&self) -> Option<Vec<TaskFacet>> {
        let launch_type = match self.launch_type {
            // Of one that no task here has there are none.
            Some(wanted) => {
                let mut all =
                    [LaunchType::Ec2, LaunchType::Fargate, LaunchType::External].into_iter();
                Some(all.find(|kind| kind.as_str() == wanted.as_str())?)
            }
            None => None,
        };
        let given = [
            self.container_instance.clone().map(TaskFacet::ContainerInstance),
            self.service.clone().map(TaskFacet::Service),
            self.started_by.clone().map(TaskFacet::StartedBy),
            self.family.as_ref().map(|name| TaskFacet::Family(Family::new(name))),
            launch_type.map(TaskFacet::LaunchType),
        ];
        let facets: Vec<TaskFacet> = given.into_iter().flatten().collect();
        Some(if facets.is_empty() { vec![TaskFacet::Any] } else { facets })
    }

    /// AWS asks about the container instance that the tasks are on; without one, about all of the cluster.
    fn question(&self, tables: &Tables, scope: &Scope, cluster: &ClusterName) -> Question {
        let action = "ecs:ListTasks";
        match &self.container_instance {
            Some(id) => Resource::container_instance(scope, cluster, id).question(tables, action),
            None => {
                let every = Arn::of("ecs", scope, format!("container-instance/{cluster}/*"));
                access::in_cluster(Question::new(action, every.to_string()), scope, cluster)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn lists_by_desired_status_and_family() {
        let world = World::with_node(4096, 8192);
        let app = world.run("app").await;
        let job = world.run("job").await;
        for (input, expected) in [
            (json!({"family": "app"}), json!([app])),
            (json!({"family": "job", "launchType": "FARGATE"}), json!([job])),
            (json!({"family": "job", "launchType": "EC2"}), json!([])),
            (json!({"launchType": "MANAGED_INSTANCES"}), json!([])),
            (json!({"launchType": "FARGATE", "startedBy": "nobody"}), json!([])),
            (json!({"startedBy": "nobody"}), json!([])),
            (json!({"desiredStatus": "STOPPED"}), json!([])),
            (json!({"desiredStatus": "PENDING"}), json!([])),
        ] {
            world.check("ListTasks", input, json!({"taskArns": expected})).await;
        }
        // A task that stops is listed under STOPPED at once.
        world.call("StopTask", json!({"task": app})).await;
        world.check("ListTasks", json!({}), json!({"taskArns": [job]})).await;
        world
            .check("ListTasks", json!({"desiredStatus": "STOPPED"}), json!({"taskArns": [app]}))
            .await;
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        let message = "Service not found.";
        world
            .refuses("ListTasks", json!({"serviceName": "x"}), "ServiceNotFoundException", message)
            .await;
        let message = "Cluster not found.";
        world
            .refuses("ListTasks", json!({"cluster": "x"}), "ClusterNotFoundException", message)
            .await;
        let message = "startedBy must be the only filter.";
        world
            .refuses(
                "ListTasks",
                json!({"startedBy": "x", "family": "y"}),
                "InvalidParameterException",
                message,
            )
            .await;
    }
}
