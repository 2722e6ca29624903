//! Whether a tag may move to another image. Source: ECR's `imageTagMutability` and its exclusion filters.

/// The setting of a repository. Filters hold `*` as a wildcard, and name the tags for which the opposite
/// of the setting holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagMutability {
    Mutable,
    Immutable,
    MutableExcept(Vec<String>),
    ImmutableExcept(Vec<String>),
}

impl TagMutability {
    /// May an existing tag of this name be moved to another image?
    pub fn allows_overwriting(&self, tag: &str) -> bool {
        let excluded =
            |filters: &[String]| filters.iter().any(|filter| matches_wildcard(filter, tag));
        match self {
            Self::Mutable => true,
            Self::Immutable => false,
            Self::MutableExcept(filters) => !excluded(filters),
            Self::ImmutableExcept(filters) => excluded(filters),
        }
    }

    /// AWS's word for the setting.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mutable => "MUTABLE",
            Self::Immutable => "IMMUTABLE",
            Self::MutableExcept(_) => "MUTABLE_WITH_EXCLUSION",
            Self::ImmutableExcept(_) => "IMMUTABLE_WITH_EXCLUSION",
        }
    }

    /// The filters of the two settings that have some.
    pub fn exclusion_filters(&self) -> &[String] {
        match self {
            Self::Mutable | Self::Immutable => &[],
            Self::MutableExcept(filters) | Self::ImmutableExcept(filters) => filters,
        }
    }

    /// From AWS's word; `None` for a word that AWS does not have.
    pub fn from_words(setting: &str, filters: Vec<String>) -> Option<Self> {
        Some(match setting {
            "MUTABLE" => Self::Mutable,
            "IMMUTABLE" => Self::Immutable,
            "MUTABLE_WITH_EXCLUSION" => Self::MutableExcept(filters),
            "IMMUTABLE_WITH_EXCLUSION" => Self::ImmutableExcept(filters),
            _ => return None,
        })
    }
}

/// `*` stands for any characters, also none. Linear in the tag for each `*`: parts are found from the left.
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches_wildcard(pattern, text), expected, "{pattern} against {text}");
    }

    #[test]
    fn wildcards_match_as_a_glob_does() {
        check("latest", "latest", true);
        check("latest", "latest1", false);
        check("dev-*", "dev-7", true);
        check("dev-*", "prod-7", false);
        check("*-rc", "1.0-rc", true);
        check("a*b*c", "a1b2c", true);
        check("a*b*c", "a1c2b", false);
        check("ab*ba", "aba", false);
        check("*", "", true);
    }

    #[test]
    fn an_exclusion_turns_the_setting_around() {
        let immutable = TagMutability::ImmutableExcept(vec!["dev-*".into()]);
        assert!(immutable.allows_overwriting("dev-1"));
        assert!(!immutable.allows_overwriting("1.0"));
        let mutable = TagMutability::MutableExcept(vec!["v*".into()]);
        assert!(!mutable.allows_overwriting("v1"));
        assert!(mutable.allows_overwriting("latest"));
    }
}
