//! `/v2/<name>/manifests/<reference>`: images.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::reply::{self, DOCKER_CONTENT_DIGEST, OCI_SUBJECT, Refusal};
use super::{BodyMemory, Exchange};
use crate::{Image, ImageSelector, MANIFEST_BYTES_MAX, PutImage, RepositoryName, WantedImage};

/// `GET` and `HEAD`. Only a `GET` counts as a pull.
pub(crate) async fn get(
    exchange: &Exchange,
    name: RepositoryName,
    reference: ImageSelector,
    pull: bool,
) -> Result<Response, Refusal> {
    let mut permitted = exchange.authorize(&["ecr:BatchGetImage"], &name).await?;
    let now_ms = exchange.now_ms;
    if let Some(source) = &exchange.service.source {
        let wanted = WantedImage {
            scope: exchange.scope.clone(),
            repository: name.clone(),
            reference: reference.clone(),
            now_ms,
        };
        if source.prepare(&*exchange.caller, wanted).await? {
            // The repository may have been made meanwhile.
            permitted = exchange.authorize(&["ecr:BatchGetImage"], &name).await?;
        }
    }
    let image = permitted
        .blocking(move |registry, scope| {
            let image = registry.image(scope, &name, &reference)?;
            if pull {
                registry.note_pull(scope, &name, &image.digest, now_ms)?;
            }
            Ok(image)
        })
        .await?;
    Ok(describe(image))
}

fn describe(image: Image) -> Response {
    let mut response = reply::empty(StatusCode::OK);
    let digest = image.digest.to_string();
    reply::set(&mut response, DOCKER_CONTENT_DIGEST, &digest);
    reply::set(&mut response, header::ETAG, &format!("\"{digest}\""));
    reply::set(&mut response, header::CONTENT_TYPE, image.media_type.as_str());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(image.body.len()));
    *response.body_mut() = Body::from(image.body);
    response
}

pub(crate) async fn put(
    exchange: &Exchange,
    name: RepositoryName,
    reference: ImageSelector,
    request: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:PutImage"], &name).await?;
    let media_type = request.headers.get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let idle_max = exchange.service.registry.limits().body_idle_max;
    let memory = request.extensions.get::<BodyMemory>();
    let read = tokio::time::timeout(idle_max, read(body, memory)).await;
    let (body, _memory) = read.unwrap_or_else(|_| Err(Refusal::timed_out()))?;
    let (repository, now_ms) = (name.clone(), exchange.now_ms);
    let stored = permitted
        .blocking(move |registry, scope| {
            let (tag, digest) = match &reference {
                ImageSelector::Tag(tag) => (Some(tag), None),
                ImageSelector::Digest(digest) => (None, Some(digest)),
                ImageSelector::TagAndDigest(tag, digest) => (Some(tag), Some(digest)),
            };
            let put = PutImage { body: &body, media_type: media_type.as_deref(), tag, digest };
            registry.put_image(scope, &repository, &put, now_ms)
        })
        .await?;
    let mut response = reply::empty(StatusCode::CREATED);
    let digest = stored.digest.to_string();
    reply::set(&mut response, header::LOCATION, &format!("/v2/{name}/manifests/{digest}"));
    reply::set(&mut response, DOCKER_CONTENT_DIGEST, &digest);
    if let Some(subject) = stored.subject {
        reply::set(&mut response, OCI_SUBJECT, &subject.to_string());
    }
    Ok(response)
}

/// A manifest and its share of the memory, which is taken as the bytes come.
async fn read(
    mut body: Body,
    memory: Option<&BodyMemory>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    let (mut bytes, mut share) = (Vec::new(), None::<OwnedSemaphorePermit>);
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Refusal::upload_invalid(format!("the body broke off: {error}")))?;
        // A frame that is no data is a trailer, which says nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MANIFEST_BYTES_MAX {
            let message = format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes");
            return Err(Refusal::manifest_too_large(message));
        }
        if let Some(BodyMemory(memory)) = memory {
            let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let taken = Arc::clone(memory).try_acquire_many_owned(count);
            let taken = taken.map_err(|_| Refusal::too_many_uploads())?;
            match &mut share {
                Some(share) => share.merge(taken),
                None => share = Some(taken),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, share))
}

/// By tag, the tag goes and the image stays; by digest, the image goes with all its tags.
pub(crate) async fn delete(
    exchange: &Exchange,
    name: RepositoryName,
    reference: ImageSelector,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:BatchDeleteImage"], &name).await?;
    permitted
        .blocking(move |registry, scope| match &reference {
            ImageSelector::Tag(tag) => registry.delete_tag(scope, &name, tag),
            by_digest => registry.delete_image(scope, &name, by_digest).map(|_| ()),
        })
        .await?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}
