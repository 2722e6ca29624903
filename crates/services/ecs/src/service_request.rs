//! What CreateService and UpdateService check alike.

use outport_aws_ecs as wire;
use outport_model::Scope;
use outport_model::service::PropagateTags;

use crate::rejection::Rejection;

/// Source: "Amazon ECS service quotas", tasks per service.
const DESIRED_COUNT_MAX: u32 = 5_000;

/// Members of both requests that this version does not build, by whether they ask for something.
pub struct Unbuilt(Vec<(bool, &'static str)>);

macro_rules! unbuilt {
    ($input:expr) => {{
        let input = $input;
        let connects = input.service_connect_configuration.as_ref();
        Unbuilt(vec![
            (is_set(&input.load_balancers), "loadBalancers"),
            (is_set(&input.service_registries), "serviceRegistries"),
            (
                connects.is_some_and(|connect| connect.enabled == Some(true)),
                "serviceConnectConfiguration",
            ),
            (is_set(&input.volume_configurations), "volumeConfigurations"),
            (is_set(&input.vpc_lattice_configurations), "vpcLatticeConfigurations"),
            (is_set(&input.gateway_connectors), "gatewayConnectors"),
            (input.monitoring.is_some(), "monitoring"),
            (input.enable_execute_command == Some(true), "enableExecuteCommand"),
        ])
    }};
}

impl Unbuilt {
    pub fn of_create(input: &wire::CreateServiceRequest) -> Self {
        unbuilt!(input)
    }
    pub fn of_update(input: &wire::UpdateServiceRequest) -> Self {
        unbuilt!(input)
    }
}

/// Refuses the first member that is set and not built.
///
/// # Errors
/// `UnsupportedFeatureException`.
pub fn check_built(members: &Unbuilt) -> Result<(), Rejection> {
    match members.0.iter().find(|(is_set, _)| *is_set) {
        Some((_, member)) => Err(Rejection::not_built(member)),
        None => Ok(()),
    }
}

fn is_set<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// # Errors
/// `InvalidParameterException`.
pub fn desired_count(given: i32) -> Result<u32, Rejection> {
    let count = u32::try_from(given)
        .map_err(|_| Rejection::invalid_parameter("Desired count must not be negative."))?;
    if count > DESIRED_COUNT_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "Desired count can be at most {DESIRED_COUNT_MAX}."
        )));
    }
    Ok(count)
}

/// Source: botocore's documentation of `healthCheckGracePeriodSeconds` (up to 2,147,483,647). The text is a guess.
///
/// # Errors
/// `InvalidParameterException`.
pub fn grace_period_s(given: Option<i32>) -> Result<Option<u32>, Rejection> {
    let negative =
        |_| Rejection::invalid_parameter("healthCheckGracePeriodSeconds must not be negative.");
    given.map(|seconds| u32::try_from(seconds).map_err(negative)).transpose()
}

pub fn propagate_tags(given: Option<wire::PropagateTags>) -> PropagateTags {
    match given {
        Some(wire::PropagateTags::Service) => PropagateTags::Service,
        Some(wire::PropagateTags::TaskDefinition) => PropagateTags::TaskDefinition,
        Some(wire::PropagateTags::None) | None => PropagateTags::None,
    }
}

/// Whose role that is.
pub const SERVICE: &str = "ecs.amazonaws.com";

/// The role that AWS shows of every service that uses no load balancer's own.
/// Source: "Using service-linked roles for Amazon ECS".
pub fn service_linked_role(scope: &Scope) -> String {
    let account = &scope.account;
    format!("arn:aws:iam::{account}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
}
