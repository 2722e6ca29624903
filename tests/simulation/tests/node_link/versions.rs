//! Nodes of other versions: older ones, newer ones, and those that nothing can be said to.

use outport_model::DesiredStatus;
use outport_model::task_definition::TaskDefinition;
use outport_node_protocol::{ProtocolVersions, Registered};
use outport_store::keys::TaskDefinitionKey;

use super::*;

fn meet(house: &House, lowest: u32, highest: u32) -> Result<Registered, LinkError> {
    let protocol = ProtocolVersions { lowest, highest };
    let registration = Registration { protocol, ..house.node.registration() };
    house.link.register(registration).now_or_never().unwrap()
}

#[test]
fn a_newer_node_is_spoken_to_in_the_version_that_both_know() {
    let house = house();
    for (lowest, highest, common) in [(1, 1, 1), (1, 2, 2), (1, 9, 2), (2, 9, 2)] {
        assert_eq!(meet(&house, lowest, highest).unwrap().protocol_version, common);
    }
}

#[test]
fn a_node_without_a_common_version_is_told_both_and_changes_nothing() {
    let house = house();
    house.run_task(0);
    let before = house.store.snapshot().version();
    for (lowest, highest, words) in [(3, 3, "version 3"), (4, 6, "versions 4 to 6")] {
        let refused = meet(&house, lowest, highest).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, LinkError::NoCommonVersion { .. }), "{text}");
        assert!(text.contains("speaks versions 1 to 2 of") && text.contains(words), "{text}");
        assert!(text.contains(house.node.id.as_str()), "{text}");
    }
    assert_eq!(house.store.snapshot().version(), before, "nothing is written");
    assert!(house.ask(0).is_some(), "and the node's tasks are still its own");
}

/// Over HTTP: by its registration, and by a call of a version that is not spoken any more.
#[tokio::test]
async fn the_answer_says_that_it_is_of_versions() {
    let house = house();
    let id = house.node.id.to_string();
    let protocol = ProtocolVersions { lowest: 7, highest: 8 };
    let registration = Registration { protocol, ..house.node.registration() };
    let body = serde_json::to_string(&registration).unwrap();
    let refused = call(&house.link, "register", Some(&id), body).await;
    assert_eq!(code(&refused), RefusalCode::NoCommonVersion, "{}", refused.1);
    let (_stop, stopping) = watch::channel(false);
    let ask = |path: &'static str| {
        let request = axum::http::Request::post(path).body(Body::from("{")).unwrap();
        answer(router(house.link.clone(), stopping.clone()), request)
    };
    let refused = ask("/_outport/node/v3/assignment").await;
    assert_eq!(code(&refused), RefusalCode::NoCommonVersion);
    let names_both = refused.1.contains("versions 1 to 2") && refused.1.contains("version 3");
    assert!(names_both, "{}", refused.1);
    for unknown in ["/_outport/node/v1/usage", "/_outport/node/vx/assignment"] {
        let (status, text) = ask(unknown).await;
        assert!(status == 404 && text.contains("has no call"), "{unknown} {status} {text}");
    }
}

/// A node of the first slice says nothing of versions, and is answered what it knows.
#[tokio::test]
async fn a_node_of_the_first_slice_is_answered() {
    let house = house();
    let id = house.node.id.to_string();
    let mut registration = serde_json::to_value(house.node.registration()).unwrap();
    for added in ["ask_only", "allows_privileged", "protocol"] {
        registration.as_object_mut().unwrap().remove(added).unwrap();
    }
    let (status, text) = call(&house.link, "register", Some(&id), registration.to_string()).await;
    assert_eq!(status, 200, "{text}");
    let registered: Registered = serde_json::from_str(&text).unwrap();
    assert_eq!(registered.protocol_version, 1);
}

/// A node says of one task what this version cannot read: the others are taken in, and that one is not given up.
#[tokio::test]
async fn a_report_that_is_read_in_part_takes_no_task_away() {
    let mut house = house();
    let id = house.node.id.to_string();
    house.run_task(0);
    let task = house.only_task();
    let mut report = seen(&task.id, TaskStatus::Running);
    let send = |house: &mut House, reports: Vec<serde_json::Value>| {
        let assignment = house.ask(0).unwrap();
        house.node.take(assignment.as_ref().clone());
        let mut message = serde_json::to_value(house.node.report()).unwrap();
        message["tasks"] = serde_json::Value::Array(reports);
        let (link, id) = (house.link.clone(), id.clone());
        async move { call(&link, "report", Some(&id), message.to_string()).await.0 }
    };
    let of_the_future = |report: &TaskReport| {
        let mut value = serde_json::to_value(report).unwrap();
        value["status"] = serde_json::json!("HIBERNATING");
        value
    };
    let unknown = of_the_future(&seen(&TaskId::new("another"), TaskStatus::Running));
    let known = serde_json::to_value(&report).unwrap();
    assert_eq!(send(&mut house, vec![unknown, known]).await, 204);
    assert_eq!(house.only_task().last_status, TaskStatus::Running);
    // Asked to stop, and seen in a way that is not understood: it is not one that the node never took.
    house.write(|tx| {
        tx.update(&task.key(), |row: &mut Task| row.desired_status = DesiredStatus::Stopped)
    });
    report.status = TaskStatus::Stopping;
    assert_eq!(send(&mut house, vec![of_the_future(&report)]).await, 204);
    assert_eq!(house.only_task().last_status, TaskStatus::Running);
    assert_eq!(send(&mut house, Vec::new()).await, 204);
    assert_eq!(house.only_task().last_status, TaskStatus::Stopped, "never taken");
}

/// A newer version registered the definition of a task, and an older one came back: what runs, runs on, its log waits, and
/// a stop is still told.
#[test]
fn a_task_whose_definition_cannot_be_read_runs_on() {
    let journal = MemoryJournal::default();
    let mut newer = house_on(&journal);
    newer.set_up();
    newer.register();
    newer.run_task(0);
    let task = newer.only_task();
    let first = newer.ask(0).unwrap();
    let key = TaskDefinitionKey::new(&task.scope, task.family.clone(), task.revision);
    newer.write(|tx| {
        tx.update(&key, |row: &mut TaskDefinition| {
            let mut document: Value = serde_json::from_str(&row.document).unwrap();
            document["networkMode"] = json!("mesh");
            row.document = document.to_string();
        });
    });
    let house = house_on(&journal);
    let second = house.ask(first.generation).expect("it is told otherwise");
    assert_eq!(second.tasks, []);
    let named = |section: &TaskSection| {
        let [only] = &section.unreadable[..] else { panic!("{section:?}") };
        assert!(only.reason.contains("run the version that registered it"), "{}", only.reason);
        (only.task.clone(), only.desired)
    };
    assert_eq!(named(&second), (Some(task.id.clone()), Some(DesiredStatus::Running)));
    let batch = LogBatch {
        node: house.node.id.clone(),
        task: task.id.clone(),
        container: task.containers[0].name.clone(),
        from_cursor: 0,
        to_cursor: 1,
        events: Vec::new(),
    };
    let sent = house.link.logs(batch).now_or_never().unwrap();
    assert!(matches!(sent, Err(LinkError::Unavailable(_))), "the node keeps them: {sent:?}");
    house.call("StopTask", &json!({ "task": task.id.as_str() }));
    let third = house.ask(second.generation).expect("it is to stop");
    assert_eq!(named(&third), (Some(task.id.clone()), Some(DesiredStatus::Stopped)));
}

/// The calls of version 1, whose one section is the answer.
#[tokio::test]
async fn a_node_of_version_1_is_told_its_tasks_as_ever() {
    let mut house = house();
    house.run_task(0);
    let id = house.node.id.to_string();
    let (_stop, stopping) = watch::channel(false);
    let router = router(house.link.clone(), stopping);
    let ask = |call: &str, body: String| {
        let length = Some(body.len());
        answer(router.clone(), request_at(1, call, Some(proven(&id, "key")), length, body.into()))
    };
    let (status, body) =
        ask("assignment", format!(r#"{{"node":"{id}","known_generation":0}}"#)).await;
    let told: TaskSection = serde_json::from_str(&body).unwrap();
    assert_eq!((status, told.tasks.len()), (200, 1), "{body}");
    assert_eq!(Some(told.generation), house.ask(0).map(|section| section.generation));
    let report = serde_json::to_string(&house.node.report()).unwrap();
    assert_eq!(ask("report", report).await.0, 204);
}

/// One that would take changes for the whole would end all that they do not name.
#[test]
fn changes_are_only_for_who_says_that_it_takes_them() {
    let house = house();
    house.run_task(1);
    let first = house.ask_as(0, false).expect("there is a task");
    assert_eq!((first.since, first.tasks.len()), (None, 1));
    house.run_task(1);
    let second = house.ask_as(first.generation, false).expect("there is another one");
    assert_eq!((second.since, second.tasks.len()), (None, 2));
    house.run_task(1);
    let third = house.ask_as(second.generation, true).expect("and one more");
    assert_eq!((third.since, third.tasks.len()), (Some(second.generation), 1));
    let unsaid = format!(r#"{{"node":"{}","known":{{"tasks":1}}}}"#, house.node.id);
    assert!(!serde_json::from_str::<AssignmentRequest>(&unsaid).unwrap().takes_changes);
}
