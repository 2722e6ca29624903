//! The condition keys of a request, as policies ask for them.

use outport_identity::{ConditionValue, RequestContext};
use outport_model::{AccountId, Tags};
use outport_policy::{Context, Value};

/// `aws:PrincipalTag/…`, in lower case as keys come.
const PRINCIPAL_TAG: &str = "aws:principaltag/";
/// Source: IAM user guide, "AWS global condition context keys", aws:ResourceAccount: of most actions; here of all.
const RESOURCE_ACCOUNT: &str = "aws:resourceaccount";

/// The keys of the request and of its question, and the tags of who asks.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub request: RequestContext<'a>,
    /// Of the session; they win over those of its role.
    pub session_tags: Option<&'a Tags>,
    pub principal_tags: Option<&'a Tags>,
    /// Whose what is asked about is.
    pub owner: &'a AccountId,
}

impl Context for Keys<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        if let Some(tag) = key.strip_prefix(PRINCIPAL_TAG) {
            let of_session = find_in(self.session_tags, tag);
            return of_session.or_else(|| find_in(self.principal_tags, tag)).map(Value::Text);
        }
        if key == RESOURCE_ACCOUNT {
            return Some(Value::Text(self.owner.as_str()));
        }
        self.request.get(key).map(value)
    }
}

fn find_in<'a>(tags: Option<&'a Tags>, tag: &str) -> Option<&'a str> {
    let found = tags?.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag));
    found.map(|(_, value)| value.as_str())
}

fn value(value: &ConditionValue) -> Value<'_> {
    match value {
        ConditionValue::Text(text) => Value::Text(text),
        ConditionValue::Texts(texts) => Value::Texts(texts),
        ConditionValue::Number(number) => Value::Number(*number),
        ConditionValue::Boolean(truth) => Value::Boolean(*truth),
        ConditionValue::Date(ms) => Value::Date(*ms),
        ConditionValue::Address(address) => Value::Address(*address),
    }
}
