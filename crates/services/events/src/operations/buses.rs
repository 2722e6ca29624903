//! Buses. The default one is always there.

use outport_aws_events as wire;
use outport_aws_events::{
    CreateEventBusRequest, CreateEventBusResponse, DeleteEventBusRequest, DescribeEventBusRequest,
    DescribeEventBusResponse, ListEventBusesRequest, ListEventBusesResponse,
};
use outport_aws_wire::Timestamp;
use outport_identity::{Call, Question, Subject};
use outport_model::event::{DEFAULT_BUS, EventBus};
use outport_model::{Arn, Scope};
use outport_store::{Row, Tables};

use crate::names::{self, scope};
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{EventsService, look, quotas, tags};

pub async fn create_event_bus(
    service: &EventsService,
    call: &Call,
    input: CreateEventBusRequest,
) -> Result<CreateEventBusResponse, Rejection> {
    let scope = scope(call);
    let name = names::new_bus(input.name.unwrap_or_default())?;
    for (is_given, what) in [
        (input.event_source_name.is_some(), "EventSourceName, a bus of a partner,"),
        (input.kms_key_identifier.is_some(), "KmsKeyIdentifier"),
        (input.dead_letter_config.is_some(), "DeadLetterConfig of a bus"),
        (input.log_config.is_some(), "LogConfig"),
    ] {
        if is_given {
            return Err(Rejection::not_built(what));
        }
    }
    let given = tags::parse(input.tags)?;
    let description = input.description;
    let ask = |_: &Tables| {
        let arn = Arn::event_bus(&scope, &name).into_string();
        Subject::from(Question::new("events:CreateEventBus", arn).with_request_tags(&given))
    };
    service
        .store
        .write(call, ask, |tx, ()| {
            if look::check_bus(tx, &scope, &name).is_ok() {
                let text = format!("Event bus {name} already exists.");
                return Err(Rejection::new(Reason::ResourceAlreadyExists, text));
            }
            let others = tx.event_buses.of_scope(&scope).filter(|bus| bus.name != DEFAULT_BUS);
            if others.count() + 1 >= quotas::BUSES {
                return Err(Rejection::too_many());
            }
            let made = EventBus {
                scope: scope.clone(),
                name: name.clone(),
                description: description.clone(),
                tags: given.clone(),
                made_at_ms: tx.now_ms(),
            };
            let event_bus_arn = Some(made.arn().into_string());
            tx.put(made);
            Ok(CreateEventBusResponse { event_bus_arn, description, ..Default::default() })
        })
        .await
}

/// Source: API reference, DeleteEventBus: "All rules associated with this event bus need to be deleted"; one that is not there is no error.
pub async fn delete_event_bus(
    service: &EventsService,
    call: &Call,
    input: DeleteEventBusRequest,
) -> Result<(), Rejection> {
    let scope = scope(call);
    let name = names::bus(&scope, input.name)?;
    let ask = |tables: &Tables| look::bus(tables, &scope, &name, "events:DeleteEventBus");
    service
        .store
        .write_always(call, ask, |tx, found| {
            if name == DEFAULT_BUS {
                return Err(Rejection::validation("Cannot delete event bus default."));
            }
            let Some(bus) = found else { return Ok(()) };
            if tx.event_rules.of_bus(&scope, &name).next().is_some() {
                let text = "Event bus can't be deleted since it has rules.";
                return Err(Rejection::validation(text));
            }
            tx.remove::<EventBus>(&bus.key());
            Ok(())
        })
        .await
}

pub async fn describe_event_bus(
    service: &EventsService,
    call: &Call,
    input: DescribeEventBusRequest,
) -> Result<DescribeEventBusResponse, Rejection> {
    let scope = scope(call);
    let name = names::bus(&scope, input.name)?;
    let (tables, found) = service
        .store
        .read(call, |tables| look::bus(tables, &scope, &name, "events:DescribeEventBus"))?;
    look::check_bus(&tables, &scope, &name)?;
    let made_at = found.as_ref().map(|bus| Timestamp::from_millis(bus.made_at_ms));
    Ok(DescribeEventBusResponse {
        arn: Some(Arn::event_bus(&scope, &name).into_string()),
        name: Some(name),
        description: found.and_then(|bus| bus.description.clone()),
        creation_time: made_at,
        last_modified_time: made_at,
        ..Default::default()
    })
}

pub async fn list_event_buses(
    service: &EventsService,
    call: &Call,
    input: ListEventBusesRequest,
) -> Result<ListEventBusesResponse, Rejection> {
    let scope = scope(call);
    let request =
        PageRequest::parse(input.limit, quotas::ITEMS_PER_PAGE, input.next_token.as_deref())?;
    let question = Question::without_resource("events:ListEventBuses");
    let (tables, ()) = service.store.read(call, |_| Subject::from(question))?;
    let prefix = input.name_prefix.unwrap_or_default();
    let buses = all(&tables, &scope).into_iter().filter(|bus| bus.name.starts_with(&prefix));
    let page = request.take(buses.map(|bus| (bus.name.clone(), bus)));
    let shown = |bus: EventBus| wire::EventBus {
        arn: Some(bus.arn().into_string()),
        name: Some(bus.name),
        description: bus.description,
        creation_time: (bus.made_at_ms > 0).then(|| Timestamp::from_millis(bus.made_at_ms)),
        last_modified_time: (bus.made_at_ms > 0).then(|| Timestamp::from_millis(bus.made_at_ms)),
        ..Default::default()
    };
    Ok(ListEventBusesResponse {
        event_buses: Some(page.items.into_iter().map(shown).collect()),
        next_token: page.next_token,
    })
}

/// In the order of their names, with the default one.
fn all(tables: &Tables, scope: &Scope) -> Vec<EventBus> {
    let mut buses: Vec<_> =
        tables.event_buses.of_scope(scope).map(|bus| EventBus::clone(bus)).collect();
    if !buses.iter().any(|bus| bus.name == DEFAULT_BUS) {
        buses.push(default_bus(scope));
        buses.sort_by(|one, other| one.name.cmp(&other.name));
    }
    buses
}

/// What has no row yet.
pub fn default_bus(scope: &Scope) -> EventBus {
    EventBus {
        scope: scope.clone(),
        name: DEFAULT_BUS.to_owned(),
        description: None,
        tags: outport_model::Tags::new(),
        made_at_ms: 0,
    }
}
