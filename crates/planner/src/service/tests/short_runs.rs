//! What a service says whose tasks end right after they started.

use outport_model::task::{ContainerStatus, TaskContainer};

use super::*;

fn container() -> TaskContainer {
    TaskContainer {
        id: ContainerId::new("c"),
        name: "web".into(),
        image: "web:1".into(),
        resolved_digest: None,
        essential: true,
        health: None,
        image_digest: None,
        runtime_id: None,
        last_status: ContainerStatus::Stopped,
        exit_code: Some(1),
        reason: None,
        network_bindings: Vec::new(),
    }
}

/// So many tasks that ran for `ran_ms` and ended by themselves.
fn short_runs(service: &Service, count: usize, ran_ms: TimestampMs) -> Vec<Arc<Task>> {
    let mut tasks = tasks(service, &vec!["v1 exited"; count].join(", "));
    for task in &mut tasks {
        let task = Arc::make_mut(task);
        task.started_at_ms = Some(NOW_MS - 1 - ran_ms);
        task.stopped_reason = Some("Essential container in task exited".into());
        task.containers = vec![container()];
    }
    tasks
}

fn said(service: &Service, tasks: &[Arc<Task>]) -> Vec<String> {
    planned(service, tasks, |plan, _| {
        let messages = plan.service.events.iter().map(|event| event.message.clone());
        messages.filter(|message| is_of_short_runs(message)).collect()
    })
}

#[test]
fn five_short_runs_in_a_row_are_said_with_how_they_ended() {
    let mut service = service(1, 100, 200, 1);
    assert!(said(&service, &short_runs(&service, 4, 100)).is_empty());
    assert!(said(&service, &short_runs(&service, 5, 60_000)).is_empty(), "they ran for long");
    let text = "(service web) has started tasks that ended by themselves soon after, 5 in a row. The \
                last one: Essential container in task exited; container web exited with 1.";
    assert_eq!(said(&service, &short_runs(&service, 5, 100)), [text]);
    // A steady state between does not make it news.
    let event = |at_ms, text: &str| ServiceEvent {
        id: ServiceEventId::new("e"),
        at_ms,
        message: text.into(),
    };
    service.events = vec![
        event(NOW_MS - 5, "(service web) has reached a steady state."),
        event(NOW_MS - 10, text),
    ];
    assert_eq!(said(&service, &short_runs(&service, 6, 100)), [text], "no second one");
}

#[test]
fn a_task_that_runs_between_breaks_the_row() {
    let service = service(2, 100, 200, 1);
    let mut tasks = short_runs(&service, 5, 100);
    tasks.extend(super::tasks(&service, "v1 running"));
    assert!(said(&service, &tasks).is_empty());
}

/// Tasks of a service that wants `desired`, the oldest first, each by its start and its end in seconds before now and by
/// why it ended; how long the next start waits.
#[track_caller]
fn check_pause(desired: u32, runs: &[(i64, Option<i64>)], expected_ms: Option<TimestampMs>) {
    let service = service(desired, 100, 200, 1);
    let tasks = runs.iter().enumerate().map(|(index, run)| ran(&service, index, *run));
    let tasks: Vec<_> = tasks.collect();
    planned(&service, &tasks, |plan, _| {
        let pause = plan.look_again_at_ms.filter(|_| plan.starts == 0).map(|at| at - NOW_MS);
        assert_eq!(pause, expected_ms, "{desired} {runs:?}");
    });
}

/// A task that began so many seconds ago and ended by itself so many ago, or runs.
fn ran(service: &Service, index: usize, (began, ended): (i64, Option<i64>)) -> Arc<Task> {
    let mut task = blank(service, index, "v1");
    task.created_at_ms = NOW_MS - began * 1_000;
    task.started_at_ms = Some(NOW_MS - began * 1_000);
    if let Some(ended) = ended {
        task.last_status = TaskStatus::Stopped;
        task.desired_status = DesiredStatus::Stopped;
        task.stopped_at_ms = Some(NOW_MS - ended * 1_000);
        task.stop_code = Some(StopCode::EssentialContainerExited);
    }
    Arc::new(task)
}

#[test]
fn short_runs_in_a_row_are_replaced_more_and_more_slowly() {
    let row: Vec<(i64, Option<i64>)> = (0..9).rev().map(|at| (at, Some(at))).collect();
    for (count, expected_ms) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (9, 10_000)] {
        check_pause(1, &row[9 - count..], Some(expected_ms));
    }
    // The pause is counted from the last end.
    check_pause(1, &[(3, Some(3))], None);
    check_pause(1, &[(4, Some(4)), (2, Some(1))], Some(1_000));
    // A round is as many as are wanted.
    check_pause(3, &row[6..], Some(1_000));
    check_pause(3, &row[5..], Some(2_000));
}

#[test]
fn a_task_that_lives_ends_the_pauses() {
    // It ran for ten seconds.
    check_pause(1, &[(40, Some(0))], None);
    check_pause(1, &[(60, Some(60)), (50, Some(49)), (30, Some(20)), (0, Some(0))], Some(1_000));
    // It runs for that long, beside those that do not.
    check_pause(2, &[(60, Some(60)), (50, Some(49)), (20, None), (0, Some(0))], Some(1_000));
    // One that has just begun says nothing yet.
    check_pause(
        2,
        &[(6, Some(6)), (5, Some(5)), (4, Some(4)), (1, None), (0, Some(0))],
        Some(2_000),
    );
    // The clock went back an hour since.
    check_pause(1, &[(-3_600, Some(-3_600))], None);
}

#[test]
fn a_stop_that_somebody_asked_for_and_another_deployment_make_no_pause() {
    let service = service(1, 100, 200, 2);
    let mut stopped = Task::clone(&ran(&service, 0, (1, Some(0))));
    let planned_starts =
        |task: &Task| planned(&service, &[Arc::new(task.clone())], |plan, _| plan.starts);
    // Of the deployment before.
    assert_eq!(planned_starts(&stopped), 1);
    stopped.service.as_mut().unwrap().deployment = DeploymentId::new("v2");
    assert_eq!(planned_starts(&stopped), 0);
    stopped.stop_code = Some(StopCode::UserInitiated);
    assert_eq!(planned_starts(&stopped), 1);
}
