//! Pushing to the registry by its HTTP API. Source: OCI distribution specification 1.1, "Push".

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use crate::api::{Answer, Api, Body, CALL_TIMEOUT, in_memory};
use crate::value::{list, text};

use super::content::{Blob, Content, Manifest};
use super::docker_save::digest_of;

/// How long the registry may take no byte and say nothing.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How often it is looked how far an upload is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a person is told.
const TELL_EVERY: Duration = Duration::from_secs(5);
const MIB: f64 = (1 << 20) as f64;

/// A repository of the registry, with a password for it.
pub struct Registry<'a> {
    api: &'a Api,
    repository: &'a str,
    authorization: String,
}

impl<'a> Registry<'a> {
    /// # Errors
    /// When the API gives no password.
    pub async fn login(api: &'a Api, repository: &'a str) -> Result<Self> {
        let answer = api.ecr("GetAuthorizationToken", json!({})).await?;
        let token = list(&answer, "authorizationData").first();
        let token = token.map(|token| text(token, "authorizationToken")).unwrap_or_default();
        ensure!(!token.is_empty(), "GetAuthorizationToken gave no password");
        Ok(Self { api, repository, authorization: format!("Basic {token}") })
    }

    /// Pushes what is not there yet, and gives the image its tag.
    ///
    /// # Errors
    /// When the content is not what its digests say, or the registry refuses it.
    pub async fn push(
        &self,
        content: &Content,
        tag: &str,
        say: &mut impl FnMut(&str),
    ) -> Result<()> {
        let count = content.blobs.len();
        for (number, blob) in content.blobs.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "it is shown with one digit")]
            let mib = blob.part.place.size as f64 / MIB;
            let what = format!("{} of {count}: {} {mib:.1} MiB", number + 1, blob.digest.short());
            if self.has(blob).await? {
                say(&format!("{what}, is there"));
            } else {
                say(&what);
                self.upload(blob, say)
                    .await
                    .with_context(|| format!("cannot push {}", blob.digest))?;
            }
        }
        let last = content.manifests.len().saturating_sub(1);
        for (number, manifest) in content.manifests.iter().enumerate() {
            let digest = manifest.digest.to_string();
            let reference = if number == last { tag } else { &digest };
            self.put_manifest(manifest, reference)
                .await
                .with_context(|| format!("cannot push the manifest {digest}"))?;
        }
        Ok(())
    }

    async fn has(&self, blob: &Blob) -> Result<bool> {
        let path = format!("/v2/{}/blobs/{}", self.repository, blob.digest);
        let answer = self.call(Method::HEAD, &path, None, in_memory(Vec::new())).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(&answer)),
        }
    }

    async fn upload(&self, blob: &Blob, say: &mut impl FnMut(&str)) -> Result<()> {
        let found = digest_of(&blob.part).context("cannot read it")?;
        ensure!(found == blob.digest, "it is damaged: the digest of its bytes is {found}");
        let path = format!("/v2/{}/blobs/uploads/", self.repository);
        let answer = self.call(Method::POST, &path, None, in_memory(Vec::new())).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(refused(&answer));
        }
        let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
        let location = path_of(location.context("the registry names no place to upload to")?);
        let joint = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{joint}digest={}", blob.digest);
        let sent = Arc::new(AtomicU64::new(0));
        let size = blob.part.place.size;
        let put = self.call(
            Method::PUT,
            &path,
            Some(("application/octet-stream", size)),
            body(blob, &sent),
        );
        let answer = watched(put, &sent, size, say).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            _ => Err(refused(&answer)),
        }
    }

    async fn put_manifest(&self, manifest: &Manifest, reference: &str) -> Result<()> {
        let path = format!("/v2/{}/manifests/{reference}", self.repository);
        let size = manifest.bytes.len() as u64;
        let body = in_memory(manifest.bytes.clone());
        let answer = self.call(Method::PUT, &path, Some((&manifest.media_type, size)), body);
        let answer = watched(answer, &AtomicU64::new(0), size, &mut |_| {}).await?;
        if answer.status != StatusCode::CREATED {
            return Err(refused(&answer));
        }
        let kept =
            answer.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
        let expected = manifest.digest.to_string();
        ensure!(kept.is_none_or(|kept| kept == expected), "the registry keeps it as {kept:?}");
        Ok(())
    }

    /// A call of the registry: with a body the type of that and its length.
    async fn call(
        &self,
        method: Method,
        path: &str,
        content: Option<(&str, u64)>,
        body: Body,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.api.endpoint.url.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::AUTHORIZATION, &self.authorization);
        if let Some((media_type, length)) = content {
            request = request
                .header(header::CONTENT_TYPE, media_type)
                .header(header::CONTENT_LENGTH, length);
        }
        self.api.call(request.body(body)?, content.is_none().then_some(CALL_TIMEOUT)).await
    }
}

/// Waits for an upload as long as it goes on.
async fn watched(
    put: impl Future<Output = Result<Answer>>,
    sent: &AtomicU64,
    size: u64,
    say: &mut impl FnMut(&str),
) -> Result<Answer> {
    let mut put = std::pin::pin!(put);
    let (mut before, mut moved_at, mut told_at) = (0, Instant::now(), Instant::now());
    loop {
        tokio::select! {
            answer = &mut put => return answer,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = sent.load(Ordering::Relaxed);
        if now != before {
            (before, moved_at) = (now, Instant::now());
        }
        if moved_at.elapsed() > IDLE_MAX {
            bail!("the registry has taken nothing for {} s", IDLE_MAX.as_secs());
        }
        if told_at.elapsed() > TELL_EVERY && now < size {
            told_at = Instant::now();
            say(&format!("  {} %", now.saturating_mul(100) / size.max(1)));
        }
    }
}

fn body(blob: &Blob, sent: &Arc<AtomicU64>) -> Body {
    let sent = Arc::clone(sent);
    let frames = blob.part.pieces().map(move |piece| {
        let piece = piece?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok(Frame::data(Bytes::from(piece)))
    });
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// Where an upload goes on, without the host: a password is for nobody else.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => location,
    }
}

/// What the registry says, in its words.
fn refused(answer: &Answer) -> anyhow::Error {
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let error = said.as_ref().and_then(|said| list(said, "errors").first());
    match error {
        Some(error) => anyhow!("{}: {}", text(error, "code"), text(error, "message")),
        None => anyhow!("the registry answers with status {}", answer.status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_stays_with_its_registry() {
        let check = |location: &str, expected: &str| assert_eq!(path_of(location), expected);
        check("/v2/app/blobs/uploads/1?x=y", "/v2/app/blobs/uploads/1?x=y");
        check("https://elsewhere:1/v2/a", "/v2/a");
        check("https://elsewhere", "/");
    }
}
