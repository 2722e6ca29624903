//! The bytes of a record: what each version wrote, and what is believed of them.
//!
//! | what is found | what it is | what becomes of its task |
//! |---|---|---|
//! | whole, version and shape known | a record | it is taken over |
//! | whole, of a later version or another shape | not understood | it is left alone, for the version that understands it |
//! | cut, or a checksum that is another | damaged | the other copy counts; with none, it is taken over by its assignment |
//!
//! `version` grows when who does not know what is new must keep his hands off it. Fields are added without that, with a
//! default; those that are not known are kept when the record is written again, so that a node that goes back to an older
//! version for a day loses nothing.
//!
//! **Invariant:** a line is believed whole or not at all. The first must be whole; of later ones the last that is.

use outport_model::TaskId;
use outport_model::checked_json::{self, Document};
use outport_node_protocol::TaskReport;
use serde_json::Value;

use super::{RECORD_VERSION, TaskRecord};

/// What a copy of a record is.
#[derive(Debug, PartialEq)]
pub(super) enum Copy {
    Record(Box<TaskRecord>),
    NotUnderstood(String),
    Damaged(String),
    /// There is none.
    Absent,
}

/// The first line.
pub(super) fn first(record: &TaskRecord) -> serde_json::Result<Vec<u8>> {
    if record.unknown.is_null() {
        return checked_json::write(record);
    }
    let mut value = serde_json::to_value(record)?;
    add_unknown(&mut value, &record.unknown);
    checked_json::write(&value)
}

/// A later line. Its end comes first: half a line, left by a full disk, is not continued.
pub(super) fn later(report: &TaskReport) -> serde_json::Result<Vec<u8>> {
    let mut line = vec![b'\n'];
    line.append(&mut checked_json::write(report)?);
    Ok(line)
}

pub(super) fn read(bytes: &[u8], task: &TaskId) -> Copy {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let mut record = match checked_json::read::<TaskRecord>(line) {
        Document::Read(record) => record,
        Document::NotUnderstood(why) => return Copy::NotUnderstood(why),
        Document::Damaged(why) => return Copy::Damaged(why),
    };
    if record.version > RECORD_VERSION {
        let why = format!("version {}, this one knows up to {RECORD_VERSION}", record.version);
        return Copy::NotUnderstood(why);
    }
    for line in lines.rev().filter(|line| !line.is_empty()) {
        match checked_json::read::<TaskReport>(line) {
            Document::Read(report) => {
                record.report = report;
                break;
            }
            Document::NotUnderstood(why) => return Copy::NotUnderstood(why),
            Document::Damaged(why) => {
                tracing::warn!(
                    event = "task_record_line_damaged",
                    %task,
                    why,
                    "a line of its record is damaged; the one before it counts"
                );
            }
        }
    }
    if record.report.task != *task || record.assignment.task != *task {
        return Copy::Damaged("it is of another task".to_owned());
    }
    record.unknown = unknown_of(line, &record);
    Copy::Record(Box::new(record))
}

/// What the line has beside what this version knows.
fn unknown_of(line: &[u8], record: &TaskRecord) -> Value {
    let (Ok(Value::Object(mut all)), Ok(known)) =
        (serde_json::from_slice(line), serde_json::to_value(record))
    else {
        return Value::Null;
    };
    // The checksum is made anew, and a report is what was seen last.
    all.remove("crc32");
    all.remove("report");
    beyond(&Value::Object(all), &known).unwrap_or_default()
}

/// The fields of `all` that `known` does not have, each where it is.
fn beyond(all: &Value, known: &Value) -> Option<Value> {
    match (all, known) {
        (Value::Object(all), Value::Object(known)) => {
            let more = |(name, value): (&String, &Value)| {
                let more = match known.get(name) {
                    Some(known) => beyond(value, known)?,
                    None => value.clone(),
                };
                Some((name.clone(), more))
            };
            let more: serde_json::Map<_, _> = all.iter().filter_map(more).collect();
            (!more.is_empty()).then_some(Value::Object(more))
        }
        (Value::Array(all), Value::Array(known)) if all.len() == known.len() => {
            let more: Vec<_> =
                all.iter().zip(known).map(|(all, known)| beyond(all, known)).collect();
            let is_any = more.iter().any(Option::is_some);
            is_any.then(|| more.into_iter().map(Option::unwrap_or_default).collect())
        }
        _ => None,
    }
}

fn add_unknown(value: &mut Value, unknown: &Value) {
    match (value, unknown) {
        (Value::Object(value), Value::Object(unknown)) => {
            for (name, unknown) in unknown {
                match value.get_mut(name) {
                    Some(value) => add_unknown(value, unknown),
                    None => drop(value.insert(name.clone(), unknown.clone())),
                }
            }
        }
        (Value::Array(value), Value::Array(unknown)) if value.len() == unknown.len() => {
            value.iter_mut().zip(unknown).for_each(|(value, unknown)| add_unknown(value, unknown));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use outport_model::TaskStatus;
    use serde_json::json;

    use super::*;

    /// Files of every version; one is never changed, a new form adds one.
    const FIRST: &str = include_str!("../../tests/golden/task_record.v1");
    const LINES: &str = include_str!("../../tests/golden/task_record.v2");
    const FIRST_ID: &str = include_str!("../../tests/golden/task_record.v2.first_id");
    const CHECKED: &str = include_str!("../../tests/golden/task_record.v2.checked");
    const DEFINITION: &str = include_str!("../../tests/golden/task_record.v2.definition");

    fn task() -> TaskId {
        TaskId::new("f2dc86bb0cd1583525d464c92d2095a1")
    }

    #[track_caller]
    fn record(bytes: &[u8]) -> TaskRecord {
        match read(bytes, &task()) {
            Copy::Record(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_version_is_read() {
        let check = |text: &str, version, first_id, status, storage_gib| {
            let record = record(text.as_bytes());
            assert_eq!((record.version, record.first_id), (version, first_id));
            assert_eq!(record.report.status, status);
            assert_eq!(record.assignment.limits.storage_gib, storage_gib);
            assert_eq!(record.assignment.containers.len(), 2);
            assert_eq!(record.report.started_at_ms, Some(4));
            assert!(record.unknown.is_null(), "{:?}", record.unknown);
        };
        check(FIRST, 1, None, TaskStatus::Running, None);
        check(LINES, 2, None, TaskStatus::Stopping, None);
        check(FIRST_ID, 2, Some(2_000_224_256), TaskStatus::Stopping, Some(20));
        check(CHECKED, 2, Some(2_000_224_256), TaskStatus::Stopping, Some(20));
        check(DEFINITION, 2, Some(2_000_224_256), TaskStatus::Stopping, Some(20));
    }

    #[test]
    fn what_is_written_is_what_was_written() {
        let mut record = record(DEFINITION.as_bytes());
        let mut lines = DEFINITION.split('\n');
        let [taken_on, running, stopping] = [(); 3].map(|()| lines.next().unwrap());
        let last = later(&record.report).unwrap();
        assert_eq!(String::from_utf8(last).unwrap(), format!("\n{stopping}"));
        record.report = serde_json::from_str(running).unwrap();
        assert_eq!(
            String::from_utf8(later(&record.report).unwrap()).unwrap(),
            format!("\n{running}")
        );
        let Document::Read(first_line) = checked_json::read::<TaskRecord>(taken_on.as_bytes())
        else {
            panic!("it is not read");
        };
        assert_eq!(String::from_utf8(first(&first_line).unwrap()).unwrap(), taken_on);
    }

    #[test]
    fn a_record_of_the_future_is_not_understood_and_not_damaged() {
        let check = |edit: &dyn Fn(&mut Value), words: &str| {
            let mut value: Value = serde_json::from_str(FIRST).unwrap();
            edit(&mut value);
            for bytes in [value.to_string().into_bytes(), checked_json::write(&value).unwrap()] {
                let found = read(&bytes, &task());
                let Copy::NotUnderstood(why) = &found else { panic!("{found:?}") };
                assert!(why.contains(words), "{why}");
            }
        };
        check(&|value| value["version"] = json!(3), "version 3, this one knows up to 2");
        check(&|value| value["version"] = json!("2026-01"), "invalid type");
        check(&|value| value["assignment"]["network"] = json!({ "Mesh": {} }), "Mesh");
        check(&|value| value["assignment"] = json!({ "sections": [] }), "missing field");
        check(&|value| value["report"]["status"] = json!("HIBERNATING"), "HIBERNATING");
        check(&|value| *value = json!({ "kind": "task", "body": "base64" }), "missing field");
        // And one that an older version has taken on, and a newer one has gone on with.
        let later = format!(
            "{LINES}\n{}",
            r#"{"task":"f2dc86bb0cd1583525d464c92d2095a1","status":"HIBERNATING"}"#
        );
        assert!(matches!(read(later.as_bytes(), &task()), Copy::NotUnderstood(_)));
    }

    #[test]
    fn fields_of_the_future_are_kept_when_it_is_written_again() {
        let mut value: Value = serde_json::from_str(FIRST).unwrap();
        value["volumes"] = json!({ "data": "/v" });
        value["assignment"]["secrets"] = json!(["a"]);
        value["assignment"]["containers"][1]["health"] = json!({ "every_s": 5 });
        value["report"]["usage"] = json!(7);
        let mut record = record(&checked_json::write(&value).unwrap());
        record.boot_id = "another".to_owned();
        let again: Value = serde_json::from_slice(&first(&record).unwrap()).unwrap();
        for pointer in
            ["/volumes/data", "/assignment/secrets/0", "/assignment/containers/1/health/every_s"]
        {
            assert_eq!(again.pointer(pointer), value.pointer(pointer), "{pointer}");
        }
        assert_eq!(again["boot_id"], "another");
        assert_eq!(again["report"].get("usage"), None, "a report is of who saw it");
        let read_again = super::tests::record(&first(&record).unwrap());
        assert_eq!(read_again, record);
    }

    /// Each cut and each flipped bit: the record is what it was, or an earlier state of it, or damaged.
    #[test]
    fn no_damage_is_believed() {
        let good = CHECKED.as_bytes();
        let states: Vec<TaskRecord> = {
            let ends =
                good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
            ends.chain([good.len()]).map(|end| record(&good[..end])).collect()
        };
        let check = |bytes: &[u8], what: &str| match read(bytes, &task()) {
            // What only this version does not know is kept, and does nothing.
            Copy::Record(mut record) => {
                record.unknown = Value::Null;
                assert!(states.contains(&record), "{what}");
            }
            Copy::Damaged(_) => {}
            other => panic!("{what}: {other:?}"),
        };
        for length in 0..good.len() {
            check(&good[..length], &format!("cut at {length}"));
        }
        let mut flipped = good.to_vec();
        for bit in 0..good.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped, &format!("bit {bit}"));
            flipped[bit / 8] = good[bit / 8];
        }
        assert!(matches!(read(b"", &task()), Copy::Damaged(_)));
        assert!(matches!(read(good, &TaskId::new("other")), Copy::Damaged(_)));
    }
}
