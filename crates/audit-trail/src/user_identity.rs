//! CloudTrail's `userIdentity`.
//!
//! Source: CloudTrail user guide, "CloudTrail userIdentity element".

use outport_identity::{Call, Principal, Session};
use serde_json::{Map, Value, json};

use crate::event::time_text;

/// Who called, with the session's origin where there is one.
pub fn user_identity(call: &Call) -> Value {
    let principal = &call.principal;
    let kind = match principal {
        Principal::WebIdentity { provider, subject, .. } => {
            return json!({
                "type": principal.principal_type(),
                "principalId": principal.user_id(),
                "userName": subject,
                "identityProvider": provider,
            });
        }
        Principal::Anonymous { account } => {
            return json!({ "type": "AWSAccount", "principalId": "", "accountId": account });
        }
        Principal::Root { .. } => "Root",
        Principal::User { .. } => "IAMUser",
        Principal::AssumedRole { .. } => "AssumedRole",
        Principal::FederatedUser { .. } => "FederatedUser",
    };
    let mut identity = json!({
        "type": kind,
        "principalId": principal.user_id(),
        "arn": principal.arn(),
        "accountId": principal.account().as_str(),
        "accessKeyId": call.access_key_id.as_str(),
    });
    if let Some(name) = principal.user_name() {
        identity["userName"] = name.into();
    }
    if let Some(session) = &call.session {
        identity["sessionContext"] = session_context(principal, session);
    }
    identity
}

/// What `LookupEvents` calls the user of an event.
///
/// Source: CloudTrail user guide, "Viewing CloudTrail events with the AWS CLI": of an assumed role the session's name.
pub fn user_name(principal: &Principal) -> &str {
    match principal {
        Principal::Root { .. } => "root",
        Principal::User { name, .. } | Principal::FederatedUser { name, .. } => name,
        Principal::AssumedRole { session_name, .. } => session_name,
        Principal::WebIdentity { subject, .. } => subject,
        Principal::Anonymous { .. } => "anonymous",
    }
}

fn session_context(principal: &Principal, session: &Session) -> Value {
    let mut context = Map::new();
    if let Some(issuer) = session_issuer(principal) {
        context.insert("sessionIssuer".to_owned(), issuer);
    }
    if let Some(provider) = &session.federated_provider {
        context.insert("webIdFederationData".to_owned(), json!({ "federatedProvider": provider }));
    }
    let attributes = json!({
        "creationDate": time_text(session.issued_at_ms),
        "mfaAuthenticated": "false",
    });
    context.insert("attributes".to_owned(), attributes);
    if let Some(identity) = &session.source_identity {
        context.insert("sourceIdentity".to_owned(), identity.as_str().into());
    }
    Value::Object(context)
}

/// The role behind a session, or who federated a user.
fn session_issuer(principal: &Principal) -> Option<Value> {
    let (kind, id, arn, name) = match principal {
        Principal::AssumedRole { role, role_id, .. } => {
            ("Role", role_id.as_str(), principal.principal_arn(), Some(role.as_str()))
        }
        Principal::FederatedUser { account, by: Some(by), .. } => {
            let arn = format!("arn:aws:iam::{account}:user{}{}", by.path, by.name);
            ("IAMUser", by.id.as_str(), arn, Some(by.name.as_str()))
        }
        Principal::FederatedUser { account, by: None, .. } => {
            ("Root", account.as_str(), format!("arn:aws:iam::{account}:root"), None)
        }
        Principal::Root { .. }
        | Principal::User { .. }
        | Principal::WebIdentity { .. }
        | Principal::Anonymous { .. } => return None,
    };
    let mut issuer = json!({
        "type": kind,
        "principalId": id,
        "arn": arn,
        "accountId": principal.account().as_str(),
    });
    if let Some(name) = name {
        issuer["userName"] = name.into();
    }
    Some(issuer)
}

#[cfg(test)]
mod tests {
    use outport_model::AccountId;

    use super::*;

    fn check(principal: Principal, session: Option<Session>, name: &str, expected: Value) {
        assert_eq!(user_name(&principal), name);
        let mut call = Call::for_tests().by(principal);
        call.session = session.map(Box::new);
        assert_eq!(user_identity(&call), expected);
    }

    fn account() -> AccountId {
        AccountId::new("000000000000")
    }

    fn session() -> Option<Session> {
        Some(Session { issued_at_ms: 1_767_225_600_000, ..Session::default() })
    }

    #[test]
    fn who_calls_with_a_key_of_their_own() {
        check(
            Principal::root(account()),
            None,
            "root",
            json!({"type": "Root", "principalId": "000000000000", "arn": "arn:aws:iam::000000000000:root",
                "accountId": "000000000000", "accessKeyId": "AKID"}),
        );
        let ann = Principal::User {
            account: account(),
            path: "/team/".into(),
            name: "ann".into(),
            id: "AIDA1".into(),
        };
        check(
            ann,
            None,
            "ann",
            json!({"type": "IAMUser", "principalId": "AIDA1", "arn": "arn:aws:iam::000000000000:user/team/ann",
                "accountId": "000000000000", "accessKeyId": "AKID", "userName": "ann"}),
        );
    }

    #[test]
    fn who_shows_a_token() {
        let provider = "arn:aws:iam::000000000000:oidc-provider/id.example.com";
        check(
            Principal::WebIdentity {
                account: account(),
                provider: provider.into(),
                audience: "app".into(),
                subject: "ada".into(),
            },
            None,
            "ada",
            json!({"type": "WebIdentityUser", "principalId": format!("{provider}:app:ada"),
                "userName": "ada", "identityProvider": provider}),
        );
    }

    #[test]
    fn whose_session_it_is() {
        let app = Principal::AssumedRole {
            account: account(),
            path: "/".into(),
            role: "app".into(),
            role_id: "AROA1".into(),
            session_name: "s".into(),
        };
        let attributes =
            json!({"creationDate": "2026-01-01T00:00:00Z", "mfaAuthenticated": "false"});
        check(
            app,
            session(),
            "s",
            json!({"type": "AssumedRole", "principalId": "AROA1:s",
                "arn": "arn:aws:sts::000000000000:assumed-role/app/s", "accountId": "000000000000",
                "accessKeyId": "AKID", "sessionContext": {
                    "sessionIssuer": {"type": "Role", "principalId": "AROA1",
                        "arn": "arn:aws:iam::000000000000:role/app", "accountId": "000000000000",
                        "userName": "app"},
                    "attributes": attributes}}),
        );
        let bob = Principal::FederatedUser { account: account(), name: "bob".into(), by: None };
        check(
            bob,
            session(),
            "bob",
            json!({"type": "FederatedUser", "principalId": "000000000000:bob",
                "arn": "arn:aws:sts::000000000000:federated-user/bob", "accountId": "000000000000",
                "accessKeyId": "AKID", "sessionContext": {
                    "sessionIssuer": {"type": "Root", "principalId": "000000000000",
                        "arn": "arn:aws:iam::000000000000:root", "accountId": "000000000000"},
                    "attributes": attributes}}),
        );
    }
}
