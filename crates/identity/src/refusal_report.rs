//! Why a call was refused, for others than who called: sealed into the answer, and opened for who may know.
//!
//! Source: STS API reference, DecodeAuthorizationMessage; the form is that of decoded messages as callers report them.
//!
//! **Invariant:** who is refused reads nothing in it: not which policy says so, nor the condition keys of the resource. Its length
//! is one of a few.

use outport_model::{AccountId, TimestampMs};
use serde_json::{Value, json};

use crate::sealed_token::SEAL_NONCE_BYTES;
use crate::{AuthorizationRequest, Claims, ConditionValue, Principal, Purpose, Sealer};

/// How long a message can be decoded. A guess: AWS says that they expire.
const LIFETIME_MS: i64 = 24 * 3_600_000;
/// The sealed message has as many bytes of content as one of these steps.
const STEP_BYTES: usize = 2_048;
/// Of the content, so that with the principal it is a token still.
const BYTES_MAX: usize = 2 * STEP_BYTES;

/// A statement that denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyingStatement {
    /// Empty without.
    pub id: String,
    /// As they were written; of a statement about all others than some, those.
    pub actions: Vec<String>,
    pub resources: Vec<String>,
}

/// What is known of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalReport {
    principal: Principal,
    action: String,
    resource: String,
    /// Keys with their values, sorted.
    conditions: Vec<(String, Vec<String>)>,
    denying: Vec<DenyingStatement>,
}

impl RefusalReport {
    pub(crate) fn of(request: &AuthorizationRequest<'_>, denying: Vec<DenyingStatement>) -> Self {
        let mut conditions: Vec<_> =
            request.context.iter().map(|(key, value)| (key.to_owned(), texts(value))).collect();
        conditions.sort_unstable();
        Self {
            principal: request.principal.clone(),
            action: request.action.to_owned(),
            resource: request.resource.to_owned(),
            conditions,
            denying,
        }
    }

    /// Whether a statement says no; else none says yes.
    pub fn is_explicit_deny(&self) -> bool {
        !self.denying.is_empty()
    }

    /// The encoded message. `nonce` must be fresh random bytes. What is too long is left out, conditions and then statements.
    pub fn seal(
        &self,
        sealer: &Sealer,
        now_ms: TimestampMs,
        nonce: [u8; SEAL_NONCE_BYTES],
    ) -> String {
        let (mut conditions, mut denying) = (self.conditions.as_slice(), self.denying.as_slice());
        let mut content = self.json(conditions, denying).to_string();
        while sealed_bytes(&content) > BYTES_MAX && !(conditions.is_empty() && denying.is_empty()) {
            let shorter = |count: usize| count / 2;
            if conditions.is_empty() {
                denying = &denying[..shorter(denying.len())];
            } else {
                conditions = &conditions[..shorter(conditions.len())];
            }
            content = self.json(conditions, denying).to_string();
        }
        let bytes = sealed_bytes(&content);
        content.extend(std::iter::repeat_n(' ', bytes.next_multiple_of(STEP_BYTES) - bytes));
        let claims = Claims {
            principal: self.principal.clone(),
            access_key_id: String::new(),
            expires_ms: now_ms + LIFETIME_MS,
            content,
        };
        sealer.seal(Purpose::AUTHORIZATION_MESSAGE, &claims, nonce)
    }

    /// The decoded message, of a refusal in this account.
    pub fn open(
        sealer: &Sealer,
        message: &str,
        account: &AccountId,
        now_ms: TimestampMs,
    ) -> Option<String> {
        let claims = sealer.open(Purpose::AUTHORIZATION_MESSAGE, message, now_ms).ok()?;
        (claims.principal.account() == account).then(|| claims.content.trim_end().to_owned())
    }

    fn json(&self, conditions: &[(String, Vec<String>)], denying: &[DenyingStatement]) -> Value {
        let principal_id = self.principal.user_id();
        let mut principal = json!({ "id": principal_id });
        if let Some(name) = self.principal.user_name() {
            principal["name"] = name.into();
        }
        principal["arn"] = self.principal.arn().into();
        let statement = |statement: &DenyingStatement| {
            json!({
                "statementId": statement.id,
                "effect": "DENY",
                "principals": items([value(&principal_id)]),
                "principalGroups": items([]),
                "actions": items(statement.actions.iter().map(|text| value(text))),
                "resources": items(statement.resources.iter().map(|text| value(text))),
                "conditions": items([]),
            })
        };
        let condition = |(key, values): &(String, Vec<String>)| json!({ "key": key, "values": items(values.iter().map(|text| value(text))) });
        json!({
            "allowed": false,
            "explicitDeny": !self.denying.is_empty(),
            "matchedStatements": items(denying.iter().map(statement)),
            "failures": items([]),
            "context": {
                "principal": principal,
                "action": self.action,
                "resource": self.resource,
                "conditions": items(conditions.iter().map(condition)),
            },
        })
    }
}

/// What JSON takes as a text of JSON, as it is sealed.
fn sealed_bytes(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

fn items(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "items": items.into_iter().collect::<Vec<_>>() })
}

fn value(text: &str) -> Value {
    json!({ "value": text })
}

fn texts(value: &ConditionValue) -> Vec<String> {
    match value {
        ConditionValue::Text(text) => vec![text.clone()],
        ConditionValue::Texts(texts) => texts.clone(),
        ConditionValue::Number(number) | ConditionValue::Date(number) => vec![number.to_string()],
        ConditionValue::Boolean(truth) => vec![truth.to_string()],
        ConditionValue::Address(address) => vec![address.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed_token::SEALED_TOKEN_CHARS_MAX;
    use crate::{AccountRoots, Call, Question, Subject};

    fn account() -> AccountId {
        AccountId::new("000000000000")
    }

    fn ann() -> Principal {
        Principal::User {
            account: account(),
            path: "/".into(),
            name: "ann".into(),
            id: "AIDA1".into(),
        }
    }

    fn refused(value: &str) -> RefusalReport {
        let call = Call::for_tests().by(ann()).asking(std::sync::Arc::new(AccountRoots));
        let question = Question::new("ec2:RunInstances", "arn:aws:ec2:us-east-1:000000000000:x/y");
        let subject = Subject::from(question.with("ec2:Region", value));
        *call.open(subject).unwrap_err().report.unwrap()
    }

    #[test]
    fn what_is_sealed_is_read_by_its_account() {
        let (sealer, nonce) = (Sealer::new(&[7; 32]), [9; SEAL_NONCE_BYTES]);
        let message = refused("us-east-1").seal(&sealer, 0, nonce);
        assert!(!message.contains("RunInstances"));
        let open =
            |account: &AccountId, now_ms| RefusalReport::open(&sealer, &message, account, now_ms);
        let decoded: Value = serde_json::from_str(&open(&account(), 1).unwrap()).unwrap();
        assert_eq!((&decoded["allowed"], &decoded["explicitDeny"]), (&json!(false), &json!(false)));
        let context = &decoded["context"];
        assert_eq!(
            context["principal"],
            json!({"id": "AIDA1", "name": "ann", "arn": "arn:aws:iam::000000000000:user/ann"})
        );
        assert_eq!(context["action"], "ec2:RunInstances");
        let region = json!({"key": "ec2:Region", "values": {"items": [{"value": "us-east-1"}]}});
        assert!(context["conditions"]["items"].as_array().unwrap().contains(&region), "{context}");
        assert_eq!(open(&AccountId::new("111111111111"), 1), None);
        assert_eq!(open(&account(), LIFETIME_MS), None);
        // Its length does not tell how much there is.
        let longer = refused("us-east-1, and more").seal(&sealer, 0, nonce);
        assert_eq!(longer.len(), message.len());
    }

    #[test]
    fn a_long_one_is_shortened() {
        let (sealer, nonce) = (Sealer::new(&[7; 32]), [9; SEAL_NONCE_BYTES]);
        let mut report = refused(&"x".repeat(2 * BYTES_MAX));
        report.denying = vec![
            DenyingStatement {
                id: "no".into(),
                actions: vec!["*".into()],
                resources: Vec::new()
            };
            100
        ];
        let message = report.seal(&sealer, 0, nonce);
        assert!(message.len() <= SEALED_TOKEN_CHARS_MAX);
        let decoded = RefusalReport::open(&sealer, &message, &account(), 1).unwrap();
        let decoded: Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!(decoded["explicitDeny"], true);
        assert_eq!(decoded["matchedStatements"]["items"][0]["statementId"], "no");
    }
}
