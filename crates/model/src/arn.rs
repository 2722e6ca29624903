//! Amazon Resource Names of what Outport keeps, in the long formats.
//!
//! Source: "Actions, resources, and condition keys for Amazon ECS", Resource types.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ClusterName, ContainerInstanceId, DeploymentId, Family, Region, Revision, Scope,
    ServiceName, TaskId,
};

/// `arn:partition:service:region:account:resource`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Arn {
    pub partition: String,
    pub service: String,
    pub region: String,
    pub account: String,
    /// All behind the fifth colon, such as `task/default/0123…`.
    pub resource: String,
}

impl Arn {
    /// Reads an ARN; `None` when it has not six parts or does not begin with `arn`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        let mut part = || parts.next().map(str::to_owned);
        let arn = Self {
            partition: part()?,
            service: part()?,
            region: part()?,
            account: part()?,
            resource: part()?,
        };
        (!arn.resource.is_empty()).then_some(arn)
    }

    /// The ARN of `resource` of `service` in a scope.
    pub fn of(service: &str, scope: &Scope, resource: impl Into<String>) -> Self {
        Self::of_account(service, &scope.region, &scope.account, resource)
    }

    pub fn of_account(
        service: &str,
        region: &Region,
        account: &AccountId,
        resource: impl Into<String>,
    ) -> Self {
        Self {
            partition: partition_of(region).to_owned(),
            service: service.to_owned(),
            region: region.to_string(),
            account: account.to_string(),
            resource: resource.into(),
        }
    }

    /// Whether it names something of this account and region.
    pub fn is_in(&self, scope: &Scope) -> bool {
        self.account == scope.account.as_str() && self.region == scope.region.as_str()
    }

    pub fn cluster(scope: &Scope, name: &ClusterName) -> Self {
        Self::of("ecs", scope, format!("cluster/{name}"))
    }
    pub fn task_definition(scope: &Scope, family: &Family, revision: Revision) -> Self {
        Self::of("ecs", scope, format!("task-definition/{family}:{revision}"))
    }
    pub fn task(scope: &Scope, cluster: &ClusterName, task: &TaskId) -> Self {
        Self::of("ecs", scope, format!("task/{cluster}/{task}"))
    }
    /// `container` is the UUID that the container got with its task.
    pub fn container(scope: &Scope, cluster: &ClusterName, task: &TaskId, container: &str) -> Self {
        Self::of("ecs", scope, format!("container/{cluster}/{task}/{container}"))
    }
    pub fn service(scope: &Scope, cluster: &ClusterName, service: &ServiceName) -> Self {
        Self::of("ecs", scope, format!("service/{cluster}/{service}"))
    }
    pub fn service_deployment(
        scope: &Scope,
        cluster: &ClusterName,
        service: &ServiceName,
        id: &str,
    ) -> Self {
        Self::of("ecs", scope, format!("service-deployment/{cluster}/{service}/{id}"))
    }
    pub fn service_revision(
        scope: &Scope,
        cluster: &ClusterName,
        service: &ServiceName,
        id: &DeploymentId,
    ) -> Self {
        Self::of("ecs", scope, format!("service-revision/{cluster}/{service}/{id}"))
    }
    pub fn container_instance(
        scope: &Scope,
        cluster: &ClusterName,
        id: &ContainerInstanceId,
    ) -> Self {
        Self::of("ecs", scope, format!("container-instance/{cluster}/{id}"))
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
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
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
        assert_eq!(Arn::parse(&arn.to_string()), Some(arn));
    }

    #[test]
    fn refuses_what_is_not_an_arn() {
        for text in ["", "default", "arn:aws:ecs", "arn:aws:ecs:us-east-1:0:", "x:a:b:c:d:e"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
