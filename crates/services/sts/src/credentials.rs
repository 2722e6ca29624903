//! New temporary credentials.

use outport_aws_sts::Credentials;
use outport_aws_wire::Timestamp;
use outport_identity::{
    AccessKeyId, Credential, Principal, SEAL_NONCE_BYTES, SEALED_TOKEN_CHARS_MAX, SecretAccessKey,
    Session, SessionToken,
};

use crate::StsService;
use crate::rejection::Rejection;

impl StsService {
    /// A key, a secret and their token.
    ///
    /// # Errors
    /// `PackedPolicyTooLarge`; no randomness.
    pub(crate) fn issue(
        &self,
        principal: Principal,
        session: Session,
    ) -> Result<Credentials, Rejection> {
        let expiration = Timestamp::from_millis(session.expires_at_ms);
        let (credential, token) = self.new_session(principal, session)?;
        Ok(Credentials {
            access_key_id: Some(credential.access_key_id.as_str().to_owned()),
            secret_access_key: Some(credential.secret_access_key.expose().to_owned()),
            session_token: Some(token.as_str().to_owned()),
            expiration: Some(expiration),
        })
    }

    /// The same, with what it is made of.
    pub(crate) fn new_session(
        &self,
        principal: Principal,
        session: Session,
    ) -> Result<(Credential, SessionToken), Rejection> {
        let credential = Credential {
            access_key_id: AccessKeyId::temporary(random()?),
            secret_access_key: SecretAccessKey::from_random(random()?),
            principal,
            session: Some(Box::new(session)),
        };
        let nonce: [u8; SEAL_NONCE_BYTES] = random()?;
        let token = SessionToken::seal(&self.sealer, &credential, nonce)
            .ok_or_else(|| Rejection::Server("a session has no token".to_owned()))?;
        if token.as_str().len() > SEALED_TOKEN_CHARS_MAX {
            let text = "Packed size of session tags and policies is too large.";
            return Err(Rejection::PackedPolicyTooLarge(text.to_owned()));
        }
        Ok((credential, token))
    }
}

fn random<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Rejection::Server(format!("no randomness: {error}")))?;
    Ok(bytes)
}
