//! The password of the registry: a sealed token that says whose it is, what for and until when.
//!
//! **Invariant:** a password that a user got dies with the access key that it was got with; a node's pulls from the
//! repositories of one task, does nothing else, and dies with the last task of the node that is of the repository.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outport_aws_wire::WireError;
use outport_identity::sigv4::sha256_hex;
use outport_identity::{
    AccessKeyId, Claims, Credential, Principal, Purpose, SEAL_NONCE_BYTES, Sealer, Session,
    TokenError,
};
use outport_image_registry::repository_arn;
use outport_model::{AccountId, NodeId, Region, Scope, TimestampMs};
use serde::{Deserialize, Serialize};

/// The user name of every password. Source: Amazon ECR user guide, "Private registry authentication".
pub const USER: &str = "AWS";
/// A pull that takes longer asks for the next one.
pub const PULL_PASSWORD_LIFETIME_MS: TimestampMs = 15 * 60 * 1000;
/// Source: `GetAuthorizationToken`: "valid for 12 hours".
pub const PASSWORD_LIFETIME_MS: TimestampMs = 12 * 3600 * 1000;

/// What a password says beyond who got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    account: AccountId,
    region: Region,
    /// The ARN of the only repository whose layers it opens, and nothing else; `None`: a login.
    pub(crate) layers_of: Option<String>,
    /// The ARNs of the repositories that a node pulls from, and nothing else.
    #[serde(default)]
    pub(crate) pulls_of: Option<Vec<String>>,
    /// The node that pulls. Without: a password of an older version, of which none is older than its 15 minutes.
    #[serde(default)]
    pub(crate) node: Option<NodeId>,
    /// Tells the access key of who got it, as it was then, from every other. A node has none.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// Of who got it with temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<Box<Session>>,
}

impl Grant {
    /// For the holder of an access key.
    pub(crate) fn of_key(scope: &Scope, layers_of: Option<String>, key: &Credential) -> Self {
        let key = Some(key_fingerprint(key));
        Self { layers_of, key, ..Self::of_nobody(scope) }
    }

    /// For the holder of temporary credentials.
    pub(crate) fn of_session(scope: &Scope, layers_of: Option<String>, session: &Session) -> Self {
        let session = Some(Box::new(session.clone()));
        Self { layers_of, session, ..Self::of_nobody(scope) }
    }

    /// For a node: to pull from these repositories.
    pub(crate) fn to_pull(scope: &Scope, node: &NodeId, repositories: Vec<String>) -> Self {
        let node = Some(node.clone());
        Self { pulls_of: Some(repositories), node, ..Self::of_nobody(scope) }
    }

    fn of_nobody(scope: &Scope) -> Self {
        let (account, region) = (scope.account.clone(), scope.region.clone());
        Self {
            account,
            region,
            layers_of: None,
            pulls_of: None,
            node: None,
            key: None,
            session: None,
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::new(self.account.clone(), self.region.clone())
    }
}

/// Who pulls what, and for which of its tasks.
pub struct Pull<'a> {
    pub node: &'a NodeId,
    pub task: &'a str,
    pub scope: &'a Scope,
    /// Names that no repository has are left out.
    pub repositories: &'a BTreeSet<String>,
    /// The execution role of the task, whose permissions each request needs, too; without one it is the node that pulls: the
    /// root of the task's account.
    pub puller: (Principal, Option<Box<Session>>),
}

/// A password with which a node pulls from these repositories, and does nothing else, until `expires_ms` or until none of
/// its tasks is of them any more. Errors: no randomness.
pub fn pull_password(
    sealer: &Sealer,
    pull: Pull<'_>,
    expires_ms: TimestampMs,
) -> Result<String, WireError> {
    let Pull { node, task, scope, repositories, puller } = pull;
    let arns = repositories.iter().filter_map(|name| name.parse().ok());
    let mut grant =
        Grant::to_pull(scope, node, arns.map(|name| repository_arn(scope, &name)).collect());
    let (principal, session) = puller;
    grant.session = session;
    seal(sealer, &principal, &AccessKeyId::new(format!("task/{task}")), &grant, expires_ms)
}

/// Of the secret: whoever changes the key of an access key id changes this.
pub(crate) fn key_fingerprint(credential: &Credential) -> String {
    let secret = credential.secret_access_key.expose();
    sha256_hex(format!("outport registry password\0{secret}").as_bytes())
}

pub(crate) fn seal(
    sealer: &Sealer,
    principal: &Principal,
    access_key_id: &AccessKeyId,
    grant: &Grant,
    expires_ms: TimestampMs,
) -> Result<String, WireError> {
    let content = serde_json::to_string(grant)
        .map_err(|error| WireError::internal(format!("a grant has no JSON form: {error}")))?;
    let mut nonce = [0; SEAL_NONCE_BYTES];
    getrandom::fill(&mut nonce)
        .map_err(|error| WireError::internal(format!("no randomness: {error}")))?;
    let access_key_id = access_key_id.as_str().to_owned();
    let claims = Claims { principal: principal.clone(), access_key_id, expires_ms, content };
    Ok(sealer.seal(Purpose::REGISTRY_PASSWORD, &claims, nonce))
}

pub(crate) fn open(
    sealer: &Sealer,
    password: &str,
    now_ms: TimestampMs,
) -> Result<(Principal, AccessKeyId, Grant), TokenError> {
    let claims = sealer.open(Purpose::REGISTRY_PASSWORD, password, now_ms)?;
    let grant = serde_json::from_str(&claims.content).map_err(|_| TokenError::Invalid)?;
    Ok((claims.principal, AccessKeyId::new(claims.access_key_id), grant))
}

/// What `docker login` keeps, and what `authorizationToken` is: user and password in base64.
pub(crate) fn authorization_token(password: &str) -> String {
    STANDARD.encode(format!("{USER}:{password}"))
}
