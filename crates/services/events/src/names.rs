//! What requests name: buses by name or ARN, rules by name, and both by the ARNs of tagging.

use outport_identity::Call;
use outport_model::event::DEFAULT_BUS;
use outport_model::{Arn, Scope};

use crate::rejection::Rejection;

/// The account and region that are called.
pub fn scope(call: &Call) -> Scope {
    Scope::new(call.account.clone(), call.region.clone())
}

/// The name of a bus; the default one where none is given.
///
/// # Errors
/// Buses of other accounts and regions are refused by name.
pub fn bus(scope: &Scope, given: Option<String>) -> Result<String, Rejection> {
    let Some(given) = given else { return Ok(DEFAULT_BUS.to_owned()) };
    let Some(arn) = Arn::parse(&given) else { return Ok(given) };
    match arn.resource().strip_prefix("event-bus/") {
        Some(name) if arn.is_in(scope) => Ok(name.to_owned()),
        _ => Err(Rejection::not_built("An event bus of another account or region")),
    }
}

/// The name of a bus that is made.
///
/// # Errors
/// `ValidationException`. Source of the rules: API reference, CreateEventBus.
pub fn new_bus(name: String) -> Result<String, Rejection> {
    if name.contains('/') {
        return Err(Rejection::validation("Event bus name must not contain '/'."));
    }
    if name.starts_with("aws.") {
        return Err(Rejection::validation("Event bus name starting with 'aws.' is not valid."));
    }
    Ok(name)
}

/// A rule, by its bus and its own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    pub bus: String,
    pub name: String,
}

impl RuleName {
    /// # Errors
    /// As [`bus`].
    pub fn parse(
        scope: &Scope,
        given_bus: Option<String>,
        name: Option<String>,
    ) -> Result<Self, Rejection> {
        Ok(Self { bus: bus(scope, given_bus)?, name: name.unwrap_or_default() })
    }

    pub fn arn(&self, scope: &Scope) -> Arn {
        Arn::event_rule(scope, &self.bus, &self.name)
    }
}

/// What carries tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tagged {
    Bus(String),
    Rule(RuleName),
    /// Of another account or region, which nobody here may know.
    Elsewhere(Arn),
}

impl Tagged {
    /// # Errors
    /// `ValidationException` for what is no ARN of a bus or a rule.
    pub fn parse(scope: &Scope, text: &str) -> Result<Self, Rejection> {
        let wrong = || {
            let text = "Provided Arn is not in correct format.";
            Rejection::validation(format!("Parameter ResourceARN is not valid. Reason: {text}"))
        };
        let arn = Arn::parse(text).filter(|arn| arn.service() == "events").ok_or_else(wrong)?;
        if !arn.is_in(scope) {
            return Ok(Self::Elsewhere(arn));
        }
        if let Some(name) = arn.resource().strip_prefix("event-bus/") {
            return Ok(Self::Bus(name.to_owned()));
        }
        let rule = arn.resource().strip_prefix("rule/").ok_or_else(wrong)?;
        let (bus, name) = rule.rsplit_once('/').unwrap_or((DEFAULT_BUS, rule));
        Ok(Self::Rule(RuleName { bus: bus.to_owned(), name: name.to_owned() }))
    }

    pub fn arn(&self, scope: &Scope) -> String {
        match self {
            Self::Bus(name) => Arn::event_bus(scope, name).into_string(),
            Self::Rule(rule) => rule.arn(scope).into_string(),
            Self::Elsewhere(arn) => arn.as_str().to_owned(),
        }
    }
}
