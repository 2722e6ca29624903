//! `deploymentConfiguration` and `deploymentController` of a service.

use outport_aws_ecs as wire;
use outport_model::deployment_configuration::{
    CircuitBreaker, DeploymentConfiguration, DeploymentStrategy, FailureThreshold,
};

use crate::deployment_strategy;
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
        strategy: DeploymentStrategy::Rolling,
        bake_time_min: 0,
        hooks: Vec::new(),
        early_success: None,
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
        Some(breaker) => circuit_breaker(breaker)?,
        None => current.circuit_breaker,
    };
    let mut row = DeploymentConfiguration {
        minimum_healthy_percent,
        maximum_percent,
        circuit_breaker,
        ..current
    };
    deployment_strategy::apply(&mut row, given)?;
    Ok(row)
}

/// What it does not name it has anew.
fn circuit_breaker(given: &wire::DeploymentCircuitBreaker) -> Result<CircuitBreaker, Rejection> {
    let threshold = match &given.threshold_configuration {
        Some(threshold) => failure_threshold(threshold)?,
        None => FailureThreshold::default(),
    };
    Ok(CircuitBreaker {
        enable: given.enable.unwrap_or(false),
        rollback: given.rollback.unwrap_or(false),
        threshold,
        reset_on_healthy_task: given.reset_on_healthy_task.unwrap_or(true),
    })
}

/// The text is a guess.
fn failure_threshold(given: &wire::ThresholdConfiguration) -> Result<FailureThreshold, Rejection> {
    let value = u32::try_from(given.value.unwrap_or(0)).ok().filter(|value| *value > 0);
    let value = value.ok_or_else(|| {
        Rejection::invalid_parameter("The value of thresholdConfiguration must be greater than 0.")
    })?;
    Ok(match given.r#type {
        Some(wire::ThresholdType::Count) => FailureThreshold::Count(value),
        Some(wire::ThresholdType::UnboundedPercent) => FailureThreshold::UnboundedPercent(value),
        Some(wire::ThresholdType::BoundedPercent) | None => FailureThreshold::BoundedPercent(value),
    })
}

fn percent(member: &str, given: Option<i32>, current: u32) -> Result<u32, Rejection> {
    let Some(given) = given else { return Ok(current) };
    u32::try_from(given)
        .map_err(|_| Rejection::invalid_parameter(format!("{member} must not be negative.")))
}

fn check_built(given: &wire::DeploymentConfiguration) -> Result<(), Rejection> {
    match given.alarms.as_ref().is_some_and(|alarms| alarms.enable == Some(true)) {
        true => Err(Rejection::not_built("deploymentConfiguration.alarms")),
        false => Ok(()),
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
    let breaker = row.circuit_breaker;
    let mut shown = wire::DeploymentConfiguration {
        deployment_circuit_breaker: Some(wire::DeploymentCircuitBreaker {
            enable: Some(breaker.enable),
            rollback: Some(breaker.rollback),
            reset_on_healthy_task: Some(breaker.reset_on_healthy_task),
            threshold_configuration: Some(shown_threshold(breaker.threshold)),
        }),
        maximum_percent: i32::try_from(row.maximum_percent).ok(),
        minimum_healthy_percent: i32::try_from(row.minimum_healthy_percent).ok(),
        ..wire::DeploymentConfiguration::default()
    };
    deployment_strategy::show(row, &mut shown);
    shown
}

fn shown_threshold(threshold: FailureThreshold) -> wire::ThresholdConfiguration {
    let (kind, value) = match threshold {
        FailureThreshold::Count(value) => (wire::ThresholdType::Count, value),
        FailureThreshold::BoundedPercent(value) => (wire::ThresholdType::BoundedPercent, value),
        FailureThreshold::UnboundedPercent(value) => (wire::ThresholdType::UnboundedPercent, value),
    };
    wire::ThresholdConfiguration { r#type: Some(kind), value: i32::try_from(value).ok() }
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
}
