//! May the caller use this key? The key's policy and grants, as a question takes them.
//!
//! A grant is to a decision what a statement of the key policy would be that allows its grantee one action: it is asked about as that.
//! Only grants that are about the caller, the operation and its encryption context are.

use outport_identity::{Call, Principal, Question, ResourcePolicy};
use outport_model::kms::{KmsGrant, KmsKey};
use outport_model::{AccountId, Arn};
use outport_store::{Row, Tables};
use serde_json::{Value, json};

use crate::blob::EncryptionContext;
use crate::reference::Reference;

/// What is to be done with a key.
#[derive(Clone, Copy)]
pub struct Use<'a> {
    /// `kms:Decrypt`.
    pub action: &'static str,
    /// Of an operation that takes one.
    pub context: Option<&'a EncryptionContext>,
    /// The service that does it for the caller, such as `secretsmanager`.
    pub via: Option<&'static str>,
    /// How the request named the key.
    pub named: Option<&'a Reference>,
    /// What a grant has to be like beside, to count.
    pub grants: Option<&'a dyn Fn(&KmsGrant) -> bool>,
    /// Who may retire the grant that this is about.
    pub retiring: Option<&'a str>,
}

impl<'a> Use<'a> {
    pub fn new(action: &'static str) -> Self {
        Self { action, context: None, via: None, named: None, grants: None, retiring: None }
    }

    #[must_use]
    pub fn with_context(mut self, context: &'a EncryptionContext) -> Self {
        self.context = Some(context);
        self
    }

    #[must_use]
    pub fn via(mut self, service: &'static str) -> Self {
        self.via = Some(service);
        self
    }

    #[must_use]
    pub fn named(mut self, reference: &'a Reference) -> Self {
        self.named = Some(reference);
        self
    }

    /// The question about a key.
    ///
    /// Source of the condition keys: KMS developer guide, "AWS KMS condition keys".
    pub fn question(&self, tables: &Tables, call: &Call, key: &KmsKey) -> Question {
        let arn = key.arn().into_string();
        let row = key.key();
        let aliases = tables.kms_aliases.of_key(&row).map(|alias| alias.name.clone());
        let aliases: Vec<String> = aliases.collect();
        let question = self
            .about(call, arn)
            .with("kms:KeySpec", key.spec.as_str())
            .with("kms:KeyUsage", key.spec.usage().as_str())
            .with("kms:KeyOrigin", "AWS_KMS")
            .with("kms:MultiRegion", false)
            .with_optional("kms:ResourceAliases", (!aliases.is_empty()).then_some(aliases))
            .with_resource_tags(&key.tags);
        let policy = self.policy(tables, call, key);
        question.with_resource_policy(Some(ResourcePolicy::Key(policy)))
    }

    /// The same of a key that is not there.
    pub fn question_of_absent(&self, call: &Call, reference: &Reference) -> Question {
        self.about(call, reference.arn_of_absent().into_string())
    }

    fn about(&self, call: &Call, resource: String) -> Question {
        let via = self.via.map(|service| format!("{service}.{}.amazonaws.com", call.region));
        let alias = self.named.and_then(Reference::alias).map(str::to_owned);
        let question = Question::new(self.action, resource);
        // Who names an alias and is refused does not learn whose it is.
        let question = match self.named.filter(|reference| reference.alias().is_some()) {
            Some(alias) => question.shown_as(alias.arn().into_string()),
            None => question,
        };
        let mut question = question
            .with("kms:CallerAccount", call.principal.account().as_str())
            .with_optional("kms:ViaService", via)
            .with_optional("kms:RequestAlias", alias);
        let Some(context) = self.context.filter(|context| !context.is_empty()) else {
            return question;
        };
        for (key, value) in context {
            question = question.with(&format!("kms:EncryptionContext:{key}"), value.as_str());
        }
        question.with("kms:EncryptionContextKeys", context.keys().cloned().collect::<Vec<_>>())
    }

    fn policy(&self, tables: &Tables, call: &Call, key: &KmsKey) -> String {
        let row = key.key();
        let mut grants = tables.kms_grants.of_key(&row);
        let granted = grants.find(|grant| self.is_granted(call, grant));
        let retiring = self.retiring.filter(|principal| is_grantee(call, principal));
        match retiring.or(granted.map(|grant| grant.grantee.as_str())) {
            Some(principal) => with_statement(&key.policy, principal, self.action),
            None => key.policy.clone(),
        }
    }

    fn is_granted(&self, call: &Call, grant: &KmsGrant) -> bool {
        let operation = self.action.strip_prefix("kms:").unwrap_or(self.action);
        grant.operations.contains(operation)
            && self.context.is_none_or(|context| grant.permits_context(context))
            && is_grantee(call, &grant.grantee)
            && self.grants.is_none_or(|counts| counts(grant))
    }
}

/// Whether a grant's principal is the caller itself, the role or user that it is made from, or its account.
pub fn is_grantee(call: &Call, grantee: &str) -> bool {
    let account = call.principal.account().as_str();
    let is_account = grantee == account
        || Arn::parse(grantee).is_some_and(|arn| {
            arn.service() == "iam" && arn.account() == account && arn.resource() == "root"
        });
    is_account || names(&call.principal, grantee)
}

/// By an ARN, or by the unique id under which grants keep users and roles.
fn names(principal: &Principal, grantee: &str) -> bool {
    let id = principal.user_id();
    let role = id.split_once(':').map_or("", |(role, _)| role);
    let is_role = matches!(principal, Principal::AssumedRole { .. }) && grantee == role;
    is_role || grantee == id || grantee == principal.arn() || grantee == principal.principal_arn()
}

fn with_statement(policy: &str, principal: &str, action: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(policy) else { return policy.to_owned() };
    let granted = json!({
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*"
    });
    match &mut document["Statement"] {
        Value::Array(statements) => statements.push(granted),
        single => *single = json!([single.take(), granted]),
    }
    document.to_string()
}

/// The policy of a key that is made without one: the account's own policies say who may use it.
///
/// Source: KMS developer guide, "Default key policy": "When you create a KMS key programmatically".
pub fn default_policy(account: &AccountId, partition: &str) -> String {
    let root = format!("arn:{partition}:iam::{account}:root");
    let statement = json!({
        "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": root},
        "Action": "kms:*", "Resource": "*"
    });
    let document =
        json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]});
    // With spaces and lines, as AWS shows it.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_a_statement_of_the_policy() {
        let granted =
            r#"{"Effect":"Allow","Principal":{"AWS":"ann"},"Action":"kms:Decrypt","Resource":"*"}"#;
        let deny = r#"{"Effect":"Deny"}"#;
        for statements in [format!("[{deny}]"), deny.to_owned()] {
            let policy = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
            let expected = format!(r#"{{"Version":"2012-10-17","Statement":[{deny},{granted}]}}"#);
            assert_eq!(with_statement(&policy, "ann", "kms:Decrypt"), expected);
        }
        assert_eq!(with_statement("no policy", "ann", "kms:Decrypt"), "no policy");
    }
}
