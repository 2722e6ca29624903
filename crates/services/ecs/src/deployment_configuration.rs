//! `deploymentConfiguration` and `deploymentController` of a service.

use outport_aws_ecs as wire;
use outport_model::service::{CircuitBreaker, DeploymentConfiguration};

use crate::rejection::Rejection;

/// Source: botocore's documentation of `DeploymentConfiguration`, for the REPLICA strategy.
const MINIMUM_HEALTHY_PERCENT: u32 = 100;
const MAXIMUM_PERCENT: u32 = 200;

/// What a service has before anything is said.
pub fn default() -> DeploymentConfiguration {
    DeploymentConfiguration {
        minimum_healthy_percent: MINIMUM_HEALTHY_PERCENT,
        maximum_percent: MAXIMUM_PERCENT,
        circuit_breaker: CircuitBreaker::default(),
    }
}

/// Changes `current` as far as `given` says something.
///
/// # Errors
/// `InvalidParameterException` with AWS's texts, `UnsupportedFeatureException`.
pub fn apply(
    current: DeploymentConfiguration,
    given: Option<&wire::DeploymentConfiguration>,
) -> Result<DeploymentConfiguration, Rejection> {
    let Some(given) = given else { return Ok(current) };
    check_built(given)?;
    let minimum_healthy_percent = percent(
        "minimumHealthyPercent",
        given.minimum_healthy_percent,
        current.minimum_healthy_percent,
    )?;
    let maximum_percent =
        percent("maximumPercent", given.maximum_percent, current.maximum_percent)?;
    if minimum_healthy_percent > 100 {
        return Err(Rejection::invalid_parameter(
            "minimumHealthyPercent must be less than or equal to 100.",
        ));
    }
    if maximum_percent < 100 {
        return Err(Rejection::invalid_parameter(
            "maximumPercent must be greater than or equal to 100.",
        ));
    }
    if minimum_healthy_percent >= maximum_percent {
        return Err(Rejection::invalid_parameter(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    let circuit_breaker = match &given.deployment_circuit_breaker {
        Some(breaker) => CircuitBreaker {
            enable: breaker.enable.unwrap_or(false),
            rollback: breaker.rollback.unwrap_or(false),
        },
        None => current.circuit_breaker,
    };
    Ok(DeploymentConfiguration { minimum_healthy_percent, maximum_percent, circuit_breaker })
}

fn percent(member: &str, given: Option<i32>, current: u32) -> Result<u32, Rejection> {
    let Some(given) = given else { return Ok(current) };
    u32::try_from(given)
        .map_err(|_| Rejection::invalid_parameter(format!("{member} must not be negative.")))
}

fn check_built(given: &wire::DeploymentConfiguration) -> Result<(), Rejection> {
    let breaker = given.deployment_circuit_breaker.as_ref();
    let refusals = [
        (
            given.strategy.is_some_and(|strategy| strategy != wire::DeploymentStrategy::Rolling),
            "strategy other than ROLLING",
        ),
        (given.bake_time_in_minutes.is_some_and(|minutes| minutes != 0), "bakeTimeInMinutes"),
        (given.lifecycle_hooks.as_ref().is_some_and(|list| !list.is_empty()), "lifecycleHooks"),
        (given.linear_configuration.is_some(), "linearConfiguration"),
        (given.canary_configuration.is_some(), "canaryConfiguration"),
        (given.early_success_criteria.is_some(), "earlySuccessCriteria"),
        (given.alarms.as_ref().is_some_and(|alarms| alarms.enable == Some(true)), "alarms"),
        (
            breaker.is_some_and(|breaker| breaker.threshold_configuration.is_some()),
            "deploymentCircuitBreaker.thresholdConfiguration",
        ),
        (
            breaker.is_some_and(|breaker| breaker.reset_on_healthy_task == Some(false)),
            "deploymentCircuitBreaker.resetOnHealthyTask",
        ),
    ];
    match refusals.into_iter().find(|(is_set, _)| *is_set) {
        Some((_, member)) => {
            Err(Rejection::not_built(&format!("deploymentConfiguration.{member}")))
        }
        None => Ok(()),
    }
}

/// Only Amazon ECS itself deploys.
///
/// # Errors
/// `UnsupportedFeatureException`.
pub fn check_controller(given: Option<&wire::DeploymentController>) -> Result<(), Rejection> {
    match given.and_then(|controller| controller.r#type) {
        None | Some(wire::DeploymentControllerType::Ecs) => Ok(()),
        Some(kind) => Err(Rejection::not_built(&format!("The deployment controller {kind}"))),
    }
}

/// As describes show it.
pub fn view(row: &DeploymentConfiguration) -> wire::DeploymentConfiguration {
    wire::DeploymentConfiguration {
        deployment_circuit_breaker: Some(wire::DeploymentCircuitBreaker {
            enable: Some(row.circuit_breaker.enable),
            rollback: Some(row.circuit_breaker.rollback),
            ..wire::DeploymentCircuitBreaker::default()
        }),
        maximum_percent: i32::try_from(row.maximum_percent).ok(),
        minimum_healthy_percent: i32::try_from(row.minimum_healthy_percent).ok(),
        strategy: Some(wire::DeploymentStrategy::Rolling),
        bake_time_in_minutes: Some(0),
        ..wire::DeploymentConfiguration::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(minimum: Option<i32>, maximum: Option<i32>, expected: &str) {
        let given = wire::DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            ..wire::DeploymentConfiguration::default()
        };
        let actual = match apply(default(), Some(&given)) {
            Ok(row) => format!("{} {}", row.minimum_healthy_percent, row.maximum_percent),
            Err(rejection) => rejection.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn percents_are_checked() {
        check(None, None, "100 200");
        check(Some(50), None, "50 200");
        check(Some(0), Some(100), "0 100");
        let blocked = "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.";
        check(Some(100), Some(100), blocked);
        check(None, Some(100), blocked);
        check(Some(101), None, "minimumHealthyPercent must be less than or equal to 100.");
        check(Some(-1), None, "minimumHealthyPercent must not be negative.");
        check(Some(0), Some(99), "maximumPercent must be greater than or equal to 100.");
    }

    #[test]
    fn other_strategies_are_refused() {
        let given = wire::DeploymentConfiguration {
            strategy: Some(wire::DeploymentStrategy::BlueGreen),
            ..wire::DeploymentConfiguration::default()
        };
        let text = "deploymentConfiguration.strategy other than ROLLING is not supported by this version of Outport. \
                    See /_outport/compatibility at this endpoint.";
        assert_eq!(apply(default(), Some(&given)).unwrap_err().message(), text);
    }
}
