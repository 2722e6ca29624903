//! Every row of a journal that the first slice wrote is read, under its key, and nothing of it is lost.
//!
//! `golden-first-slice.txt` has the rows as they stood in that journal: a line with table, version and key, and a line
//! with the bytes. It is never changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use outport_model::account_setting::AccountSetting;
use outport_model::capacity::AddressCursor;
use outport_model::cluster::Cluster;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::idempotency::IdempotencyToken;
use outport_model::network::{NetworkInterface, SecurityGroup, Subnet, Vpc};
use outport_model::node::Node;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionFamily};
use outport_store::Row;
use serde_json::Value;

const ROWS: &str = include_str!("golden-first-slice.txt");

/// Fields of a table that were taken away since: a task definition's stood in its document, too.
const TAKEN_AWAY: [(&str, &[&str]); 1] = [(
    TaskDefinition::TABLE,
    &[
        "network_mode",
        "cpu_units",
        "memory_mib",
        "compatibilities",
        "architecture",
        "task_role_arn",
        "execution_role_arn",
        "containers",
        "unsupported",
    ],
)];

fn check<R: Row>(key: &str, version: u32, bytes: &str) {
    let row = R::read(version, bytes.as_bytes()).unwrap_or_else(|error| panic!("{key}: {error}"));
    assert_eq!(row.key().to_string(), key);
    let mut before: Value = serde_json::from_str(bytes).unwrap();
    let fields = before.as_object_mut().unwrap();
    for (_, taken) in TAKEN_AWAY.iter().filter(|(table, _)| *table == R::TABLE) {
        fields.retain(|name, _| !taken.contains(&name.as_str()));
    }
    let after = serde_json::to_value(&row).unwrap();
    assert_kept(&before, &after, key);
    let again = R::read(R::VERSION, after.to_string().as_bytes()).unwrap();
    assert_eq!(again, row, "{key}");
}

fn assert_kept(before: &Value, after: &Value, at: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let at = format!("{at} {name}");
                assert_kept(value, after.get(name).unwrap_or_else(|| panic!("{at} is lost")), &at);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{at}");
            before.iter().zip(after).for_each(|(before, after)| assert_kept(before, after, at));
        }
        _ => assert_eq!(before, after, "{at}"),
    }
}

#[test]
fn every_row_of_the_first_slice_is_read() {
    let lines: Vec<&str> = ROWS.lines().collect();
    let mut tables = BTreeSet::new();
    for pair in lines.chunks(2) {
        let [head, bytes] = pair else { panic!("half a row: {pair:?}") };
        let (table, rest) = head.split_once(" v").unwrap();
        let (version, key) = rest.split_once(' ').unwrap();
        let version = version.parse().unwrap();
        let read = match table {
            AccountSetting::TABLE => check::<AccountSetting>,
            AddressCursor::TABLE => check::<AddressCursor>,
            Cluster::TABLE => check::<Cluster>,
            ContainerInstance::TABLE => check::<ContainerInstance>,
            IdempotencyToken::TABLE => check::<IdempotencyToken>,
            NetworkInterface::TABLE => check::<NetworkInterface>,
            Node::TABLE => check::<Node>,
            SecurityGroup::TABLE => check::<SecurityGroup>,
            Service::TABLE => check::<Service>,
            ServiceDeployment::TABLE => check::<ServiceDeployment>,
            ServiceRevision::TABLE => check::<ServiceRevision>,
            Subnet::TABLE => check::<Subnet>,
            Task::TABLE => check::<Task>,
            TaskDefinition::TABLE => check::<TaskDefinition>,
            TaskDefinitionFamily::TABLE => check::<TaskDefinitionFamily>,
            Vpc::TABLE => check::<Vpc>,
            other => panic!("nobody reads the table {other}"),
        };
        read(key, version, bytes);
        tables.insert(table);
    }
    assert!(lines.len() > 40 && tables.len() > 10, "{} {tables:?}", lines.len());
}
