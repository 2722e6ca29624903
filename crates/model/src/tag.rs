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
