//! Answers: headers that every one has, and refusals as the protocol writes them.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::{AccessDenied, AuthenticationError, Digest, NotTaken, RegistryError, UploadId};

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
pub(crate) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What a manifest refers to and the repository does not have.
    missing: Vec<Digest>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (message, missing, headers) = (message.into(), Vec::new(), Vec::new());
        Self { status, code, message, missing, headers }
    }

    /// The caller may not; nothing else is wrong.
    pub(crate) fn is_denied(&self) -> bool {
        self.code == "DENIED"
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn name_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message)
    }

    pub(crate) fn tag_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "TAG_INVALID", message)
    }

    /// What cannot be a tag is not there, for whoever asks for it. Source: the distribution specification's
    /// conformance tests, which ask for `.INVALID_MANIFEST_NAME` and want 404.
    pub(crate) fn of_a_read(self) -> Self {
        match self.code {
            "TAG_INVALID" => {
                Self { status: StatusCode::NOT_FOUND, code: "MANIFEST_UNKNOWN", ..self }
            }
            _ => self,
        }
    }

    pub(crate) fn digest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    pub(crate) fn size_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
    }

    pub(crate) fn upload_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    pub(crate) fn upload_unknown(id: impl std::fmt::Display) -> Self {
        let message = format!("there is no upload {id}");
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
    }

    pub(crate) fn manifest_too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    pub(crate) fn page_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", message)
    }

    pub(crate) fn timed_out() -> Self {
        let message = "no bytes arrived for too long; the upload can be resumed";
        Self::new(StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", message)
    }

    pub(crate) fn too_many_uploads() -> Self {
        let message = "too many uploads at once; try again";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message)
            .with(header::RETRY_AFTER, "5")
    }

    pub(crate) fn range_not_satisfiable(size_bytes: u64) -> Self {
        let message = format!("the blob has {size_bytes} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
            .with(header::CONTENT_RANGE, &format!("bytes */{size_bytes}"))
    }

    /// A chunk that does not start where the last one ended; says where that is.
    pub(crate) fn out_of_order(location: &str, id: UploadId, offset: u64) -> Self {
        let message = format!("the next byte of this upload is {offset}");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
            .with(header::LOCATION, location)
            .with(header::RANGE, &received_range(offset))
            .with(DOCKER_UPLOAD_UUID, &id.to_string())
    }

    /// What ECR's API would call it, and the text.
    pub(crate) fn exception(&self) -> (String, String) {
        let code = match self.code {
            "DENIED" => "AccessDeniedException",
            "NAME_UNKNOWN" => "RepositoryNotFoundException",
            "MANIFEST_UNKNOWN" => "ImageNotFoundException",
            "BLOB_UNKNOWN" | "MANIFEST_BLOB_UNKNOWN" => "LayersNotFoundException",
            "TAG_INVALID" => "ImageTagAlreadyExistsException",
            "BLOB_UPLOAD_UNKNOWN" => "UploadNotFoundException",
            "UNAVAILABLE" => "UnableToGetUpstreamImageException",
            "INTERNAL" | "INSUFFICIENT_STORAGE" => "ServerException",
            other => other,
        };
        (code.to_owned(), self.message.clone())
    }

    /// A panic in the registry, or the end of the process.
    pub(crate) fn from_join(error: tokio::task::JoinError) -> Self {
        tracing::error!(
            event = "registry_request_failed",
            %error,
            "a request to the registry failed by a fault"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "internal error of the registry")
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, header_value(value)));
        self
    }

    /// The challenge goes to whoever has no good password. Source of its form: what ECR sends.
    pub(crate) fn into_response_for(self, realm: &str) -> Response {
        let missing = self.missing.iter().map(|digest| json!({ "digest": digest.to_string() }));
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.missing.is_empty() {
            error["detail"] = missing.collect();
        }
        let mut response = json_with_status(self.status, &json!({ "errors": [error] }));
        response.headers_mut().extend(self.headers);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = format!("Basic realm=\"{realm}\",service=\"ecr.amazonaws.com\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header_value(&challenge));
        }
        response
    }
}

impl From<AuthenticationError> for Refusal {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Invalid => {
                Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", error.to_string())
            }
            // ECR answers 403 here, so that clients show the text instead of asking for a password.
            AuthenticationError::Expired => {
                Self::new(StatusCode::FORBIDDEN, "DENIED", error.to_string())
            }
        }
    }
}

impl From<AccessDenied> for Refusal {
    fn from(denied: AccessDenied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", denied.message)
    }
}

impl From<NotTaken> for Refusal {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Denied(denied) => denied.into(),
            NotTaken::NotThere(text) => Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", text),
            NotTaken::Failed(text) => Self::new(StatusCode::BAD_GATEWAY, "UNAVAILABLE", text),
        }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        let (status, code) = status_and_code(&error);
        match error {
            // Source of the text: ECR, as `docker pull` prints it.
            RegistryError::ImageNotFound(_) => Self::new(status, code, "Requested image not found"),
            RegistryError::Storage { .. }
            | RegistryError::Metadata(_)
            | RegistryError::Damaged { .. }
            | RegistryError::FormatTooNew { .. } => {
                tracing::error!(
                    event = "registry_storage_failed",
                    %error,
                    "the registry's storage failed"
                );
                Self::new(status, code, "internal error of the registry")
            }
            RegistryError::DiskFull => {
                tracing::error!(
                    event = "registry_storage_failed",
                    %error,
                    "the registry's storage failed"
                );
                Self::new(status, code, message)
            }
            RegistryError::LayersNotFound(missing)
            | RegistryError::ReferencedImagesNotFound(missing) => {
                Self { missing, ..Self::new(status, code, message) }
            }
            _ => Self::new(status, code, message),
        }
    }
}

fn status_and_code(error: &RegistryError) -> (StatusCode, &'static str) {
    match error {
        RegistryError::RepositoryNotFound { .. } => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
        RegistryError::RepositoryAlreadyExists { .. }
        | RegistryError::RepositoryNotEmpty { .. }
        | RegistryError::TagDoesNotMatchDigest => (StatusCode::CONFLICT, "DENIED"),
        RegistryError::ImageNotFound(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        RegistryError::ReferencedByManifestList(_) | RegistryError::BlobInUse(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED")
        }
        RegistryError::RepositoryChanged { .. } => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        RegistryError::TagImmutable { .. } => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
        RegistryError::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
        RegistryError::ManifestDigestMismatch { .. } | RegistryError::BlobDigestMismatch { .. } => {
            (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
        }
        RegistryError::LayersNotFound(_) | RegistryError::ReferencedImagesNotFound(_) => {
            (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN")
        }
        RegistryError::BlobNotFound(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
        RegistryError::UploadNotFound(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
        RegistryError::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
        RegistryError::BlobTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
        RegistryError::LimitExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
        RegistryError::QuotaExceeded { .. } => (StatusCode::FORBIDDEN, "DENIED"),
        RegistryError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "INSUFFICIENT_STORAGE"),
        RegistryError::Storage { .. }
        | RegistryError::Metadata(_)
        | RegistryError::Damaged { .. }
        | RegistryError::FormatTooNew { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

/// `Range` of an upload: the first and last byte received; `0-0` also when there is none, which is what
/// clients of the protocol expect.
pub(crate) fn received_range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

pub(crate) fn json(value: &Value) -> Response {
    json_with_status(StatusCode::OK, value)
}

fn json_with_status(status: StatusCode, value: &Value) -> Response {
    let body = value.to_string();
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    response.headers_mut().insert(name, header_value(value));
}

/// What every answer carries; a HEAD keeps its headers and loses its body.
pub(crate) fn finish(mut response: Response, no_body: bool) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    if no_body {
        *response.body_mut() = Body::empty();
    }
    response
}

/// Texts that came from outside were checked before; should one still not fit, the header stays empty.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
