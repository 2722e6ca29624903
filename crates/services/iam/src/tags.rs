//! Tags of what IAM keeps.

use std::collections::BTreeSet;

use outport_aws_iam as wire;
use outport_model::Tags;
use outport_model::tag::{self, TAGS_PER_RESOURCE_MAX, TagRefusal};

use crate::rejection::Rejection;

/// Reads the tags of a request.
///
/// # Errors
/// `InvalidInput`, with AWS's text as callers report it; `LimitExceeded` for more than 50.
pub fn parse(given: Option<Vec<wire::Tag>>) -> Result<Tags, Rejection> {
    let mut tags = Tags::new();
    let mut folded = BTreeSet::new();
    for wire::Tag { key, value } in given.unwrap_or_default() {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        match tag::check(&key, &value) {
            Ok(()) => {}
            Err(TagRefusal::KeyReserved) => {
                return Err(Rejection::InvalidInput(
                    "System tags cannot be added/updated by requester".to_owned(),
                ));
            }
            // The model's constraints have refused these before.
            Err(TagRefusal::KeyEmpty | TagRefusal::KeyTooLong | TagRefusal::ValueTooLong) => {
                return Err(Rejection::InvalidInput(format!(
                    "The tag with key {key} has a key or a value of a wrong length."
                )));
            }
        }
        if !folded.insert(key.to_ascii_lowercase()) {
            return Err(Rejection::InvalidInput(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                    .to_owned(),
            ));
        }
        tags.insert(key, value);
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Adds tags to those of a resource: a key that differs in case only takes the place of the old one.
///
/// # Errors
/// `LimitExceeded`.
pub fn add(tags: &mut Tags, more: Tags) -> Result<(), Rejection> {
    for (key, value) in more {
        tags.retain(|old, _| !old.eq_ignore_ascii_case(&key));
        tags.insert(key, value);
    }
    check_count(tags)
}

pub fn remove(tags: &mut Tags, keys: &[String]) {
    tags.retain(|old, _| !keys.iter().any(|key| old.eq_ignore_ascii_case(key)));
}

fn check_count(tags: &Tags) -> Result<(), Rejection> {
    if tags.len() > TAGS_PER_RESOURCE_MAX {
        let text = "The number of tags has reached the maximum limit.";
        return Err(Rejection::LimitExceeded(text.to_owned()));
    }
    Ok(())
}

/// As they are shown.
pub fn view(tags: &Tags) -> Vec<wire::Tag> {
    let tag = |(key, value): (&String, &String)| wire::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

/// Left out where there are none, as IAM does it.
pub fn view_if_any(tags: &Tags) -> Option<Vec<wire::Tag>> {
    (!tags.is_empty()).then(|| view(tags))
}
