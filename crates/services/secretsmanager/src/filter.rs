//! The filters of ListSecrets and BatchGetSecretValue.
//!
//! Source: API reference, Filter: `name`, `tag-key`, `tag-value`, `primary-region` and `owning-service` are "prefix match,
//! case-sensitive", `description` is "prefix match, not case-sensitive", and `all` "breaks the filter value string into words and
//! then searches all attributes for matches. Not case-sensitive"; a value with `!` before it excludes. A secret has to match
//! every filter, and of each filter any value, as the user guide's "Find secrets" says.

use outport_aws_secretsmanager::{Filter, FilterNameStringType};
use outport_model::secret::Secret;

use crate::rejection::Rejection;

/// Filters that were understood.
pub struct Filters(Vec<(FilterNameStringType, Vec<Wanted>)>);

struct Wanted {
    text: String,
    is_excluded: bool,
}

impl Filters {
    /// # Errors
    /// `InvalidParameterException` for a filter without a key or a value.
    pub fn parse(given: Option<Vec<Filter>>) -> Result<Self, Rejection> {
        let filters = given.unwrap_or_default().into_iter().map(|filter| {
            let (Some(key), Some(values)) = (filter.key, filter.values) else {
                return Err(Rejection::invalid("Invalid filter key or values."));
            };
            Ok((key, values.into_iter().map(Wanted::parse).collect()))
        });
        Ok(Self(filters.collect::<Result<_, _>>()?))
    }

    pub fn match_secret(&self, secret: &Secret) -> bool {
        self.0.iter().all(|(key, values)| values.iter().any(|value| value.matches(*key, secret)))
    }
}

impl Wanted {
    fn parse(value: String) -> Self {
        match value.strip_prefix('!') {
            Some(rest) => Self { text: rest.to_owned(), is_excluded: true },
            None => Self { text: value, is_excluded: false },
        }
    }

    fn matches(&self, key: FilterNameStringType, secret: &Secret) -> bool {
        self.is_in(key, secret) != self.is_excluded
    }

    fn is_in(&self, key: FilterNameStringType, secret: &Secret) -> bool {
        let text = self.text.as_str();
        match key {
            FilterNameStringType::Name => secret.name.starts_with(text),
            FilterNameStringType::TagKey => secret.tags.keys().any(|key| key.starts_with(text)),
            FilterNameStringType::TagValue => {
                secret.tags.values().any(|value| value.starts_with(text))
            }
            FilterNameStringType::Description => {
                let description = secret.description.as_deref().unwrap_or_default();
                description.to_lowercase().starts_with(&text.to_lowercase())
            }
            FilterNameStringType::PrimaryRegion => secret.scope.region.as_str().starts_with(text),
            // No service of Outport has secrets of its own.
            FilterNameStringType::OwningService => false,
            FilterNameStringType::All => {
                let words = text.to_lowercase();
                words.split_whitespace().any(|word| attributes_hold(secret, word))
            }
        }
    }
}

fn attributes_hold(secret: &Secret, word: &str) -> bool {
    let tags = secret.tags.iter().flat_map(|(key, value)| [key, value]);
    let mut attributes = tags.chain([&secret.name]).chain(&secret.description);
    attributes.any(|attribute| attribute.to_lowercase().contains(word))
}
