//! Lists of tasks, read one task after the other.
//!
//! **Invariant:** what cannot be read of one task makes no other one unreadable.

use outport_model::{DesiredStatus, TaskId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A task that another version speaks of in a form that this one does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableTask {
    /// Absent when not even that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Of an assignment, when that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredStatus>,
    /// What is not known, for people. Not sent: who reads it finds out what is missing.
    #[serde(skip)]
    pub reason: String,
}

impl UnreadableTask {
    fn of(text: &str, error: &serde_json::Error) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Known {
            task: Value,
            desired: Value,
        }
        let Known { task, desired } = serde_json::from_str(text).unwrap_or_default();
        Self {
            task: serde_json::from_value(task).ok(),
            desired: serde_json::from_value(desired).ok(),
            reason: error.to_string(),
        }
    }
}

pub(crate) fn read<T: DeserializeOwned>(list: &[Box<RawValue>]) -> (Vec<T>, Vec<UnreadableTask>) {
    let (mut tasks, mut unreadable) = (Vec::with_capacity(list.len()), Vec::new());
    for text in list {
        match serde_json::from_str(text.get()) {
            Ok(task) => tasks.push(task),
            Err(error) => unreadable.push(UnreadableTask::of(text.get(), &error)),
        }
    }
    (tasks, unreadable)
}
