//! Amazon Resource Names of what Outport keeps, in the long formats.
//!
//! Source: "Actions, resources, and condition keys for Amazon ECS", Resource types.

use std::fmt;

use crate::event::DEFAULT_BUS;
use crate::{
    AccountId, ClusterName, ContainerId, ContainerInstanceId, DeploymentId, Family, Region,
    Revision, Scope, ServiceDeploymentId, ServiceName, TaskId,
};

/// Parts of a path below its kind, such as cluster, service and id.
const PATH_PARTS_MAX: usize = 3;

/// `arn:partition:service:region:account:resource`, in one piece of text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    /// Where in it the five colons stand that part it.
    colons: [usize; 5],
}

impl Arn {
    /// Reads an ARN; `None` when it has not six parts or does not begin with `arn`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut found = text.bytes().enumerate().filter(|(_, byte)| *byte == b':');
        let mut colon = || found.next().map(|(at, _)| at);
        let colons = [colon()?, colon()?, colon()?, colon()?, colon()?];
        let is_arn = &text[..colons[0]] == "arn" && colons[4] + 1 < text.len();
        is_arn.then(|| Self { text: text.to_owned(), colons })
    }

    /// The ARN of `resource` of `service` in a scope.
    pub fn of(service: &str, scope: &Scope, resource: impl AsRef<str>) -> Self {
        Self::of_account(service, &scope.region, &scope.account, resource)
    }

    pub fn of_account(
        service: &str,
        region: &Region,
        account: &AccountId,
        resource: impl AsRef<str>,
    ) -> Self {
        Self::of_parts(service, region, account, &[resource.as_ref()])
    }

    /// A resource of Amazon ECS whose name is a path: `kind/cluster/id`.
    fn of_path(scope: &Scope, kind: &str, rest: &[&str]) -> Self {
        let mut parts = [""; 2 * PATH_PARTS_MAX + 1];
        parts[0] = kind;
        for (pair, part) in parts[1..].chunks_mut(2).zip(rest) {
            pair.copy_from_slice(&["/", part]);
        }
        Self::of_parts("ecs", &scope.region, &scope.account, &parts[..=2 * rest.len()])
    }

    /// `resource` is said in parts that follow each other.
    fn of_parts(service: &str, region: &Region, account: &AccountId, resource: &[&str]) -> Self {
        let head = ["arn", partition_of(region), service, region.as_str(), account.as_str()];
        let length = |parts: &[&str]| parts.iter().map(|part| part.len()).sum::<usize>();
        let mut text = String::with_capacity(length(&head) + head.len() + length(resource));
        let mut colons = [0; 5];
        for (part, colon) in head.iter().zip(&mut colons) {
            text.push_str(part);
            *colon = text.len();
            text.push(':');
        }
        for part in resource {
            text.push_str(part);
        }
        Self { text, colons }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn into_string(self) -> String {
        self.text
    }

    pub fn partition(&self) -> &str {
        &self.text[self.colons[0] + 1..self.colons[1]]
    }

    pub fn service(&self) -> &str {
        &self.text[self.colons[1] + 1..self.colons[2]]
    }

    pub fn region(&self) -> &str {
        &self.text[self.colons[2] + 1..self.colons[3]]
    }

    pub fn account(&self) -> &str {
        &self.text[self.colons[3] + 1..self.colons[4]]
    }

    /// All behind the fifth colon, such as `task/default/0123…`.
    pub fn resource(&self) -> &str {
        &self.text[self.colons[4] + 1..]
    }

    /// Whether it names something of this account and region.
    pub fn is_in(&self, scope: &Scope) -> bool {
        self.account() == scope.account.as_str() && self.region() == scope.region.as_str()
    }

    pub fn cluster(scope: &Scope, name: &ClusterName) -> Self {
        Self::of_path(scope, "cluster", &[name.as_str()])
    }
    pub fn task_definition(scope: &Scope, family: &Family, revision: Revision) -> Self {
        let parts = ["task-definition/", family.as_str(), ":", &revision.to_string()];
        Self::of_parts("ecs", &scope.region, &scope.account, &parts)
    }
    pub fn task(scope: &Scope, cluster: &ClusterName, task: &TaskId) -> Self {
        Self::of_path(scope, "task", &[cluster.as_str(), task.as_str()])
    }
    pub fn container(
        scope: &Scope,
        cluster: &ClusterName,
        task: &TaskId,
        container: &ContainerId,
    ) -> Self {
        let path = [cluster.as_str(), task.as_str(), container.as_str()];
        Self::of_path(scope, "container", &path)
    }
    pub fn service_of(scope: &Scope, cluster: &ClusterName, service: &ServiceName) -> Self {
        Self::of_path(scope, "service", &[cluster.as_str(), service.as_str()])
    }
    pub fn service_deployment(
        scope: &Scope,
        cluster: &ClusterName,
        service: &ServiceName,
        id: &ServiceDeploymentId,
    ) -> Self {
        let path = [cluster.as_str(), service.as_str(), id.as_str()];
        Self::of_path(scope, "service-deployment", &path)
    }
    pub fn service_revision(
        scope: &Scope,
        cluster: &ClusterName,
        service: &ServiceName,
        id: &DeploymentId,
    ) -> Self {
        let path = [cluster.as_str(), service.as_str(), id.as_str()];
        Self::of_path(scope, "service-revision", &path)
    }
    /// A parameter of Systems Manager: a name that begins with a slash keeps it.
    pub fn parameter(scope: &Scope, name: &str) -> Self {
        let parts = ["parameter/", name.strip_prefix('/').unwrap_or(name)];
        Self::of_parts("ssm", &scope.region, &scope.account, &parts)
    }
    /// A rule of EventBridge: the default bus is not in its name.
    pub fn event_rule(scope: &Scope, bus: &str, name: &str) -> Self {
        match bus {
            DEFAULT_BUS => {
                Self::of_parts("events", &scope.region, &scope.account, &["rule/", name])
            }
            bus => {
                let parts = ["rule/", bus, "/", name];
                Self::of_parts("events", &scope.region, &scope.account, &parts)
            }
        }
    }
    pub fn event_bus(scope: &Scope, name: &str) -> Self {
        Self::of_parts("events", &scope.region, &scope.account, &["event-bus/", name])
    }
    pub fn kms_key(scope: &Scope, id: &str) -> Self {
        Self::of_parts("kms", &scope.region, &scope.account, &["key/", id])
    }
    /// `name` begins with `alias/`.
    pub fn kms_alias(scope: &Scope, name: &str) -> Self {
        Self::of_parts("kms", &scope.region, &scope.account, &[name])
    }
    /// `suffix`: the six characters behind the name.
    pub fn secret(scope: &Scope, name: &str, suffix: &str) -> Self {
        let parts = ["secret:", name, "-", suffix];
        Self::of_parts("secretsmanager", &scope.region, &scope.account, &parts)
    }
    pub fn container_instance(
        scope: &Scope,
        cluster: &ClusterName,
        id: &ContainerInstanceId,
    ) -> Self {
        Self::of_path(scope, "container-instance", &[cluster.as_str(), id.as_str()])
    }
}

/// The partition that a region lies in.
fn partition_of(region: &Region) -> &'static str {
    match region.as_str() {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let arn = Arn::task(&scope, &ClusterName::new("default"), &TaskId::new("ab"));
        assert_eq!(arn.to_string(), "arn:aws:ecs:us-east-1:000000000000:task/default/ab");
        assert_eq!(Arn::parse(arn.as_str()), Some(arn.clone()));
        let parts = [arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()];
        assert_eq!(parts, ["aws", "ecs", "us-east-1", "000000000000", "task/default/ab"]);
        let arn = Arn::task_definition(&scope, &Family::new("app"), 7);
        assert_eq!(arn.as_str(), "arn:aws:ecs:us-east-1:000000000000:task-definition/app:7");
        assert_eq!(arn.resource(), "task-definition/app:7");
        assert_eq!(Arn::parse(arn.as_str()), Some(arn));
    }

    #[test]
    fn refuses_what_is_not_an_arn() {
        for text in ["", "default", "arn:aws:ecs", "arn:aws:ecs:us-east-1:0:", "x:a:b:c:d:e"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
