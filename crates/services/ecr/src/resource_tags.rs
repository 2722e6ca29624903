//! Tags of repositories. Source of the rules: Amazon ECR user guide, "Tagging a private repository".

use outport_aws_ecr::{EcrError, Tag};
use outport_model::Tags;
use outport_model::tag::{self, TAGS_PER_RESOURCE_MAX, TagRefusal};

/// What ECR says of a tag whose key or value cannot be one.
const INVALID: &str = "Tag parameters are invalid";
/// What ECR says of AWS's own tags, which nobody else sets.
const RESERVED: &str = "aws: prefixed tag key names are not allowed for external use.";

/// Errors: `InvalidTagParameterException`, `TooManyTagsException`.
pub(crate) fn parse(tags: &[Tag]) -> Result<Tags, EcrError> {
    let mut parsed = Tags::new();
    for tag in tags {
        let key = tag.key.clone().unwrap_or_default();
        let value = tag.value.clone().unwrap_or_default();
        match tag::check(&key, &value) {
            Err(TagRefusal::KeyReserved) => return Err(invalid(RESERVED.to_owned())),
            Err(_) => return Err(invalid(INVALID.to_owned())),
            Ok(()) => {}
        }
        if parsed.insert(key, value).is_some() {
            return Err(invalid("Duplicate tag keys found.".into()));
        }
    }
    check_count(&parsed)?;
    Ok(parsed)
}

/// Errors: `TooManyTagsException`.
pub(crate) fn check_count(tags: &Tags) -> Result<(), EcrError> {
    if tags.len() <= TAGS_PER_RESOURCE_MAX {
        return Ok(());
    }
    let message = format!("A repository can have at most {TAGS_PER_RESOURCE_MAX} tags.");
    Err(EcrError::too_many_tags_exception(message))
}

pub(crate) fn view(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

fn invalid(message: String) -> EcrError {
    EcrError::invalid_tag_parameter_exception(message)
}
