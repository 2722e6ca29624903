//! Who may do what at the registry's endpoint: the passwords of `GetAuthorizationToken`, and IAM.

use std::sync::Arc;

use outport_identity::{ConditionContext, Principal, Sealer, TokenError, authorize};
use outport_image_registry::{
    AccessDenied, AuthenticationError, RegistryAuthorizer, RegistryCaller,
};
use outport_model::{Scope, TimestampMs};

use crate::password::{self, Grant, USER};

/// The action that a password for one layer allows.
const DOWNLOAD: &str = "ecr:GetDownloadUrlForLayer";

/// Reads passwords with the key that sealed them; nothing is looked up.
pub struct EcrAuthorizer {
    sealer: Arc<Sealer>,
}

impl EcrAuthorizer {
    pub fn new(sealer: Arc<Sealer>) -> Self {
        Self { sealer }
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
            Ok((principal, grant)) => {
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
    use outport_identity::AccessKeyId;
    use outport_model::{AccountId, Region};

    use super::*;

    fn scope(account: &str) -> Scope {
        Scope::new(AccountId::new(account), Region::new("us-east-1"))
    }

    fn password(grant: &Grant) -> String {
        let principal = Principal::root(AccountId::new("000000000000"));
        let sealer = Sealer::new(&[1; 32]);
        password::seal(&sealer, &principal, &AccessKeyId::new("AKID"), grant, 1_000)
            .expect("sealed")
    }

    fn check(user: &str, password: &str, now_ms: i64, expected: Result<(), AuthenticationError>) {
        let authorizer = EcrAuthorizer::new(Arc::new(Sealer::new(&[1; 32])));
        let found = authorizer.authenticate(user, password, now_ms).map(|_| ());
        assert_eq!(found, expected, "{user} at {now_ms}");
    }

    #[test]
    fn a_password_is_good_for_its_user_and_its_time() {
        let good = password(&Grant::new(&scope("000000000000"), None));
        check("AWS", &good, 999, Ok(()));
        check("AWS", &good, 1_000, Err(AuthenticationError::Expired));
        check("aws", &good, 999, Err(AuthenticationError::Invalid));
        check("AWS", "", 999, Err(AuthenticationError::Invalid));
        check("AWS", &good[1..], 999, Err(AuthenticationError::Invalid));
        let other = EcrAuthorizer::new(Arc::new(Sealer::new(&[2; 32])));
        assert!(other.authenticate("AWS", &good, 999).is_err(), "another server's password");
    }

    fn check_right(grant: &Grant, action: &'static str, resource: &str, allowed: bool) {
        let authorizer = EcrAuthorizer::new(Arc::new(Sealer::new(&[1; 32])));
        let caller = authorizer.authenticate("AWS", &password(grant), 1).expect("a good password");
        assert_eq!(caller.authorize(action, resource).is_ok(), allowed, "{action} {resource}");
    }

    #[test]
    fn a_right_is_asked_for_every_action() {
        let own = "arn:aws:ecr:us-east-1:000000000000:repository/app";
        let login = Grant::new(&scope("000000000000"), None);
        check_right(&login, "ecr:PutImage", own, true);
        let foreign = "arn:aws:ecr:us-east-1:111111111111:repository/app";
        check_right(&login, "ecr:PutImage", foreign, false);
        let layer = Grant::new(&scope("000000000000"), Some(own.to_owned()));
        check_right(&layer, "ecr:GetDownloadUrlForLayer", own, true);
        check_right(
            &layer,
            "ecr:GetDownloadUrlForLayer",
            "arn:aws:ecr:us-east-1:000000000000:repository/b",
            false,
        );
        check_right(&layer, "ecr:PutImage", own, false);
    }
}
