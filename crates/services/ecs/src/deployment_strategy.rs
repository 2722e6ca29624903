//! The stages of a deployment, as `deploymentConfiguration` says them: strategy, time to bake, pauses, early success.

use outport_aws_ecs as wire;
use outport_model::deployment_configuration::{
    DeploymentConfiguration, DeploymentStrategy, EarlySuccess, HookAction, LifecycleStage,
    PauseHook,
};

use crate::rejection::Rejection;

/// Of bake times, in minutes. Source: botocore's documentation of `LinearConfiguration` and `CanaryConfiguration`.
const BAKE_MIN_MAX: i32 = 1_440;
/// The same.
const STEP_PERCENT: (f64, f64, f64) = (3.0, 100.0, 10.0);
const STEP_BAKE_MIN: i32 = 6;
const CANARY_PERCENT: (f64, f64, f64) = (0.1, 100.0, 5.0);
const CANARY_BAKE_MIN: i32 = 10;
/// Source: botocore's documentation of `DeploymentLifecycleHookTimeoutConfiguration`, and its limits.
const TIMEOUT_MIN: i32 = 1_440;
const TIMEOUT_MIN_RANGE: std::ops::RangeInclusive<i32> = 1..=20_160;
/// Ours; AWS names none.
const HOOKS_MAX: usize = 50;

const STAGES: [(wire::DeploymentLifecycleHookStage, LifecycleStage); 8] = {
    use LifecycleStage as Stage;
    use wire::DeploymentLifecycleHookStage as Wire;
    [
        (Wire::ReconcileService, Stage::ReconcileService),
        (Wire::PreScaleUp, Stage::PreScaleUp),
        (Wire::PostScaleUp, Stage::PostScaleUp),
        (Wire::TestTrafficShift, Stage::TestTrafficShift),
        (Wire::PostTestTrafficShift, Stage::PostTestTrafficShift),
        (Wire::PreProductionTrafficShift, Stage::PreProductionTrafficShift),
        (Wire::ProductionTrafficShift, Stage::ProductionTrafficShift),
        (Wire::PostProductionTrafficShift, Stage::PostProductionTrafficShift),
    ]
};

/// Changes what `given` names of it. The texts of the refusals are guesses.
///
/// # Errors
/// `InvalidParameterException`; `UnsupportedFeatureException` for a Lambda function as a hook.
pub fn apply(
    row: &mut DeploymentConfiguration,
    given: &wire::DeploymentConfiguration,
) -> Result<(), Rejection> {
    row.strategy = strategy(row.strategy, given)?;
    if let Some(minutes) = given.bake_time_in_minutes {
        row.bake_time_min = minutes_within("bakeTimeInMinutes", minutes)?;
    }
    if let Some(hooks) = &given.lifecycle_hooks {
        if hooks.len() > HOOKS_MAX {
            return Err(Rejection::invalid_parameter(format!(
                "lifecycleHooks can have at most {HOOKS_MAX} items."
            )));
        }
        row.hooks = hooks.iter().map(hook).collect::<Result<_, _>>()?;
    }
    if let Some(criteria) = &given.early_success_criteria {
        row.early_success = early_success(criteria)?;
    }
    check_pauses(row)?;
    check_early_success(row)
}

/// A pause that never comes would be a gate that stands open. Whether AWS refuses it is not known.
fn check_pauses(row: &DeploymentConfiguration) -> Result<(), Rejection> {
    let comes = |stage: &LifecycleStage| {
        matches!(stage, LifecycleStage::PreScaleUp | LifecycleStage::PostScaleUp)
    };
    let is_void = |hook: &&PauseHook| !hook.stages.iter().any(comes);
    match row.hooks.iter().find(is_void) {
        Some(hook) if row.strategy == DeploymentStrategy::Rolling => {
            let stages: Vec<&str> = hook.stages.iter().map(|stage| stage.as_str()).collect();
            Err(Rejection::invalid_parameter(format!(
                "A deployment with the strategy ROLLING has no stage {}: PAUSE lifecycle hooks of it are at PRE_SCALE_UP \
                 and POST_SCALE_UP.",
                stages.join(" or ")
            )))
        }
        _ => Ok(()),
    }
}

fn strategy(
    current: DeploymentStrategy,
    given: &wire::DeploymentConfiguration,
) -> Result<DeploymentStrategy, Rejection> {
    let named = given.strategy.unwrap_or_else(|| shown_strategy(current));
    let (linear, canary) = (&given.linear_configuration, &given.canary_configuration);
    let only_for = |is_set: bool, member: &str, strategy: wire::DeploymentStrategy| {
        let is_for_another = is_set && named != strategy;
        is_for_another.then(|| {
            let text = format!("{member} is only valid with the deployment strategy {strategy}.");
            Rejection::invalid_parameter(text)
        })
    };
    let misplaced =
        only_for(linear.is_some(), "linearConfiguration", wire::DeploymentStrategy::Linear)
            .or_else(|| {
                only_for(canary.is_some(), "canaryConfiguration", wire::DeploymentStrategy::Canary)
            });
    if let Some(misplaced) = misplaced {
        return Err(misplaced);
    }
    match named {
        wire::DeploymentStrategy::Rolling => Ok(DeploymentStrategy::Rolling),
        wire::DeploymentStrategy::BlueGreen => Ok(DeploymentStrategy::BlueGreen),
        wire::DeploymentStrategy::Linear if linear.is_none() && is_linear(current) => Ok(current),
        wire::DeploymentStrategy::Linear => {
            let linear = linear.clone().unwrap_or_default();
            Ok(DeploymentStrategy::Linear {
                step_permille: permille("stepPercent", linear.step_percent, STEP_PERCENT)?,
                step_bake_min: minutes_within(
                    "stepBakeTimeInMinutes",
                    linear.step_bake_time_in_minutes.unwrap_or(STEP_BAKE_MIN),
                )?,
            })
        }
        wire::DeploymentStrategy::Canary if canary.is_none() && is_canary(current) => Ok(current),
        wire::DeploymentStrategy::Canary => {
            let canary = canary.clone().unwrap_or_default();
            Ok(DeploymentStrategy::Canary {
                permille: permille("canaryPercent", canary.canary_percent, CANARY_PERCENT)?,
                bake_min: minutes_within(
                    "canaryBakeTimeInMinutes",
                    canary.canary_bake_time_in_minutes.unwrap_or(CANARY_BAKE_MIN),
                )?,
            })
        }
    }
}

fn is_linear(strategy: DeploymentStrategy) -> bool {
    matches!(strategy, DeploymentStrategy::Linear { .. })
}

fn is_canary(strategy: DeploymentStrategy) -> bool {
    matches!(strategy, DeploymentStrategy::Canary { .. })
}

/// Per cent of one decimal place, as thousandths.
fn permille(
    member: &str,
    given: Option<f64>,
    (least, most, unless_given): (f64, f64, f64),
) -> Result<u32, Rejection> {
    let percent = given.unwrap_or(unless_given);
    let permille = (percent * 10.0).round();
    let is_whole = (permille - percent * 10.0).abs() < 1e-6;
    if !(least..=most).contains(&percent) || !is_whole {
        return Err(Rejection::invalid_parameter(format!(
            "{member} must be a multiple of 0.1 between {least:.1} and {most:.1}."
        )));
    }
    Ok(permille as u32)
}

fn minutes_within(member: &str, minutes: i32) -> Result<u32, Rejection> {
    let within = (0..=BAKE_MIN_MAX).contains(&minutes);
    within.then_some(minutes.unsigned_abs()).ok_or_else(|| {
        Rejection::invalid_parameter(format!("{member} must be between 0 and {BAKE_MIN_MAX}."))
    })
}

/// A Lambda function is what a hook is unless it says otherwise.
fn hook(given: &wire::DeploymentLifecycleHook) -> Result<PauseHook, Rejection> {
    if given.target_type != Some(wire::DeploymentLifecycleHookTargetType::Pause) {
        return Err(Rejection::not_built(
            "deploymentConfiguration.lifecycleHooks[].targetType AWS_LAMBDA",
        ));
    }
    if given.hook_target_arn.is_some() || given.role_arn.is_some() {
        return Err(Rejection::invalid_parameter(
            "hookTargetArn and roleArn are not valid for a PAUSE lifecycle hook.",
        ));
    }
    let stages: Vec<LifecycleStage> = given
        .lifecycle_stages
        .iter()
        .flatten()
        .filter_map(|stage| STAGES.iter().find(|(wire, _)| wire == stage).map(|(_, stage)| *stage))
        .collect();
    if stages.is_empty() {
        return Err(Rejection::invalid_parameter(
            "lifecycleStages must be specified for a lifecycle hook.",
        ));
    }
    // Source: botocore's documentation of `DeploymentLifecycleHook.lifecycleStages`.
    let is_shift = |stage: &&LifecycleStage| {
        matches!(stage, LifecycleStage::TestTrafficShift | LifecycleStage::ProductionTrafficShift)
    };
    if let Some(stage) = stages.iter().find(is_shift) {
        return Err(Rejection::invalid_parameter(format!(
            "PAUSE lifecycle hooks cannot be configured at the {} stage.",
            stage.as_str()
        )));
    }
    let timeout = given.timeout_configuration.clone().unwrap_or_default();
    let timeout_min = timeout.timeout_in_minutes.unwrap_or(TIMEOUT_MIN);
    if !TIMEOUT_MIN_RANGE.contains(&timeout_min) {
        return Err(Rejection::invalid_parameter("timeoutInMinutes must be between 1 and 20160."));
    }
    Ok(PauseHook {
        stages,
        timeout_min: timeout_min.unsigned_abs(),
        timeout_action: match timeout.action {
            Some(wire::DeploymentLifecycleHookAction::Continue) => HookAction::Continue,
            Some(wire::DeploymentLifecycleHookAction::Rollback) | None => HookAction::Rollback,
        },
    })
}

fn early_success(
    given: &wire::DeploymentEarlySuccessCriteria,
) -> Result<Option<EarlySuccess>, Rejection> {
    if given.enable != Some(true) {
        return Ok(None);
    }
    let (Some(percent), Some(cleanup)) =
        (given.healthy_percent, given.source_service_revision_cleanup)
    else {
        return Err(Rejection::invalid_parameter(
            "healthyPercent and sourceServiceRevisionCleanup must be specified when earlySuccessCriteria is enabled.",
        ));
    };
    if !(0..=100).contains(&percent) {
        return Err(Rejection::invalid_parameter("healthyPercent must be between 0 and 100."));
    }
    Ok(Some(EarlySuccess {
        healthy_percent: percent.unsigned_abs(),
        deferred_cleanup: cleanup == wire::ServiceRevisionCleanup::Deferred,
    }))
}

fn check_early_success(row: &DeploymentConfiguration) -> Result<(), Rejection> {
    let Some(criteria) = row.early_success else { return Ok(()) };
    if row.strategy != DeploymentStrategy::Rolling {
        return Err(Rejection::invalid_parameter(
            "earlySuccessCriteria is only valid with the deployment strategy ROLLING.",
        ));
    }
    if criteria.healthy_percent < row.minimum_healthy_percent {
        return Err(Rejection::invalid_parameter(
            "healthyPercent must be greater than or equal to minimumHealthyPercent.",
        ));
    }
    Ok(())
}

/// As describes show it.
pub fn show(row: &DeploymentConfiguration, shown: &mut wire::DeploymentConfiguration) {
    shown.strategy = Some(shown_strategy(row.strategy));
    shown.bake_time_in_minutes = i32::try_from(row.bake_time_min).ok();
    shown.lifecycle_hooks =
        (!row.hooks.is_empty()).then(|| row.hooks.iter().map(shown_hook).collect());
    match row.strategy {
        DeploymentStrategy::Linear { step_permille, step_bake_min } => {
            shown.linear_configuration = Some(wire::LinearConfiguration {
                step_percent: Some(f64::from(step_permille) / 10.0),
                step_bake_time_in_minutes: i32::try_from(step_bake_min).ok(),
            });
        }
        DeploymentStrategy::Canary { permille, bake_min } => {
            shown.canary_configuration = Some(wire::CanaryConfiguration {
                canary_percent: Some(f64::from(permille) / 10.0),
                canary_bake_time_in_minutes: i32::try_from(bake_min).ok(),
            });
        }
        DeploymentStrategy::Rolling | DeploymentStrategy::BlueGreen => {}
    }
    shown.early_success_criteria =
        row.early_success.map(|criteria| wire::DeploymentEarlySuccessCriteria {
            enable: Some(true),
            healthy_percent: i32::try_from(criteria.healthy_percent).ok(),
            source_service_revision_cleanup: Some(match criteria.deferred_cleanup {
                true => wire::ServiceRevisionCleanup::Deferred,
                false => wire::ServiceRevisionCleanup::Blocking,
            }),
        });
}

fn shown_strategy(strategy: DeploymentStrategy) -> wire::DeploymentStrategy {
    match strategy {
        DeploymentStrategy::Rolling => wire::DeploymentStrategy::Rolling,
        DeploymentStrategy::BlueGreen => wire::DeploymentStrategy::BlueGreen,
        DeploymentStrategy::Linear { .. } => wire::DeploymentStrategy::Linear,
        DeploymentStrategy::Canary { .. } => wire::DeploymentStrategy::Canary,
    }
}

fn shown_hook(row: &PauseHook) -> wire::DeploymentLifecycleHook {
    let shown = |stage: &LifecycleStage| {
        STAGES.iter().find(|(_, known)| known == stage).map(|(wire, _)| *wire)
    };
    wire::DeploymentLifecycleHook {
        target_type: Some(wire::DeploymentLifecycleHookTargetType::Pause),
        lifecycle_stages: Some(row.stages.iter().filter_map(shown).collect()),
        timeout_configuration: Some(wire::DeploymentLifecycleHookTimeoutConfiguration {
            timeout_in_minutes: i32::try_from(row.timeout_min).ok(),
            action: Some(action(row.timeout_action)),
        }),
        ..wire::DeploymentLifecycleHook::default()
    }
}

pub fn action(action: HookAction) -> wire::DeploymentLifecycleHookAction {
    match action {
        HookAction::Continue => wire::DeploymentLifecycleHookAction::Continue,
        HookAction::Rollback => wire::DeploymentLifecycleHookAction::Rollback,
    }
}

#[cfg(test)]
mod tests {
    use outport_aws_wire::from_json;
    use serde_json::{Value, json};

    use super::*;
    use crate::deployment_configuration;

    /// What is asked for | what describes show of it, or why not.
    #[track_caller]
    fn check(given: Value, expected: &Value) {
        let given: wire::DeploymentConfiguration = from_json(&given.to_string()).unwrap();
        let applied =
            deployment_configuration::apply(deployment_configuration::default(), Some(&given));
        match applied {
            Ok(row) => {
                let shown = outport_aws_wire::to_json(&deployment_configuration::view(&row));
                let shown: Value = serde_json::from_str(&shown).unwrap();
                for (member, value) in expected.as_object().unwrap() {
                    assert_eq!(&shown[member], value, "{member} of {shown}");
                }
            }
            Err(rejection) => assert_eq!(json!(rejection.message()), *expected),
        }
    }

    #[test]
    fn strategies_with_what_aws_fills_in() {
        check(
            json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}),
            &json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}),
        );
        check(
            json!({"strategy": "LINEAR"}),
            &json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}}),
        );
        check(
            json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.1}}),
            &json!({"canaryConfiguration": {"canaryPercent": 0.1, "canaryBakeTimeInMinutes": 10}}),
        );
    }

    #[test]
    fn contradictions() {
        let step = "stepPercent must be a multiple of 0.1 between 3.0 and 100.0.";
        for percent in [2.9, 100.1, 10.05] {
            check(
                json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": percent}}),
                &json!(step),
            );
        }
        check(
            json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}),
            &json!("bakeTimeInMinutes must be between 0 and 1440."),
        );
        check(
            json!({"linearConfiguration": {}}),
            &json!("linearConfiguration is only valid with the deployment strategy LINEAR."),
        );
        check(
            json!({"strategy": "LINEAR", "canaryConfiguration": {}}),
            &json!("canaryConfiguration is only valid with the deployment strategy CANARY."),
        );
    }

    #[test]
    fn pauses() {
        let hook = |hook: Value| json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]});
        check(
            hook(json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]})),
            &json!({"lifecycleHooks": [{
                "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"],
                "timeoutConfiguration": {"timeoutInMinutes": 1440, "action": "ROLLBACK"},
            }]}),
        );
        check(
            hook(json!({"targetType": "PAUSE", "lifecycleStages": ["TEST_TRAFFIC_SHIFT"]})),
            &json!("PAUSE lifecycle hooks cannot be configured at the TEST_TRAFFIC_SHIFT stage."),
        );
        check(
            hook(json!({"targetType": "PAUSE"})),
            &json!("lifecycleStages must be specified for a lifecycle hook."),
        );
        let timeout = |minutes: i32| {
            let timeout = json!({"timeoutInMinutes": minutes});
            hook(json!({
                "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"], "timeoutConfiguration": timeout,
            }))
        };
        for minutes in [-5, 0, 20_161] {
            check(timeout(minutes), &json!("timeoutInMinutes must be between 1 and 20160."));
        }
        let late = json!({"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]});
        check(
            json!({"lifecycleHooks": [late]}),
            &json!(
                "A deployment with the strategy ROLLING has no stage POST_TEST_TRAFFIC_SHIFT: PAUSE lifecycle hooks of it \
                 are at PRE_SCALE_UP and POST_SCALE_UP."
            ),
        );
        let lambda = "deploymentConfiguration.lifecycleHooks[].targetType AWS_LAMBDA is not supported by this version of \
                      Outport. See /_outport/compatibility at this endpoint.";
        check(hook(json!({"lifecycleStages": ["PRE_SCALE_UP"]})), &json!(lambda));
    }

    #[test]
    fn early_successes() {
        let early = |strategy: &str, criteria: Value| {
            let bake =
                json!({"strategy": strategy, "bakeTimeInMinutes": 1, "minimumHealthyPercent": 50});
            let mut given = bake;
            given["earlySuccessCriteria"] = criteria;
            given
        };
        let whole = json!({"enable": true, "healthyPercent": 60, "sourceServiceRevisionCleanup": "DEFERRED"});
        check(early("ROLLING", whole.clone()), &json!({"earlySuccessCriteria": whole}));
        check(
            early("BLUE_GREEN", whole),
            &json!("earlySuccessCriteria is only valid with the deployment strategy ROLLING."),
        );
        check(
            early("ROLLING", json!({"enable": true})),
            &json!(
                "healthyPercent and sourceServiceRevisionCleanup must be specified when earlySuccessCriteria is enabled."
            ),
        );
        for percent in [-1, 101] {
            let outside = json!({
                "enable": true, "healthyPercent": percent, "sourceServiceRevisionCleanup": "BLOCKING",
            });
            let range = "healthyPercent must be between 0 and 100.";
            check(early("ROLLING", outside), &json!(range));
        }
        let low = json!({"enable": true, "healthyPercent": 40, "sourceServiceRevisionCleanup": "BLOCKING"});
        check(
            early("ROLLING", low),
            &json!("healthyPercent must be greater than or equal to minimumHealthyPercent."),
        );
    }

    #[test]
    fn thresholds_of_the_circuit_breaker() {
        let breaker = |threshold: Value| json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true, "thresholdConfiguration": threshold}});
        let shown = |threshold: Value| {
            let shown = json!({
                "enable": true, "rollback": true, "resetOnHealthyTask": true, "thresholdConfiguration": threshold,
            });
            json!({"deploymentCircuitBreaker": shown})
        };
        for threshold in [
            json!({"type": "COUNT", "value": 7}),
            json!({"type": "BOUNDED_PERCENT", "value": 10}),
            json!({"type": "UNBOUNDED_PERCENT", "value": 75}),
        ] {
            check(breaker(threshold.clone()), &shown(threshold));
        }
        let low = "The value of thresholdConfiguration must be greater than 0.";
        check(breaker(json!({"type": "COUNT", "value": 0})), &json!(low));
    }
}
