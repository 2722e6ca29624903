//! One event as a line of the trail.
//!
//! Source: CloudTrail user guide, "CloudTrail record contents for management, data, and network activity events".
//!
//! Beside AWS's fields there is `additionalEventData.authorization`: what was asked of permissions, and the answers.

use std::collections::BTreeSet;

use outport_identity::{Answered, Call};
use outport_model::TimestampMs;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::resources::resource_type;
use crate::user_identity::{user_identity, user_name};

/// Bytes of `requestParameters` and of `responseElements`, at most; larger ones are left out, and said to be. Source:
/// as of the module, "This field has a maximum size of 100 KB".
pub const FIELD_BYTES_MAX: usize = 100 * 1024;
/// Characters of an error's message and of a user agent, at most. Source: as of the module: 1 KB each.
const TEXT_CHARS_MAX: usize = 1024;
/// The version of the form that this is.
const EVENT_VERSION: &str = "1.11";

/// A call that has ended.
#[derive(Debug)]
pub struct Event {
    pub call: Call,
    /// Short name of the service, as in actions.
    pub service: &'static str,
    pub operation: &'static str,
    pub is_read_only: bool,
    pub ended_at_ms: TimestampMs,
    /// JSON, with secrets already taken out.
    pub parameters: Option<String>,
    /// As [`Event::parameters`].
    pub response: Option<String>,
    /// Code and message.
    pub error: Option<(String, String)>,
    pub answers: Vec<Answered>,
}

impl Event {
    /// About how much memory it takes while it waits.
    pub(crate) fn bytes(&self) -> usize {
        /// Of all that is not counted one by one.
        const REST: usize = 2048;
        let texts = [&self.parameters, &self.response];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let answers: usize = self.answers.iter().map(|answer| 64 + answer.resource.len()).sum();
        REST + texts + answers
    }

    /// The accounts that are told: the caller's, and those whose the resources are that it was let to.
    ///
    /// Source: CloudTrail user guide, "CloudTrail record contents", `sharedEventID`: "an event … sent to different AWS accounts".
    pub(crate) fn recipients(&self) -> Vec<&str> {
        let mut accounts = vec![self.call.principal.account().as_str(), self.call.account.as_str()];
        let allowed = self.answers.iter().filter(|answer| answer.is_allowed);
        let owners = allowed.filter_map(|answer| answer.resource.split(':').nth(4));
        accounts.extend(
            owners.filter(|owner| {
                owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit())
            }),
        );
        let mut seen = BTreeSet::new();
        accounts.retain(|account| seen.insert(*account));
        accounts
    }

    /// One line, with its end. `shared_id` is in each event of a call that several accounts are told of.
    pub(crate) fn line(&self, event_id: &str, recipient: &str, shared_id: Option<&str>) -> String {
        let Self { call, answers, .. } = self;
        let mut event = json!({
            "eventVersion": EVENT_VERSION,
            "userIdentity": user_identity(call),
            "eventTime": time_text(self.ended_at_ms),
            "eventSource": format!("{}.amazonaws.com", self.service),
            "eventName": self.operation,
            "awsRegion": call.region.as_str(),
            "sourceIPAddress": call.source_ip.to_string(),
            "userAgent": call.user_agent.as_deref().map(shortened),
        });
        if let Some((code, message)) = &self.error {
            event["errorCode"] = code.as_str().into();
            event["errorMessage"] = shortened(message).into();
        }
        event["requestParameters"] = field(self.parameters.as_deref(), "requestParameters");
        event["responseElements"] = field(self.response.as_deref(), "responseElements");
        let asked: Vec<Value> = answers.iter().map(authorization).collect();
        event["additionalEventData"] =
            json!({ "userName": user_name(&call.principal), "authorization": asked });
        event["requestID"] = call.request_id.as_str().into();
        event["eventID"] = event_id.into();
        event["readOnly"] = self.is_read_only.into();
        let resources = resources(answers);
        if !resources.is_empty() {
            event["resources"] = resources.into();
        }
        event["eventType"] = "AwsApiCall".into();
        event["managementEvent"] = true.into();
        event["recipientAccountId"] = recipient.into();
        if let Some(id) = shared_id {
            event["sharedEventID"] = id.into();
        }
        event["eventCategory"] = "Management".into();
        if call.secure_transport {
            event["tlsDetails"] = json!({ "clientProvidedHostHeader": call.host });
        }
        format!("{event}\n")
    }
}

/// The line that says how many events are missing before it.
pub(crate) fn gap_line(
    account: &str,
    region: &str,
    at_ms: TimestampMs,
    lost: u64,
    id: &str,
) -> String {
    let event = json!({
        "eventVersion": EVENT_VERSION,
        "userIdentity": { "accountId": account, "invokedBy": "outport" },
        "eventTime": time_text(at_ms),
        "eventSource": "outport",
        "eventName": "AuditTrailGap",
        "awsRegion": region,
        "sourceIPAddress": "outport",
        "userAgent": "outport",
        "requestParameters": null,
        "responseElements": null,
        "eventID": id,
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "recipientAccountId": account,
        "serviceEventDetails": { "eventsLost": lost },
        "eventCategory": "Management",
    });
    format!("{event}\n")
}

/// To the second, as CloudTrail writes it.
pub(crate) fn time_text(at_ms: TimestampMs) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)) else {
        return String::new();
    };
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn field(text: Option<&str>, name: &str) -> Value {
    match text {
        Some(text) if text.len() > FIELD_BYTES_MAX => {
            json!({ "omitted": true, "originalSize": text.len(), "reason": format!("{name} too large") })
        }
        // AWS has no empty object.
        Some("{}") | None => Value::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}

fn authorization(Answered { action, resource, is_allowed }: &Answered) -> Value {
    let decision = if *is_allowed { "Allow" } else { "Deny" };
    json!({ "action": action, "resource": resource, "decision": decision })
}

/// Each ARN that was asked about, once.
fn resources(answers: &[Answered]) -> Vec<Value> {
    let mut arns: Vec<&str> = Vec::new();
    for Answered { resource, .. } in answers {
        if resource.starts_with("arn:") && !arns.contains(&resource.as_str()) {
            arns.push(resource);
        }
    }
    let resource = |arn: &str| {
        let account = arn.split(':').nth(4).unwrap_or_default();
        match resource_type(arn) {
            Some(kind) => json!({ "ARN": arn, "accountId": account, "type": kind }),
            None => json!({ "ARN": arn, "accountId": account }),
        }
    };
    arns.into_iter().map(resource).collect()
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn event(operation: &'static str, at_ms: TimestampMs) -> Event {
        Event {
            call: Call::for_tests(),
            service: "ecs",
            operation,
            is_read_only: false,
            ended_at_ms: at_ms,
            parameters: Some(r#"{"cluster":"a"}"#.to_owned()),
            response: Some("{}".to_owned()),
            error: None,
            answers: vec![Answered {
                action: "ecs:DeleteCluster",
                resource: "arn:aws:ecs:us-east-1:000000000000:cluster/a".to_owned(),
                is_allowed: true,
            }],
        }
    }

    fn read(event: &Event) -> Value {
        let recipients = event.recipients();
        let line = event.line("id-1", recipients[0], None);
        assert_eq!(line.lines().count(), 1, "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn an_event_is_a_record_of_cloudtrail() {
        let mut event = event("DeleteCluster", 1_767_225_601_999);
        event.call.user_agent = Some("aws-cli".to_owned());
        assert_eq!(
            read(&event),
            json!({
                "eventVersion": "1.11",
                "userIdentity": {"type": "Root", "principalId": "000000000000",
                    "arn": "arn:aws:iam::000000000000:root", "accountId": "000000000000", "accessKeyId": "AKID"},
                "eventTime": "2026-01-01T00:00:01Z",
                "eventSource": "ecs.amazonaws.com",
                "eventName": "DeleteCluster",
                "awsRegion": "us-east-1",
                "sourceIPAddress": "127.0.0.1",
                "userAgent": "aws-cli",
                "requestParameters": {"cluster": "a"},
                "responseElements": null,
                "additionalEventData": {"userName": "root", "authorization": [
                    {"action": "ecs:DeleteCluster", "decision": "Allow",
                        "resource": "arn:aws:ecs:us-east-1:000000000000:cluster/a"}]},
                "requestID": "request",
                "eventID": "id-1",
                "readOnly": false,
                "resources": [{"ARN": "arn:aws:ecs:us-east-1:000000000000:cluster/a",
                    "accountId": "000000000000", "type": "AWS::ECS::Cluster"}],
                "eventType": "AwsApiCall",
                "managementEvent": true,
                "recipientAccountId": "000000000000",
                "eventCategory": "Management",
            })
        );
    }

    #[test]
    fn whose_the_resource_is_learns_of_it_if_it_was_allowed() {
        let mut event = event("GetSecretValue", 0);
        assert_eq!(event.recipients(), ["000000000000"]);
        let foreign = |is_allowed| Answered {
            action: "secretsmanager:GetSecretValue",
            resource: "arn:aws:secretsmanager:us-east-1:111111111111:secret:a-b".to_owned(),
            is_allowed,
        };
        event.answers.push(foreign(false));
        assert_eq!(event.recipients(), ["000000000000"]);
        event.answers.push(foreign(true));
        assert_eq!(event.recipients(), ["000000000000", "111111111111"]);
        let line: Value =
            serde_json::from_str(&event.line("id-2", "111111111111", Some("id-3"))).unwrap();
        assert_eq!(
            (
                &line["recipientAccountId"],
                &line["sharedEventID"],
                &line["userIdentity"]["accountId"]
            ),
            (&json!("111111111111"), &json!("id-3"), &json!("000000000000"))
        );
    }

    #[test]
    fn what_is_too_large_is_left_out_and_said() {
        let mut event = event("DeleteCluster", 0);
        event.parameters = Some(format!(r#"{{"a":"{}"}}"#, "x".repeat(FIELD_BYTES_MAX)));
        event.error = Some(("E".to_owned(), "é".repeat(5000)));
        let read = read(&event);
        assert_eq!(read["requestParameters"]["omitted"], true);
        assert_eq!(read["requestParameters"]["originalSize"], FIELD_BYTES_MAX + 8);
        assert_eq!(read["errorMessage"].as_str().unwrap().chars().count(), TEXT_CHARS_MAX);
    }
}
