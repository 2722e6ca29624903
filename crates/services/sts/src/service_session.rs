//! A session of a role for a service of AWS that acts for somebody: no call of STS is made, and the role has to trust the
//! service all the same.

use outport_identity::{Credential, Principal, Session, SessionToken};
use outport_model::iam::Role;
use outport_model::{AccountId, Arn, Region, TimestampMs};
use outport_policy::{
    Context, Decision, Evaluation, Policy, PolicyKind, ResourcePolicy, Value, decide,
};
use outport_store::Tables;
use outport_store::keys::RoleKey;

use crate::{Rejection, StsService};

/// Who wants a session of which role, for whom.
#[derive(Clone, Copy, Debug)]
pub struct ServiceSession<'a> {
    /// Such as `ecs-tasks.amazonaws.com`.
    pub service: &'a str,
    pub role_arn: &'a str,
    pub session_name: &'a str,
    /// For whom the service acts: `aws:SourceAccount`, `aws:SourceArn`.
    pub account: &'a AccountId,
    pub region: &'a Region,
    pub source_arn: &'a str,
    pub now_ms: TimestampMs,
    pub lifetime_ms: i64,
}

/// Why there is no session. The texts are for whoever runs the task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAssumed {
    #[error("there is no role {0}")]
    NoRole(String),
    #[error("role {0} is one of another account")]
    OtherAccount(String),
    #[error("the trust policy of role {role} does not let {service} assume it")]
    NotTrusted { role: String, service: String },
    /// For the log.
    #[error("{0}")]
    Fault(String),
}

impl StsService {
    /// New temporary credentials. The role is looked at each time: what it says now counts.
    ///
    /// # Errors
    /// [`NotAssumed`].
    pub fn assume_for_service(
        &self,
        asked: &ServiceSession<'_>,
    ) -> Result<(Credential, SessionToken), NotAssumed> {
        let (principal, session) = self.session_for_service(asked)?;
        self.new_session(principal, session).map_err(|rejection| {
            NotAssumed::Fault(match rejection {
                Rejection::Server(detail) => detail,
                other => format!("{other:?}"),
            })
        })
    }

    /// Who the service is as the role, for what it does itself: no credentials are made of it. The role is looked at each time.
    ///
    /// # Errors
    /// [`NotAssumed`].
    pub fn session_for_service(
        &self,
        asked: &ServiceSession<'_>,
    ) -> Result<(Principal, Session), NotAssumed> {
        let tables = self.store.snapshot();
        let role = find(&tables, asked)?;
        if !asked.is_trusted_by(role) {
            let (role, service) = (asked.role_arn.to_owned(), asked.service.to_owned());
            return Err(NotAssumed::NotTrusted { role, service });
        }
        let principal = Principal::AssumedRole {
            account: role.account.clone(),
            path: role.path.clone(),
            role: role.name.clone(),
            role_id: role.id.clone(),
            session_name: asked.session_name.to_owned(),
        };
        let session = Session {
            issued_at_ms: asked.now_ms,
            expires_at_ms: asked.now_ms + asked.lifetime_ms,
            ..Session::default()
        };
        Ok((principal, session))
    }
}

/// A service does not hand a role of one account to what runs in another. Source: ECS developer guide, "Amazon ECS task IAM
/// role": a role of another account is assumed from the task's own.
fn find<'a>(tables: &'a Tables, asked: &ServiceSession<'_>) -> Result<&'a Role, NotAssumed> {
    let text = asked.role_arn;
    let missing = || NotAssumed::NoRole(text.to_owned());
    let arn = Arn::parse(text).filter(|arn| arn.service() == "iam").ok_or_else(missing)?;
    if arn.account() != asked.account.as_str() {
        return Err(NotAssumed::OtherAccount(text.to_owned()));
    }
    let name = arn.resource().rsplit('/').next().ok_or_else(missing)?;
    let role = tables.roles.get(&RoleKey::new(asked.account, name)).ok_or_else(missing)?;
    if role.arn() == text { Ok(role) } else { Err(missing()) }
}

impl ServiceSession<'_> {
    /// A trust policy that cannot be read trusts nobody.
    fn is_trusted_by(&self, role: &Role) -> bool {
        let Ok(policy) = Policy::compile(&role.trust_policy, PolicyKind::RoleTrust) else {
            return false;
        };
        let evaluation = Evaluation {
            principal: outport_policy::Principal::Service { name: self.service },
            owner: &role.account,
            action: "sts:AssumeRole",
            resource: self.role_arn,
            context: self,
            identity: &[],
            boundary: None,
            session: &[],
            resource_policy: ResourcePolicy::RoleTrust(&policy),
        };
        matches!(decide(&evaluation), Decision::Allowed)
    }
}

/// The keys that a service's own call of AssumeRole has. Source: IAM user guide, "The confused deputy problem" and "AWS global
/// condition context keys".
impl Context for ServiceSession<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        Some(match key {
            "aws:sourceaccount" => Value::Text(self.account.as_str()),
            "aws:sourcearn" => Value::Text(self.source_arn),
            "aws:requestedregion" => Value::Text(self.region.as_str()),
            "aws:principalisawsservice" => Value::Boolean(true),
            "aws:principalservicename" => Value::Text(self.service),
            "aws:resourceaccount" => Value::Text(self.account.as_str()),
            "aws:securetransport" => Value::Boolean(true),
            "aws:currenttime" => Value::Date(self.now_ms),
            "aws:epochtime" => Value::Number(self.now_ms / 1000),
            "sts:rolesessionname" => Value::Text(self.session_name),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{NOW_MS, World, account};

    use super::*;

    const ECS: &str = r#"{"Service":"ecs-tasks.amazonaws.com"}"#;
    const TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/default/t1";

    async fn assume(
        principals: &str,
        condition: &str,
        role_arn: &str,
    ) -> Result<(Credential, SessionToken), NotAssumed> {
        let world = World::new(&[]).await;
        world.role("app", principals, condition).await;
        let asked = ServiceSession {
            service: "ecs-tasks.amazonaws.com",
            role_arn,
            session_name: "t1",
            account: &account(),
            region: &Region::new("us-east-1"),
            source_arn: TASK,
            now_ms: NOW_MS,
            lifetime_ms: 6 * 3_600_000,
        };
        world.service().assume_for_service(&asked)
    }

    const APP: &str = "arn:aws:iam::000000000000:role/app";

    #[tokio::test]
    async fn a_role_that_trusts_the_service_gives_it_a_session() {
        let (credential, _) = assume(ECS, "", APP).await.unwrap();
        let arn = "arn:aws:sts::000000000000:assumed-role/app/t1";
        assert_eq!(credential.principal.arn(), arn);
        let session = credential.session.unwrap();
        assert_eq!(session.expires_at_ms, NOW_MS + 6 * 3_600_000);
    }

    #[track_caller]
    fn check(found: Result<(Credential, SessionToken), NotAssumed>, text: &str) {
        assert_eq!(found.map(drop).unwrap_err().to_string(), text);
    }

    #[tokio::test]
    async fn a_role_that_is_not_there_or_trusts_others_gives_none() {
        let not_trusted = format!(
            "the trust policy of role {APP} does not let ecs-tasks.amazonaws.com assume it"
        );
        check(assume(r#"{"Service":"ecs.amazonaws.com"}"#, "", APP).await, &not_trusted);
        check(assume(r#"{"AWS":"000000000000"}"#, "", APP).await, &not_trusted);
        let other = "arn:aws:iam::000000000000:role/other";
        check(assume(ECS, "", other).await, &format!("there is no role {other}"));
        // The name alone is not the role.
        let path = "arn:aws:iam::000000000000:role/team/app";
        check(assume(ECS, "", path).await, &format!("there is no role {path}"));
        let foreign = "arn:aws:iam::111111111111:role/app";
        let text = format!("role {foreign} is one of another account");
        check(assume(ECS, "", foreign).await, &text);
    }

    #[tokio::test]
    async fn a_trust_policy_says_for_whom_the_service_may_act() {
        let condition = |account: &str, arn: &str| {
            format!(
                r#","Condition":{{"ArnLike":{{"aws:SourceArn":"{arn}"}},"StringEquals":{{"aws:SourceAccount":"{account}"}}}}"#
            )
        };
        let of_region = "arn:aws:ecs:us-east-1:000000000000:*";
        let is_given = async |condition: String| assume(ECS, &condition, APP).await.is_ok();
        assert!(is_given(condition("000000000000", of_region)).await);
        assert!(!is_given(condition("111111111111", of_region)).await);
        assert!(!is_given(condition("000000000000", "arn:aws:ecs:eu-west-1:000000000000:*")).await);
        let outer = r#","Condition":{"StringLike":{"sts:RoleSessionName":"t2"}}"#;
        assert!(!is_given(outer.to_owned()).await);
    }
}
