//! How a service is rolled over: within which bounds, in which stages, and what gives a roll-out up.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfiguration {
    /// Rounded up to tasks.
    pub minimum_healthy_percent: u32,
    /// Rounded down to tasks.
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
    #[serde(default)]
    pub strategy: DeploymentStrategy,
    /// Minutes for which both revisions run on behind the last shift of traffic.
    #[serde(default)]
    pub bake_time_min: u32,
    #[serde(default)]
    pub hooks: Vec<PauseHook>,
    #[serde(default)]
    pub early_success: Option<EarlySuccess>,
}

impl DeploymentConfiguration {
    /// A deployment never leaves fewer healthy tasks than this.
    /// Source: botocore's documentation of `minimumHealthyPercent` ("rounded up").
    pub fn healthy_floor(&self, desired_count: u32) -> u32 {
        percent_rounded_up(desired_count, self.minimum_healthy_percent)
    }
    /// A deployment never runs more tasks than this.
    /// Source: botocore's documentation of `maximumPercent` ("rounded down").
    pub fn running_ceiling(&self, desired_count: u32) -> u32 {
        let tasks = u64::from(desired_count) * u64::from(self.maximum_percent) / 100;
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }
}

/// So many per cent of a count, rounded up.
pub fn percent_rounded_up(count: u32, percent: u32) -> u32 {
    let tasks = (u64::from(count) * u64::from(percent)).div_ceil(100);
    u32::try_from(tasks).unwrap_or(u32::MAX)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
    #[serde(default)]
    pub threshold: FailureThreshold,
    /// Whether a task that comes up makes the failures before it count for nothing.
    #[serde(default = "yes")]
    pub reset_on_healthy_task: bool,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        let threshold = FailureThreshold::default();
        Self { enable: false, rollback: false, threshold, reset_on_healthy_task: true }
    }
}

fn yes() -> bool {
    true
}

/// How many tasks of a deployment may fail. Source: botocore's documentation of `ThresholdConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureThreshold {
    Count(u32),
    /// Of the desired count, rounded up, from 3 to 200.
    BoundedPercent(u32),
    /// Of the desired count, rounded up.
    UnboundedPercent(u32),
}

/// Source: botocore's documentation of `ServiceDeploymentCircuitBreaker.threshold`.
const BOUNDED_MIN: u32 = 3;
const BOUNDED_MAX: u32 = 200;

impl Default for FailureThreshold {
    fn default() -> Self {
        Self::BoundedPercent(50)
    }
}

impl FailureThreshold {
    /// At so many failures the deployment is given up; at least one.
    pub fn failures(self, desired_count: u32) -> u32 {
        match self {
            Self::Count(count) => count.max(1),
            Self::BoundedPercent(percent) => {
                percent_rounded_up(desired_count, percent).clamp(BOUNDED_MIN, BOUNDED_MAX)
            }
            Self::UnboundedPercent(percent) => percent_rounded_up(desired_count, percent).max(1),
        }
    }
}

/// How the tasks of a revision come in the place of those of the one before, and traffic with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentStrategy {
    /// Some by some.
    #[default]
    Rolling,
    /// All beside all, then the traffic at once.
    BlueGreen,
    /// All beside all, then the traffic in equal steps.
    Linear { step_permille: u32, step_bake_min: u32 },
    /// All beside all, then a part of the traffic, then the rest.
    Canary { permille: u32, bake_min: u32 },
}

/// All of the traffic.
pub const ALL_PERMILLE: u32 = 1000;

impl DeploymentStrategy {
    /// How much of the traffic the new revision has behind the next shift.
    pub fn next_permille(self, permille: u32) -> u32 {
        match self {
            Self::Linear { step_permille, .. } => {
                (permille + step_permille.max(1)).min(ALL_PERMILLE)
            }
            Self::Canary { permille: first, .. } if permille < first => first.min(ALL_PERMILLE),
            Self::Canary { .. } | Self::BlueGreen | Self::Rolling => ALL_PERMILLE,
        }
    }

    /// Minutes between two shifts.
    pub fn step_bake_min(self) -> u32 {
        match self {
            Self::Linear { step_bake_min, .. } => step_bake_min,
            Self::Canary { bake_min, .. } => bake_min,
            Self::BlueGreen | Self::Rolling => 0,
        }
    }
}

/// Where a deployment stands. Source: botocore's documentation of `ServiceDeployment.lifecycleStage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LifecycleStage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    /// Of hooks only: before each shift.
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

impl LifecycleStage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }
}

/// Where a deployment waits for somebody to say that it goes on: `targetType` PAUSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseHook {
    pub stages: Vec<LifecycleStage>,
    /// Minutes for which it waits.
    pub timeout_min: u32,
    /// What is done then.
    pub timeout_action: HookAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HookAction {
    Continue,
    Rollback,
}

/// A rolling deployment is a success before all of its tasks are there.
/// Source: botocore's documentation of `DeploymentEarlySuccessCriteria`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlySuccess {
    /// Of the desired count, rounded up.
    pub healthy_percent: u32,
    /// Whether the tasks before go after the success is said.
    pub deferred_cleanup: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(minimum: u32, maximum: u32, desired: u32, floor: u32, ceiling: u32) {
        let configuration = DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
            strategy: DeploymentStrategy::Rolling,
            bake_time_min: 0,
            hooks: Vec::new(),
            early_success: None,
        };
        let actual = (configuration.healthy_floor(desired), configuration.running_ceiling(desired));
        assert_eq!(actual, (floor, ceiling));
    }

    #[test]
    fn the_floor_is_rounded_up_and_the_ceiling_down() {
        check(100, 200, 3, 3, 6);
        check(50, 150, 3, 2, 4);
        check(0, 100, 1, 0, 1);
        check(33, 199, 1, 1, 1);
        check(100, 200, 0, 0, 0);
    }

    #[test]
    fn how_many_failures_give_a_deployment_up() {
        let check = |threshold: FailureThreshold, desired: u32, failures: u32| {
            assert_eq!(threshold.failures(desired), failures, "{threshold:?} of {desired}");
        };
        // AWS's own examples of the default: 1 task 3, 25 tasks 13, 400 tasks 200, 800 tasks 200.
        for (desired, failures) in [(1, 3), (25, 13), (400, 200), (800, 200)] {
            check(FailureThreshold::default(), desired, failures);
        }
        check(FailureThreshold::BoundedPercent(10), 100, 10);
        check(FailureThreshold::UnboundedPercent(10), 5, 1);
        check(FailureThreshold::UnboundedPercent(50), 1000, 500);
        check(FailureThreshold::UnboundedPercent(50), 0, 1);
        check(FailureThreshold::Count(7), 1000, 7);
        check(FailureThreshold::Count(0), 1, 1);
    }

    #[test]
    fn how_traffic_is_shifted() {
        let check = |strategy: DeploymentStrategy, shifts: &[u32]| {
            let mut actual = Vec::new();
            while actual.last() != Some(&ALL_PERMILLE) {
                actual.push(strategy.next_permille(actual.last().copied().unwrap_or(0)));
            }
            assert_eq!(actual, shifts, "{strategy:?}");
        };
        check(DeploymentStrategy::BlueGreen, &[1000]);
        check(
            DeploymentStrategy::Linear { step_permille: 250, step_bake_min: 0 },
            &[250, 500, 750, 1000],
        );
        check(
            DeploymentStrategy::Linear { step_permille: 400, step_bake_min: 0 },
            &[400, 800, 1000],
        );
        check(DeploymentStrategy::Canary { permille: 50, bake_min: 0 }, &[50, 1000]);
        check(DeploymentStrategy::Canary { permille: 1000, bake_min: 0 }, &[1000]);
    }
}
