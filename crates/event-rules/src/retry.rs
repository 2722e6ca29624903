//! When a delivery that failed is tried again.
//!
//! Source: EventBridge user guide, "How EventBridge retries delivering events": exponential back-off with jitter, for up to 24 hours and 185
//! times, which is what a target has that says nothing else; an error that is not going away by itself is not tried again. The steps are
//! ours.

/// After the first failure.
const FIRST_MS: i64 = 1_000;
/// The longest pause: 185 of them and their jitter are less than the 24 hours of a target that says nothing.
pub const PAUSE_MS_MAX: i64 = 10 * 60_000;

/// How long a target wants a delivery to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Beside the first try.
    pub retries_max: u32,
    pub age_ms_max: i64,
}

/// Why there is no further try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It would fail again.
    Final,
    Retries,
    Age,
}

impl GivenUp {
    /// As a dead letter says it. Source: EventBridge user guide, "Using dead-letter queues": `EXHAUSTED_RETRY_CONDITION`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Final => "NonRetryableError",
            Self::Retries => "MaximumRetryAttempts",
            Self::Age => "MaximumEventAgeInSeconds",
        }
    }
}

/// When to try again after `attempts` tries, 1 and up, of an event of `made_at_ms`. `spread`: any number, so that not all come at once.
///
/// # Errors
/// [`GivenUp`].
pub fn next_try(
    limits: Limits,
    made_at_ms: i64,
    attempts: u32,
    now_ms: i64,
    spread: u64,
) -> Result<i64, GivenUp> {
    if attempts > limits.retries_max {
        return Err(GivenUp::Retries);
    }
    let doublings = attempts.saturating_sub(1).min(20);
    let pause_ms = (FIRST_MS << doublings).min(PAUSE_MS_MAX);
    // Between three quarters and all of it.
    let jitter_ms = i64::try_from(spread % 256).unwrap_or(0) * pause_ms / 1_024;
    let next_ms = now_ms + pause_ms - jitter_ms;
    if next_ms - made_at_ms > limits.age_ms_max {
        return Err(GivenUp::Age);
    }
    Ok(next_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Limits = Limits { retries_max: 185, age_ms_max: 86_400_000 };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let check = |attempts, spread, expected_ms| {
            assert_eq!(next_try(DEFAULT, 0, attempts, 0, spread), Ok(expected_ms), "{attempts}");
        };
        check(1, 0, 1_000);
        check(1, 255, 751);
        check(2, 0, 2_000);
        check(9, 0, 256_000);
        check(10, 0, 512_000);
        check(11, 0, 600_000);
        check(185, 0, 600_000);
    }

    #[test]
    fn it_ends() {
        let none = Limits { retries_max: 0, age_ms_max: 60_000 };
        assert_eq!(next_try(none, 0, 1, 0, 0), Err(GivenUp::Retries));
        assert_eq!(next_try(DEFAULT, 0, 186, 0, 0), Err(GivenUp::Retries));
        let short = Limits { retries_max: 185, age_ms_max: 60_000 };
        assert_eq!(next_try(short, 0, 1, 59_000, 0), Ok(60_000));
        assert_eq!(next_try(short, 0, 1, 59_001, 0), Err(GivenUp::Age));
        // However far a caller went.
        let (mut now_ms, mut attempts) = (0, 1);
        while let Ok(next_ms) = next_try(DEFAULT, 0, attempts, now_ms, 7) {
            (now_ms, attempts) = (next_ms, attempts + 1);
        }
        assert!(attempts <= 186 && now_ms <= DEFAULT.age_ms_max);
    }
}
