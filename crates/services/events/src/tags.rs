//! Tags of rules and buses.

use outport_aws_events as wire;
use outport_model::Tags;
use outport_model::tag::{self, TAGS_PER_RESOURCE_MAX, TagRefusal};

use crate::rejection::Rejection;

/// Reads the tags of a request.
///
/// # Errors
/// `ValidationException`. The texts are ours.
pub fn parse(given: Option<Vec<wire::Tag>>) -> Result<Tags, Rejection> {
    let mut tags = Tags::new();
    for wire::Tag { key, value } in given.unwrap_or_default() {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        match tag::check(&key, &value) {
            Ok(()) => {}
            Err(TagRefusal::KeyReserved) => {
                return Err(Rejection::validation(
                    "Tag keys that begin with aws: are reserved for AWS.",
                ));
            }
            // The model's constraints have refused a length before.
            Err(TagRefusal::KeyEmpty | TagRefusal::KeyTooLong | TagRefusal::ValueTooLong) => {
                return Err(Rejection::validation("A tag has a key or a value of a wrong length."));
            }
        }
        if tags.insert(key, value).is_some() {
            return Err(Rejection::validation("The same tag key is given more than once."));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

/// # Errors
/// `ValidationException`.
pub fn add(tags: &mut Tags, more: Tags) -> Result<(), Rejection> {
    tags.extend(more);
    check_count(tags)
}

fn check_count(tags: &Tags) -> Result<(), Rejection> {
    if tags.len() > TAGS_PER_RESOURCE_MAX {
        let text = format!("A resource has {TAGS_PER_RESOURCE_MAX} tags at most.");
        return Err(Rejection::validation(text));
    }
    Ok(())
}

pub fn view(tags: &Tags) -> Vec<wire::Tag> {
    let tag = |(key, value): (&String, &String)| wire::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}
