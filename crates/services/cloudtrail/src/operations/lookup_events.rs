//! `LookupEvents`: what was called, newest first.
//!
//! Source: API reference, LookupEvents. One call reads a bounded piece of the trail
//! ([`SCAN_BYTES_MAX`](outport_audit_trail::SCAN_BYTES_MAX)): a page may have fewer events than were asked for, or none, and still a token,
//! as the reference lets it. AWS keeps events for 90 days and answers two calls in a second; here it is as long as there is room, and as many
//! as come.

use outport_audit_trail::{Attribute, Entry, Lookup, LookupPage, Position};
use outport_aws_cloudtrail::{
    Event, LookupAttributeKey, LookupEventsRequest, LookupEventsResponse, Resource,
};
use outport_aws_wire::Timestamp;
use outport_identity::{Call, Question, Subject};
use serde_json::Value;

use crate::CloudTrailService;
use crate::rejection::{Reason, Rejection};

/// Events of a page, at most, and where nobody says how many.
const PAGE_EVENTS_MAX: usize = 50;

/// Looks up events of the caller's account.
pub async fn lookup_events(
    service: &CloudTrailService,
    call: &Call,
    input: LookupEventsRequest,
) -> Result<LookupEventsResponse, Rejection> {
    call.open(Subject::from(Question::without_resource("cloudtrail:LookupEvents")))?;
    let asked = Asked::parse(call.account.as_str(), input)?;
    let trail = service.trail.clone();
    // It reads files.
    let reading = tokio::task::spawn_blocking(move || {
        trail.lookup(&asked.lookup()).map(|page| (page, asked))
    });
    let (page, asked) = match reading.await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            return Err(Rejection::new(Reason::Server, format!("the audit trail: {error}")));
        }
        Err(_) => return Err(Rejection::new(Reason::Server, "the lookup was cancelled")),
    };
    let LookupPage { entries, next } = page;
    Ok(LookupEventsResponse {
        events: Some(entries.into_iter().map(event).collect()),
        next_token: next.map(|position| asked.token(position)),
    })
}

/// What was asked for, as it outlives the request.
struct Asked {
    account: String,
    attribute: Option<(Attribute, String)>,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    limit: usize,
    from: Option<Position>,
}

impl Asked {
    fn parse(account: &str, input: LookupEventsRequest) -> Result<Self, Rejection> {
        if input.event_category.is_some() {
            return Err(Rejection::not_built("EventCategory"));
        }
        let mut attributes = input.lookup_attributes.unwrap_or_default();
        if attributes.len() > 1 {
            // Source: as of the module: "Currently the list can contain only one item".
            return Err(Rejection::new(
                Reason::InvalidLookupAttributes,
                "LookupAttributes can contain only one item.",
            ));
        }
        let attribute = attributes.pop().and_then(|attribute| {
            Some((attribute_of(attribute.attribute_key?), attribute.attribute_value?))
        });
        let (start_ms, end_ms) =
            (input.start_time.map(Timestamp::as_millis), input.end_time.map(Timestamp::as_millis));
        if let (Some(start), Some(end)) = (start_ms, end_ms)
            && start > end
        {
            return Err(Rejection::new(
                Reason::InvalidTimeRange,
                "The start time must be before the end time.",
            ));
        }
        let limit = input.max_results.and_then(|most| usize::try_from(most).ok());
        let mut asked = Self {
            account: account.to_owned(),
            attribute,
            start_ms,
            end_ms,
            limit: limit.unwrap_or(PAGE_EVENTS_MAX),
            from: None,
        };
        asked.from = input.next_token.map(|token| asked.position(&token)).transpose()?;
        Ok(asked)
    }

    fn lookup(&self) -> Lookup<'_> {
        let attribute = self.attribute.as_ref();
        Lookup {
            account: &self.account,
            attributes: attribute
                .map(|(attribute, value)| (*attribute, value.as_str()))
                .into_iter()
                .collect(),
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            limit: self.limit,
            from: self.from,
        }
    }

    /// Where to go on, for the same question only.
    fn token(&self, Position { segment, offset }: Position) -> String {
        format!("{segment:x}.{offset:x}.{:016x}", self.fingerprint())
    }

    fn position(&self, token: &str) -> Result<Position, Rejection> {
        let read = || {
            let mut parts = token.split('.').map(|part| u64::from_str_radix(part, 16).ok());
            let position = Position { segment: parts.next()??, offset: parts.next()?? };
            let is_same = parts.next()?? == self.fingerprint() && parts.next().is_none();
            is_same.then_some(position)
        };
        read().ok_or_else(|| {
            let text = "The token is invalid, or of a call with other parameters.";
            Rejection::new(Reason::InvalidNextToken, text)
        })
    }

    /// FNV-1a of what has to be the same in the next call: no secret, it tells mistakes.
    fn fingerprint(&self) -> u64 {
        let Self { account, attribute, start_ms, end_ms, .. } = self;
        let text = format!("{account} {attribute:?} {start_ms:?} {end_ms:?}");
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

fn attribute_of(key: LookupAttributeKey) -> Attribute {
    match key {
        LookupAttributeKey::EventId => Attribute::EventId,
        LookupAttributeKey::EventName => Attribute::EventName,
        LookupAttributeKey::ReadOnly => Attribute::ReadOnly,
        LookupAttributeKey::Username => Attribute::Username,
        LookupAttributeKey::ResourceType => Attribute::ResourceType,
        LookupAttributeKey::ResourceName => Attribute::ResourceName,
        LookupAttributeKey::EventSource => Attribute::EventSource,
        LookupAttributeKey::AccessKeyId => Attribute::AccessKeyId,
    }
}

fn event(Entry { line, event }: Entry) -> Event {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let resources = event["resources"].as_array().map(|resources| {
        let resource = |resource: &Value| Resource {
            resource_type: text(&resource["type"]),
            resource_name: text(&resource["ARN"]),
        };
        resources.iter().map(resource).collect()
    });
    Event {
        event_id: text(&event["eventID"]),
        event_name: text(&event["eventName"]),
        read_only: event["readOnly"].as_bool().map(|is_so| is_so.to_string()),
        access_key_id: text(&event["userIdentity"]["accessKeyId"]),
        event_time: event["eventTime"].as_str().and_then(Timestamp::parse),
        event_source: text(&event["eventSource"]),
        username: text(&event["additionalEventData"]["userName"]),
        resources: Some(resources.unwrap_or_default()),
        cloud_trail_event: Some(line),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn events_come_newest_first_in_pages() {
        let world = World::new();
        world.record(&["CreateCluster", "ListClusters", "DeleteCluster"]);
        let first = world.call(json!({"MaxResults": 2})).await;
        let names = |answer: &serde_json::Value| {
            let events = answer["Events"].as_array().unwrap().iter();
            events.map(|event| event["EventName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&first), ["DeleteCluster", "ListClusters"]);
        let event = &first["Events"][0];
        assert_eq!(event["EventTime"], 1_767_225_602);
        assert_eq!(event["ReadOnly"], "false");
        assert_eq!(event["Username"], "root");
        assert_eq!(event["AccessKeyId"], "AKID");
        assert_eq!(event["EventSource"], "ecs.amazonaws.com");
        let of_resource = json!([{"ResourceType": "AWS::ECS::Cluster",
            "ResourceName": "arn:aws:ecs:us-east-1:000000000000:cluster/a"}]);
        assert_eq!(event["Resources"], of_resource);
        let record: serde_json::Value =
            serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
        assert_eq!(record["eventID"], event["EventId"]);
        let token = &first["NextToken"];
        let second = world.call(json!({"MaxResults": 2, "NextToken": token})).await;
        assert_eq!(names(&second), ["CreateCluster"]);
        assert!(second.get("NextToken").is_none(), "{second}");
        // The token is for the same question.
        let other = json!({"NextToken": token, "StartTime": 1});
        world.refuses(other, "InvalidNextTokenException").await;
        world.refuses(json!({"NextToken": "x"}), "InvalidNextTokenException").await;
    }

    #[tokio::test]
    async fn an_attribute_and_times_choose() {
        let world = World::new();
        world.record(&["CreateCluster", "ListClusters", "DeleteCluster"]);
        let check = async |input: serde_json::Value, count: usize| {
            let answer = world.call(input.clone()).await;
            assert_eq!(answer["Events"].as_array().unwrap().len(), count, "{input}: {answer}");
        };
        let by = |key: &str, value: &str| json!({"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}]});
        check(by("EventName", "ListClusters"), 1).await;
        check(by("ResourceName", "a"), 3).await;
        check(by("Username", "ann"), 0).await;
        check(json!({"StartTime": 1_767_225_601}), 2).await;
        check(json!({"StartTime": 1_767_225_601, "EndTime": 1_767_225_601}), 1).await;
        let reversed = json!({"StartTime": 2, "EndTime": 1});
        world.refuses(reversed, "InvalidTimeRangeException").await;
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused() {
        let world = World::new();
        world.refuses(json!({"MaxResults": 51}), "InvalidMaxResultsException").await;
        world.refuses(json!({"MaxResults": 0}), "InvalidMaxResultsException").await;
        let attribute = json!({"AttributeKey": "EventId", "AttributeValue": "a"});
        let two = json!({"LookupAttributes": [attribute, attribute]});
        world.refuses(two, "InvalidLookupAttributesException").await;
        let unknown =
            json!({"LookupAttributes": [{"AttributeKey": "Colour", "AttributeValue": "a"}]});
        world.refuses(unknown, "InvalidLookupAttributesException").await;
        world.refuses(json!({"EventCategory": "insight"}), "NotImplemented").await;
        world.refuses(json!({"EventCategory": "other"}), "InvalidEventCategoryException").await;
    }
}
