//! Who sent this? Proves the signature of a request, in the order that costs a stranger most and us
//! least: first what the head tells, then the key, last the body.

use http::request::Parts;
use outport_aws_wire::{Protocol, ServiceModel, WireError};
use outport_identity::sigv4::{
    CheckedSignature, ErrorDialect, PresentedSignature, RequestHead, SignatureExpectation,
    SignatureStyle, SigningKeyCache,
};
use outport_identity::{Credential, CredentialSource, Principal, SignatureError};
use outport_model::{Region, Regions};

/// The services that are the same in every region answer to this one too.
const GLOBAL_REGION: &str = "us-east-1";

/// A caller whose key exists and whose claims fit; the signature over the body is still to prove.
pub(crate) struct Claimed {
    pub credential: Credential,
    checked: CheckedSignature,
}

impl Claimed {
    /// The region that the request is for. IAM has none of its own, and neither has what a client signs for it: it is answered
    /// where this installation is at home.
    pub fn region<'r>(&self, model: &ServiceModel, regions: &'r Regions) -> &'r Region {
        let named = regions.named(&self.checked.scope().region);
        named.filter(|_| model.name != "iam").unwrap_or(regions.own())
    }
}

/// What authentication needs of the front door.
pub(crate) struct Authentication<'a> {
    pub credentials: &'a dyn CredentialSource,
    pub keys: &'a SigningKeyCache,
    pub regions: &'a Regions,
    pub skew_max_ms: i64,
    pub now_ms: i64,
}

impl Authentication<'_> {
    /// Checks all that can be checked without the body.
    pub fn claim(
        &self,
        head: &Parts,
        presented: PresentedSignature,
        model: &ServiceModel,
    ) -> Result<Claimed, SignatureError> {
        let is_global = matches!(model.name, "iam" | "sts");
        let mut regions: Vec<&str> = self.regions.iter().map(Region::as_str).collect();
        if is_global && !regions.contains(&GLOBAL_REGION) {
            regions.push(GLOBAL_REGION);
        }
        let access_key_id = presented.access_key_id.clone();
        let session_token = presented.session_token.clone();
        let expected = SignatureExpectation {
            now_ms: self.now_ms,
            skew_max_ms: self.skew_max_ms,
            service: model.signing_name,
            regions: &regions,
            style: SignatureStyle::STANDARD,
        };
        let checked = with_head(head, |head| presented.check(head, &expected))?;
        let credential =
            self.credentials.find(&access_key_id, session_token.as_deref(), self.now_ms)?;
        if model.name == "iam" && is_kept_from_iam(&credential) {
            return Err(SignatureError::UnknownAccessKey);
        }
        Ok(Claimed { credential, checked })
    }

    /// Proves the signature before the body is read, if the request announces the body's hash. True then: the hash of
    /// the body that comes must still be compared, by [`prove`](Self::prove).
    pub fn prove_head(&self, head: &Parts, claimed: &Claimed) -> Result<bool, SignatureError> {
        let announced =
            with_head(head, |head| claimed.checked.announced_body_sha256(head).map(str::to_owned));
        match announced {
            Some(sha256) => self.prove(head, claimed, &sha256).map(|()| true),
            None => Ok(false),
        }
    }

    /// Proves the signature. `sha256` is of the body as it came, before any decompression.
    pub fn prove(
        &self,
        head: &Parts,
        claimed: &Claimed,
        sha256: &str,
    ) -> Result<(), SignatureError> {
        let Claimed { credential, checked } = claimed;
        let key = self.keys.key(
            &credential.access_key_id,
            &credential.secret_access_key,
            checked.scope(),
        );
        with_head(head, |head| checked.verify(head, sha256, &key))
    }
}

/// Whether it is a session of a user, which a stolen one would otherwise turn into a key that does not end.
///
/// Source: API reference of STS: GetSessionToken, "You cannot call any IAM API operations unless MFA authentication information is
/// included in the request" (there is none here), GetFederationToken, "You cannot call any IAM operations"; the error as callers
/// report it.
fn is_kept_from_iam(credential: &Credential) -> bool {
    let is_of_role = matches!(credential.principal, Principal::AssumedRole { .. });
    credential.session.is_some() && !is_of_role
}

/// Reads the signature of a request, if it carries one.
pub(crate) fn present(head: &Parts) -> Result<Option<PresentedSignature>, SignatureError> {
    with_head(head, PresentedSignature::parse)
}

/// The refusal in the words of a protocol.
pub(crate) fn wire_error(error: &SignatureError, protocol: Protocol) -> WireError {
    let dialect = match protocol {
        Protocol::Json10 | Protocol::Json11 | Protocol::Cbor => ErrorDialect::Json,
        Protocol::Query => ErrorDialect::Query,
        Protocol::Ec2 => ErrorDialect::Ec2,
    };
    let (code, status) = error.code_and_status(dialect);
    WireError::named(code, status, error.message(dialect))
}

pub(crate) fn with_head<R>(head: &Parts, look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
    let headers: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    look(&RequestHead {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
    })
}
