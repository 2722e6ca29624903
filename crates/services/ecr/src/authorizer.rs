//! Who may do what at the registry's endpoint: the passwords of `GetAuthorizationToken`, and IAM.

use std::sync::Arc;

use outport_identity::{
    AccessKeyId, ConditionContext, CredentialSource, Principal, Sealer, TokenError, authorize,
};
use outport_image_registry::{
    AccessDenied, AuthenticationError, RegistryAuthorizer, RegistryCaller,
};
use outport_model::{Scope, TimestampMs};

use crate::password::{self, Grant, USER};

/// The action that a password for one layer allows.
const DOWNLOAD: &str = "ecr:GetDownloadUrlForLayer";
/// The actions that a node's password allows. Source: `AmazonEC2ContainerRegistryPullOnly`.
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", DOWNLOAD];

/// Reads passwords with the key that sealed them, and asks whether the access key of a user's is still there.
pub struct EcrAuthorizer {
    sealer: Arc<Sealer>,
    credentials: Arc<dyn CredentialSource>,
}

impl EcrAuthorizer {
    pub fn new(sealer: Arc<Sealer>, credentials: Arc<dyn CredentialSource>) -> Self {
        Self { sealer, credentials }
    }

    /// A user's password needs the access key that it was got with. Source: `GetAuthorizationToken`: "represents your
    /// IAM authentication credentials and can be used to access any Amazon ECR registry that your IAM principal has
    /// access to", which a key that is gone or inactive has to none. A node's has no key behind it, and little time.
    fn is_in_force(&self, access_key_id: &AccessKeyId, grant: &Grant, now_ms: TimestampMs) -> bool {
        if grant.pulls_of.is_some() {
            return true;
        }
        let found = self.credentials.find(access_key_id, None, now_ms);
        found.is_ok_and(|found| {
            // An older version's says no more than the id.
            grant.key.as_ref().is_none_or(|key| *key == password::key_fingerprint(&found))
        })
    }
}

struct Caller {
    principal: Principal,
    scope: Scope,
    grant: Grant,
    now_ms: TimestampMs,
}

impl RegistryAuthorizer for EcrAuthorizer {
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        now_ms: TimestampMs,
    ) -> Result<Box<dyn RegistryCaller>, AuthenticationError> {
        if user != USER {
            return Err(AuthenticationError::Invalid);
        }
        match password::open(&self.sealer, password, now_ms) {
            Ok((_, id, grant)) if !self.is_in_force(&id, &grant, now_ms) => {
                Err(AuthenticationError::Invalid)
            }
            Ok((principal, _, grant)) => {
                let scope = grant.scope();
                Ok(Box::new(Caller { principal, scope, grant, now_ms }))
            }
            Err(TokenError::Expired) => Err(AuthenticationError::Expired),
            Err(TokenError::Invalid) => Err(AuthenticationError::Invalid),
        }
    }
}

impl RegistryCaller for Caller {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn authorize(&self, action: &'static str, resource: &str) -> Result<(), AccessDenied> {
        if let Some(repository) = &self.grant.layers_of
            && (action != DOWNLOAD || resource != repository)
        {
            let message =
                format!("this URL is for downloading one layer, not for {action} on {resource}");
            return Err(AccessDenied { message });
        }
        if let Some(repositories) = &self.grant.pulls_of
            && !(PULL.contains(&action) && repositories.iter().any(|arn| arn == resource))
        {
            let message =
                format!("this password is for a task's pull, not for {action} on {resource}");
            return Err(AccessDenied { message });
        }
        let context = ConditionContext::new()
            .with("aws:PrincipalArn", self.principal.arn())
            .with("aws:PrincipalAccount", self.principal.account().as_str())
            .with("aws:RequestedRegion", self.scope.region.as_str())
            .with("aws:EpochTime", self.now_ms.div_euclid(1000));
        authorize(&self.principal, action, resource, &context)
            .into_result(&self.principal, action, resource)
            .map_err(|denied| AccessDenied { message: denied.message })
    }
}

#[cfg(test)]
mod tests {
    use outport_identity::{Credential, SecretAccessKey};
    use outport_model::{AccountId, Region};

    use super::*;

    fn scope(account: &str) -> Scope {
        Scope::new(AccountId::new(account), Region::new("us-east-1"))
    }

    fn key(id: &str, secret: &str) -> Credential {
        Credential {
            access_key_id: AccessKeyId::new(id),
            secret_access_key: SecretAccessKey::new(secret),
            principal: Principal::root(AccountId::new("000000000000")),
        }
    }

    fn authorizer(sealing_key: u8, credential: Credential) -> EcrAuthorizer {
        EcrAuthorizer::new(Arc::new(Sealer::new(&[sealing_key; 32])), Arc::new(credential))
    }

    fn login() -> Grant {
        Grant::of_key(&scope("000000000000"), None, &key("AKID", "secret"))
    }

    fn password(grant: &Grant) -> String {
        let principal = Principal::root(AccountId::new("000000000000"));
        let sealer = Sealer::new(&[1; 32]);
        password::seal(&sealer, &principal, &AccessKeyId::new("AKID"), grant, 1_000)
            .expect("sealed")
    }

    fn check(user: &str, password: &str, now_ms: i64, expected: Result<(), AuthenticationError>) {
        let authorizer = authorizer(1, key("AKID", "secret"));
        let found = authorizer.authenticate(user, password, now_ms).map(|_| ());
        assert_eq!(found, expected, "{user} at {now_ms}");
    }

    #[test]
    fn a_password_is_good_for_its_user_and_its_time() {
        let good = password(&login());
        check("AWS", &good, 999, Ok(()));
        check("AWS", &good, 1_000, Err(AuthenticationError::Expired));
        check("aws", &good, 999, Err(AuthenticationError::Invalid));
        check("AWS", "", 999, Err(AuthenticationError::Invalid));
        check("AWS", &good[1..], 999, Err(AuthenticationError::Invalid));
        let other = authorizer(2, key("AKID", "secret"));
        assert!(other.authenticate("AWS", &good, 999).is_err(), "another server's password");
    }

    #[test]
    fn a_password_dies_with_the_key_that_it_was_got_with() {
        let good = password(&login());
        for changed in [key("AKID", "another secret"), key("OTHER", "secret")] {
            let found = authorizer(1, changed).authenticate("AWS", &good, 999).map(|_| ());
            assert_eq!(found, Err(AuthenticationError::Invalid));
        }
        let pull = password(&Grant::to_pull(&scope("000000000000"), Vec::new()));
        assert!(authorizer(1, key("OTHER", "x")).authenticate("AWS", &pull, 999).is_ok());
        // As an older version sealed it.
        let old = r#"{"account":"000000000000","region":"us-east-1","layers_of":null}"#;
        let old: Grant = serde_json::from_str(old).expect("an older grant is read");
        check("AWS", &password(&old), 999, Ok(()));
        let gone = authorizer(1, key("OTHER", "secret"));
        assert!(gone.authenticate("AWS", &password(&old), 999).is_err());
    }

    fn check_right(grant: &Grant, action: &'static str, resource: &str, allowed: bool) {
        let authorizer = authorizer(1, key("AKID", "secret"));
        let caller = authorizer.authenticate("AWS", &password(grant), 1).expect("a good password");
        assert_eq!(caller.authorize(action, resource).is_ok(), allowed, "{action} {resource}");
    }

    #[test]
    fn a_right_is_asked_for_every_action() {
        let own = "arn:aws:ecr:us-east-1:000000000000:repository/app";
        check_right(&login(), "ecr:PutImage", own, true);
        let foreign = "arn:aws:ecr:us-east-1:111111111111:repository/app";
        check_right(&login(), "ecr:PutImage", foreign, false);
        let layer =
            Grant::of_key(&scope("000000000000"), Some(own.to_owned()), &key("AKID", "secret"));
        check_right(&layer, "ecr:GetDownloadUrlForLayer", own, true);
        let other = "arn:aws:ecr:us-east-1:000000000000:repository/b";
        check_right(&layer, "ecr:GetDownloadUrlForLayer", other, false);
        check_right(&layer, "ecr:PutImage", own, false);
    }

    #[test]
    fn a_nodes_password_pulls_what_its_task_needs_and_nothing_else() {
        let own = "arn:aws:ecr:us-east-1:000000000000:repository/app";
        let pull = Grant::to_pull(&scope("000000000000"), vec![own.to_owned()]);
        for action in PULL {
            check_right(&pull, action, own, true);
            check_right(&pull, action, "arn:aws:ecr:us-east-1:000000000000:repository/b", false);
        }
        for action in [
            "ecr:PutImage",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:BatchDeleteImage",
            "ecr:ListImages",
            "ecr:DescribeRepositories",
        ] {
            check_right(&pull, action, own, false);
            check_right(&pull, action, "*", false);
        }
    }
}
