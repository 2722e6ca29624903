//! What a service says whose tasks end right after they started.

use outport_model::task::{ContainerStatus, TaskContainer};

use super::*;

fn container() -> TaskContainer {
    TaskContainer {
        id: ContainerId::new("c"),
        name: "web".into(),
        image: "web:1".into(),
        resolved_digest: None,
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
