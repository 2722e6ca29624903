//! Events that callers send, and patterns that they try.

use outport_aws_events::{
    PutEventsRequest, PutEventsRequestEntry, PutEventsResponse, PutEventsResultEntry,
    TestEventPatternRequest, TestEventPatternResponse,
};
use outport_event_rules::{Envelope, Pattern};
use outport_identity::{Call, Question, Subject};
use outport_model::event::{EventBody, PendingEvent};
use outport_model::{Arn, NewIds, Scope};
use outport_store::{PENDING_EVENTS_MAX, Tables, Transaction};
use serde_json::Value;

use crate::names::{self, scope};
use crate::rejection::Rejection;
use crate::{EventsService, look, quotas};

/// An entry that is an event.
struct Entry {
    bus: String,
    source: String,
    detail_type: String,
    detail: Value,
    resources: Vec<String>,
    time_ms: Option<i64>,
}

/// The code and the text of an entry that fails.
type Failure = (&'static str, String);

/// Entries that are none fail by themselves. Source of codes and texts: EventBridge user guide, "Failures with PutEvents", and answers of
/// AWS as callers report them; that of a bus that is not there is a guess.
pub async fn put_events(
    service: &EventsService,
    call: &Call,
    input: PutEventsRequest,
) -> Result<PutEventsResponse, Rejection> {
    let scope = scope(call);
    if input.endpoint_id.is_some() {
        return Err(Rejection::not_built("EndpointId"));
    }
    let given = input.entries.unwrap_or_default();
    if given.iter().map(bytes).sum::<usize>() > quotas::PUT_EVENTS_BYTES {
        let text = "Total size of the entries in the request is over the limit.";
        return Err(Rejection::validation(text));
    }
    let entries: Vec<Result<Entry, Failure>> =
        given.into_iter().map(|entry| parse(&scope, entry)).collect::<Result<_, _>>()?;
    let ask = |_: &Tables| {
        let questions = entries.iter().flatten().map(|entry| {
            Question::new("events:PutEvents", Arn::event_bus(&scope, &entry.bus).into_string())
                .with("events:source", entry.source.as_str())
                .with("events:detail-type", entry.detail_type.as_str())
        });
        let none = Question::new("events:PutEvents", Arn::event_bus(&scope, "*").into_string());
        Subject::about((), questions.collect(), none)
    };
    service
        .store
        .write(call, ask, |tx, ()| {
            let results = entries.iter().map(|entry| match entry {
                Ok(entry) => put(tx, &scope, entry),
                Err((code, text)) => failed(code, text.clone()),
            });
            let results: Vec<_> = results.collect();
            let failed = results.iter().filter(|result| result.error_code.is_some()).count();
            Ok(PutEventsResponse {
                failed_entry_count: i32::try_from(failed).ok(),
                entries: Some(results),
            })
        })
        .await
}

/// Source: EventBridge user guide, "Calculating PutEvents event entry size".
fn bytes(entry: &PutEventsRequestEntry) -> usize {
    let length = |text: &Option<String>| text.as_deref().map_or(0, str::len);
    let resources = entry.resources.iter().flatten().map(String::len).sum::<usize>();
    let time = if entry.time.is_some() { 14 } else { 0 };
    time + length(&entry.source) + length(&entry.detail_type) + length(&entry.detail) + resources
}

fn parse(scope: &Scope, entry: PutEventsRequestEntry) -> Result<Result<Entry, Failure>, Rejection> {
    let bus = names::bus(scope, entry.event_bus_name)?;
    let missing = |name: &str| {
        let text = format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
        Ok(Err(("InvalidArgument", text)))
    };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let Some(source) = given(entry.source) else { return missing("Source") };
    let Some(detail_type) = given(entry.detail_type) else { return missing("DetailType") };
    let Some(detail) = given(entry.detail) else { return missing("Detail") };
    if source.starts_with("aws.") {
        let text = "Not authorized for the source.".to_owned();
        return Ok(Err(("NotAuthorizedForSourceException", text)));
    }
    let detail = match serde_json::from_str::<Value>(&detail) {
        Ok(detail) if detail.is_object() => detail,
        _ => return Ok(Err(("MalformedDetail", "Detail is malformed.".to_owned()))),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a time of this age has no fractions of milliseconds"
    )]
    let time_ms = entry.time.map(|time| (time.epoch_seconds() * 1_000.0) as i64);
    let resources = entry.resources.unwrap_or_default();
    Ok(Ok(Entry { bus, source, detail_type, detail, resources, time_ms }))
}

fn failed(code: &str, text: String) -> PutEventsResultEntry {
    PutEventsResultEntry {
        event_id: None,
        error_code: Some(code.to_owned()),
        error_message: Some(text),
    }
}

fn put(tx: &mut Transaction<'_>, scope: &Scope, entry: &Entry) -> PutEventsResultEntry {
    if let Err(rejection) = look::check_bus(tx, scope, &entry.bus) {
        return failed("ResourceNotFoundException", rejection.message().to_owned());
    }
    let id = tx.uuid();
    // An event that no rule hears is over as soon as it is taken.
    if tx
        .event_rules
        .of_bus(scope, &entry.bus)
        .any(|rule| rule.is_enabled && rule.pattern.is_some())
    {
        if tx.pending_events.len() >= PENDING_EVENTS_MAX {
            let text = "Too many events wait for their delivery. Try again.".to_owned();
            return failed("ThrottlingException", text);
        }
        let envelope = Envelope {
            id: &id,
            detail_type: &entry.detail_type,
            source: &entry.source,
            account: scope.account.as_str(),
            region: scope.region.as_str(),
            time_ms: entry.time_ms.unwrap_or(tx.now_ms()),
            resources: &entry.resources,
        };
        let body = EventBody::Whole(envelope.with(entry.detail.clone()).to_string());
        let made_at_ms = tx.now_ms();
        tx.put(PendingEvent {
            scope: scope.clone(),
            bus: entry.bus.clone(),
            made_at_ms,
            id: id.clone(),
            body,
            deliveries: None,
        });
    }
    PutEventsResultEntry { event_id: Some(id), error_code: None, error_message: None }
}

/// Source: API reference, TestEventPattern: which fields an event must have.
pub async fn test_event_pattern(
    service: &EventsService,
    call: &Call,
    input: TestEventPatternRequest,
) -> Result<TestEventPatternResponse, Rejection> {
    const REQUIRED: [&str; 7] =
        ["id", "account", "source", "time", "region", "resources", "detail-type"];
    let question = Question::without_resource("events:TestEventPattern");
    service.store.read(call, |_| Subject::from(question))?;
    let pattern = Pattern::compile(&input.event_pattern.unwrap_or_default())?;
    let event = serde_json::from_str::<Value>(&input.event.unwrap_or_default()).ok();
    let event = event.filter(|event| REQUIRED.iter().all(|name| event.get(name).is_some()));
    let Some(event) = event else {
        return Err(Rejection::validation("Parameter Event is not valid."));
    };
    Ok(TestEventPatternResponse { result: Some(pattern.matches(&event)) })
}

#[cfg(test)]
#[path = "events_test.rs"]
mod tests;
