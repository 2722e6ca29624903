//! The circumstances of a request, by the names that policies know them by.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::Session;

/// A value of a condition key, typed as the Service Authorization Reference types it.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionValue {
    /// Types String and ARN.
    Text(String),
    /// Type ArrayOfString, such as `aws:TagKeys`.
    Texts(Vec<String>),
    Number(i64),
    Boolean(bool),
    /// Unix milliseconds.
    Date(i64),
    Address(IpAddr),
}

impl From<&str> for ConditionValue {
    fn from(text: &str) -> Self {
        ConditionValue::Text(text.to_owned())
    }
}

impl From<String> for ConditionValue {
    fn from(text: String) -> Self {
        ConditionValue::Text(text)
    }
}

impl From<Vec<String>> for ConditionValue {
    fn from(texts: Vec<String>) -> Self {
        ConditionValue::Texts(texts)
    }
}

impl From<i64> for ConditionValue {
    fn from(number: i64) -> Self {
        ConditionValue::Number(number)
    }
}

impl From<bool> for ConditionValue {
    fn from(truth: bool) -> Self {
        ConditionValue::Boolean(truth)
    }
}

impl From<IpAddr> for ConditionValue {
    fn from(address: IpAddr) -> Self {
        ConditionValue::Address(address)
    }
}

/// Condition keys and their values. Names of keys are compared without regard to case, as IAM does,
/// except that what follows a slash (`aws:RequestTag/Team`) keeps its case for display.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConditionContext {
    values: BTreeMap<String, (String, ConditionValue)>,
}

impl ConditionContext {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the keys that only requests of sessions have.
    ///
    /// Source: IAM user guide, "AWS global condition context keys": `aws:MultiFactorAuthPresent` is there, and false, in
    /// every session without a device; long-term keys do not have it at all.
    #[must_use]
    pub(crate) fn of_session(self, session: Option<&Session>) -> Self {
        let Some(session) = session else { return self };
        self.with("aws:TokenIssueTime", ConditionValue::Date(session.issued_at_ms))
            .with("aws:MultiFactorAuthPresent", false)
            .with_optional("aws:SourceIdentity", session.source_identity.clone())
            .with_optional("aws:FederatedProvider", session.federated_provider.clone())
    }

    /// Adds a key, replacing it if it was there: `context.with("ecs:cluster", cluster_arn)`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<ConditionValue>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds a key when there is a value: an optional member of a request.
    #[must_use]
    pub fn with_optional(
        self,
        key: impl Into<String>,
        value: Option<impl Into<ConditionValue>>,
    ) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `aws:RequestTag/…` for each tag and `aws:TagKeys` for all of them, as every operation
    /// that takes tags does.
    #[must_use]
    pub fn with_request_tags<'a>(
        mut self,
        tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut names = Vec::new();
        for (name, value) in tags {
            self.set(format!("aws:RequestTag/{name}"), value);
            names.push(name.to_owned());
        }
        if !names.is_empty() {
            self.set("aws:TagKeys", names);
        }
        self
    }

    /// Adds `aws:ResourceTag/…` for each tag that the resource carries.
    #[must_use]
    pub fn with_resource_tags<'a>(
        mut self,
        tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        for (name, value) in tags {
            self.set(format!("aws:ResourceTag/{name}"), value);
        }
        self
    }

    /// Adds a key in place.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<ConditionValue>) {
        let key = key.into();
        self.values.insert(key.to_ascii_lowercase(), (key, value.into()));
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&ConditionValue> {
        self.values.get(&key.to_ascii_lowercase()).map(|(_, value)| value)
    }

    /// All keys as they were written, with their values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ConditionValue)> {
        self.values.values().map(|(key, value)| (key.as_str(), value))
    }
}

/// Every condition key of one question of a request. What the request itself says wins: an operation cannot say who is
/// calling.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The global keys: who calls, from where, when.
    pub(crate) of_request: &'a ConditionContext,
    /// The keys of the action and of its resource.
    pub(crate) of_question: &'a ConditionContext,
}

impl<'a> RequestContext<'a> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'a ConditionValue> {
        self.of_request.get(key).or_else(|| self.of_question.get(key))
    }

    /// All keys as they were written, with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a ConditionValue)> {
        let of_request = self.of_request;
        let is_more = move |(key, _): &(&str, &ConditionValue)| of_request.get(key).is_none();
        of_request.iter().chain(self.of_question.iter().filter(is_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case() {
        let context = ConditionContext::new()
            .with("ecs:cluster", "arn")
            .with_request_tags([("Team", "red")])
            .with_optional("ecs:service", None::<&str>);
        assert_eq!(context.get("ECS:Cluster"), Some(&"arn".into()));
        assert_eq!(context.get("aws:RequestTag/team"), Some(&"red".into()));
        assert_eq!(context.get("aws:tagkeys"), Some(&vec!["Team".to_owned()].into()));
        assert_eq!(context.get("ecs:service"), None);
        assert_eq!(context.iter().count(), 3);
    }
}
