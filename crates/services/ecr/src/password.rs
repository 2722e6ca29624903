//! The password of the registry: a sealed token that says whose it is and until when.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use outport_aws_wire::WireError;
use outport_identity::{
    AccessKeyId, Claims, Principal, Purpose, SEAL_NONCE_BYTES, Sealer, TokenError,
};
use outport_model::{AccountId, Region, Scope, TimestampMs};
use serde::{Deserialize, Serialize};

/// The user name of every password. Source: Amazon ECR user guide, "Private registry authentication".
pub const USER: &str = "AWS";
/// Source: `GetAuthorizationToken`: "valid for 12 hours".
pub const PASSWORD_LIFETIME_MS: TimestampMs = 12 * 3600 * 1000;

/// What a password says beyond who got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    account: AccountId,
    region: Region,
    /// The ARN of the only repository whose layers it opens, and nothing else; `None`: a login.
    pub(crate) layers_of: Option<String>,
}

impl Grant {
    pub(crate) fn new(scope: &Scope, layers_of: Option<String>) -> Self {
        Self { account: scope.account.clone(), region: scope.region.clone(), layers_of }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::new(self.account.clone(), self.region.clone())
    }
}

/// A password for the registry of `scope`, good until `expires_ms`. Errors: no randomness.
pub fn registry_password(
    sealer: &Sealer,
    principal: &Principal,
    access_key_id: &AccessKeyId,
    scope: &Scope,
    expires_ms: TimestampMs,
) -> Result<String, WireError> {
    seal(sealer, principal, access_key_id, &Grant::new(scope, None), expires_ms)
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
) -> Result<(Principal, Grant), TokenError> {
    let claims = sealer.open(Purpose::REGISTRY_PASSWORD, password, now_ms)?;
    let grant = serde_json::from_str(&claims.content).map_err(|_| TokenError::Invalid)?;
    Ok((claims.principal, grant))
}

/// What `docker login` keeps, and what `authorizationToken` is: user and password in base64.
pub(crate) fn authorization_token(password: &str) -> String {
    STANDARD.encode(format!("{USER}:{password}"))
}
