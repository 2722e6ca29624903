//! The filters of ListSecrets and BatchGetSecretValue.
//!
//! Source: API reference, Filter: `name`, `tag-key`, `tag-value`, `primary-region` and `owning-service` are "prefix match,
//! case-sensitive", `description` is "prefix match, not case-sensitive", and `all` "breaks the filter value string into words and
//! then searches all attributes for matches. Not case-sensitive"; a value with `!` before it excludes. A secret has to match
//! every filter, and of each filter any value, as the user guide's "Find secrets" says. What a word is, and that it is words which
//! `description` matches too, is what the service answers: see [`words`].

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
            FilterNameStringType::Description => hold_words(secret.description.as_ref(), text),
            FilterNameStringType::PrimaryRegion => secret.scope.region.as_str().starts_with(text),
            // No service of Outport has secrets of its own.
            FilterNameStringType::OwningService => false,
            FilterNameStringType::All => {
                let tags = secret.tags.iter().flat_map(|(key, value)| [key, value]);
                hold_words(tags.chain([&secret.name]).chain(&secret.description), text)
            }
        }
    }
}

/// Whether each word of `wanted` begins a word of one of the texts; nothing is found by what has no words.
fn hold_words<'a>(texts: impl IntoIterator<Item = &'a String>, wanted: &str) -> bool {
    let there: Vec<String> = texts.into_iter().flat_map(|text| words(text)).collect();
    let wanted = words(wanted);
    let is_there = |word: &String| there.iter().any(|there| there.starts_with(word.as_str()));
    !wanted.is_empty() && wanted.iter().all(is_there)
}

/// Runs of letters and digits in lower case, which begin anew where a capital follows what is none, and at the last one of several
/// capitals before what is none: `prod/AppBeta` has the words `prod`, `app` and `beta`, and `COMPANYthings` has `compan` and
/// `ythings`. Source: answers of the service, as those report them who compare it with an emulator.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = text.chars().collect();
    for (position, char) in chars.iter().enumerate() {
        if !char.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let is_capital = |position: usize| chars.get(position).is_some_and(|c| c.is_uppercase());
        let is_small = |position: usize| chars.get(position).is_some_and(|c| c.is_lowercase());
        let follows_capital = position > 0 && is_capital(position - 1);
        if is_capital(position) && (!follows_capital || is_small(position + 1)) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(char.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_words() {
        for (text, expected) in [
            ("prod/AppBeta_58d0a6", "prod app beta 58d0a6"),
            ("SecretFTag", "secret f tag"),
            ("uat/COMPANY/x", "uat company x"),
            ("COMPANYthings", "compan ythings"),
            ("one and two", "one and two"),
            ("Thirdsecret", "thirdsecret"),
            ("+", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn each_wanted_word_begins_one() {
        for (there, wanted, expected) in [
            ("one and two", "one two", true),
            ("one and two", "o t", true),
            ("one", "one two", false),
            ("SecretOne", "ret", false),
            ("SecretOne", "SECRET", true),
            ("prod+AppBeta", "+", false),
            ("COMPANYthings", "Ythings", true),
            ("COMPANYthings", "company", false),
        ] {
            assert_eq!(hold_words([&there.to_owned()], wanted), expected, "{there}: {wanted}");
        }
    }
}
