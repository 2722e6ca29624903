//! Names of parameters, and what selects a version of one.
//!
//! Source: user guide, "About requirements and constraints for parameter names"; the texts as public test suites have them.

use outport_identity::Call;
use outport_model::{Arn, Scope};

use crate::quotas;
use crate::rejection::{Reason, Rejection};

const SUB_PATHS: &str = "If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed \
                         as a mix of letters, numbers and the following 3 symbols .-_";
/// What AWS publishes itself, and the way to secrets of Secrets Manager.
const OF_AWS: &str = "/aws/";

/// The account and region that are called.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// Checks the name of a parameter that is put.
///
/// # Errors
/// `ValidationException`, `AccessDeniedException`, `HierarchyLevelLimitExceededException`.
pub fn parse_new(name: Option<String>) -> Result<String, Rejection> {
    let name = name.unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(OF_AWS) {
        let text = format!("No access to reserved parameter name: {name}.");
        return Err(Rejection::new(Reason::AccessDenied, text));
    }
    let bare = lower.trim_start_matches('/');
    if bare.starts_with("aws") || bare.starts_with("ssm") {
        let text = "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).";
        return Err(Rejection::validation(format!("{text} {SUB_PATHS}")));
    }
    let is_allowed = |one: char| one.is_ascii_alphanumeric() || ".-_/".contains(one);
    let has_empty_part = name.ends_with('/') || name.contains("//");
    if !name.chars().all(is_allowed) || has_empty_part {
        let text = "Parameter name: can't be prefixed with \"ssm\" (case-insensitive).";
        return Err(Rejection::validation(format!("{text} {SUB_PATHS}")));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(Rejection::validation("Parameter name must be a fully qualified name."));
    }
    if name.matches('/').count() > quotas::LEVELS {
        let text = format!("A hierarchy can have a maximum of {} levels.", quotas::LEVELS);
        return Err(Rejection::new(Reason::HierarchyLevelLimitExceeded, text));
    }
    Ok(name)
}

/// # Errors
/// Refuses what AWS publishes itself, by name.
pub fn refuse_public(name: &str) -> Result<(), Rejection> {
    if name.starts_with(OF_AWS) {
        return Err(Rejection::not_built(
            "A public parameter, or a secret by its parameter (/aws/…),",
        ));
    }
    Ok(())
}

/// Which version of a parameter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Latest,
    Version(u64),
    Label(String),
}

/// What a request names: a name or an ARN, and behind a colon a version or a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The name as it is in the rows, or the ARN of something that is not in this account and region.
    pub name: String,
    /// Another name with the same ARN: that of `a` is also that of `/a`.
    pub other_name: Option<String>,
    pub selector: Selector,
}

impl Reference {
    /// # Errors
    /// `ValidationException`; what AWS publishes itself is refused by name.
    pub fn parse(scope: &Scope, text: &str) -> Result<Self, Rejection> {
        let arn = Arn::parse(text);
        let (name, rest) = match &arn {
            Some(arn) => of_arn(scope, arn),
            None => parted(text),
        };
        refuse_public(&name)?;
        let selector = match rest {
            None => Selector::Latest,
            Some(rest) if rest.is_empty() || rest.contains(':') => {
                return Err(Rejection::validation(
                    "Invalid parameter name. Please use correct syntax for referencing a version/label  \
                     <name>:<version/label>",
                ));
            }
            Some(rest) => match rest.parse() {
                Ok(version) => Selector::Version(version),
                Err(_) => Selector::Label(rest),
            },
        };
        let other_name = arn.filter(|_| !name.contains('/')).map(|_| format!("/{name}"));
        Ok(Self { name, other_name, selector })
    }

    /// The newest version of what has this very name.
    pub fn to(name: &str) -> Self {
        Self { name: name.to_owned(), other_name: None, selector: Selector::Latest }
    }

    /// As answers repeat it.
    pub fn shown_selector(&self) -> Option<String> {
        match &self.selector {
            Selector::Latest => None,
            Selector::Version(version) => Some(format!(":{version}")),
            Selector::Label(label) => Some(format!(":{label}")),
        }
    }
}

fn parted(text: &str) -> (String, Option<String>) {
    match text.split_once(':') {
        Some((name, rest)) => (name.to_owned(), Some(rest.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// The ARN of `/a/b` ends with `parameter/a/b`, that of `a` with `parameter/a`.
fn of_arn(scope: &Scope, arn: &Arn) -> (String, Option<String>) {
    let (resource, rest) = parted(arn.resource());
    let path = resource.strip_prefix("parameter").filter(|path| path.starts_with('/'));
    match path {
        Some(path) if arn.is_in(scope) && arn.service() == "ssm" => {
            let is_path = path[1..].contains('/');
            (if is_path { path } else { &path[1..] }.to_owned(), rest)
        }
        _ => (arn.as_str().to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    fn here() -> Scope {
        Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
    }

    #[track_caller]
    fn check(text: &str, name: &str, selector: Selector) {
        let found = Reference::parse(&here(), text).unwrap();
        assert_eq!((found.name.as_str(), found.selector), (name, selector), "{text}");
    }

    #[test]
    fn a_reference_is_a_name_or_an_arn_with_a_selector() {
        check("/a/b", "/a/b", Selector::Latest);
        check("a:3", "a", Selector::Version(3));
        check("/a:live", "/a", Selector::Label("live".into()));
        let arn = "arn:aws:ssm:us-east-1:000000000000:parameter";
        check(&format!("{arn}/a/b:2"), "/a/b", Selector::Version(2));
        check(&format!("{arn}/a"), "a", Selector::Latest);
        let other = "arn:aws:ssm:us-east-1:111111111111:parameter/a";
        check(other, other, Selector::Latest);
        for text in ["a:", "a:1:2", "/aws/service/ami"] {
            assert!(Reference::parse(&here(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_paths_of_letters_digits_and_three_symbols() {
        let parse = |name: &str| parse_new(Some(name.to_owned()));
        for name in ["a", "/a", "/a.b/C-d/e_9", &"/x".repeat(15)] {
            assert_eq!(parse(name).as_deref(), Ok(name));
        }
        let names =
            ["a b", "a/b", "/a/", "/a//b", "aws", "/ssm/x", "/aws/x", "é", &"/x".repeat(16)];
        for name in names {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
