//! `/v2/<name>/blobs/uploads/…`: pushing blobs, in one request or in many.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, header};

use super::blobs::location_of_blob;
use super::byte_range;
use super::endpoint::digest;
use super::receive::receive;
use super::reply::{self, DOCKER_CONTENT_DIGEST, DOCKER_UPLOAD_UUID, Refusal, received_range};
use super::{Exchange, Permitted};
use crate::{Digest, Registry, RegistryError, RepositoryName, StoredBlob, Upload, UploadId};

const INITIATE: &str = "ecr:InitiateLayerUpload";
const UPLOAD_PART: &str = "ecr:UploadLayerPart";
const COMPLETE: &str = "ecr:CompleteLayerUpload";
const DOWNLOAD: &str = "ecr:GetDownloadUrlForLayer";

/// `POST`: a session; or, with `digest`, the whole blob; or, with `mount` and `from`, a blob that another
/// repository has, and a session if it has not, or if the caller may not read it.
pub(crate) async fn start(
    exchange: &Exchange,
    name: RepositoryName,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&[INITIATE], &name).await?;
    let query = Query::parse(request);
    if let (Some(mount), Some(from)) = (query.get("mount"), query.get("from"))
        && let Some(blob) = mount_blob(exchange, &permitted, &name, &digest(mount)?, from).await?
    {
        return Ok(created(&name, &blob));
    }
    if let Some(text) = query.get("digest") {
        let permitted = exchange.authorize(&[INITIATE, UPLOAD_PART, COMPLETE], &name).await?;
        return take_whole(exchange, &permitted, name, digest(text)?, request, body).await;
    }
    let (repository, now_ms) = (name.clone(), exchange.now_ms);
    let start = move |registry: &Arc<Registry>, scope: &_| {
        registry.start_upload(scope, &repository, now_ms)
    };
    let id = permitted.blocking(start).await?;
    Ok(session(StatusCode::ACCEPTED, &name, id, 0))
}

async fn take_whole(
    exchange: &Exchange,
    permitted: &Permitted,
    name: RepositoryName,
    digest: Digest,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let repository = name.clone();
    let take = permitted.blocking(move |registry, scope| registry.take_upload(scope, &repository));
    let upload = add_body(exchange, &name, take, request, body).await?;
    Ok(created(&name, &finish(exchange, permitted, upload, digest).await?))
}

async fn mount_blob(
    exchange: &Exchange,
    permitted: &Permitted,
    name: &RepositoryName,
    digest: &Digest,
    from: &str,
) -> Result<Option<StoredBlob>, Refusal> {
    let Ok(source) = from.parse::<RepositoryName>() else { return Ok(None) };
    let registry = Arc::clone(&permitted.registry);
    let both = exchange.authorize_more(registry, &[DOWNLOAD], &source).await;
    let permitted = match both {
        Err(refusal) if refusal.is_denied() => return Ok(None),
        both => both?,
    };
    let (name, digest, now_ms) = (name.clone(), digest.clone(), exchange.now_ms);
    permitted
        .blocking(move |registry, scope| {
            match registry.mount_blob(scope, &name, &source, &digest, now_ms) {
                Ok(blob) => Ok(Some(blob)),
                Err(RegistryError::BlobNotFound(_)) => Ok(None),
                Err(RegistryError::RepositoryNotFound { name: missing, .. }) if missing != name => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .await
}

/// `GET`: how far the upload is, also while another request writes to it.
pub(crate) async fn status(
    exchange: &Exchange,
    name: RepositoryName,
    id: UploadId,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&[UPLOAD_PART], &name).await?;
    let repository = name.clone();
    let look =
        move |registry: &Arc<Registry>, scope: &_| registry.upload_offset(scope, &repository, id);
    let offset = permitted.blocking(look).await?;
    Ok(session(StatusCode::NO_CONTENT, &name, id, offset))
}

/// `PATCH`: a chunk with a range, or a stream without.
pub(crate) async fn append(
    exchange: &Exchange,
    name: RepositoryName,
    id: UploadId,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&[UPLOAD_PART], &name).await?;
    let upload = add_body(exchange, &name, resume(&permitted, &name, id), request, body).await?;
    Ok(session(StatusCode::ACCEPTED, &name, id, upload.offset()))
}

/// `PUT`: the last chunk, if it has a body, and the digest of the whole.
pub(crate) async fn complete(
    exchange: &Exchange,
    name: RepositoryName,
    id: UploadId,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&[COMPLETE], &name).await?;
    let query = Query::parse(request);
    let digest = digest(query.get("digest").unwrap_or_default())?;
    let upload = add_body(exchange, &name, resume(&permitted, &name, id), request, body).await?;
    Ok(created(&name, &finish(exchange, &permitted, upload, digest).await?))
}

/// `DELETE`: the session and its bytes go.
pub(crate) async fn cancel(
    exchange: &Exchange,
    name: RepositoryName,
    id: UploadId,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&[UPLOAD_PART], &name).await?;
    let upload = resume(&permitted, &name, id).await?;
    permitted.blocking(move |_, _| upload.discard()).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Adds the body to the session that `open` gets; it is got once there is room for another body.
async fn add_body(
    exchange: &Exchange,
    name: &RepositoryName,
    open: impl Future<Output = Result<Upload, Refusal>>,
    request: &Parts,
    body: Body,
) -> Result<Upload, Refusal> {
    let limits = exchange.service.registry.limits();
    let chunk = byte_range::of_chunk(&request.headers)?;
    let permit =
        tokio::time::timeout(limits.upload_busy_wait_max, exchange.service.streams.acquire());
    // The semaphore is never closed, so the only failure is the wait.
    let Ok(Ok(_permit)) = permit.await else { return Err(Refusal::too_many_uploads()) };
    let upload = open.await?;
    let (id, offset) = (upload.id(), upload.offset());
    if chunk.is_some_and(|(first, _)| first != offset) {
        return Err(Refusal::out_of_order(&location(name, id), id, offset));
    }
    let length = chunk.map(|(_, length)| length);
    receive(upload, body, length, limits.body_idle_max).await
}

async fn resume(
    permitted: &Permitted,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Upload, Refusal> {
    Ok(permitted.registry.resume_upload_in_turn(&permitted.scope, name, id).await?)
}

async fn finish(
    exchange: &Exchange,
    permitted: &Permitted,
    upload: Upload,
    digest: Digest,
) -> Result<StoredBlob, Refusal> {
    let now_ms = exchange.now_ms;
    permitted.blocking(move |_, _| upload.finish(&digest, now_ms)).await
}

fn location(name: &RepositoryName, id: UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn session(status: StatusCode, name: &RepositoryName, id: UploadId, offset: u64) -> Response {
    let mut response = reply::empty(status);
    reply::set(&mut response, header::LOCATION, &location(name, id));
    reply::set(&mut response, header::RANGE, &received_range(offset));
    reply::set(&mut response, DOCKER_UPLOAD_UUID, &id.to_string());
    response
}

fn created(name: &RepositoryName, blob: &StoredBlob) -> Response {
    let mut response = reply::empty(StatusCode::CREATED);
    reply::set(&mut response, header::LOCATION, &location_of_blob(name, &blob.digest));
    reply::set(&mut response, DOCKER_CONTENT_DIGEST, &blob.digest.to_string());
    response
}

/// The parameters behind the question mark; of a repeated one, the first.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(request: &Parts) -> Self {
        let query = request.uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}
