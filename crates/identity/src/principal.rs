//! Who is calling.

use outport_model::{AccountId, Tags, TimestampMs};
use serde::{Deserialize, Serialize};

use crate::AccessKeyId;

/// An identity that a request is made by.
///
/// The serialized form stands in sealed tokens: variants and members are only added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Principal {
    /// The account itself: it may do everything with what is its own.
    Root { account: AccountId },
    /// A user of IAM.
    User {
        account: AccountId,
        /// Begins and ends with `/`.
        path: String,
        name: String,
        /// `AIDA…`.
        id: String,
    },
    /// Who has assumed a role.
    AssumedRole {
        account: AccountId,
        /// The path of the role; begins and ends with `/`.
        path: String,
        role: String,
        /// `AROA…`.
        role_id: String,
        session_name: String,
    },
    /// Who was given credentials by GetFederationToken.
    FederatedUser {
        account: AccountId,
        name: String,
        /// The user that gave them; `None`: the account's root.
        by: Option<FederatingUser>,
    },
    /// Who has shown a token of an identity provider, and has no credentials yet.
    WebIdentity {
        /// Of the role that is wanted, whose provider it is.
        account: AccountId,
        /// The ARN of the provider.
        provider: String,
        /// For whom the token is: a client id of the provider.
        audience: String,
        /// Whose token it is.
        subject: String,
    },
    /// Who has shown nothing.
    Anonymous { account: AccountId },
}

/// The account of who has none. Source: CloudTrail user guide, "CloudTrail userIdentity element".
const ACCOUNT_OF_NOBODY: &str = "ANONYMOUS_PRINCIPAL";

/// A user that called GetFederationToken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederatingUser {
    /// Begins and ends with `/`.
    pub path: String,
    pub name: String,
    /// `AIDA…`.
    pub id: String,
}

/// What a session has beyond the principal whose it is. Sealed into its token, so that whoever holds the key can believe it.
///
/// The serialized form is a promise: members are only added, with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub issued_at_ms: TimestampMs,
    pub expires_at_ms: TimestampMs,
    /// The session policy that was handed in: the session may do no more than it says.
    pub policy: Option<String>,
    /// ARNs of managed policies that count as session policies, too.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// Session tags: `aws:PrincipalTag/…`, before the tags of the role.
    #[serde(default)]
    pub tags: Tags,
    /// The keys of tags that the next session in a chain has, too.
    #[serde(default)]
    pub transitive_tag_keys: Vec<String>,
    #[serde(default)]
    pub source_identity: Option<String>,
    /// The identity provider whose token was shown, `aws:FederatedProvider`.
    #[serde(default)]
    pub federated_provider: Option<String>,
}

/// Who was proven to have sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    /// The key that signed the request, or that the password was got with.
    pub access_key_id: AccessKeyId,
    /// `None`: a long-term key.
    pub session: Option<Box<Session>>,
}

impl Principal {
    /// The root of an account.
    pub fn root(account: AccountId) -> Self {
        Principal::Root { account }
    }

    /// Somebody whose request is not signed.
    pub fn anonymous() -> Self {
        Principal::Anonymous { account: AccountId::new(ACCOUNT_OF_NOBODY) }
    }

    /// The account that the principal belongs to.
    pub fn account(&self) -> &AccountId {
        match self {
            Principal::Root { account }
            | Principal::WebIdentity { account, .. }
            | Principal::Anonymous { account }
            | Principal::User { account, .. }
            | Principal::AssumedRole { account, .. }
            | Principal::FederatedUser { account, .. } => account,
        }
    }

    /// As STS shows it, such as `arn:aws:sts::000000000000:assumed-role/app/session`.
    ///
    /// Source: IAM user guide, "IAM identifiers", IAM ARNs: that of a session has the role's name without its path.
    pub fn arn(&self) -> String {
        let account = self.account();
        match self {
            Principal::Root { .. } => format!("arn:aws:iam::{account}:root"),
            Principal::User { path, name, .. } => {
                format!("arn:aws:iam::{account}:user{path}{name}")
            }
            Principal::AssumedRole { role, session_name, .. } => {
                format!("arn:aws:sts::{account}:assumed-role/{role}/{session_name}")
            }
            Principal::FederatedUser { name, .. } => {
                format!("arn:aws:sts::{account}:federated-user/{name}")
            }
            Principal::WebIdentity { provider, .. } => provider.clone(),
            Principal::Anonymous { .. } => "anonymous".to_owned(),
        }
    }

    /// The condition key `aws:PrincipalArn`: of a session, the role's ARN.
    ///
    /// Source: IAM user guide, "AWS global condition context keys", aws:PrincipalArn.
    pub fn principal_arn(&self) -> String {
        match self {
            Principal::AssumedRole { account, path, role, .. } => {
                format!("arn:aws:iam::{account}:role{path}{role}")
            }
            _ => self.arn(),
        }
    }

    /// `UserId` of STS GetCallerIdentity and `aws:userid`: a root's is its account id.
    ///
    /// Source: IAM user guide, "IAM JSON policy elements: Variables and tags", Principal key values.
    pub fn user_id(&self) -> String {
        match self {
            Principal::Root { account } => account.to_string(),
            Principal::User { id, .. } => id.clone(),
            Principal::AssumedRole { role_id, session_name, .. } => {
                format!("{role_id}:{session_name}")
            }
            Principal::FederatedUser { account, name, .. } => format!("{account}:{name}"),
            Principal::WebIdentity { provider, audience, subject, .. } => {
                format!("{provider}:{audience}:{subject}")
            }
            Principal::Anonymous { .. } => "anonymous".to_owned(),
        }
    }

    /// The condition key `aws:username`, which only users have.
    pub fn user_name(&self) -> Option<&str> {
        match self {
            Principal::User { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The condition key `aws:PrincipalType`.
    pub fn principal_type(&self) -> &'static str {
        match self {
            Principal::Root { .. } => "Account",
            Principal::User { .. } => "User",
            Principal::AssumedRole { .. } => "AssumedRole",
            Principal::FederatedUser { .. } => "FederatedUser",
            Principal::WebIdentity { .. } => "WebIdentityUser",
            Principal::Anonymous { .. } => "Anonymous",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(principal: &Principal, arn: &str, principal_arn: &str, user_id: &str, form: &str) {
        assert_eq!(principal.arn(), arn);
        assert_eq!(principal.principal_arn(), principal_arn);
        assert_eq!(principal.user_id(), user_id);
        assert_eq!(serde_json::to_string(principal).unwrap(), form);
        assert_eq!(&serde_json::from_str::<Principal>(form).unwrap(), principal);
    }

    /// The forms are in sealed tokens: a promise.
    #[test]
    fn each_kind_has_its_names_and_its_form() {
        let account = AccountId::new("000000000000");
        check(
            &Principal::root(account.clone()),
            "arn:aws:iam::000000000000:root",
            "arn:aws:iam::000000000000:root",
            "000000000000",
            r#"{"kind":"root","account":"000000000000"}"#,
        );
        check(
            &Principal::User {
                account: account.clone(),
                path: "/team/".into(),
                name: "ann".into(),
                id: "AIDA1".into(),
            },
            "arn:aws:iam::000000000000:user/team/ann",
            "arn:aws:iam::000000000000:user/team/ann",
            "AIDA1",
            r#"{"kind":"user","account":"000000000000","path":"/team/","name":"ann","id":"AIDA1"}"#,
        );
        check(
            &Principal::AssumedRole {
                account: account.clone(),
                path: "/team/".into(),
                role: "app".into(),
                role_id: "AROA1".into(),
                session_name: "s".into(),
            },
            "arn:aws:sts::000000000000:assumed-role/app/s",
            "arn:aws:iam::000000000000:role/team/app",
            "AROA1:s",
            r#"{"kind":"assumed-role","account":"000000000000","path":"/team/","role":"app","role_id":"AROA1","session_name":"s"}"#,
        );
        check(
            &Principal::WebIdentity {
                account: account.clone(),
                provider: "arn:aws:iam::000000000000:oidc-provider/id.example.com".into(),
                audience: "app".into(),
                subject: "ada".into(),
            },
            "arn:aws:iam::000000000000:oidc-provider/id.example.com",
            "arn:aws:iam::000000000000:oidc-provider/id.example.com",
            "arn:aws:iam::000000000000:oidc-provider/id.example.com:app:ada",
            r#"{"kind":"web-identity","account":"000000000000","provider":"arn:aws:iam::000000000000:oidc-provider/id.example.com","audience":"app","subject":"ada"}"#,
        );
        check(
            &Principal::FederatedUser { account, name: "bob".into(), by: None },
            "arn:aws:sts::000000000000:federated-user/bob",
            "arn:aws:sts::000000000000:federated-user/bob",
            "000000000000:bob",
            r#"{"kind":"federated-user","account":"000000000000","name":"bob","by":null}"#,
        );
    }
}
