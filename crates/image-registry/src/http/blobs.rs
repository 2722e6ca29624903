//! `/v2/<name>/blobs/<digest>`: pulling blobs.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use futures_util::stream::try_unfold;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use metrics::counter;

use super::Exchange;
use super::byte_range;
use super::reply::{self, DOCKER_CONTENT_DIGEST, Refusal};
use crate::{BlobDownload, Digest, RepositoryName, StoredBlob};

/// Bytes that are read from disk and handed to the connection at once.
const PIECE_BYTES: u64 = 256 * 1024;

pub(crate) async fn head(
    exchange: &Exchange,
    name: RepositoryName,
    digest: Digest,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:BatchCheckLayerAvailability"], &name).await?;
    let now_ms = exchange.now_ms;
    let blob = permitted
        .blocking(move |registry, scope| registry.blob(scope, &name, &digest, now_ms))
        .await?;
    Ok(describe(&blob, StatusCode::OK, blob.size_bytes))
}

pub(crate) async fn get(
    exchange: &Exchange,
    name: RepositoryName,
    digest: Digest,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:GetDownloadUrlForLayer"], &name).await?;
    let download = permitted
        .blocking(move |registry, scope| registry.open_blob(scope, &name, &digest))
        .await?;
    let size_bytes = download.blob().size_bytes;
    let range = byte_range::requested(headers, size_bytes)?;
    let (first, end) = range.unwrap_or((0, size_bytes));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = describe(download.blob(), status, end - first);
    if range.is_some() {
        let content_range = format!("bytes {first}-{}/{size_bytes}", end - 1);
        reply::set(&mut response, header::CONTENT_RANGE, &content_range);
    }
    *response.body_mut() = stream(download, first, end);
    Ok(response)
}

pub(crate) async fn delete(
    exchange: &Exchange,
    name: RepositoryName,
    digest: Digest,
) -> Result<Response, Refusal> {
    let permitted = exchange.authorize(&["ecr:BatchDeleteImage"], &name).await?;
    permitted.blocking(move |registry, scope| registry.delete_blob(scope, &name, &digest)).await?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}

pub(crate) fn location_of_blob(name: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{name}/blobs/{digest}")
}

fn describe(blob: &StoredBlob, status: StatusCode, length: u64) -> Response {
    let mut response = reply::empty(status);
    let digest = blob.digest.to_string();
    reply::set(&mut response, DOCKER_CONTENT_DIGEST, &digest);
    reply::set(&mut response, header::ETAG, &format!("\"{digest}\""));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// Reads a piece when the connection wants one; between pieces no thread waits.
fn stream(download: BlobDownload, first: u64, end: u64) -> Body {
    let download = Arc::new(download);
    Body::from_stream(try_unfold(first, move |offset| {
        let download = Arc::clone(&download);
        async move {
            if offset >= end {
                return Ok(None);
            }
            let length = (end - offset).min(PIECE_BYTES) as usize;
            let read = tokio::task::spawn_blocking(move || download.read_at(offset, length));
            let piece = read.await.map_err(io::Error::other)??;
            counter!("outport_registry_sent_bytes_total").increment(length as u64);
            Ok::<_, io::Error>(Some((piece, offset + length as u64)))
        }
    }))
}
