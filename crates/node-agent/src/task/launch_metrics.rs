//! Measures the steps of a launch.

use metrics::histogram;
use tokio::time::Instant;

/// Does one step of a launch, and counts how long it took, however it ended. A step that is given up half-way is not
/// counted.
pub(super) async fn timed<T>(step: &'static str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let outcome = work.await;
    histogram!("outport_launch_seconds", "step" => step).record(begun.elapsed());
    outcome
}
