//! Tags, as every AWS resource carries them: at most 50, in the order of their keys.

use std::collections::BTreeMap;

/// Tag key to tag value.
pub type Tags = BTreeMap<String, String>;

/// The most tags a resource can carry.
/// Source: "Tagging your Amazon ECS resources", Tag restrictions.
pub const TAGS_PER_RESOURCE_MAX: usize = 50;
/// The longest tag key, in UTF-8 characters.
pub const TAG_KEY_LENGTH_MAX: usize = 128;
/// The longest tag value, in UTF-8 characters.
pub const TAG_VALUE_LENGTH_MAX: usize = 256;

/// Keys that AWS keeps for itself, in any case of their letters.
/// Source: "Tagging your Amazon ECS resources", Tag restrictions.
const RESERVED_PREFIX: &str = "aws:";

/// Why a key and a value are no tag. Each service says it in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRefusal {
    KeyEmpty,
    KeyReserved,
    KeyTooLong,
    ValueTooLong,
}

/// Checks one tag as every service does.
///
/// # Errors
/// The first reason, in the order of [`TagRefusal`].
pub fn check(key: &str, value: &str) -> Result<(), TagRefusal> {
    if key.is_empty() {
        Err(TagRefusal::KeyEmpty)
    } else if is_reserved(key) {
        Err(TagRefusal::KeyReserved)
    } else if key.chars().count() > TAG_KEY_LENGTH_MAX {
        Err(TagRefusal::KeyTooLong)
    } else if value.chars().count() > TAG_VALUE_LENGTH_MAX {
        Err(TagRefusal::ValueTooLong)
    } else {
        Ok(())
    }
}

/// Whether the key is AWS's own.
pub fn is_reserved(key: &str) -> bool {
    key.get(..RESERVED_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
}

/// Key and value of each, as condition keys take them.
pub fn pairs(tags: &Tags) -> impl Iterator<Item = (&str, &str)> + Clone {
    tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_tag(key: &str, value: &str, expected: Result<(), TagRefusal>) {
        assert_eq!(check(key, value), expected, "{key}");
    }

    #[test]
    fn a_tag_has_a_key_of_its_own_and_two_limits() {
        check_tag("k", "", Ok(()));
        check_tag("", "v", Err(TagRefusal::KeyEmpty));
        check_tag("AWS:x", "v", Err(TagRefusal::KeyReserved));
        check_tag("aws", "v", Ok(()));
        // Characters, not bytes.
        check_tag(&"é".repeat(128), &"é".repeat(256), Ok(()));
        check_tag(&"k".repeat(129), "", Err(TagRefusal::KeyTooLong));
        check_tag("k", &"v".repeat(257), Err(TagRefusal::ValueTooLong));
    }
}
