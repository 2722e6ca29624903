//! Who may do what at the registry's endpoint: the passwords of `GetAuthorizationToken`, and IAM.

use std::sync::Arc;

use outport_identity::{
    AccessKeyId, Arrival, Call, Caller, CredentialSource, PermissionSource, Question, Sealer,
    Subject, TokenError,
};
use outport_image_registry::{
    AccessDenied, AuthenticationError, EndedRequest, RegistryAuthorizer, RegistryCaller,
};
use outport_model::{NodeId, Scope, Tags, TimestampMs};

use crate::access;
use crate::password::{self, Grant, USER};

/// The action that a password for one layer allows.
const DOWNLOAD: &str = "ecr:GetDownloadUrlForLayer";
/// The actions that a node's password allows. Source: `AmazonEC2ContainerRegistryPullOnly`.
const PULL: [&str; 5] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    // Of a pull-through cache.
    "ecr:BatchImportUpstreamImage",
    "ecr:CreateRepository",
    DOWNLOAD,
];

/// Knows what nodes pull: the password of a node is for what its tasks need now.
pub trait PullSource: Send + Sync {
    /// Whether the node is believed, and a task that it has not ended yet is of the repository with this ARN.
    fn pulls(&self, node: &NodeId, repository: &str) -> bool;
}

/// Reads passwords with the key that sealed them, and asks whether the access key of a user's is still there.
pub struct EcrAuthorizer {
    sealer: Arc<Sealer>,
    credentials: Arc<dyn CredentialSource>,
    permissions: Arc<dyn PermissionSource>,
    pulls: Arc<dyn PullSource>,
    sink: Option<Arc<dyn RequestSink>>,
}

impl EcrAuthorizer {
    /// `permissions` are those that the callers of the API have too.
    pub fn new(
        sealer: Arc<Sealer>,
        credentials: Arc<dyn CredentialSource>,
        permissions: Arc<dyn PermissionSource>,
        pulls: Arc<dyn PullSource>,
    ) -> Self {
        Self { sealer, credentials, permissions, pulls, sink: None }
    }

    /// Which tells this of each request, too.
    #[must_use]
    pub fn telling(mut self, sink: Arc<dyn RequestSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// A user's password needs the access key that it was got with. Source: `GetAuthorizationToken`: "represents your
    /// IAM authentication credentials and can be used to access any Amazon ECR registry that your IAM principal has
    /// access to", which a key that is gone or inactive has to none. A node's has no key behind it, but tasks; a session's has a role,
    /// without which no question is answered with yes.
    fn is_in_force(&self, access_key_id: &AccessKeyId, grant: &Grant, now_ms: TimestampMs) -> bool {
        if grant.pulls_of.is_some() || grant.session.is_some() {
            return true;
        }
        let found = self.credentials.find(access_key_id, None, now_ms);
        found.is_ok_and(|found| {
            // An older version's says no more than the id.
            grant.key.as_ref().is_none_or(|key| *key == password::key_fingerprint(&found))
        })
    }
}

/// Keeps what was asked at the registry's endpoint, as of the API. It must not wait.
pub trait RequestSink: Send + Sync + 'static {
    /// The call has the answers to its questions.
    fn record(&self, call: Call, ended: EndedRequest);
}

struct PasswordHolder {
    /// The same as at the API: one policy answers one request alike at both doors.
    call: Call,
    scope: Scope,
    grant: Grant,
    pulls: Arc<dyn PullSource>,
    sink: Option<Arc<dyn RequestSink>>,
}

impl RegistryAuthorizer for EcrAuthorizer {
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        now_ms: TimestampMs,
        arrival: &http::Extensions,
    ) -> Result<Box<dyn RegistryCaller>, AuthenticationError> {
        // Whoever mounts the registry's routes says where requests come from, or none is let in.
        let arrival = arrival.get::<Arrival>().ok_or(AuthenticationError::Invalid)?;
        if user != USER {
            return Err(AuthenticationError::Invalid);
        }
        let (principal, access_key_id, grant) = password::open(&self.sealer, password, now_ms)
            .map_err(|error| match error {
                TokenError::Expired => AuthenticationError::Expired,
                TokenError::Invalid => AuthenticationError::Invalid,
            })?;
        if !self.is_in_force(&access_key_id, &grant, now_ms) {
            return Err(AuthenticationError::Invalid);
        }
        let scope = grant.scope();
        let permissions = Arc::clone(&self.permissions);
        let region = scope.region.clone();
        let caller = Caller { principal, access_key_id, session: grant.session.clone() };
        let mut call = Call::new(arrival.clone(), caller, region, permissions);
        call.account = scope.account.clone();
        if self.sink.is_some() {
            call = call.keeping_answers();
        }
        let (pulls, sink) = (Arc::clone(&self.pulls), self.sink.clone());
        Ok(Box::new(PasswordHolder { call, scope, grant, pulls, sink }))
    }
}

impl RegistryCaller for PasswordHolder {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn authorize(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        policy: Option<&str>,
    ) -> Result<(), AccessDenied> {
        self.ask(access::question(action, resource, tags, policy), action, resource)
    }

    fn authorize_in_registry(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        policies: (Option<&str>, Option<&str>),
    ) -> Result<(), AccessDenied> {
        self.ask(access::question_by(action, resource, tags, policies), action, resource)
    }

    fn ended(&self, request: EndedRequest) {
        if let Some(sink) = &self.sink {
            sink.record(self.call.clone(), request);
        }
    }
}

impl PasswordHolder {
    /// What the password is for, then what the policies say.
    fn ask(
        &self,
        question: Question,
        action: &'static str,
        resource: &str,
    ) -> Result<(), AccessDenied> {
        if let Some(repository) = &self.grant.layers_of
            && (action != DOWNLOAD || resource != repository)
        {
            let message =
                format!("this URL is for downloading one layer, not for {action} on {resource}");
            return Err(AccessDenied { message });
        }
        if let Some(repositories) = &self.grant.pulls_of {
            let is_granted =
                PULL.contains(&action) && repositories.iter().any(|arn| arn == resource);
            if !is_granted {
                let message =
                    format!("this password is for a task's pull, not for {action} on {resource}");
                return Err(AccessDenied { message });
            }
            if self.grant.node.as_ref().is_some_and(|node| !self.pulls.pulls(node, resource)) {
                let message = format!("no task of this node needs {resource} any more");
                return Err(AccessDenied { message });
            }
        }
        let opened = self.call.open(Subject::from(question));
        opened.map_err(|denied| AccessDenied { message: denied.message })
    }
}

#[cfg(test)]
mod tests {
    use outport_identity::{AccountRoots, Credential, Principal, SecretAccessKey};
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
            session: None,
        }
    }

    fn authorizer(sealing_key: u8, credential: Credential) -> EcrAuthorizer {
        let sealer = Arc::new(Sealer::new(&[sealing_key; 32]));
        EcrAuthorizer::new(
            sealer,
            Arc::new(credential),
            Arc::new(AccountRoots),
            Arc::new(OfOneNode("node")),
        )
    }

    /// Its tasks need everything.
    struct OfOneNode(&'static str);

    impl PullSource for OfOneNode {
        fn pulls(&self, node: &NodeId, _repository: &str) -> bool {
            node.as_str() == self.0
        }
    }

    fn pull(node: &str, repositories: &[&str]) -> Grant {
        let repositories = repositories.iter().map(|arn| (*arn).to_owned()).collect();
        Grant::to_pull(&scope("000000000000"), &NodeId::new(node), repositories)
    }

    /// What the front door says of every request.
    fn arrived() -> http::Extensions {
        let mut extensions = http::Extensions::new();
        extensions.insert(Arrival::for_tests());
        extensions
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
        let found = authorizer.authenticate(user, password, now_ms, &arrived()).map(|_| ());
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
        assert!(
            other.authenticate("AWS", &good, 999, &arrived()).is_err(),
            "another server's password"
        );
    }

    #[test]
    fn a_password_dies_with_the_key_that_it_was_got_with() {
        let good = password(&login());
        for changed in [key("AKID", "another secret"), key("OTHER", "secret")] {
            let found =
                authorizer(1, changed).authenticate("AWS", &good, 999, &arrived()).map(|_| ());
            assert_eq!(found, Err(AuthenticationError::Invalid));
        }
        let pull = password(&pull("node", &[]));
        assert!(
            authorizer(1, key("OTHER", "x")).authenticate("AWS", &pull, 999, &arrived()).is_ok()
        );
        // As an older version sealed it.
        let old = r#"{"account":"000000000000","region":"us-east-1","layers_of":null}"#;
        let old: Grant = serde_json::from_str(old).expect("an older grant is read");
        check("AWS", &password(&old), 999, Ok(()));
        let gone = authorizer(1, key("OTHER", "secret"));
        assert!(gone.authenticate("AWS", &password(&old), 999, &arrived()).is_err());
    }

    fn check_right(grant: &Grant, action: &'static str, resource: &str, allowed: bool) {
        let authorizer = authorizer(1, key("AKID", "secret"));
        let caller = authorizer
            .authenticate("AWS", &password(grant), 1, &arrived())
            .expect("a good password");
        assert_eq!(
            caller.authorize(action, resource, &Tags::new(), None).is_ok(),
            allowed,
            "{action} {resource}"
        );
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
        let gone = pull("gone", &[own]);
        let pull = pull("node", &[own]);
        for action in PULL {
            check_right(&pull, action, own, true);
            check_right(&gone, action, own, false);
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
