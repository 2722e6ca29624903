//! The bytes of every message are a promise: what a version wrote is read, and what is written is what it was.
//!
//! `golden/<message>.v<version>.json` has every field. `golden/<message>.v<version>.<age>.json` was written before fields
//! were added.
//! A file is never changed; what is added to a message gets a new file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod messages;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outport_model::task_definition::LogConfiguration;
use outport_model::{DesiredStatus, TaskId};
use outport_node_protocol::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn bytes(file: &str) -> String {
    let text = std::fs::read_to_string(directory().join(file));
    text.unwrap_or_else(|error| panic!("{file}: {error}")).trim_end().to_owned()
}

/// Reads and writes a message as the version of its file has it, reads it with fields of the future in every object, and answers which
/// of its fields it cannot be read without.
#[track_caller]
fn check<T>(message: &T, name: &str, seen: &mut BTreeSet<String>) -> BTreeSet<String>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let file = format!("{name}.json");
    let golden = bytes(&file);
    assert_eq!(serde_json::to_string(message).unwrap(), golden, "{file}: what is written");
    assert_eq!(&serde_json::from_str::<T>(&golden).unwrap(), message, "{file}: what is read");
    let value: Value = serde_json::from_str(&golden).unwrap();
    let mut future = value.clone();
    every_object(&mut future, &mut |object| {
        // The one key of an object that stands for a variant of an enum is no field.
        if !["Awsvpc", "Awslogs"].iter().any(|variant| object.contains_key(*variant)) {
            object.insert("of_the_future".into(), json!({ "a": [1, null] }));
        }
    });
    let read: T = serde_json::from_str(&future.to_string()).unwrap();
    assert_eq!(&read, message, "{file}: fields of the future are passed over");
    seen.insert(file);
    let mut required = BTreeSet::new();
    for field in fields(&value, "") {
        let mut without = value.clone();
        remove(&mut without, &field);
        let read = serde_json::from_str::<T>(&without.to_string());
        // Of a task that lacks one, the task is unreadable and the rest is there.
        let whole = read.is_ok_and(|read| {
            let again = serde_json::to_value(&read).unwrap();
            let tasks = |value: &Value| {
                let listed = value["tasks"].as_array().or(value["tasks"]["tasks"].as_array());
                // One that is only named has no more than its name and what is desired of it.
                let is_whole = |task: &&Value| task.as_object().is_some_and(|task| task.len() > 2);
                listed.map(|listed| listed.iter().filter(is_whole).count())
            };
            tasks(&again) == tasks(&without)
        });
        if !whole {
            required.insert(field);
        }
    }
    required
}

fn every_object(value: &mut Value, change: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(|inner| every_object(inner, change));
            change(object);
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| every_object(inner, change)),
        _ => {}
    }
}

/// Paths of all fields, of lists the first member's.
fn fields(value: &Value, at: &str) -> BTreeSet<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, inner)| {
                let at = format!("{at}/{name}");
                let mut found = fields(inner, &at);
                found.insert(at);
                found
            })
            .collect(),
        Value::Array(list) if list.first().is_some_and(Value::is_object) => {
            fields(&list[0], &format!("{at}/0"))
        }
        _ => BTreeSet::new(),
    }
}

fn remove(value: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

#[test]
fn every_message_of_every_version_is_read_and_written_as_it_was() {
    let mut seen = BTreeSet::new();
    let mut required = BTreeSet::new();
    let mut of = |name: &str, fields: BTreeSet<String>| {
        required.extend(fields.into_iter().map(|field| format!("{name}{field}")));
    };
    macro_rules! check_each {
        ($($name:ident),*) => {
            $({
                let file = format!("{}.v1", stringify!($name));
                of(stringify!($name), check(&messages::$name(), &file, &mut seen));
            })*
        };
    }
    check_each!(
        join_request,
        certificate_request,
        issued_certificate,
        refusal,
        registration,
        registered,
        report,
        reported,
        log_batch,
        log_cursor,
        credential_request,
        registry_credential,
        task_credentials,
        task_secrets,
        task_tags
    );
    let request = AssignmentRequestV1::from(messages::assignment_request());
    of("assignment_request", check(&request, "assignment_request.v1", &mut seen));
    of("assignment", check(&messages::task_section(), "assignment.v1", &mut seen));
    let request = messages::assignment_request();
    of("v2 assignment_request", check(&request, "assignment_request.v2", &mut seen));
    of("v2 assignment", check(&messages::assignment(), "assignment.v2", &mut seen));
    let changes = messages::assignment_changes();
    of("v2 assignment", check(&changes, "assignment.v2.changes", &mut seen));
    let with_role = messages::assignment_with_task_role();
    of("v2 assignment", check(&with_role, "assignment.v2.task-role", &mut seen));
    let with_secrets = messages::assignment_with_secrets();
    of("v2 assignment", check(&with_secrets, "assignment.v2.secrets", &mut seen));
    let request = messages::assignment_request_with_secrets();
    of("v2 assignment_request", check(&request, "assignment_request.v2.secrets", &mut seen));
    of("report", check(&messages::report_changes(), "report.v1.changes", &mut seen));
    of("report", check(&messages::report_of_health(), "report.v1.health", &mut seen));
    let with_check = messages::assignment_with_health_check();
    of("v2 assignment", check(&with_check, "assignment.v2.health-check", &mut seen));
    let required: String = required.iter().map(|field| format!("{field}\n")).collect();
    let listed = bytes("required-fields.txt") + "\n";
    assert_eq!(required, listed, "a field that is required is required for ever, and no other is");
    seen.insert("required-fields.txt".to_owned());
    seen.extend(OLD.map(str::to_owned));
    seen.extend(WITHOUT_BOOT.map(str::to_owned));
    seen.insert(SPELLED_OUT.to_owned());
    let files = std::fs::read_dir(directory()).unwrap();
    let files: BTreeSet<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, seen, "every golden file is read");
}

/// As the first slice wrote them, and as an answer was written when reports were always whole.
const OLD: [&str; 4] = [
    "assignment.v1.first.json",
    "registered.v1.first.json",
    "registration.v1.first.json",
    "registered.v1.whole-reports.json",
];
/// As they were written before a node said of which boot it is.
const WITHOUT_BOOT: [&str; 2] =
    ["assignment_request.v1.first.json", "assignment_request.v2.first.json"];
/// As it was written when a container's definition was spelled out in it.
const SPELLED_OUT: &str = "assignment.v1.spelled-out.json";

#[test]
fn who_does_not_say_its_boot_is_read_and_written_as_ever() {
    let expected = AssignmentRequest { boot_id: None, ..messages::assignment_request() };
    let [first, second] = WITHOUT_BOOT.map(bytes);
    assert_eq!(serde_json::from_str::<AssignmentRequest>(&second).unwrap(), expected);
    assert_eq!(serde_json::to_string(&expected).unwrap(), second);
    let expected = AssignmentRequestV1::from(expected);
    assert_eq!(serde_json::from_str::<AssignmentRequestV1>(&first).unwrap(), expected);
    assert_eq!(serde_json::to_string(&expected).unwrap(), first);
}

#[test]
fn nothing_of_a_secret_is_in_a_debug_text() {
    let text = format!("{:?}", messages::task_secrets());
    assert!(text.contains("PASSWORD") && text.contains("puller"), "{text}");
    assert!(!text.contains("\"x\"") && !text.contains("\"y\""), "{text}");
}

#[test]
fn messages_of_earlier_versions_are_read() {
    let [assignment, registered, registration, of_whole_reports] = OLD.map(bytes);
    let expected = Registration {
        ask_only: false,
        allows_privileged: false,
        regions: Vec::new(),
        protocol: ProtocolVersions { lowest: 1, highest: 1 },
        ..messages::registration()
    };
    assert_eq!(serde_json::from_str::<Registration>(&registration).unwrap(), expected);
    let expected = Registered { takes_report_changes: false, ..messages::registered() };
    assert_eq!(serde_json::from_str::<Registered>(&of_whole_reports).unwrap(), expected);
    let expected = Registered { registry_names: Vec::new(), protocol_version: 1, ..expected };
    assert_eq!(serde_json::from_str::<Registered>(&registered).unwrap(), expected);
    let read: TaskSection = serde_json::from_str(&assignment).unwrap();
    let mut expected = without_what_is_new(messages::task_section());
    Arc::make_mut(&mut expected.tasks[0]).limits.storage_gib = None;
    assert_eq!(read, expected);
}

/// Of a container that was told before its definition travelled whole.
fn without_what_is_new(mut assignment: TaskSection) -> TaskSection {
    let tasks = assignment.tasks.iter_mut().map(Arc::make_mut);
    for container in tasks.flat_map(|task| &mut task.containers) {
        container.definition.port_mappings = Vec::new();
        container.definition.log_configuration = LogConfiguration::Local;
    }
    assignment
}

#[test]
fn what_a_check_wrote_stays_on_the_node() {
    let mut report = messages::report_of_health();
    let health = report.tasks[0].containers[0].health.as_mut().unwrap();
    (health.exit_code, health.output) = (Some(1), "a secret".into());
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(text, bytes("report.v1.health.json"));
}

/// What an older node reads is all there, under the names that it knows.
#[test]
fn an_assignment_says_all_that_it_said_when_it_was_spelled_out() {
    let old = bytes(SPELLED_OUT);
    let read: TaskSection = serde_json::from_str(&old).unwrap();
    assert_eq!(read, without_what_is_new(messages::task_section()));
    let before: Value = serde_json::from_str(&old).unwrap();
    let mut now = serde_json::to_value(messages::task_section()).unwrap();
    every_object(&mut now, &mut |object| {
        object.remove("port_mappings");
        object.remove("log_configuration");
    });
    assert_eq!(now, before);
}

/// A change of what an older node knows, and the words by which the task's failure is told.
#[track_caller]
fn check_unreadable(pointer: &str, future: Value, words: &str) {
    let mut message: Value = serde_json::to_value(messages::task_section()).unwrap();
    message["tasks"][1]["task"] = json!("other");
    *message.pointer_mut(pointer).unwrap() = future;
    let read: TaskSection = serde_json::from_str(&message.to_string()).unwrap();
    assert_eq!(read.generation, messages::task_section().generation);
    assert_eq!(read.tasks.len(), 3, "the rest is there");
    assert!(read.tasks.iter().all(|task| task.task.as_str() != "other"));
    let [unreadable] = &read.unreadable[..] else { panic!("{:?}", read.unreadable) };
    assert_eq!(unreadable.task, Some(TaskId::new("other")));
    let is_known = !pointer.ends_with("/desired");
    assert_eq!(unreadable.desired, is_known.then_some(DesiredStatus::Stopped));
    assert!(unreadable.reason.contains(words), "{}", unreadable.reason);
}

#[test]
fn a_task_of_the_future_leaves_the_others_readable() {
    check_unreadable("/tasks/1/network", json!("Ipv6Bridge"), "Ipv6Bridge");
    check_unreadable("/tasks/1/network", json!({ "Mesh": { "peers": [] } }), "Mesh");
    check_unreadable("/tasks/1/desired", json!("PAUSED"), "PAUSED");
    check_unreadable("/tasks/1/limits/pids_max", json!("all"), "\"all\"");
    check_unreadable(
        "/tasks/1/containers/0/essential",
        json!({ "when": "always" }),
        "expected a boolean",
    );
    let ports = json!([{ "container_port": 1, "host_port": 1, "protocol": "sctp" }]);
    check_unreadable("/tasks/1/containers/0/ports", ports, "sctp");
}

/// What a control plane cannot say more of comes to the node as what the node cannot read: it is not ended there.
#[test]
fn a_task_that_is_only_named_is_the_nodes_all_the_same() {
    let mut section = messages::task_section();
    let named = |task: &str, desired| UnreadableTask {
        task: Some(TaskId::new(task)),
        desired: Some(desired),
        reason: "missing field `account`".to_owned(),
    };
    section.unreadable =
        vec![named("a", DesiredStatus::Running), named("b", DesiredStatus::Stopped)];
    let text = serde_json::to_string(&section).unwrap();
    let mut read: TaskSection = serde_json::from_str(&text).unwrap();
    for task in &mut read.unreadable {
        task.reason = task.reason.split(" at ").next().unwrap().to_owned();
    }
    assert_eq!(read, section);
    assert!(
        text.ends_with(r#",{"task":"a","desired":"RUNNING"},{"task":"b","desired":"STOPPED"}]}"#)
    );
    assert!(read.stopping().any(|task| task.as_str() == "b"));
    assert!(!read.stopping().any(|task| task.as_str() == "a"));
}

/// A section of these tasks: a task that is only named has a `?`, one that is to stop a `!`.
fn section(generation: u64, tasks: &[&str]) -> TaskSection {
    let mut section = TaskSection { generation, ..TaskSection::default() };
    for text in tasks {
        let desired =
            if text.ends_with('!') { DesiredStatus::Stopped } else { DesiredStatus::Running };
        let task = TaskId::new(text.trim_end_matches(['?', '!']));
        if text.contains('?') {
            let (task, desired, reason) = (Some(task), Some(desired), "unknown".to_owned());
            section.unreadable.push(UnreadableTask { task, desired, reason });
        } else {
            let assignment = TaskAssignment { task, desired, ..messages::task_assignment() };
            section.tasks.push(Arc::new(assignment));
        }
    }
    section
}

#[track_caller]
fn check_changes(before: &[&str], now: &[&str], changed: &[&str], gone: &[&str]) {
    let (before, now) = (section(7, before), section(9, now));
    let changes = now.changes_since(&before);
    let gone = gone.iter().map(TaskId::new).collect();
    assert_eq!(changes, TaskSection { since: Some(7), gone, ..section(9, changed) });
    assert_eq!(before.with(changes.clone()), Some(now.clone()), "what is made of them");
    assert_eq!(before.with(now.clone()), Some(now), "a whole section stands for itself");
    assert_eq!(section(8, &[]).with(changes), None, "they are not changes to another one");
}

#[test]
fn changes_make_of_the_generation_before_the_one_that_they_are_of() {
    check_changes(&[], &[], &[], &[]);
    check_changes(&["a", "b?"], &["a", "b?"], &[], &[]);
    check_changes(&[], &["a", "b?"], &["a", "b?"], &[]);
    check_changes(&["a", "b", "c?"], &["b"], &[], &["a", "c"]);
    check_changes(&["a", "b", "c"], &["a", "b!", "d"], &["b!", "d"], &["c"]);
    check_changes(&["a", "b?"], &["a?", "b"], &["b", "a?"], &[]);
    check_changes(&["a?"], &["a?!"], &["a?!"], &[]);
}

#[test]
fn what_is_no_task_at_all_is_said_without_a_name() {
    for task in ["7", "null", "[]", "{}", r#"{"task":7,"desired":[]}"#] {
        let message = format!(r#"{{"generation":1,"tasks":[{task}]}}"#);
        let read: TaskSection = serde_json::from_str(&message).unwrap();
        assert!(read.tasks.is_empty() && read.unreadable.len() == 1, "{task}");
        assert_eq!((&read.unreadable[0].task, read.unreadable[0].desired), (&None, None), "{task}");
    }
    for message in ["{}", r#"{"generation":1}"#, r#"{"generation":1,"tasks":{}}"#, "[]", "7"] {
        assert!(serde_json::from_str::<TaskSection>(message).is_err(), "{message}");
    }
}

#[test]
fn a_report_of_a_status_of_the_future_leaves_the_others_readable() {
    let mut message: Value = serde_json::to_value(messages::report()).unwrap();
    let known = message["tasks"][0].clone();
    let changes =
        [("/status", "HIBERNATING"), ("/stop/code", "Moved"), ("/containers/0/status", "X")];
    for (number, (pointer, future)) in changes.into_iter().enumerate() {
        let mut task = known.clone();
        task["task"] = json!(number.to_string());
        *task.pointer_mut(pointer).unwrap() = json!(future);
        message["tasks"].as_array_mut().unwrap().push(task);
    }
    let read: Report = serde_json::from_str(&message.to_string()).unwrap();
    assert_eq!(read.tasks, messages::report().tasks);
    let unreadable = read.unreadable.iter().filter_map(|task| Some(task.task.as_ref()?.as_str()));
    assert_eq!(unreadable.collect::<Vec<_>>(), ["0", "1", "2"]);
}

/// The golden bytes are of tasks that nobody has started; others say one field more.
#[test]
fn an_older_control_plane_says_of_no_task_that_it_was_started() {
    let mut task = messages::task_assignment();
    let without = serde_json::to_value(&task).unwrap();
    assert_eq!(without.get("was_started"), None);
    assert!(!serde_json::from_value::<TaskAssignment>(without).unwrap().was_started);
    task.was_started = true;
    let with = serde_json::to_value(&task).unwrap();
    assert_eq!(with["was_started"], true);
    assert_eq!(serde_json::from_value::<TaskAssignment>(with).unwrap(), task);
}

/// Cut anywhere a message is none: nobody follows half an assignment.
#[test]
fn half_a_message_is_no_message() {
    for name in ["assignment", "report", "registration", "log_batch"] {
        let golden = bytes(&format!("{name}.v1.json"));
        for length in 0..golden.len() {
            let half = &golden.as_bytes()[..length];
            let read = match name {
                "assignment" => serde_json::from_slice::<TaskSection>(half).is_ok(),
                "report" => serde_json::from_slice::<Report>(half).is_ok(),
                "registration" => serde_json::from_slice::<Registration>(half).is_ok(),
                _ => serde_json::from_slice::<LogBatch>(half).is_ok(),
            };
            assert!(!read, "{name} cut at {length}");
        }
    }
}
