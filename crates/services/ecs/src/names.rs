//! Names and ARNs as callers write them, read at the edge.
//!
//! Wherever ECS takes a resource it takes its name or its ARN; an ARN that names another cluster than the
//! request is refused, as AWS does.

use outport_model::{Arn, ClusterName, DeploymentId, Family, Revision, Scope, ServiceName, TaskId};

use crate::rejection::Rejection;

/// The cluster of a request that names none.
pub const DEFAULT_CLUSTER: &str = "default";
/// The longest name of a cluster, service, family or container.
pub const NAME_LENGTH_MAX: usize = 255;
/// Ids of tasks and container instances: 32 hexadecimal digits, or a UUID as they were before the long ARNs.
const ID_LENGTHS: [usize; 2] = [32, 36];

/// Letters, digits, hyphens and underscores, 1 to 255 of them.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The cluster of a request: a name, an ARN, or nothing for `default`.
///
/// # Errors
/// `InvalidParameterException` for a name that cannot be one, `ClusterNotFoundException` for an ARN elsewhere.
pub fn cluster(scope: &Scope, text: Option<&str>) -> Result<ClusterName, Rejection> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(ClusterName::new(DEFAULT_CLUSTER));
    };
    let name = if text.starts_with("arn:") {
        let arn = parsed(text)?;
        let name = arn.resource().strip_prefix("cluster/").ok_or_else(invalid_arn)?.to_owned();
        if !arn.is_in(scope) {
            return Err(Rejection::ClusterNotFound);
        }
        name
    } else {
        text.to_owned()
    };
    cluster_name(&name)
}

/// # Errors
/// `InvalidParameterException` for a name that cannot be one.
pub fn cluster_name(name: &str) -> Result<ClusterName, Rejection> {
    if !is_name(name) {
        let text = format!("Cluster must match ^[a-zA-Z0-9\\-_]{{1,255}}$, but was {name}");
        return Err(Rejection::invalid_parameter(text));
    }
    Ok(ClusterName::new(name))
}

/// What is named by `family`, `family:revision` or an ARN of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefinitionName {
    pub family: Family,
    /// `None`: the newest ACTIVE one.
    pub revision: Option<Revision>,
}

/// Reads a task definition's name; `None` for an ARN of another account or region.
///
/// # Errors
/// `ClientException` for a family that cannot be one, `InvalidParameterException` for a revision that is no number.
pub fn task_definition(scope: &Scope, text: &str) -> Result<Option<TaskDefinitionName>, Rejection> {
    let name = if text.starts_with("arn:") {
        let arn = Arn::parse(text).ok_or_else(invalid_arn)?;
        if !arn.is_in(scope) {
            return Ok(None);
        }
        arn.resource().strip_prefix("task-definition/").ok_or_else(invalid_arn)?.to_owned()
    } else {
        text.to_owned()
    };
    let (family, revision) = match name.split_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (name.as_str(), None),
    };
    if !is_name(family) {
        return Err(Rejection::client("Family contains invalid characters."));
    }
    let revision = revision.map(revision_number).transpose()?;
    Ok(Some(TaskDefinitionName { family: Family::new(family), revision }))
}

fn revision_number(text: &str) -> Result<Revision, Rejection> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| {
        Rejection::invalid_parameter(format!("Invalid revision number. Number: {text}"))
    })
}

/// A resource below a cluster: its id or an ARN, long (`task/cluster/id`) or short (`task/id`).
/// `Ok(None)`: an ARN of another account or region, so not here.
fn below_cluster(
    scope: &Scope,
    cluster: &ClusterName,
    kind: &str,
    text: &str,
) -> Result<Option<String>, Rejection> {
    if !text.starts_with("arn:") {
        return match text.contains('/') {
            false => Ok(Some(text.to_owned())),
            true => Err(Rejection::invalid_parameter(
                "Invalid identifier: Unexpected number of separators",
            )),
        };
    }
    let arn = parsed(text)?;
    let rest = arn
        .resource()
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| unexpected_kind(&arn, kind))?;
    if !arn.is_in(scope) {
        return Ok(None);
    }
    match rest.split_once('/') {
        Some((_, id)) if id.contains('/') => {
            Err(Rejection::invalid_parameter("Invalid identifier: Unexpected number of separators"))
        }
        None => Ok(Some(rest.to_owned())),
        Some((named, id)) if named == cluster.as_str() => Ok(Some(id.to_owned())),
        Some((named, _)) => Err(Rejection::invalid_parameter(format!(
            "Invalid identifier: Identifier is for cluster {named}. Your cluster is {cluster}"
        ))),
    }
}

/// A task by id or ARN. `Ok(None)`: such a task cannot be here.
///
/// # Errors
/// `InvalidParameterException` for an ARN of another cluster or kind, and for an id that is too short or too long.
pub fn task(scope: &Scope, cluster: &ClusterName, text: &str) -> Result<Option<TaskId>, Rejection> {
    let Some(id) = below_cluster(scope, cluster, "task", text)? else {
        return Ok(None);
    };
    check_length("taskId", &id)?;
    Ok(Some(TaskId::new(id)))
}

/// AWS tells an id that cannot be one from one that is not there: scripts pass on `None` of a `--query`.
fn check_length(what: &str, id: &str) -> Result<(), Rejection> {
    if ID_LENGTHS.contains(&id.len()) {
        return Ok(());
    }
    let text = format!("{what} length should be one of [{},{}]", ID_LENGTHS[0], ID_LENGTHS[1]);
    Err(Rejection::invalid_parameter(text))
}

/// A service by name or ARN. `Ok(None)`: such a service cannot be here.
///
/// # Errors
/// `InvalidParameterException` for an ARN of another cluster or kind.
pub fn service(
    scope: &Scope,
    cluster: &ClusterName,
    text: &str,
) -> Result<Option<ServiceName>, Rejection> {
    Ok(below_cluster(scope, cluster, "service", text)?.map(ServiceName::new))
}

/// A container instance by id or ARN. `Ok(None)`: such an instance cannot be here.
///
/// # Errors
/// `InvalidParameterException` for an ARN of another cluster or kind, and for an id that is too short or too long.
pub fn container_instance(
    scope: &Scope,
    cluster: &ClusterName,
    text: &str,
) -> Result<Option<outport_model::ContainerInstanceId>, Rejection> {
    let Some(id) = below_cluster(scope, cluster, "container-instance", text)? else {
        return Ok(None);
    };
    check_length("instanceId", &id)?;
    Ok(Some(outport_model::ContainerInstanceId::new(id)))
}

/// What the ARN of a service deployment or a service revision names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BelowService {
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub id: String,
}

impl BelowService {
    /// Of a service revision.
    pub fn revision_id(&self) -> DeploymentId {
        DeploymentId::new(self.id.clone())
    }
}

/// Reads `<kind>/<cluster>/<service>/<id>`; only ARNs are taken. `Ok(None)`: not of this account and region.
///
/// # Errors
/// `InvalidParameterException` for anything else.
pub fn below_service(
    scope: &Scope,
    kind: &str,
    text: &str,
) -> Result<Option<BelowService>, Rejection> {
    let arn = parsed(text)?;
    let rest = arn
        .resource()
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| unexpected_kind(&arn, kind))?;
    let parts: Vec<&str> = rest.split('/').collect();
    let [cluster, service, id] = parts[..] else {
        return Err(invalid_arn());
    };
    Ok(arn.is_in(scope).then(|| BelowService {
        cluster: ClusterName::new(cluster),
        service: ServiceName::new(service),
        id: id.to_owned(),
    }))
}

fn parsed(text: &str) -> Result<Arn, Rejection> {
    Arn::parse(text).filter(|arn| arn.service() == "ecs").ok_or_else(invalid_arn)
}

fn invalid_arn() -> Rejection {
    Rejection::invalid_parameter("Invalid identifier: The ARN provided is invalid.")
}

fn unexpected_kind(arn: &Arn, kind: &str) -> Rejection {
    let found = arn.resource().split('/').next().unwrap_or_default();
    Rejection::invalid_parameter(format!(
        "Invalid identifier: Unexpected resource type {found}, expected {kind}"
    ))
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    fn scope() -> Scope {
        Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
    }

    #[track_caller]
    fn check(actual: Result<Option<String>, Rejection>, expected: &str) {
        let actual = match actual {
            Ok(Some(name)) => name,
            Ok(None) => "elsewhere".to_owned(),
            Err(rejection) => rejection.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn clusters() {
        let of = |text: Option<&str>| cluster(&scope(), text).map(|name| Some(name.to_string()));
        check(of(None), "default");
        check(of(Some("web")), "web");
        check(of(Some("arn:aws:ecs:us-east-1:000000000000:cluster/web")), "web");
        check(of(Some("arn:aws:ecs:eu-west-1:000000000000:cluster/web")), "Cluster not found.");
        check(of(Some("a b")), "Cluster must match ^[a-zA-Z0-9\\-_]{1,255}$, but was a b");
        check(
            of(Some("arn:aws:ecs:us-east-1:0:task/x")),
            "Invalid identifier: The ARN provided is invalid.",
        );
    }

    #[test]
    fn task_definitions() {
        let of = |text: &str| {
            let name = task_definition(&scope(), text)?;
            Ok(name.map(|name| format!("{} {:?}", name.family, name.revision)))
        };
        check(of("app"), "app None");
        check(of("app:7"), "app Some(7)");
        check(of("arn:aws:ecs:us-east-1:000000000000:task-definition/app:7"), "app Some(7)");
        check(of("arn:aws:ecs:us-east-1:111111111111:task-definition/app:7"), "elsewhere");
        check(of("app:x"), "Invalid revision number. Number: x");
        check(of("app:+7"), "Invalid revision number. Number: +7");
        check(of("a/b"), "Family contains invalid characters.");
    }

    #[test]
    fn tasks_and_services() {
        let cluster = ClusterName::new("default");
        let of = |text: &str| Ok(task(&scope(), &cluster, text)?.map(|id| id.to_string()));
        let id = "0123456789abcdef0123456789abcdef";
        let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:task/{rest}");
        check(of(id), id);
        check(of(&arn(&format!("default/{id}"))), id);
        check(of(&arn(id)), id);
        let separators = "Invalid identifier: Unexpected number of separators";
        check(of(&arn(&format!("default/more/{id}"))), separators);
        check(of("default/None"), separators);
        check(of("None"), "taskId length should be one of [32,36]");
        check(
            of("arn:aws:ecs:us-east-1:000000000000:task/web/abc"),
            "Invalid identifier: Identifier is for cluster web. Your cluster is default",
        );
        check(of(&"a".repeat(37)), "taskId length should be one of [32,36]");
        check(
            of("arn:aws:ecs:us-east-1:000000000000:service/default/abc"),
            "Invalid identifier: Unexpected resource type service, expected task",
        );
        let of = |text: &str| Ok(service(&scope(), &cluster, text)?.map(|name| name.to_string()));
        check(of("arn:aws:ecs:us-east-1:000000000000:service/default/web"), "web");
    }
}
