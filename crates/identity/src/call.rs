//! One authenticated request, as an operation sees it.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_model::{AccountId, Region};

use crate::authorization::{AuthorizationRequest, PermissionSource, needs_no_permission};
use crate::condition_context::{ConditionValue, RequestContext};
use crate::{
    AccessKeyId, Arrival, Authorized, Caller, ConditionContext, Denied, Principal, Question,
    Session, Subject,
};

/// The id of a request: it stands in the reply, in the log line and in nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// Takes the text of a fresh UUID.
    pub fn new(text: impl Into<String>) -> Self {
        RequestId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who is calling, and in what setting. Made by the door that has proven who it is: the front door by a signature, the
/// registry's by a password.
#[derive(Clone, Debug)]
pub struct Call {
    pub principal: Principal,
    /// The account that is called. The caller's own, until resources are shared between accounts.
    pub account: AccountId,
    /// The region that is called.
    pub region: Region,
    pub request_id: RequestId,
    /// When the request was received, unix milliseconds.
    pub now_ms: i64,
    pub source_ip: IpAddr,
    pub user_agent: Option<String>,
    /// Whether the request came over TLS.
    pub secure_transport: bool,
    /// Host and port by which the client came.
    pub host: Option<String>,
    /// The key that signed the request, or that the password was got with.
    pub access_key_id: AccessKeyId,
    /// `None`: a long-term key.
    pub session: Option<Box<Session>>,
    pub(crate) permissions: Arc<dyn PermissionSource>,
    /// Without: nobody wants to know what was asked.
    kept: Option<Arc<Mutex<Kept>>>,
}

/// What a call keeps for who writes down what happened.
#[derive(Debug, Default)]
struct Kept {
    answers: Vec<Answered>,
    /// Who the caller turned out to be.
    identified: Option<Principal>,
}

/// A question of permission that was answered, for who writes down what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// `ecs:RunTask`.
    pub action: &'static str,
    /// An ARN, or `*`.
    pub resource: String,
    pub is_allowed: bool,
}

/// Answers that one call keeps, at most: a call about more is about as many resources of one kind.
const ANSWERS_MAX: usize = 100;

impl Call {
    /// The only way to one: what is asked about a request is the same at every door.
    pub fn new(
        arrival: Arrival,
        caller: Caller,
        region: Region,
        permissions: Arc<dyn PermissionSource>,
    ) -> Self {
        let Caller { principal, access_key_id, session } = caller;
        Self {
            account: principal.account().clone(),
            principal,
            region,
            request_id: arrival.request_id,
            now_ms: arrival.now_ms,
            source_ip: arrival.source_ip,
            user_agent: arrival.user_agent,
            secure_transport: arrival.secure_transport,
            host: arrival.host,
            access_key_id,
            session,
            permissions,
            kept: None,
        }
    }

    /// The call of an operation that AWS takes without a signature.
    pub fn unsigned(
        arrival: Arrival,
        region: Region,
        permissions: Arc<dyn PermissionSource>,
    ) -> Self {
        let (principal, access_key_id) = (Principal::anonymous(), AccessKeyId::new(""));
        let caller = Caller { principal, access_key_id, session: None };
        Self::new(arrival, caller, region, permissions)
    }

    /// The same call, which keeps what it was asked and how that was answered: the first [`ANSWERS_MAX`].
    #[must_use]
    pub fn keeping_answers(mut self) -> Self {
        self.kept = Some(Arc::default());
        self
    }

    /// The same call by who has proven what no signature says: with a token of an identity provider. Whoever keeps answers is
    /// told that it was them.
    #[must_use]
    pub fn identified(&self, principal: Principal) -> Self {
        if let Some(mut kept) = self.kept() {
            kept.identified = Some(principal.clone());
        }
        Self { account: principal.account().clone(), principal, session: None, ..self.clone() }
    }

    /// What was asked since the last time, each question once; nothing unless answers are kept.
    pub fn take_answers(&self) -> Vec<Answered> {
        self.kept().map_or_else(Vec::new, |mut kept| std::mem::take(&mut kept.answers))
    }

    /// Who the caller turned out to be, of a call that keeps answers.
    pub fn take_identified(&self) -> Option<Principal> {
        self.kept().and_then(|mut kept| kept.identified.take())
    }

    fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
        let kept = self.kept.as_ref()?;
        Some(kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, question: &Question, is_allowed: bool) {
        let Some(mut kept) = self.kept() else { return };
        let (action, resource) =
            (question.action, question.resource_for(&self.principal, is_allowed));
        let is_known = |known: &Answered| {
            known.is_allowed == is_allowed && known.action == action && known.resource == resource
        };
        if kept.answers.len() < ANSWERS_MAX && !kept.answers.iter().any(is_known) {
            kept.answers.push(Answered { action, resource: resource.to_owned(), is_allowed });
        }
    }

    /// Asks whether the caller may do all that the subject asks for.
    ///
    /// # Errors
    /// [`Denied`] with AWS's text, for the first no.
    pub fn authorize<T>(&self, subject: Subject<T>) -> Result<Authorized, Denied> {
        self.ask(subject.questions())?;
        Ok(Authorized::to(subject.into_questions()))
    }

    /// For an operation that looks once: what it found, if it may see that.
    ///
    /// # Errors
    /// As [`Call::authorize`].
    pub fn open<T>(&self, subject: Subject<T>) -> Result<T, Denied> {
        self.ask(subject.questions())?;
        Ok(subject.into_found())
    }

    fn ask(&self, questions: &[Question]) -> Result<(), Denied> {
        let of_request = self.condition_keys();
        for question in questions {
            let Question { action, resource, shown_resource, context, resource_policy } = question;
            if needs_no_permission(action) {
                continue;
            }
            let context = RequestContext { of_request: &of_request, of_question: context };
            let request = AuthorizationRequest {
                principal: &self.principal,
                session: self.session.as_deref(),
                account: &self.account,
                action,
                resource,
                shown_resource: shown_resource.as_deref().unwrap_or(resource),
                context,
                resource_policy: resource_policy.as_ref(),
            };
            let decision = self.permissions.decide(&request);
            self.keep(question, decision.is_ok());
            decision?;
        }
        Ok(())
    }

    /// Source: IAM user guide, "AWS global condition context keys".
    fn condition_keys(&self) -> ConditionContext {
        let of_principal = match &self.principal {
            // Of no account yet: what a policy says of accounts and their principals is not about them.
            Principal::WebIdentity { provider, .. } => {
                ConditionContext::new().with("aws:FederatedProvider", provider.as_str())
            }
            Principal::Anonymous { .. } => ConditionContext::new(),
            principal => ConditionContext::new()
                .with("aws:PrincipalAccount", principal.account().as_str())
                .with("aws:PrincipalArn", principal.principal_arn())
                .with("aws:PrincipalType", principal.principal_type())
                .with("aws:userid", principal.user_id()),
        };
        of_principal
            .with("aws:SourceIp", self.source_ip)
            .with("aws:SecureTransport", self.secure_transport)
            .with("aws:CurrentTime", ConditionValue::Date(self.now_ms))
            .with("aws:EpochTime", self.now_ms.div_euclid(1000))
            .with("aws:RequestedRegion", self.region.as_str())
            .with("aws:ViaAWSService", false)
            .with("aws:PrincipalIsAWSService", false)
            .with_optional("aws:UserAgent", self.user_agent.clone())
            .with_optional("aws:username", self.principal.user_name())
            .of_session(self.session.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::WatchedPermissions;

    #[test]
    fn global_condition_keys_come_from_the_call() {
        let watched = WatchedPermissions::allowing();
        let call = Call::for_tests().asking(watched.clone());
        // An operation cannot say who is calling: the call's own keys win.
        let question =
            Question::without_resource("ecs:ListClusters").with("aws:SourceIp", "1.2.3.4");
        assert_eq!(call.open(Subject::new(7, question)), Ok(7));
        let context = watched.asked().remove(0).context;
        assert_eq!(context.get("aws:SourceIp"), Some(&call.source_ip.into()));
        assert_eq!(context.get("aws:EpochTime"), Some(&(call.now_ms / 1000).into()));
        assert_eq!(context.get("aws:PrincipalArn"), Some(&"arn:aws:iam::000000000000:root".into()));
        assert_eq!(context.get("aws:UserAgent"), None);
    }

    #[test]
    fn answers_are_kept_for_who_wants_them() {
        let own = "arn:aws:iam::000000000000:role/r";
        let foreign = "arn:aws:iam::111111111111:role/r";
        let ask = |call: &Call| {
            for resource in [own, own, foreign] {
                drop(call.open(Subject::from(Question::new("iam:PassRole", resource))));
            }
            call.take_answers()
        };
        assert_eq!(ask(&Call::for_tests()), []);
        let call = Call::for_tests().keeping_answers();
        let answered = |resource: &str, is_allowed| Answered {
            action: "iam:PassRole",
            resource: resource.to_owned(),
            is_allowed,
        };
        assert_eq!(ask(&call), [answered(own, true), answered(foreign, false)]);
        assert_eq!(call.take_answers(), []);
        for number in 0..2 * ANSWERS_MAX {
            drop(call.open(Subject::from(Question::new("a:B", number.to_string()))));
        }
        assert_eq!(call.take_answers().len(), ANSWERS_MAX);
    }

    #[test]
    fn who_shows_a_token_is_told_of_as_its_owner() {
        let (region, roots) = (Region::new("us-east-1"), Arc::new(crate::AccountRoots));
        let call = Call::unsigned(Arrival::for_tests(), region, roots).keeping_answers();
        let question = || Subject::from(Question::without_resource("ecs:ListClusters"));
        assert!(call.open(question()).is_err(), "nobody may do nothing");
        let shown = Principal::WebIdentity {
            account: AccountId::new("000000000000"),
            provider: "arn:aws:iam::000000000000:oidc-provider/id.example.com".into(),
            audience: "app".into(),
            subject: "ada".into(),
        };
        let identified = call.identified(shown.clone());
        assert_eq!(identified.account.as_str(), "000000000000");
        assert!(identified.open(question()).is_err());
        assert_eq!(call.take_answers().len(), 1);
        assert_eq!(call.take_identified(), Some(shown));
    }

    #[test]
    fn one_no_is_a_no() {
        let call = Call::for_tests();
        let foreign = "arn:aws:iam::111111111111:role/r";
        let subject = Subject::new((), Question::without_resource("ecs:ListClusters"))
            .and(Question::new("iam:PassRole", foreign));
        let denied = call.authorize(subject).map(drop).unwrap_err();
        assert!(denied.message.contains("iam:PassRole"), "{denied}");
    }
}
