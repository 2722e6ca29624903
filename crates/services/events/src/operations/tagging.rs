//! Tags of rules and buses.

use std::sync::Arc;

use outport_aws_events::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest,
    TagResourceResponse, UntagResourceRequest, UntagResourceResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::event::{DEFAULT_BUS, EventBus, EventRule};
use outport_model::{Scope, Tags};
use outport_store::{Tables, Transaction};

use crate::names::{Tagged, scope};
use crate::operations::buses::default_bus;
use crate::rejection::Rejection;
use crate::{EventsService, look, tags};

/// What was found, with its tags.
enum Found {
    Bus(Option<Arc<EventBus>>),
    Rule(Option<Arc<EventRule>>),
    Nothing,
}

fn find(tables: &Tables, scope: &Scope, tagged: &Tagged, action: &'static str) -> Subject<Found> {
    match tagged {
        Tagged::Bus(name) => look::bus(tables, scope, name, action).map(Found::Bus),
        Tagged::Rule(rule) => look::rule(tables, scope, rule, action).map(Found::Rule),
        Tagged::Elsewhere(arn) => Subject::new(Found::Nothing, Question::new(action, arn.as_str())),
    }
}

impl Found {
    /// # Errors
    /// `ResourceNotFoundException`.
    fn tags(&self, scope: &Scope, tagged: &Tagged) -> Result<Tags, Rejection> {
        match (self, tagged) {
            (Self::Rule(Some(rule)), _) => Ok(rule.tags.clone()),
            (Self::Bus(Some(bus)), _) => Ok(bus.tags.clone()),
            (_, Tagged::Bus(name)) if name == DEFAULT_BUS => Ok(Tags::new()),
            (_, Tagged::Rule(rule)) => Err(Rejection::no_such_rule(&rule.name, &rule.bus)),
            (_, Tagged::Bus(name)) => Err(Rejection::no_such_bus(name)),
            (_, elsewhere) => Err(Rejection::new(
                crate::rejection::Reason::ResourceNotFound,
                format!("{} does not exist.", elsewhere.arn(scope)),
            )),
        }
    }

    fn put(&self, tx: &mut Transaction<'_>, scope: &Scope, tags: Tags) {
        match self {
            Self::Rule(Some(rule)) => tx.put(EventRule { tags, ..EventRule::clone(rule) }),
            Self::Bus(Some(bus)) => tx.put(EventBus { tags, ..EventBus::clone(bus) }),
            // The default bus has a row from now on.
            Self::Bus(None) if !tags.is_empty() => tx.put(EventBus { tags, ..default_bus(scope) }),
            _ => {}
        }
    }
}

pub async fn tag_resource(
    service: &EventsService,
    call: &Call,
    input: TagResourceRequest,
) -> Result<TagResourceResponse, Rejection> {
    let scope = scope(call);
    let tagged = Tagged::parse(&scope, &input.resource_arn.unwrap_or_default())?;
    let given = tags::parse(input.tags)?;
    let ask = |tables: &Tables| {
        find(tables, &scope, &tagged, "events:TagResource").with_request_tags(&given)
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut all = found.tags(&scope, &tagged)?;
            tags::add(&mut all, given.clone())?;
            found.put(tx, &scope, all);
            Ok(TagResourceResponse::default())
        })
        .await
}

pub async fn untag_resource(
    service: &EventsService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<UntagResourceResponse, Rejection> {
    let scope = scope(call);
    let tagged = Tagged::parse(&scope, &input.resource_arn.unwrap_or_default())?;
    let keys = input.tag_keys.unwrap_or_default();
    let ask = |tables: &Tables| {
        find(tables, &scope, &tagged, "events:UntagResource").with("aws:TagKeys", keys.clone())
    };
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut all = found.tags(&scope, &tagged)?;
            all.retain(|key, _| !keys.contains(key));
            found.put(tx, &scope, all);
            Ok(UntagResourceResponse::default())
        })
        .await
}

pub async fn list_tags_for_resource(
    service: &EventsService,
    call: &Call,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Rejection> {
    let scope = scope(call);
    let tagged = Tagged::parse(&scope, &input.resource_arn.unwrap_or_default())?;
    let (_, found) = service
        .store
        .read(call, |tables| find(tables, &scope, &tagged, "events:ListTagsForResource"))?;
    Ok(ListTagsForResourceResponse { tags: Some(tags::view(&found.tags(&scope, &tagged)?)) })
}
