//! Temporary credentials: all that they are is sealed into their session token, so that any control plane with the key can
//! verify them, and none keeps them.
//!
//! **Invariant:** a session token is good for its own access key id only, and until it expires. Whether the role or the user
//! behind it is still there is for [`crate::CredentialSource`] to say.

use serde::{Deserialize, Serialize};

use crate::{
    AccessKeyId, Claims, Credential, Principal, Purpose, SEAL_NONCE_BYTES, Sealer, SecretAccessKey,
    Session, SignatureError, TokenError,
};

/// `SessionToken` of an answer of STS, and `X-Amz-Security-Token` of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(String);

/// What the claims do not say.
#[derive(Serialize, Deserialize)]
struct Content {
    secret: String,
    session: Session,
}

impl SessionToken {
    /// Seals a credential with its session. `nonce` must be fresh random bytes. `None` for a long-term credential, which has
    /// no token.
    pub fn seal(
        sealer: &Sealer,
        credential: &Credential,
        nonce: [u8; SEAL_NONCE_BYTES],
    ) -> Option<Self> {
        let session = Session::clone(credential.session.as_deref()?);
        let claims = Claims {
            principal: credential.principal.clone(),
            access_key_id: credential.access_key_id.as_str().to_owned(),
            expires_ms: session.expires_at_ms,
            content: serde_json::to_string(&Content {
                secret: credential.secret_access_key.expose().to_owned(),
                session,
            })
            .ok()?,
        };
        Some(Self(sealer.seal(Purpose::SESSION, &claims, nonce)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The credential that a token belongs to.
    ///
    /// # Errors
    /// [`SignatureError::SessionExpired`], and [`SignatureError::UnknownAccessKey`] for a token that is not one of ours, or
    /// of another access key.
    pub fn open(
        sealer: &Sealer,
        token: &str,
        access_key_id: &AccessKeyId,
        now_ms: i64,
    ) -> Result<Credential, SignatureError> {
        let claims = sealer.open(Purpose::SESSION, token, now_ms).map_err(|error| match error {
            TokenError::Expired => SignatureError::SessionExpired,
            TokenError::Invalid => SignatureError::UnknownAccessKey,
        })?;
        if claims.access_key_id != access_key_id.as_str() {
            return Err(SignatureError::UnknownAccessKey);
        }
        let content: Content =
            serde_json::from_str(&claims.content).map_err(|_| SignatureError::UnknownAccessKey)?;
        let Claims { principal, .. } = claims;
        Ok(Self::credential(access_key_id, principal, content))
    }

    fn credential(id: &AccessKeyId, principal: Principal, content: Content) -> Credential {
        Credential {
            access_key_id: id.clone(),
            secret_access_key: SecretAccessKey::new(content.secret),
            principal,
            session: Some(Box::new(content.session)),
        }
    }
}

#[cfg(test)]
mod tests {
    use outport_model::AccountId;

    use super::*;

    fn credential() -> Credential {
        Credential {
            access_key_id: AccessKeyId::new("ASIA1"),
            secret_access_key: SecretAccessKey::new("secret"),
            principal: Principal::root(AccountId::new("000000000000")),
            session: Some(Box::new(Session {
                issued_at_ms: 1,
                expires_at_ms: 1_000,
                policy: Some("{}".into()),
                ..Session::default()
            })),
        }
    }

    #[test]
    fn a_token_is_good_for_its_key_and_its_time() {
        let sealer = Sealer::new(&[7; 32]);
        let token = SessionToken::seal(&sealer, &credential(), [9; SEAL_NONCE_BYTES]).unwrap();
        let id = AccessKeyId::new("ASIA1");
        let found = SessionToken::open(&sealer, token.as_str(), &id, 999).unwrap();
        assert_eq!(found.secret_access_key.expose(), "secret");
        assert_eq!(
            (found.session, found.principal),
            (credential().session, credential().principal)
        );
        let open = |id: &str, now_ms| {
            SessionToken::open(&sealer, token.as_str(), &AccessKeyId::new(id), now_ms).map(drop)
        };
        assert_eq!(open("ASIA1", 1_000), Err(SignatureError::SessionExpired));
        assert_eq!(open("ASIA2", 1), Err(SignatureError::UnknownAccessKey));
        let other = Sealer::new(&[8; 32]);
        let found = SessionToken::open(&other, token.as_str(), &id, 1).map(drop);
        assert_eq!(found, Err(SignatureError::UnknownAccessKey));
        let long_term = Credential { session: None, ..credential() };
        assert!(SessionToken::seal(&sealer, &long_term, [9; SEAL_NONCE_BYTES]).is_none());
    }
}
