//! `Filters` of describes: all of them must match, each by one of its values, in which `*` and `?` are wildcards.
//!
//! Source: "List and filter your resources" in the Amazon EC2 User Guide.

use outport_aws_ec2::{Ec2Error, Filter};
use outport_model::Tags;

/// Source: "List and filter your resources": at most 50 filters with 200 values each.
const FILTERS_MAX: usize = 50;
const VALUES_MAX: usize = 200;

/// The filters of a request.
#[derive(Debug, Default)]
pub struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Reads filters; `is_known` tells the names that the operation has, beside those of tags.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a name that it has not, `FilterLimitExceeded` for too many.
    pub fn parse(
        filters: Option<Vec<Filter>>,
        has_tags: bool,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Self, Ec2Error> {
        let filters = filters.unwrap_or_default();
        let is_long = |filter: &Filter| {
            filter.values.as_ref().is_some_and(|values| values.len() > VALUES_MAX)
        };
        if filters.len() > FILTERS_MAX || filters.iter().any(is_long) {
            let text = "The maximum number of filters or values of a filter has been exceeded.";
            return Err(Ec2Error::new("FilterLimitExceeded", text));
        }
        let mut parsed = Vec::new();
        for filter in filters {
            let name = filter.name.unwrap_or_default();
            let is_tag =
                has_tags && (name == "tag-key" || name == "tag-value" || name.starts_with("tag:"));
            if !is_tag && !is_known(&name) {
                return Err(Ec2Error::invalid_parameter_value(format!(
                    "The filter '{name}' is invalid"
                )));
            }
            parsed.push((name, filter.values.unwrap_or_default()));
        }
        Ok(Self(parsed))
    }

    /// Whether a thing passes. `values` gives what it has under a filter's name, tags aside.
    pub fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = match name.as_str() {
                "tag-key" => tags.keys().cloned().collect(),
                "tag-value" => tags.values().cloned().collect(),
                name => match name.strip_prefix("tag:") {
                    Some(key) => tags.get(key).cloned().into_iter().collect(),
                    None => values(name),
                },
            };
            found.iter().any(|value| wanted.iter().any(|pattern| matches(pattern, value)))
        })
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text and `?` for any character; `\` takes them literally.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where to go on when the last `*` takes one character more.
    let mut retry = None;
    loop {
        match pattern.get(at_pattern) {
            Some('*') => {
                retry = Some((at_pattern + 1, at_text));
                at_pattern += 1;
                continue;
            }
            Some('?') if at_text < text.len() => {
                at_pattern += 1;
                at_text += 1;
                continue;
            }
            Some('\\')
                if pattern
                    .get(at_pattern + 1)
                    .is_some_and(|next| text.get(at_text) == Some(next)) =>
            {
                at_pattern += 2;
                at_text += 1;
                continue;
            }
            Some(character) if text.get(at_text) == Some(character) => {
                at_pattern += 1;
                at_text += 1;
                continue;
            }
            None if at_text == text.len() => return true,
            _ => {}
        }
        match retry {
            Some((after_star, taken)) if taken < text.len() => {
                at_pattern = after_star;
                at_text = taken + 1;
                retry = Some((after_star, at_text));
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }

    #[test]
    fn wildcards() {
        check("default", "default", true);
        check("Default", "default", false);
        check("d*t", "default", true);
        check("*", "", true);
        check("?", "", false);
        check("us-east-1?", "us-east-1a", true);
        check("*b*c", "abcbc", true);
        check("*b*d", "abcbc", false);
        check("a\\*", "a*", true);
        check("a\\*", "ab", false);
        check(&"*a".repeat(40), &"a".repeat(39), false);
    }

    #[test]
    fn all_filters_must_match() {
        let filter = |name: &str, values: &[&str]| Filter {
            name: Some(name.to_owned()),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        let tags = Tags::from([("Name".to_owned(), "a".to_owned())]);
        let check = |filters: Vec<Filter>, expected: bool| {
            let filters = Filters::parse(Some(filters), true, |name| name == "state").unwrap();
            assert_eq!(filters.pass(&tags, |_| vec!["available".to_owned()]), expected);
        };
        check(vec![], true);
        check(vec![filter("state", &["pending", "available"])], true);
        check(vec![filter("state", &["available"]), filter("tag:Name", &["b"])], false);
        check(vec![filter("tag-key", &["N*"])], true);
        check(vec![filter("state", &[])], false);
        let refused = Filters::parse(Some(vec![filter("colour", &["red"])]), true, |_| false);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "InvalidParameterValue: The filter 'colour' is invalid"
        );
    }
}
