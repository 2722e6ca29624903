//! What earlier versions had read in a document when it was registered, and kept beside it, is what this one reads in it.

use outport_model::task_definition::{ReadWorkload, TaskDefinition, Workload};
use outport_store::Row;
use serde_json::{Value, json};

use super::Workloads;

/// Rows of the first slice: a line `table v1 key`, then one of its bytes.
const ROWS: &str = include_str!("../../../../store/tests/golden-first-slice.txt");

/// The fields of the old row.
fn fields(workload: &Workload) -> Value {
    let containers = workload.containers.iter().map(|container| {
        let mut container = serde_json::to_value(container).unwrap();
        let fields = container.as_object_mut().unwrap();
        let log = fields.remove("log_configuration").unwrap();
        fields.insert("log".into(), log);
        container
    });
    json!({
        "network_mode": workload.network_mode,
        "cpu_units": workload.cpu_units,
        "memory_mib": workload.memory_mib,
        "compatibilities": workload.compatibilities,
        "architecture": workload.architecture,
        "task_role_arn": workload.task_role_arn,
        "execution_role_arn": workload.execution_role_arn,
        "containers": containers.collect::<Vec<_>>(),
        "unsupported": workload.unsupported,
    })
}

#[test]
fn documents_of_the_first_slice_are_read_as_they_were() {
    let lines: Vec<&str> = ROWS.lines().collect();
    let mut count = 0;
    for pair in lines.chunks(2).filter(|pair| pair[0].starts_with("task_definition v1 ")) {
        let row = TaskDefinition::read(1, pair[1].as_bytes()).unwrap();
        let mut before: Value = serde_json::from_str(pair[1]).unwrap();
        for container in before["containers"].as_array_mut().unwrap() {
            if container["stop_timeout_s"].is_null() {
                container["stop_timeout_s"] = json!(30);
            }
        }
        let now = fields(&Workloads::default().read(&row));
        for (name, value) in now.as_object().unwrap() {
            assert_eq!(&before[name], value, "{}: {name}", pair[0]);
        }
        count += 1;
    }
    assert!(count > 1, "{count}");
}
