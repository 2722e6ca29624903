//! Tags of ECS resources, checked and shown.
//!
//! Source: "Tagging your Amazon ECS resources", Tag restrictions.

use outport_aws_ecs::Tag;
use outport_model::Tags;
pub use outport_model::tag::is_reserved;
use outport_model::tag::{
    self, TAG_KEY_LENGTH_MAX, TAG_VALUE_LENGTH_MAX, TAGS_PER_RESOURCE_MAX, TagRefusal,
};

use crate::rejection::Rejection;

/// The tag that `enableECSManagedTags` adds to every task.
pub const CLUSTER_NAME_TAG: &str = "aws:ecs:clusterName";

/// Reads the tags of a request.
///
/// # Errors
/// `InvalidParameterException` for too many tags, for keys and values that are too long, reserved or given twice.
pub fn parse(list: Option<Vec<Tag>>) -> Result<Tags, Rejection> {
    let mut tags = Tags::new();
    for tag in list.unwrap_or_default() {
        let key = tag.key.unwrap_or_default();
        let value = tag.value.unwrap_or_default();
        check(&key, &value)?;
        if tags.contains_key(&key) {
            let text = format!("Duplicate tag key '{key}'.");
            return Err(Rejection::invalid_parameter(text));
        }
        tags.insert(key, value);
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Checks that a resource may carry them all.
///
/// # Errors
/// `InvalidParameterException`.
pub fn check_count(tags: &Tags) -> Result<(), Rejection> {
    let own = tags.keys().filter(|key| !is_reserved(key)).count();
    if own > TAGS_PER_RESOURCE_MAX {
        return Err(Rejection::invalid_parameter(format!(
            "A resource can have at most {TAGS_PER_RESOURCE_MAX} tags."
        )));
    }
    Ok(())
}

fn check(key: &str, value: &str) -> Result<(), Rejection> {
    let refusal = match tag::check(key, value) {
        Err(TagRefusal::KeyEmpty) => "Tag keys can not be empty.".to_owned(),
        Err(TagRefusal::KeyReserved) => "Tag keys cannot start with AWS.".to_owned(),
        Err(TagRefusal::KeyTooLong) => {
            format!("Tag keys can have at most {TAG_KEY_LENGTH_MAX} characters.")
        }
        Err(TagRefusal::ValueTooLong) => {
            format!("Tag values can have at most {TAG_VALUE_LENGTH_MAX} characters.")
        }
        Ok(()) if !key.chars().chain(value.chars()).all(is_allowed) => {
            format!("The tag '{key}' contains invalid characters.")
        }
        Ok(()) => return Ok(()),
    };
    Err(Rejection::invalid_parameter(refusal))
}

/// Source: the patterns of `TagKey` and `TagValue`.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric() || character.is_whitespace() || "_.:/=+-@".contains(character)
}

/// As describes show them.
pub fn view(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tags: &[(&str, &str)], expected: &str) {
        let tags = tags
            .iter()
            .map(|(key, value)| Tag {
                key: Some((*key).to_owned()),
                value: Some((*value).to_owned()),
            })
            .collect();
        let actual = match parse(Some(tags)) {
            Ok(tags) => format!("{tags:?}"),
            Err(rejection) => rejection.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn tags_are_limited() {
        check(&[("b", "2"), ("a", "")], r#"{"a": "", "b": "2"}"#);
        check(&[("a", "1"), ("a", "2")], "Duplicate tag key 'a'.");
        check(&[("", "1")], "Tag keys can not be empty.");
        check(&[("AWS:x", "1")], "Tag keys cannot start with AWS.");
        check(&[("a\u{7}", "1")], "The tag 'a\u{7}' contains invalid characters.");
        check(&[(&"k".repeat(129), "1")], "Tag keys can have at most 128 characters.");
        check(&[("k", &"v".repeat(257))], "Tag values can have at most 256 characters.");
        let many: Vec<String> = (0..51).map(|index| format!("k{index}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        check(&many, "A resource can have at most 50 tags.");
    }
}
