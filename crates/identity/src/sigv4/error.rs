//! Why a request was not believed, in AWS's codes and words.

use super::{ALGORITHM, AmzTimestamp};

/// The families of services that name the same refusal differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorDialect {
    /// awsJson and rpc-v2-cbor: `…Exception`, status 400.
    Json,
    /// query: status 403.
    Query,
    /// EC2: one code for everything that is wrong with a credential, status 401.
    Ec2,
    /// S3: rest-xml.
    S3,
}

/// A refusal. Its text may be shown to the caller: it holds no secret and no expected signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// Not signed at all.
    MissingAuthenticationToken,
    /// Signed in a header and in the query at once.
    TwoForms,
    /// A part of the signature is missing or cannot be read. The text says which.
    Incomplete(String),
    /// A percent escape that is none.
    MalformedQueryString,
    /// `X-Amz-Expires` is not within 1 to 604800 seconds.
    ExpiresOutOfRange,
    /// Signed too long ago: `earliest` is the oldest time that would have passed at `now`.
    Expired { signed_at: AmzTimestamp, earliest: AmzTimestamp, now: AmzTimestamp },
    /// Signed in the future: `latest` is the newest time that would have passed at `now`.
    NotYetCurrent { signed_at: AmzTimestamp, latest: AmzTimestamp, now: AmzTimestamp },
    /// `host` or an `x-amz-*` header stands in the request but is not signed.
    HeaderNotSigned(String),
    /// A header is signed but is not in the request, or cannot have two values and has.
    HeaderMismatch(String),
    /// Date, region, service or terminator of the credential scope. All complaints in one text.
    Scope(String),
    /// No such access key, or a session token that does not belong to it.
    UnknownAccessKey,
    /// The same, of a key that stands for "any" where somebody else's emulator is used to it.
    PlaceholderAccessKey,
    /// The session is over.
    SessionExpired,
    /// `x-amz-content-sha256` is not the hash of the body.
    ContentHashMismatch,
    /// A kind of payload signature that is not spoken, such as S3's signed chunks.
    PayloadUnsupported(String),
    /// All parts are there; the signature is another one.
    Mismatch,
}

use SignatureError as E;

impl SignatureError {
    /// The error code and the HTTP status. Source: answers of AWS's services; EC2 and S3 by their
    /// error code lists. Unsigned EC2 requests really answer `MissingParameter`.
    pub fn code_and_status(&self, dialect: ErrorDialect) -> (&'static str, u16) {
        match dialect {
            ErrorDialect::Json => (self.json_code(), 400),
            ErrorDialect::Query => self.query_code(),
            ErrorDialect::Ec2 => self.ec2_code(),
            ErrorDialect::S3 => self.s3_code(),
        }
    }

    /// AWS's text.
    pub fn message(&self, dialect: ErrorDialect) -> String {
        if dialect == ErrorDialect::Ec2
            && let Some(text) = self.ec2_message()
        {
            return text.to_owned();
        }
        match self {
            E::MissingAuthenticationToken if dialect == ErrorDialect::Query => {
                "Request is missing Authentication Token".to_owned()
            }
            E::MissingAuthenticationToken => "Missing Authentication Token".to_owned(),
            E::TwoForms => "Found both 'X-Amz-Algorithm' as a query-string param and \
                            'Authorization' as HTTP header."
                .to_owned(),
            E::Incomplete(text) | E::Scope(text) => text.clone(),
            E::MalformedQueryString => "The query string contains a syntax error.".to_owned(),
            E::ExpiresOutOfRange => "X-Amz-Expires must be a number of seconds from 1 to 604800 \
                                     (one week)."
                .to_owned(),
            E::Expired { signed_at, earliest, now } => format!(
                "Signature expired: {} is now earlier than {} ({} - {}.)",
                signed_at.basic(),
                earliest.basic(),
                now.basic(),
                span(*earliest, *now)
            ),
            E::NotYetCurrent { signed_at, latest, now } => format!(
                "Signature not yet current: {} is still later than {} ({} + {}.)",
                signed_at.basic(),
                latest.basic(),
                now.basic(),
                span(*now, *latest)
            ),
            E::HeaderNotSigned(name) if name == "host" => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned()
            }
            E::HeaderNotSigned(name) => {
                format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")
            }
            E::UnknownAccessKey => {
                "The security token included in the request is invalid.".to_owned()
            }
            E::PlaceholderAccessKey => "The security token included in the request is invalid. \
                                        Outport takes no placeholder for an access key: `outport \
                                        env` on its host prints the one that it has."
                .to_owned(),
            E::SessionExpired => "The security token included in the request is expired".to_owned(),
            E::ContentHashMismatch => "The provided 'x-amz-content-sha256' header does not match \
                                       what was computed."
                .to_owned(),
            E::PayloadUnsupported(kind) => {
                format!("A payload signed as '{kind}' is not supported.")
            }
            E::HeaderMismatch(_) | E::Mismatch => {
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned()
            }
        }
    }

    pub(super) fn unsupported_algorithm(algorithm: &str) -> Self {
        E::Incomplete(format!(
            "Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
        ))
    }

    fn json_code(&self) -> &'static str {
        match self {
            E::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            E::Incomplete(_) | E::MalformedQueryString | E::ExpiresOutOfRange => {
                "IncompleteSignatureException"
            }
            E::UnknownAccessKey | E::PlaceholderAccessKey => "UnrecognizedClientException",
            E::SessionExpired => "ExpiredTokenException",
            _ => "InvalidSignatureException",
        }
    }

    fn query_code(&self) -> (&'static str, u16) {
        match self {
            E::MissingAuthenticationToken => ("MissingAuthenticationToken", 403),
            E::Incomplete(_) | E::ExpiresOutOfRange => ("IncompleteSignature", 400),
            E::MalformedQueryString => ("MalformedQueryString", 404),
            E::UnknownAccessKey | E::PlaceholderAccessKey => ("InvalidClientTokenId", 403),
            E::SessionExpired => ("ExpiredToken", 403),
            _ => ("SignatureDoesNotMatch", 403),
        }
    }

    fn ec2_code(&self) -> (&'static str, u16) {
        match self {
            E::MissingAuthenticationToken => ("MissingParameter", 400),
            E::Incomplete(_) | E::ExpiresOutOfRange => ("IncompleteSignature", 400),
            E::MalformedQueryString => ("MalformedQueryString", 404),
            E::Expired { .. } | E::SessionExpired => ("RequestExpired", 400),
            _ => ("AuthFailure", 401),
        }
    }

    fn ec2_message(&self) -> Option<&'static str> {
        match self {
            E::MissingAuthenticationToken => {
                Some("The request must contain the parameter AWSAccessKeyId")
            }
            E::Expired { .. } | E::SessionExpired => Some("Request has expired."),
            E::UnknownAccessKey | E::Mismatch | E::HeaderMismatch(_) => {
                Some("AWS was not able to validate the provided access credentials")
            }
            _ => None,
        }
    }

    fn s3_code(&self) -> (&'static str, u16) {
        match self {
            E::MissingAuthenticationToken => ("AccessDenied", 403),
            E::Incomplete(_) => ("AuthorizationHeaderMalformed", 400),
            E::MalformedQueryString | E::ExpiresOutOfRange => {
                ("AuthorizationQueryParametersError", 400)
            }
            E::TwoForms => ("InvalidArgument", 400),
            E::Expired { .. } | E::NotYetCurrent { .. } => ("RequestTimeTooSkewed", 403),
            E::Scope(_) => ("AuthorizationHeaderMalformed", 400),
            E::UnknownAccessKey | E::PlaceholderAccessKey => ("InvalidAccessKeyId", 403),
            E::SessionExpired => ("ExpiredToken", 400),
            E::ContentHashMismatch => ("XAmzContentSHA256Mismatch", 400),
            E::PayloadUnsupported(_) => ("NotImplemented", 501),
            E::HeaderNotSigned(_) | E::HeaderMismatch(_) | E::Mismatch => {
                ("SignatureDoesNotMatch", 403)
            }
        }
    }
}

fn span(from: AmzTimestamp, to: AmzTimestamp) -> String {
    let seconds = (to.unix_ms() - from.unix_ms()) / 1000;
    if seconds % 60 == 0 { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

impl std::fmt::Display for SignatureError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message(ErrorDialect::Json))
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: SignatureError, expected: [(&str, u16); 4]) {
        let dialects =
            [ErrorDialect::Json, ErrorDialect::Query, ErrorDialect::Ec2, ErrorDialect::S3];
        assert_eq!(dialects.map(|dialect| error.code_and_status(dialect)), expected, "{error:?}");
        for dialect in dialects {
            assert!(!error.message(dialect).is_empty());
        }
    }

    #[test]
    fn codes_of_each_dialect() {
        check(
            E::MissingAuthenticationToken,
            [
                ("MissingAuthenticationTokenException", 400),
                ("MissingAuthenticationToken", 403),
                ("MissingParameter", 400),
                ("AccessDenied", 403),
            ],
        );
        check(
            E::UnknownAccessKey,
            [
                ("UnrecognizedClientException", 400),
                ("InvalidClientTokenId", 403),
                ("AuthFailure", 401),
                ("InvalidAccessKeyId", 403),
            ],
        );
        check(
            E::Mismatch,
            [
                ("InvalidSignatureException", 400),
                ("SignatureDoesNotMatch", 403),
                ("AuthFailure", 401),
                ("SignatureDoesNotMatch", 403),
            ],
        );
        check(
            E::Incomplete("text".into()),
            [
                ("IncompleteSignatureException", 400),
                ("IncompleteSignature", 400),
                ("IncompleteSignature", 400),
                ("AuthorizationHeaderMalformed", 400),
            ],
        );
    }

    #[test]
    fn texts_of_a_wrong_clock_are_those_of_aws() {
        let time = |text| AmzTimestamp::parse_basic(text).unwrap();
        let expired = E::Expired {
            signed_at: time("20130301T000000Z"),
            earliest: time("20130609T094515Z"),
            now: time("20130609T100015Z"),
        };
        assert_eq!(
            expired.message(ErrorDialect::Json),
            "Signature expired: 20130301T000000Z is now earlier than 20130609T094515Z \
             (20130609T100015Z - 15 min.)"
        );
        let future = E::NotYetCurrent {
            signed_at: time("20170424T013926Z"),
            latest: time("20170424T013832Z"),
            now: time("20170424T013332Z"),
        };
        assert_eq!(
            future.message(ErrorDialect::Query),
            "Signature not yet current: 20170424T013926Z is still later than 20170424T013832Z \
             (20170424T013332Z + 5 min.)"
        );
    }
}
