//! A wall clock that is set back puts nothing off that is due.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::FutureExt;
use outport_controllers::{Controller, Extent, ServiceController};
use outport_planner::Settings;
use outport_service_ecs::task_definition::Workloads;
use outport_simulation::user::{self, Answer, User};
use outport_store::journal::MemoryJournal;
use outport_store::{ManualClock, SeededIds, Store};
use serde_json::json;

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_service_that_found_no_place_is_looked_at_again_in_time() {
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let ids = Arc::new(SeededIds::new(1));
    let store = Store::with_journal(MemoryJournal::default(), clock.clone(), ids).unwrap();
    let set_up = store.write(|tx| {
        user::set_up(tx);
        Ok::<_, Infallible>(())
    });
    set_up.now_or_never().unwrap().unwrap();
    let settings = Settings::default();
    let user = User::new(&store, settings.clone(), Workloads::default());
    user.register_families().now_or_never().unwrap();
    // There is no node.
    let (family, mode) = user::FAMILIES[1];
    let input = json!({ "serviceName": family, "taskDefinition": family, "desiredCount": 1 });
    let created = user.call("CreateService", &user::with_place(input, mode)).now_or_never();
    assert!(matches!(created, Some(Answer::Taken(_))), "{created:?}");
    let workloads = Arc::new(Workloads::default());
    let mut controller = ServiceController::new(&store, settings.clone(), workloads);
    let mut again_in_ms = || {
        let due = controller.activate(&store, Extent::Touched).now_or_never().unwrap().unwrap();
        due.expect("it tries again") - store.now_ms()
    };
    let longest_ms = settings.placement_retry_ms;
    // What a look has written is looked at, too; then nothing is touched any more.
    assert_eq!([again_in_ms(), again_in_ms(), again_in_ms()], [longest_ms; 3]);
    clock.step(-HOUR_MS);
    assert_eq!(again_in_ms(), longest_ms, "as before the step");
    clock.advance(longest_ms);
    assert!((1..=longest_ms).contains(&again_in_ms()), "it was looked at, and will be again");
}
