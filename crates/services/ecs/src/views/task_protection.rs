//! Whether a task is protected.

use outport_aws_ecs as wire;
use outport_model::task::Task;
use outport_model::{Arn, TimestampMs};

use super::timestamp;

/// A protection that is over is none.
pub fn view(row: &Task, now_ms: TimestampMs) -> wire::ProtectedTask {
    let until_ms = row.protected_until_ms.filter(|until_ms| now_ms < *until_ms);
    wire::ProtectedTask {
        task_arn: Some(Arn::task(&row.scope, &row.cluster, &row.id).into_string()),
        protection_enabled: Some(until_ms.is_some()),
        expiration_date: timestamp(until_ms),
    }
}
