//! A signature as it came with a request, from its first reading to its proof.

use std::collections::BTreeMap;

use base64::Engine;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::canonical::{canonical_request, decoded_parameters, string_to_sign};
use super::{
    ALGORITHM, AmzTimestamp, CredentialScope, PRESIGN_EXPIRES_MAX_SECONDS, RequestHead,
    SIGNED_HEADERS_MAX, SignatureError, SignatureStyle, SigningKey, TERMINATOR,
};
use crate::AccessKeyId;

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureForm {
    /// In the `Authorization` header.
    Header,
    /// In the query, good for so many seconds (1 to 604800).
    Query { expires_seconds: u32 },
}

/// What a request claims about itself. Nothing here is proven yet.
#[derive(Clone, Debug)]
pub struct PresentedSignature {
    pub form: SignatureForm,
    pub access_key_id: AccessKeyId,
    pub scope: CredentialScope,
    pub session_token: Option<String>,
    signed_at: AmzTimestamp,
    /// Lower-case, sorted, without repetition.
    signed_headers: Vec<String>,
    signature: String,
}

/// What the receiver insists on.
#[derive(Clone, Copy, Debug)]
pub struct SignatureExpectation<'a> {
    /// Unix milliseconds.
    pub now_ms: i64,
    /// [`super::SKEW_MAX_MS`] unless configured.
    pub skew_max_ms: i64,
    /// The signing name of the service that the request is for.
    pub service: &'a str,
    /// The regions that answer here, the own one first; a global service also takes `us-east-1`.
    pub regions: &'a [&'a str],
    pub style: SignatureStyle,
}

/// A signature of the right time, place and coverage, still to be computed.
#[derive(Clone, Debug)]
pub struct CheckedSignature {
    presented: PresentedSignature,
    style: SignatureStyle,
}

impl PresentedSignature {
    /// Reads the signature of a request; `None` when it carries none that is of version 4.
    ///
    /// # Errors
    /// `TwoForms`, `Incomplete`, `MalformedQueryString`, `ExpiresOutOfRange`.
    pub fn parse(head: &RequestHead<'_>) -> Result<Option<Self>, SignatureError> {
        let authorization = authorization_header(head)?;
        let parameters = decoded_parameters(head.query)?;
        let in_query = parameters.iter().any(|(name, _)| name == b"X-Amz-Algorithm");
        match (authorization, in_query) {
            (Some(_), true) => Err(SignatureError::TwoForms),
            (Some(text), false) => parse_header_form(head, text).map(Some),
            (None, true) => parse_query_form(&parameters).map(Some),
            (None, false) => Ok(None),
        }
    }

    /// Checks all that needs no secret: time, coverage of the headers, scope.
    ///
    /// # Errors
    /// `Expired`, `NotYetCurrent`, `HeaderNotSigned`, `HeaderMismatch`, `Scope`.
    pub fn check(
        self,
        head: &RequestHead<'_>,
        expected: &SignatureExpectation<'_>,
    ) -> Result<CheckedSignature, SignatureError> {
        self.check_time(expected)?;
        self.check_coverage(head)?;
        self.check_scope(expected)?;
        Ok(CheckedSignature { presented: self, style: expected.style })
    }

    fn check_time(&self, expected: &SignatureExpectation<'_>) -> Result<(), SignatureError> {
        let signed_at = self.signed_at;
        let life_ms = match self.form {
            SignatureForm::Header => expected.skew_max_ms,
            SignatureForm::Query { expires_seconds } => i64::from(expires_seconds) * 1000,
        };
        let now = AmzTimestamp::from_unix_ms(expected.now_ms);
        let earliest = AmzTimestamp::from_unix_ms(now.unix_ms().saturating_sub(life_ms));
        let latest = AmzTimestamp::from_unix_ms(now.unix_ms().saturating_add(expected.skew_max_ms));
        if signed_at < earliest {
            return Err(SignatureError::Expired { signed_at, earliest, now });
        }
        if signed_at > latest {
            return Err(SignatureError::NotYetCurrent { signed_at, latest, now });
        }
        Ok(())
    }

    fn check_coverage(&self, head: &RequestHead<'_>) -> Result<(), SignatureError> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(SignatureError::HeaderNotSigned("host".to_owned()));
        }
        for (name, _) in head.headers {
            let name = name.to_ascii_lowercase();
            // A session token may be added behind the signer's back, as AWS's vectors do: it
            // chooses the secret, so another token fails by itself.
            let must_be_signed = name.starts_with("x-amz-") && name != "x-amz-security-token";
            if must_be_signed && !is_signed(&name) {
                return Err(SignatureError::HeaderNotSigned(name));
            }
        }
        match self.signed_headers.iter().find(|name| !head.has(name)) {
            Some(absent) => Err(SignatureError::HeaderMismatch(absent.clone())),
            None if head.values("host").count() > 1 => {
                Err(SignatureError::HeaderMismatch("host".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn check_scope(&self, expected: &SignatureExpectation<'_>) -> Result<(), SignatureError> {
        let scope = &self.scope;
        let mut complaints = Vec::new();
        if !expected.regions.contains(&scope.region.as_str()) {
            // The second sentence is ours: AWS has every region, and who asks here has to learn which.
            complaints.push(format!(
                "Credential should be scoped to a valid region, not '{}'. This Outport serves {}. ",
                scope.region,
                served(expected.regions)
            ));
        }
        if scope.service != expected.service {
            let service = expected.service;
            complaints
                .push(format!("Credential should be scoped to correct service: '{service}'. "));
        }
        if scope.terminator != TERMINATOR {
            complaints.push(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                scope.terminator
            ));
        }
        if scope.date != self.signed_at.date() {
            complaints.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{}', from '{}'.",
                scope.date,
                self.signed_at.date(),
                self.signed_at.basic()
            ));
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(SignatureError::Scope(complaints.concat().trim_end().to_owned()))
        }
    }
}

/// Those that have to be named: who has dozens knows which are not among them.
fn served(regions: &[&str]) -> String {
    const NAMED_MAX: usize = 5;
    match regions {
        [] => "no region".to_owned(),
        few if few.len() <= NAMED_MAX => few.join(", "),
        [own, others @ ..] => format!("{own} and {} other regions", others.len()),
    }
}

impl CheckedSignature {
    /// The scope, now known to be right: the signing key may be derived and kept.
    pub fn scope(&self) -> &CredentialScope {
        &self.presented.scope
    }

    /// Computes the signature and compares it in constant time.
    ///
    /// `body_sha256` is [`super::sha256_hex`] of the body as it came, before any decompression.
    ///
    /// # Errors
    /// `ContentHashMismatch`, `PayloadUnsupported`, `Mismatch`.
    pub fn verify(
        &self,
        head: &RequestHead<'_>,
        body_sha256: &str,
        key: &SigningKey,
    ) -> Result<(), SignatureError> {
        let payload_hash = self.payload_hash(head, body_sha256)?;
        let PresentedSignature { signed_headers, signed_at, scope, signature, .. } =
            &self.presented;
        let canonical = canonical_request(head, self.style, signed_headers, payload_hash)?;
        let computed = key.sign(&string_to_sign(*signed_at, scope, &canonical));
        if bool::from(computed.as_bytes().ct_eq(signature.as_bytes())) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }

    /// The body's hash as the request announces it in `x-amz-content-sha256`, which is signed (`check` has seen to
    /// that): the signature can be verified with it before the body is read. Whoever does so must compare it with the
    /// hash of what is read then.
    pub fn announced_body_sha256<'h>(&self, head: &RequestHead<'h>) -> Option<&'h str> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let hash = head.single(CONTENT_SHA256)?;
        (hash.len() == 64 && hash.bytes().all(is_hex)).then_some(hash)
    }

    /// Whether the signature can be verified without the body.
    pub fn is_payload_unsigned(&self, head: &RequestHead<'_>) -> bool {
        self.style.unsigned_payload_allowed
            && match head.single(CONTENT_SHA256) {
                Some(hash) => hash == UNSIGNED_PAYLOAD,
                None => self.presented.form != SignatureForm::Header,
            }
    }

    fn payload_hash<'h>(
        &self,
        head: &RequestHead<'h>,
        body_sha256: &'h str,
    ) -> Result<&'h str, SignatureError> {
        if self.is_payload_unsigned(head) {
            return Ok(UNSIGNED_PAYLOAD);
        }
        if !head.has(CONTENT_SHA256) {
            return Ok(body_sha256);
        }
        match head.single(CONTENT_SHA256) {
            Some(claimed) if claimed == body_sha256 => Ok(body_sha256),
            Some(kind) if kind == UNSIGNED_PAYLOAD || kind.starts_with("STREAMING-") => {
                Err(SignatureError::PayloadUnsupported(kind.to_owned()))
            }
            _ => Err(SignatureError::ContentHashMismatch),
        }
    }
}

pub(super) const CONTENT_SHA256: &str = "x-amz-content-sha256";
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The one `Authorization` header, if its scheme is a version 4 signature. Other schemes are not
/// ours to read: such a request is unsigned.
fn authorization_header<'a>(head: &RequestHead<'a>) -> Result<Option<&'a str>, SignatureError> {
    let of_version_4 =
        |value: &[u8]| value.trim_ascii_start().get(..5).is_some_and(|start| start == b"AWS4-");
    if !head.values("authorization").any(of_version_4) {
        return Ok(None);
    }
    head.single("authorization").map(Some).ok_or_else(|| {
        SignatureError::Incomplete(
            "The Authorization header must stand once and hold only ASCII.".to_owned(),
        )
    })
}

fn parse_header_form(
    head: &RequestHead<'_>,
    authorization: &str,
) -> Result<PresentedSignature, SignatureError> {
    // The header is not shown as it came: it may be any text, and a log is not the place for it.
    let shown = || {
        let digest = Sha256::digest(authorization);
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        format!("(Hashed with SHA-256 and encoded with Base64) Authorization={digest}")
    };
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let mut parts = BTreeMap::new();
    for part in rest.split([',', ' ']).filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(SignatureError::Incomplete(format!(
                "Invalid key=value pair (missing equal-sign) in Authorization header {}.",
                shown()
            )));
        };
        if parts.insert(name, value).is_some() {
            return Err(SignatureError::Incomplete(format!(
                "Authorization header has a parameter twice. {}",
                shown()
            )));
        }
    }
    let mut text = |name: &str| parts.remove(name).filter(|value| !value.is_empty());
    let (credential, signature, signed_headers) =
        (text("Credential"), text("Signature"), text("SignedHeaders"));
    let dated = head.has("x-amz-date") || head.has("date");
    let (Some(credential), Some(signature), Some(signed_headers), true) =
        (credential, signature, signed_headers, dated)
    else {
        let absent = [
            (credential.is_none(), "Authorization header requires 'Credential' parameter. "),
            (signature.is_none(), "Authorization header requires 'Signature' parameter. "),
            (signed_headers.is_none(), "Authorization header requires 'SignedHeaders' parameter. "),
            (
                !dated,
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. ",
            ),
        ];
        let complaints: String =
            absent.iter().filter(|(is_absent, _)| *is_absent).map(|(_, text)| *text).collect();
        return Err(SignatureError::Incomplete(format!("{complaints}{}", shown())));
    };
    if !parts.is_empty() {
        return Err(SignatureError::Incomplete(format!(
            "Authorization header has an unknown parameter. {}",
            shown()
        )));
    }
    let signed_at = header_time(head)?;
    assemble(Parts {
        form: SignatureForm::Header,
        algorithm,
        credential,
        signature,
        signed_headers,
        signed_at,
        session_token: session_token_header(head)?,
    })
}

fn header_time(head: &RequestHead<'_>) -> Result<AmzTimestamp, SignatureError> {
    let parsed = if head.has("x-amz-date") {
        let text = head.single("x-amz-date");
        (text, text.and_then(AmzTimestamp::parse_basic))
    } else {
        let text = head.single("date");
        let basic = text.and_then(AmzTimestamp::parse_basic);
        (text, basic.or_else(|| text.and_then(AmzTimestamp::parse_http)))
    };
    parsed.1.ok_or_else(|| malformed_date(parsed.0.unwrap_or_default()))
}

fn session_token_header(head: &RequestHead<'_>) -> Result<Option<String>, SignatureError> {
    if !head.has("x-amz-security-token") {
        return Ok(None);
    }
    match head.single("x-amz-security-token") {
        Some(token) => Ok(Some(token.to_owned())),
        None => Err(SignatureError::UnknownAccessKey),
    }
}

fn parse_query_form(
    parameters: &[(Vec<u8>, Vec<u8>)],
) -> Result<PresentedSignature, SignatureError> {
    let mut found = BTreeMap::new();
    for (name, value) in parameters.iter().filter(|(name, _)| name.starts_with(b"X-Amz-")) {
        let is_new = match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) => found.insert(name, value).is_none(),
            _ => false,
        };
        if !is_new {
            return Err(SignatureError::Incomplete(
                "A signature parameter of the query must stand once and be text.".to_owned(),
            ));
        }
    }
    let text = |name: &str| found.get(name).copied().filter(|value| !value.is_empty());
    const NAMES: [&str; 5] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ];
    let [Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date)] =
        NAMES.map(text)
    else {
        let complaints: String = NAMES
            .iter()
            .filter(|name| text(name).is_none())
            .map(|name| format!("AWS query-string parameters must include '{name}'. "))
            .collect();
        return Err(SignatureError::Incomplete(format!(
            "{complaints}Re-examine the query-string parameters."
        )));
    };
    let expires_seconds = match found.get("X-Amz-Expires") {
        // Some clients of services other than S3 leave it out; the allowed skew is its default.
        None => u32::try_from(super::SKEW_MAX_MS / 1000).unwrap_or(PRESIGN_EXPIRES_MAX_SECONDS),
        Some(text) => parse_expires(text)?,
    };
    assemble(Parts {
        form: SignatureForm::Query { expires_seconds },
        algorithm,
        credential,
        signature,
        signed_headers,
        signed_at: AmzTimestamp::parse_basic(date).ok_or_else(|| malformed_date(date))?,
        session_token: found.get("X-Amz-Security-Token").map(|token| (*token).to_owned()),
    })
}

fn parse_expires(text: &str) -> Result<u32, SignatureError> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(seconds) if is_plain && (1..=PRESIGN_EXPIRES_MAX_SECONDS).contains(&seconds) => {
            Ok(seconds)
        }
        _ => Err(SignatureError::ExpiresOutOfRange),
    }
}

struct Parts<'a> {
    form: SignatureForm,
    algorithm: &'a str,
    credential: &'a str,
    signature: &'a str,
    signed_headers: &'a str,
    signed_at: AmzTimestamp,
    session_token: Option<String>,
}

fn assemble(parts: Parts<'_>) -> Result<PresentedSignature, SignatureError> {
    if parts.algorithm != ALGORITHM {
        return Err(SignatureError::unsupported_algorithm(parts.algorithm));
    }
    let Some((access_key_id, scope)) = CredentialScope::parse_credential(parts.credential) else {
        return Err(SignatureError::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term, got '{}'",
            parts.credential
        )));
    };
    let mut signed_headers: Vec<String> =
        parts.signed_headers.split(';').map(str::to_ascii_lowercase).collect();
    signed_headers.sort();
    let count = signed_headers.len();
    signed_headers.dedup();
    if signed_headers.len() != count || count > SIGNED_HEADERS_MAX {
        return Err(SignatureError::Incomplete(format!(
            "SignedHeaders must name each header once, and at most {SIGNED_HEADERS_MAX}."
        )));
    }
    Ok(PresentedSignature {
        form: parts.form,
        access_key_id: AccessKeyId::new(access_key_id),
        scope,
        session_token: parts.session_token,
        signed_at: parts.signed_at,
        signed_headers,
        signature: parts.signature.to_owned(),
    })
}

fn malformed_date(text: &str) -> SignatureError {
    SignatureError::Incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{text}'. \
         See http://en.wikipedia.org/wiki/ISO_8601"
    ))
}
