//! The form of every table on disk is a promise: bytes that an earlier version wrote are read by this
//! one, and mean the same.
//!
//! `golden/<table>.v<version>.json` holds a row as that version wrote it. A file is never changed; a
//! new version adds one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::event::{
    EcsChange, EventBody, EventBus, EventRule, PendingEvent, ScheduledRule,
};
use outport_model::iam::{
    AccessKey, Account, Group, InstanceProfile, ManagedPolicy, OidcProvider, Role,
    ServerCertificate, User,
};
use outport_model::idempotency::IdempotencyToken;
use outport_model::kms::{KmsAlias, KmsGrant, KmsKey, KmsKeySpec};
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::node_identity::NodeIdentity;
use outport_model::parameter::{Parameter, ParameterValue, ParameterVersion};
use outport_model::secret::{Secret, SecretValue};
use outport_model::service::Service;
use outport_model::task::{HealthStatus, Task};
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};
use outport_store::Row;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Reads every golden version of the table; each is under the key, and what is written of it now is
/// what it was: no field is lost, fields that are new have their defaults.
fn check<R: Row>(key: &str, seen: &mut BTreeSet<String>) {
    for version in 1..=R::VERSION {
        let file = format!("{}.v{version}.json", R::TABLE);
        let old = std::fs::read(directory().join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let row = R::read(version, &old).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(row.key().to_string(), key, "{file}");
        let before: serde_json::Value = serde_json::from_slice(&old).unwrap();
        let after = serde_json::to_value(&row).unwrap();
        if version == R::VERSION {
            assert_kept(&before, &after, &file);
        }
        assert_eq!(R::read(R::VERSION, after.to_string().as_bytes()).unwrap(), row, "{file}");
        seen.insert(file);
    }
}

/// Everything in `before` is in `after`.
fn assert_kept(before: &serde_json::Value, after: &serde_json::Value, at: &str) {
    match (before, after) {
        (serde_json::Value::Object(before), serde_json::Value::Object(after)) => {
            for (name, value) in before {
                let at = format!("{at} {name}");
                assert_kept(value, after.get(name).unwrap_or_else(|| panic!("{at} is lost")), &at);
            }
        }
        (serde_json::Value::Array(before), serde_json::Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{at}");
            before.iter().zip(after).for_each(|(b, a)| assert_kept(b, a, at));
        }
        _ => assert_eq!(before, after, "{at}"),
    }
}

#[test]
fn old_bytes_are_read() {
    let scope = "000000000000/us-east-1";
    let mut seen = BTreeSet::new();
    let of = |rest: &str| format!("{scope}/{rest}");
    check::<AccountSetting>(&of("containerInsights/arn:aws:iam::000000000000:root"), &mut seen);
    check::<AddressCursor>(&of("subnet-00000000000000001"), &mut seen);
    check::<Cluster>(&of("default"), &mut seen);
    check::<ContainerInstance>(&of("default/022ab1ba804098e6cb293e6770eb3a95"), &mut seen);
    check::<EventBus>(&of("orders"), &mut seen);
    check::<EventRule>(&of("default/nightly"), &mut seen);
    check::<ScheduledRule>(&of("nightly"), &mut seen);
    let event = "1700000000000/0f8fad5b-d9cb-469f-a165-70867728950e";
    check::<PendingEvent>(&of(event), &mut seen);
    check::<IdempotencyToken>(&of("RunTask/a-token"), &mut seen);
    check::<KmsKey>(&of("1234abcd-12ab-34cd-56ef-1234567890ab"), &mut seen);
    check::<KmsAlias>(&of("alias/shop"), &mut seen);
    let grant = format!("1234abcd-12ab-34cd-56ef-1234567890ab/{}", "cd".repeat(32));
    check::<KmsGrant>(&of(&grant), &mut seen);
    check::<NetworkInterface>(&of("eni-d48e834376391ac96"), &mut seen);
    check::<SecurityGroup>(&of("sg-1"), &mut seen);
    check::<Parameter>(&of("/prod/db"), &mut seen);
    check::<ParameterVersion>(&of("/prod/db/2"), &mut seen);
    check::<Secret>(&of("prod/db"), &mut seen);
    check::<SecretValue>(&of("prod/db/7"), &mut seen);
    check::<Service>(&of("default/web"), &mut seen);
    check::<ServiceDeployment>(&of("default/job/299QovykOJ6BDNwJ3dQbj"), &mut seen);
    check::<ServiceRevision>(&of("default/web/1234567890123456789"), &mut seen);
    check::<Subnet>(&of("subnet-00000000000000001"), &mut seen);
    check::<Task>(&of("default/f2dc86bb0cd1583525d464c92d2095a1"), &mut seen);
    check::<TaskDefinition>(&of("web/1"), &mut seen);
    check::<TaskDefinitionFamily>(&of("web"), &mut seen);
    check::<Vpc>(&of("vpc-1"), &mut seen);
    check::<Node>("00000000000000000000000000000001", &mut seen);
    check::<NodeIdentity>("00000000000000000000000000000001", &mut seen);
    check::<Account>("000000000000", &mut seen);
    check::<AccessKey>("AKIAQAAAAAAAAAAAAAAA", &mut seen);
    let of = |rest: &str| format!("000000000000/{rest}");
    check::<User>(&of("ann"), &mut seen);
    check::<Group>(&of("developers"), &mut seen);
    check::<Role>(&of("taskrole"), &mut seen);
    check::<ManagedPolicy>(&of("most"), &mut seen);
    check::<InstanceProfile>(&of("nodes"), &mut seen);
    check::<OidcProvider>(&of("token.example.com/x"), &mut seen);
    check::<ServerCertificate>(&of("web"), &mut seen);
    let files = std::fs::read_dir(directory()).unwrap();
    let files: BTreeSet<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, seen, "every golden file is read");
}

/// What the first form had read in a document, and the second reads when it is run: but for the account setting of that time.
#[test]
fn the_log_mode_of_a_first_task_definition_is_known() {
    let file = directory().join("task_definition.v1.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let check = |options: serde_json::Value, non_blocking: bool, expected: bool| {
        let mut row = golden.clone();
        let log = serde_json::json!({ "logDriver": "awslogs", "options": options });
        let container = serde_json::json!({ "name": "app", "logConfiguration": log });
        row["document"] =
            serde_json::json!({ "containerDefinitions": [container] }).to_string().into();
        row["containers"][0]["log"]["Awslogs"]["non_blocking"] = non_blocking.into();
        let read = TaskDefinition::read(1, row.to_string().as_bytes()).unwrap();
        assert_eq!(read.non_blocking_logs, expected, "{row}");
    };
    check(serde_json::json!({}), true, true);
    check(serde_json::json!({}), false, false);
    check(serde_json::json!({ "mode": "non-blocking" }), true, false);
    check(serde_json::json!({ "mode": "blocking" }), false, false);
}

/// Added to the first form: without them nothing was checked. Of a task that has no checks its bytes are what they were.
#[test]
fn the_health_of_a_task_is_read() {
    let file = directory().join("task.v1.json");
    let mut row: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let read = |row: &serde_json::Value| Task::read(1, row.to_string().as_bytes()).unwrap();
    let task = read(&row);
    assert_eq!((task.health, task.containers[0].health), (None, None));
    assert!(task.containers[0].essential);
    let written = serde_json::to_value(&task).unwrap();
    assert!(written.get("health").is_none());
    assert!(
        written["containers"][0]
            .get("health")
            .or(written["containers"][0].get("essential"))
            .is_none()
    );
    row["health"] = "UNHEALTHY".into();
    row["containers"][0]["health"] = "HEALTHY".into();
    row["containers"][0]["essential"] = false.into();
    let task = read(&row);
    let statuses = (task.health, task.containers[0].health);
    assert_eq!(statuses, (Some(HealthStatus::Unhealthy), Some(HealthStatus::Healthy)));
    assert!(!task.containers[0].essential);
    assert_eq!(read(&serde_json::to_value(&task).unwrap()), task);
}

/// Added to the first form: what kinds of keys there are beside the first.
#[test]
fn the_specs_of_keys_are_read() {
    let file = directory().join("kms_key.v1.json");
    let mut row: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for (name, spec) in [
        ("SymmetricDefault", KmsKeySpec::SymmetricDefault),
        ("Hmac224", KmsKeySpec::Hmac224),
        ("Hmac256", KmsKeySpec::Hmac256),
        ("Hmac384", KmsKeySpec::Hmac384),
        ("Hmac512", KmsKeySpec::Hmac512),
        ("EccNistP256", KmsKeySpec::EccNistP256),
        ("EccNistP384", KmsKeySpec::EccNistP384),
        ("EccNistP521", KmsKeySpec::EccNistP521),
        ("EccSecgP256k1", KmsKeySpec::EccSecgP256k1),
    ] {
        row["spec"] = name.into();
        let read = KmsKey::read(1, row.to_string().as_bytes()).unwrap();
        assert_eq!(read.spec, spec);
        assert_eq!(serde_json::to_value(&read).unwrap()["spec"], name);
    }
}

/// Added to the first form: without it a value is sealed with the master key.
#[test]
fn the_data_keys_of_values_are_read() {
    let golden = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(directory().join(file)).unwrap()).unwrap()
    };
    let mut row = golden("secret_value.v1.json");
    let value = |row: &serde_json::Value| {
        SecretValue::read(1, row.to_string().as_bytes()).unwrap().data_key
    };
    assert_eq!(value(&row), None);
    row["data_key"] = "AQ==".into();
    assert_eq!(value(&row).as_deref(), Some("AQ=="));
    let mut row = golden("parameter_version.v1.json");
    let value =
        |row: &serde_json::Value| match ParameterVersion::read(1, row.to_string().as_bytes())
            .unwrap()
            .value
        {
            ParameterValue::SecureString { data_key, .. } => data_key,
            _ => panic!("a SecureString"),
        };
    assert_eq!(value(&row), None);
    row["value"]["SecureString"]["data_key"] = "AQ==".into();
    assert_eq!(value(&row).as_deref(), Some("AQ=="));
}

/// An event that waits holds one of these.
#[test]
fn the_bodies_of_pending_events_are_read() {
    let golden = |name: &str| -> serde_json::Value {
        let file = directory().join(format!("{name}.v1.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    };
    let check = |body: serde_json::Value, is_it: fn(&EventBody) -> bool| {
        let mut row = golden("pending_event");
        row["body"] = body;
        let read = PendingEvent::read(1, row.to_string().as_bytes()).unwrap();
        assert!(is_it(&read.body), "{read:?}");
        assert_eq!(serde_json::to_value(&read).unwrap()["body"], row["body"]);
    };
    let of_ecs = |kind: &str, change: serde_json::Value| serde_json::json!({"Ecs": {kind: change}});
    check(serde_json::json!({"Whole": "{}"}), |body| matches!(body, EventBody::Whole(_)));
    let instance = golden("container_instance");
    check(
        of_ecs("ContainerInstance", instance),
        |body| matches!(body, EventBody::Ecs(change) if matches!(**change, EcsChange::ContainerInstance(_))),
    );
    let scope = golden("event_bus")["scope"].clone();
    let said = serde_json::json!({"scope": scope, "cluster": "default", "service": "web", "message": "m", "at_ms": 5});
    check(
        of_ecs("Service", said),
        |body| matches!(body, EventBody::Ecs(change) if matches!(**change, EcsChange::Service { .. })),
    );
    let went_on = serde_json::json!({
        "scope": scope, "cluster": "default", "service": "web", "id": "1", "state": "IN_PROGRESS", "reason": "r", "at_ms": 5,
    });
    check(
        of_ecs("Deployment", went_on),
        |body| matches!(body, EventBody::Ecs(change) if matches!(**change, EcsChange::Deployment { .. })),
    );
}
