//! Steps of a launch that are done at once.

use std::pin::pin;

use futures_util::future::{BoxFuture, join_all};

use crate::task::StartError;

/// Does all of `makes`, which make something on this host, and `asks`, which asks others, at the same time. The first
/// failure is the launch's.
///
/// What makes something is waited for to its end, whatever failed beside it: it works on a thread of its own, which nobody
/// can call back, and what it made after the task was cleaned up would stay for as long as the agent lives.
pub async fn all_at_once(
    makes: Vec<BoxFuture<'_, Result<(), StartError>>>,
    asks: impl Future<Output = Result<(), StartError>>,
) -> Result<(), StartError> {
    let makes = async { join_all(makes).await.into_iter().collect::<Result<(), _>>() };
    let (mut makes, mut asks) = (pin!(makes), pin!(asks));
    tokio::select! {
        made = &mut makes => {
            made?;
            asks.await
        }
        asked = &mut asks => {
            let made = makes.await;
            asked.and(made)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    async fn fails(reason: &str) -> Result<(), StartError> {
        Err(StartError::new("ResourceInitializationError", reason))
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_something_is_waited_for() {
        for (make_fails, ask_fails) in [(true, false), (false, true), (true, true)] {
            let is_made = AtomicBool::new(false);
            let slow = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                is_made.store(true, Ordering::Relaxed);
                Ok(())
            };
            let mut makes = vec![slow.boxed()];
            if make_fails {
                makes.insert(0, fails("no disk").boxed());
            }
            let asks = async { if ask_fails { fails("no log group").await } else { Ok(()) } };
            let failed = all_at_once(makes, asks).await.unwrap_err();
            let expected = if ask_fails { "no log group" } else { "no disk" };
            assert!(failed.reason.contains(expected), "{}", failed.reason);
            assert!(is_made.load(Ordering::Relaxed), "{expected}: something came after its end");
        }
    }

    /// A control plane that is away has long patience; a failure of the host's does not wait for it.
    #[tokio::test(start_paused = true)]
    async fn who_is_asked_keeps_no_failure_waiting() {
        let never = std::future::pending();
        let failed = all_at_once(vec![fails("no disk").boxed()], never).await;
        assert!(failed.unwrap_err().reason.contains("no disk"));
    }
}
