//! The two questions that the endpoint asks of whoever knows the principals.

use outport_model::{Scope, Tags, TimestampMs};

/// Tells who is behind a user name and a password.
pub trait RegistryAuthorizer: Send + Sync + 'static {
    /// `user` is `AWS` and `password` a token of `GetAuthorizationToken`, as `docker login` sent them. `arrival`: what
    /// whoever mounted the router knows of the request's way here.
    fn authenticate(
        &self,
        user: &str,
        password: &str,
        now_ms: TimestampMs,
        arrival: &http::Extensions,
    ) -> Result<Box<dyn RegistryCaller>, AuthenticationError>;
}

/// A caller whose password was right.
pub trait RegistryCaller: Send + Sync {
    /// The account and region whose registry the caller logged in to.
    fn scope(&self) -> &Scope;

    /// `action` is an IAM action such as `ecr:PutImage`; `resource` is the ARN of a repository or of all; `tags` and `policy`
    /// are those that it has.
    fn authorize(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        policy: Option<&str>,
    ) -> Result<(), AccessDenied>;

    /// The same of an action that the registry's own policy may allow or deny beside the repository's. Who knows no such policies
    /// is not asked about one.
    fn authorize_in_registry(
        &self,
        action: &'static str,
        resource: &str,
        tags: &Tags,
        (policy, _registry_policy): (Option<&str>, Option<&str>),
    ) -> Result<(), AccessDenied> {
        self.authorize(action, resource, tags, policy)
    }

    /// Told once the request was answered, for who writes down what happened. It must not wait.
    fn ended(&self, _request: EndedRequest) {}
}

/// A request that was answered, in the words of ECR's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedRequest {
    /// Such as `BatchGetImage`.
    pub operation: &'static str,
    pub is_read_only: bool,
    /// JSON.
    pub parameters: String,
    /// Code and text of a refusal.
    pub error: Option<(String, String)>,
}

/// Why a user name and password do not open the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Not a token of this registry.
    #[error("Not Authorized")]
    Invalid,
    /// Source of the text: ECR, as `docker push` prints it after 12 hours.
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    Expired,
}

/// The caller is known and may not; the text is for the caller, in IAM's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AccessDenied {
    pub message: String,
}
