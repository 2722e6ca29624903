//! Tags of keys. Their keys are told apart by the case of their letters.

use outport_aws_kms as wire;
use outport_model::Tags;
use outport_model::tag::{self, TAGS_PER_RESOURCE_MAX, TagRefusal};

use crate::rejection::{Reason, Rejection};

fn refused(text: impl Into<String>) -> Rejection {
    Rejection::new(Reason::Tag, text)
}

/// Reads the tags of a request.
///
/// # Errors
/// `TagException`. The texts are ours.
pub fn parse(given: Option<Vec<wire::Tag>>) -> Result<Tags, Rejection> {
    let mut tags = Tags::new();
    for wire::Tag { tag_key, tag_value } in given.unwrap_or_default() {
        let (key, value) = (tag_key.unwrap_or_default(), tag_value.unwrap_or_default());
        match tag::check(&key, &value) {
            Ok(()) => {}
            Err(TagRefusal::KeyReserved) => {
                return Err(refused("Tag keys that begin with aws: are reserved for AWS."));
            }
            // The model's constraints have refused a length before.
            Err(TagRefusal::KeyEmpty | TagRefusal::KeyTooLong | TagRefusal::ValueTooLong) => {
                return Err(refused("A tag has a key or a value of a wrong length."));
            }
        }
        if tags.insert(key, value).is_some() {
            return Err(refused("Duplicate tag keys"));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Adds tags to those of a key.
///
/// # Errors
/// `LimitExceededException` for more than 50.
pub fn add(tags: &mut Tags, more: Tags) -> Result<(), Rejection> {
    tags.extend(more);
    check_count(tags)
}

fn check_count(tags: &Tags) -> Result<(), Rejection> {
    if tags.len() > TAGS_PER_RESOURCE_MAX {
        let text = format!("A key has {TAGS_PER_RESOURCE_MAX} tags at most.");
        return Err(Rejection::new(Reason::LimitExceeded, text));
    }
    Ok(())
}

pub fn view((key, value): (&String, &String)) -> wire::Tag {
    wire::Tag { tag_key: Some(key.clone()), tag_value: Some(value.clone()) }
}
