//! Signing: the other side of verification, over the same canonical form.

use super::canonical::{canonical_request, percent_encode, string_to_sign};
use super::presented::{CONTENT_SHA256, UNSIGNED_PAYLOAD};
use super::{
    ALGORITHM, AmzTimestamp, CredentialScope, RequestHead, SignatureError, SignatureStyle,
    SigningKey, TERMINATOR, sha256_hex,
};
use crate::{AccessKeyId, SecretAccessKey};

/// Signs requests with one key pair for one region and service.
///
/// The request's headers must include `host`; all of them are signed, so leave out what a proxy
/// may change (`user-agent`, `connection`, …) and add it afterwards.
#[derive(Clone, Debug)]
pub struct Signer {
    pub access_key_id: AccessKeyId,
    pub secret_access_key: SecretAccessKey,
    pub session_token: Option<String>,
    pub region: String,
    /// The signing name of the service.
    pub service: String,
    pub style: SignatureStyle,
}

impl Signer {
    /// The headers to add to a request: `x-amz-date`, `x-amz-security-token` if there is a
    /// session, and `authorization`. A header `x-amz-date` must not be there already.
    ///
    /// # Errors
    /// `MalformedQueryString` when the query or an S3 path has a bad percent escape.
    pub fn sign(
        &self,
        head: &RequestHead<'_>,
        body: &[u8],
        now_ms: i64,
    ) -> Result<Vec<(&'static str, String)>, SignatureError> {
        let time = AmzTimestamp::from_unix_ms(now_ms);
        let mut added = vec![("x-amz-date", time.basic())];
        if let Some(token) = &self.session_token {
            added.push(("x-amz-security-token", token.clone()));
        }
        let mut headers = head.headers.to_vec();
        headers.extend(added.iter().map(|(name, value)| (*name, value.as_bytes())));
        let head = RequestHead { headers: &headers, ..*head };
        let signed_headers = signed_header_names(&head);
        let payload_hash = match head.single(CONTENT_SHA256) {
            Some(hash) if self.style.unsigned_payload_allowed => hash.to_owned(),
            _ => sha256_hex(body),
        };
        let signature = self.signature(&head, &signed_headers, &payload_hash, time)?;
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.access_key_id,
            self.scope(time),
            signed_headers.join(";"),
        );
        added.push(("authorization", authorization));
        Ok(added)
    }

    /// The query of a presigned request that is good for `expires_seconds`.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn presign(
        &self,
        head: &RequestHead<'_>,
        body: &[u8],
        now_ms: i64,
        expires_seconds: u32,
    ) -> Result<String, SignatureError> {
        let time = AmzTimestamp::from_unix_ms(now_ms);
        let signed_headers = signed_header_names(head);
        let credential = format!("{}/{}", self.access_key_id, self.scope(time));
        let mut query = head.query.to_owned();
        let mut push = |name: &str, value: &str| {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            percent_encode(value.as_bytes(), false, &mut query);
        };
        push("X-Amz-Algorithm", ALGORITHM);
        push("X-Amz-Credential", &credential);
        push("X-Amz-Date", &time.basic());
        push("X-Amz-Expires", &expires_seconds.to_string());
        push("X-Amz-SignedHeaders", &signed_headers.join(";"));
        if let Some(token) = &self.session_token {
            push("X-Amz-Security-Token", token);
        }
        let payload_hash = if self.style.unsigned_payload_allowed {
            UNSIGNED_PAYLOAD.to_owned()
        } else {
            sha256_hex(body)
        };
        let head = RequestHead { query: &query, ..*head };
        let signature = self.signature(&head, &signed_headers, &payload_hash, time)?;
        Ok(format!("{query}&X-Amz-Signature={signature}"))
    }

    fn signature(
        &self,
        head: &RequestHead<'_>,
        signed_headers: &[String],
        payload_hash: &str,
        time: AmzTimestamp,
    ) -> Result<String, SignatureError> {
        let scope = self.scope(time);
        let canonical = canonical_request(head, self.style, signed_headers, payload_hash)?;
        let key = SigningKey::derive(&self.secret_access_key, &scope);
        Ok(key.sign(&string_to_sign(time, &scope, &canonical)))
    }

    fn scope(&self, time: AmzTimestamp) -> CredentialScope {
        CredentialScope {
            date: time.date(),
            region: self.region.clone(),
            service: self.service.clone(),
            terminator: TERMINATOR.to_owned(),
        }
    }
}

fn signed_header_names(head: &RequestHead<'_>) -> Vec<String> {
    let mut names: Vec<String> =
        head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    names
}
