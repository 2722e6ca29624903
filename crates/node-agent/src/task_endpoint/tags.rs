//! Tags for tasks that ask for them, asked of the control plane at each request, as the agent asks ECS.
//!
//! Source: the Amazon ECS agent: members and errors; ECS developer guide, "Amazon ECS task metadata endpoint version 4".

use std::time::Duration;

use outport_model::TaskId;
use outport_node_protocol::{CredentialRequest, TaskTags};
use serde_json::{Map, Value, json};

use super::TaskEndpoint;
use super::answers::{Answer, Version};
use crate::link_error::LinkError;

/// How long a task waits for its tags: it has the rest of its metadata all the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// What AWS's answer would name. Source: "Common Error Types".
const UNAVAILABLE: &str = "ServiceUnavailable";

/// Metadata whose tags are still to be asked for.
pub struct Untagged {
    pub task: TaskId,
    pub version: Version,
    pub metadata: Map<String, Value>,
}

impl TaskEndpoint {
    pub(super) async fn with_tags(&self, untagged: Untagged) -> Answer {
        let Untagged { task, version, mut metadata } = untagged;
        let request = CredentialRequest::new(self.control_plane.node().clone(), task);
        let asked = tokio::time::timeout(PATIENCE, self.control_plane.task_tags(&request)).await;
        add(&mut metadata, version, asked.unwrap_or(Err(LinkError::Timeout)));
        Answer::found(&Value::Object(metadata))
    }
}

/// Version 3 says nothing of tags that could not be had.
fn add(metadata: &mut Map<String, Value>, version: Version, tags: Result<TaskTags, LinkError>) {
    match tags {
        Ok(TaskTags { task, container_instance }) => {
            for (name, tags) in [("TaskTags", task), ("ContainerInstanceTags", container_instance)]
            {
                if !tags.is_empty() {
                    let tags = tags.into_iter().map(|(key, value)| (key, Value::String(value)));
                    metadata.insert(name.to_owned(), Value::Object(tags.collect()));
                }
            }
        }
        Err(error) if version == Version::V4 => {
            let failure = json!({
                "ErrorField": "TaskTags",
                "ErrorCode": UNAVAILABLE,
                "ErrorMessage": error.to_string(),
                "StatusCode": 503,
                "ResourceARN": metadata.get("TaskARN"),
            });
            metadata.insert("Errors".to_owned(), json!([failure]));
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, tags: Result<TaskTags, LinkError>, expected: &Value) {
        let Value::Object(mut metadata) = json!({"TaskARN": "arn"}) else { panic!("an object") };
        add(&mut metadata, version, tags);
        assert_eq!(&Value::Object(metadata), expected);
    }

    #[test]
    fn tags_stand_beside_the_rest() {
        let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let both = TaskTags { task: pair("team", "blue"), container_instance: pair("rack", "7") };
        for version in [Version::V3, Version::V4] {
            check(
                version,
                Ok(both.clone()),
                &json!({"TaskARN": "arn", "TaskTags": {"team": "blue"}, "ContainerInstanceTags": {"rack": "7"}}),
            );
            check(version, Ok(TaskTags::default()), &json!({"TaskARN": "arn"}));
        }
        check(Version::V3, Err(LinkError::Timeout), &json!({"TaskARN": "arn"}));
        check(
            Version::V4,
            Err(LinkError::Timeout),
            &json!({"TaskARN": "arn", "Errors": [{
                "ErrorField": "TaskTags",
                "ErrorCode": "ServiceUnavailable",
                "ErrorMessage": "the control plane did not answer in time",
                "StatusCode": 503,
                "ResourceARN": "arn"}]}),
        );
    }
}
