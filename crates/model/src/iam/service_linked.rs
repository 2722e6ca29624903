//! Service-linked roles: those that a service of AWS makes for itself, and that only it can change.

use std::collections::BTreeSet;

use super::{Policies, Role};
use crate::{AccountId, Tags, TimestampMs};

/// The path of all of them begins with it. Source: IAM user guide, "Service-linked roles".
pub const SERVICE_LINKED_PATH: &str = "/aws-service-role/";
/// Seconds that a session of such a role may last.
const SESSION_DURATION: u32 = 3_600;

/// What the role of one service is like.
///
/// Source: the page "Using service-linked roles" of each service's user guide, and roles as callers show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLinkedRole {
    /// Who assumes it.
    pub service: &'static str,
    pub name: &'static str,
    pub description: Option<&'static str>,
    /// The ARN of the managed policy that it comes with; `None` where the installation does not have that policy.
    pub policy: Option<&'static str>,
    /// Whether an account may have several, with a suffix each.
    pub takes_suffix: bool,
}

macro_rules! linked {
    ($service:literal, $name:literal, $description:expr, $policy:literal, $suffix:literal) => {
        ServiceLinkedRole {
            service: $service,
            name: $name,
            description: $description,
            policy: Some(concat!("arn:aws:iam::aws:policy/aws-service-role/", $policy)),
            takes_suffix: $suffix,
        }
    };
}

/// All that are known, in the order of their services.
pub static SERVICE_LINKED_ROLES: &[ServiceLinkedRole] = &[
    linked!(
        "autoscaling.amazonaws.com",
        "AWSServiceRoleForAutoScaling",
        Some(
            "Default Service-Linked Role enables access to AWS Services and Resources used or managed by Auto Scaling"
        ),
        "AutoScalingServiceRolePolicy",
        true
    ),
    linked!(
        "creationtemplate.ecr.amazonaws.com",
        "AWSServiceRoleForECRTemplate",
        None,
        "ECRTemplateServiceRolePolicy",
        false
    ),
    linked!(
        "ecs-compute.amazonaws.com",
        "AWSServiceRoleForECSCompute",
        None,
        "AmazonECSComputeServiceRolePolicy",
        false
    ),
    linked!(
        "ecs.amazonaws.com",
        "AWSServiceRoleForECS",
        Some("Role to enable Amazon ECS to manage your cluster."),
        "AmazonECSServiceRolePolicy",
        false
    ),
    linked!(
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        None,
        "AWSApplicationAutoscalingECSServicePolicy",
        false
    ),
    linked!(
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        Some("Allows ELB to call AWS services on your behalf."),
        "AWSElasticLoadBalancingServiceRolePolicy",
        false
    ),
    linked!(
        "pullthroughcache.ecr.amazonaws.com",
        "AWSServiceRoleForECRPullThroughCache",
        None,
        "AWSECRPullThroughCache_ServiceRolePolicy",
        false
    ),
    linked!(
        "replication.ecr.amazonaws.com",
        "AWSServiceRoleForECRReplication",
        None,
        "ECRReplicationServiceRolePolicy",
        false
    ),
    ServiceLinkedRole {
        service: "spot.amazonaws.com",
        name: "AWSServiceRoleForEC2Spot",
        description: Some("Default EC2 Spot Service Linked Role"),
        policy: None,
        takes_suffix: false,
    },
    ServiceLinkedRole {
        service: "spotfleet.amazonaws.com",
        name: "AWSServiceRoleForEC2SpotFleet",
        description: Some("Default EC2 Spot Fleet Service Linked Role"),
        policy: None,
        takes_suffix: false,
    },
];

impl ServiceLinkedRole {
    /// That of a service, such as `ecs.amazonaws.com`.
    pub fn of(service: &str) -> Option<&'static Self> {
        SERVICE_LINKED_ROLES.iter().find(|role| role.service == service)
    }

    /// Its row in an account. `id` is new: `AROA…`.
    pub fn row(
        &self,
        account: &AccountId,
        suffix: Option<&str>,
        id: String,
        now_ms: TimestampMs,
    ) -> Role {
        let suffix = suffix.map(|suffix| format!("_{suffix}")).unwrap_or_default();
        let service = self.service;
        Role {
            account: account.clone(),
            name: format!("{}{suffix}", self.name),
            path: format!("{SERVICE_LINKED_PATH}{service}/"),
            id,
            created_at_ms: now_ms,
            trust_policy: format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
            ),
            description: self.description.map(str::to_owned),
            max_session_duration: SESSION_DURATION,
            policies: Policies {
                attached: self.policy.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(),
                ..Policies::default()
            },
            permissions_boundary: None,
            tags: Tags::new(),
            last_use: None,
        }
    }
}

impl Role {
    /// The service that made it for itself.
    pub fn linked_service(&self) -> Option<&str> {
        self.path.strip_prefix(SERVICE_LINKED_PATH)?.strip_suffix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_role() {
        let account = AccountId::new("000000000000");
        let ecs = ServiceLinkedRole::of("ecs.amazonaws.com").unwrap();
        let row = ecs.row(&account, None, "AROA1".into(), 0);
        assert_eq!(
            row.arn(),
            "arn:aws:iam::000000000000:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
        );
        assert_eq!(row.linked_service(), Some("ecs.amazonaws.com"));
        let groups = ServiceLinkedRole::of("autoscaling.amazonaws.com").unwrap();
        let row = groups.row(&account, Some("blue"), "AROA1".into(), 0);
        assert_eq!(row.name, "AWSServiceRoleForAutoScaling_blue");
        assert_eq!(ServiceLinkedRole::of("ec2.amazonaws.com"), None);
        assert!(SERVICE_LINKED_ROLES.is_sorted_by_key(|role| role.service));
    }
}
