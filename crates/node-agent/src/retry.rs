//! Another try for calls that a control plane answers when it is back.

use std::time::Duration;

use tokio::time::Instant;

/// How long the start of a task waits for a control plane that is away: a restart of the server takes
/// seconds, and is no reason to fail the tasks that begin meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
/// What one try counts at most: a call's own timeout. Whoever is suspended during a try loses no more
/// than that, and tries again.
const TRY_MAX: Duration = Duration::from_secs(30);
/// First wait after a failure; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Calls until it succeeds, fails for good or the patience is over; the last failure then.
pub async fn retry_while<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    may_pass: impl Fn(&E) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, E> {
    let mut waited = Duration::ZERO;
    let mut retry = RETRY_FIRST;
    loop {
        let begun = Instant::now();
        match call().await {
            Err(error) if may_pass(&error) && waited < PATIENCE => {
                tracing::debug!(%error, "a task's start waits for the control plane");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                waited += begun.elapsed().min(TRY_MAX);
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that answers `text` in turn: `?` fails and may pass, `!` fails for good, `.` succeeds.
    async fn tries(text: &str) -> (Result<(), char>, usize) {
        let (mut answers, mut calls) = (text.chars().cycle(), 0);
        let outcome = retry_while(
            |answer| *answer == '?',
            || {
                calls += 1;
                std::future::ready(match answers.next() {
                    Some('.') | None => Ok(()),
                    Some(failure) => Err(failure),
                })
            },
        );
        (outcome.await, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_tried_again() {
        assert_eq!(tries(".").await, (Ok(()), 1));
        assert_eq!(tries("???.").await, (Ok(()), 4));
        assert_eq!(tries("?!.").await, (Err('!'), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let begun = Instant::now();
        let (outcome, calls) = tries("?").await;
        assert_eq!(outcome, Err('?'));
        assert!(calls < 30 && begun.elapsed() <= PATIENCE + RETRY_MAX, "{calls} calls");
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspend_during_a_try_does_not_use_the_patience_up() {
        let mut calls = 0;
        let outcome = retry_while(
            |_: &char| true,
            || {
                calls += 1;
                let first = calls == 1;
                async move {
                    if first {
                        tokio::time::sleep(Duration::from_secs(310)).await;
                        return Err('?');
                    }
                    Ok(())
                }
            },
        );
        assert_eq!(outcome.await, Ok(()));
    }
}
