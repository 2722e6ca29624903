//! The filters of DescribeParameters and GetParametersByPath.
//!
//! Source: API reference, ParameterStringFilter: options Equals and BeginsWith, for names Contains too, for paths Recursive and
//! OneLevel; "GetParametersByPath: Type, KeyId, and Label" only. Source of the texts: answers of Parameter Store as public test
//! suites have them.

use std::collections::BTreeSet;

use outport_aws_ssm as wire;
use outport_model::parameter::{Parameter, ParameterVersion};

use crate::rejection::{Reason, Rejection};
use crate::view;

/// Filters that were understood. A parameter has to match every one, and of each any value.
pub struct Filters(Vec<Filter>);

struct Filter {
    key: Attribute,
    option: Match,
    values: Vec<String>,
}

enum Attribute {
    Name,
    Type,
    KeyId,
    Path,
    Tier,
    DataType,
    Label,
    Tag(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Equals,
    BeginsWith,
    Contains,
    Recursive,
    OneLevel,
}

/// Whose filters they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Describe,
    ByPath,
}

impl Filters {
    /// # Errors
    /// `InvalidFilterKey`, `InvalidFilterOption`, `InvalidFilterValue`.
    pub fn parse(
        given: Option<Vec<wire::ParameterStringFilter>>,
        of: Of,
    ) -> Result<Self, Rejection> {
        let mut keys = BTreeSet::new();
        let filters = given.unwrap_or_default().into_iter().map(|filter| {
            let key = filter.key.clone().unwrap_or_default();
            let filter = Filter::parse(filter, of)?;
            if keys.insert(key.clone()) {
                return Ok(filter);
            }
            let text = format!(
                "The following filter is duplicated in the request: {key}. A request can contain only one occurrence of a \
                 specific filter."
            );
            Err(Rejection::new(Reason::InvalidFilterKey, text))
        });
        Ok(Self(filters.collect::<Result<_, _>>()?))
    }

    /// Those of before `ParameterFilters`, which only know equality.
    pub fn parse_old(given: Option<Vec<wire::ParametersFilter>>) -> Self {
        let filters = given.unwrap_or_default().into_iter().map(|filter| Filter {
            key: match filter.key {
                Some(wire::ParametersFilterKey::Type) => Attribute::Type,
                Some(wire::ParametersFilterKey::KeyId) => Attribute::KeyId,
                Some(wire::ParametersFilterKey::Name) | None => Attribute::Name,
            },
            option: Match::Equals,
            values: filter.values.unwrap_or_default(),
        });
        Self(filters.collect())
    }

    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    pub fn match_parameter(&self, parameter: &Parameter, version: &ParameterVersion) -> bool {
        self.0.iter().all(|filter| filter.matches(parameter, version))
    }
}

impl Filter {
    fn parse(given: wire::ParameterStringFilter, of: Of) -> Result<Self, Rejection> {
        let name = given.key.unwrap_or_default();
        let key = match name.as_str() {
            "Type" => Attribute::Type,
            "KeyId" => Attribute::KeyId,
            "Label" if of == Of::ByPath => Attribute::Label,
            "Name" if of == Of::Describe => Attribute::Name,
            "Path" if of == Of::Describe => Attribute::Path,
            "Tier" if of == Of::Describe => Attribute::Tier,
            "DataType" if of == Of::Describe => Attribute::DataType,
            other => match other.strip_prefix("tag:") {
                Some(tag) if of == Of::Describe => Attribute::Tag(tag.to_owned()),
                _ => {
                    let valid = match of {
                        Of::Describe => "Path, Name, Type, KeyId, Tier",
                        Of::ByPath => "Type, KeyId",
                    };
                    let text = format!(
                        "The following filter key is not valid: {name}. Valid filter keys include: [{valid}]."
                    );
                    return Err(Rejection::new(Reason::InvalidFilterKey, text));
                }
            },
        };
        let option = Match::parse(given.option.as_deref(), &key)?;
        let values = given.values.unwrap_or_default();
        if values.is_empty() && !matches!(key, Attribute::Tag(_)) {
            let text =
                format!("The following filter values are missing : null for filter key {name}.");
            return Err(Rejection::new(Reason::InvalidFilterValue, text));
        }
        key.check(&values)?;
        Ok(Self { key, option, values })
    }

    fn matches(&self, parameter: &Parameter, version: &ParameterVersion) -> bool {
        let any = |text: &str| self.values.iter().any(|value| self.option.holds(text, value));
        match &self.key {
            Attribute::Name => any(&parameter.name),
            Attribute::Path => any(&parameter.name),
            Attribute::Type => any(view::kind(&version.value).as_str()),
            Attribute::KeyId => view::key_id(&version.value).is_some_and(|key| any(key)),
            Attribute::Tier => any(view::tier(version.tier).as_str()),
            Attribute::DataType => any(view::DATA_TYPE),
            Attribute::Label => parameter.labels_of(version.version).any(|label| any(label)),
            Attribute::Tag(tag) => {
                let value = parameter.tags.get(tag);
                value.is_some_and(|value| self.values.is_empty() || any(value))
            }
        }
    }
}

impl Attribute {
    fn check(&self, values: &[String]) -> Result<(), Rejection> {
        let valid: &[&str] = match self {
            Self::Tier => &["Standard", "Advanced", "Intelligent-Tiering"],
            Self::Type => &["String", "StringList", "SecureString"],
            Self::Path => {
                if values.iter().any(|path| is_public(path)) {
                    return Err(Rejection::validation(
                        "Filters for common parameters can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). When using \
                         global parameters, please specify within a global namespace.",
                    ));
                }
                return values.iter().try_for_each(|path| check_path(path));
            }
            _ => return Ok(()),
        };
        match values.iter().find(|value| !valid.contains(&value.as_str())) {
            None => Ok(()),
            Some(value) => Err(Rejection::new(
                Reason::InvalidFilterValue,
                format!(
                    "The following filter value is not valid: {value}. Valid values include: [{}].",
                    valid.join(", ")
                ),
            )),
        }
    }
}

fn is_public(path: &str) -> bool {
    let first = path.trim_start_matches('/').to_ascii_lowercase();
    first.starts_with("aws") || first.starts_with("ssm")
}

/// # Errors
/// `ValidationException` for what is no path of parameters.
pub fn check_path(path: &str) -> Result<(), Rejection> {
    let is_allowed = |one: char| one.is_ascii_alphanumeric() || ".-_/".contains(one);
    if path.starts_with('/') && !path.contains("//") && path.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Rejection::validation(
        "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". It \
         can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or the following symbols: \
         . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the \
         forward slash symbol \"/\". Valid example: /get/parameters2-/by1./path0_.",
    ))
}

impl Match {
    fn parse(given: Option<&str>, key: &Attribute) -> Result<Self, Rejection> {
        let option = match (given, key) {
            (None | Some("OneLevel"), Attribute::Path) => Some(Self::OneLevel),
            (Some("Recursive"), Attribute::Path) => Some(Self::Recursive),
            (_, Attribute::Path) => None,
            (None | Some("Equals"), _) => Some(Self::Equals),
            (Some("BeginsWith"), _) => Some(Self::BeginsWith),
            (Some("Contains"), Attribute::Name) => Some(Self::Contains),
            _ => None,
        };
        option.ok_or_else(|| {
            let valid = match key {
                Attribute::Path => "Recursive, OneLevel",
                Attribute::Name => "BeginsWith, Equals",
                _ => "Equals",
            };
            let text = format!(
                "The following filter option is not valid: {}. Valid options include: [{valid}].",
                given.unwrap_or_default()
            );
            Rejection::new(Reason::InvalidFilterOption, text)
        })
    }

    fn holds(self, text: &str, value: &str) -> bool {
        match self {
            // A name is the same with and without the slash that it begins with.
            Self::Equals => without_slash(text) == without_slash(value),
            Self::BeginsWith => without_slash(text).starts_with(without_slash(value)),
            Self::Contains => text.contains(value),
            Self::Recursive => is_below(text, value, true),
            Self::OneLevel => is_below(text, value, false),
        }
    }
}

fn without_slash(text: &str) -> &str {
    text.strip_prefix('/').unwrap_or(text)
}

/// Whether a parameter is below a path: right below it, or at any depth.
pub fn is_below(name: &str, path: &str, is_recursive: bool) -> bool {
    let path = path.trim_end_matches('/');
    let rest = match name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => rest,
        // What has no path is below the root.
        None if path.is_empty() => name,
        None => return false,
    };
    is_recursive || !rest.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_path() {
        let check = |name: &str, path: &str, one: bool, all: bool| {
            assert_eq!(
                (is_below(name, path, false), is_below(name, path, true)),
                (one, all),
                "{name} {path}"
            );
        };
        check("/a/b", "/a", true, true);
        check("/a/b", "/a/", true, true);
        check("/a/b/c", "/a", false, true);
        check("/ab/c", "/a", false, false);
        check("/a", "/a", false, false);
        check("/a", "/", true, true);
        check("a", "/", true, true);
        check("/a/b", "/", false, true);
    }
}
