//! The body of an upload, into its session.
//!
//! While one batch is written and hashed, the next one is read: a request holds at most two batches.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::reply::Refusal;
use crate::{Checkpoint, RegistryError, Upload};

/// Bytes that are collected before they are written.
const BATCH_BYTES: usize = 512 * 1024;

/// Adds the body to the session. `length`: how many bytes the request announced by its range; another
/// number takes everything back. If the body breaks off, what arrived stays, so that it can be resumed.
pub(crate) async fn receive(
    upload: Upload,
    body: Body,
    length: Option<u64>,
    idle_max: Duration,
) -> Result<Upload, Refusal> {
    let start = upload.checkpoint();
    let mut source = Source { body, idle_max, end: None };
    let mut received: u64 = 0;
    let mut writing = spawn_blocking(move || Ok(upload));
    loop {
        let batch = source.batch().await;
        received += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let too_long = length.is_some_and(|length| received > length);
        if too_long || batch.is_empty() {
            break;
        }
        let upload = written(writing).await?;
        writing = spawn_blocking(move || append(upload, &batch));
    }
    let upload = written(writing).await?;
    if let Some(End::Failed(refusal)) = source.end {
        return Err(refusal);
    }
    match length {
        Some(length) if length != received => Err(take_back(upload, start, length).await),
        _ => Ok(upload),
    }
}

async fn written(writing: JoinHandle<Result<Upload, RegistryError>>) -> Result<Upload, Refusal> {
    Ok(writing.await.map_err(Refusal::from_join)??)
}

fn append(mut upload: Upload, batch: &[Bytes]) -> Result<Upload, RegistryError> {
    upload.append_all(batch)?;
    Ok(upload)
}

async fn take_back(mut upload: Upload, start: Checkpoint, length: u64) -> Refusal {
    match spawn_blocking(move || upload.roll_back(start)).await {
        Err(error) => Refusal::from_join(error),
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => Refusal::size_invalid(format!(
            "Content-Range announced {length} bytes, the body has not"
        )),
    }
}

struct Source {
    body: Body,
    idle_max: Duration,
    end: Option<End>,
}

enum End {
    Complete,
    Failed(Refusal),
}

impl Source {
    /// The next bytes; none at the end, whichever it is.
    async fn batch(&mut self) -> Vec<Bytes> {
        let (mut batch, mut size) = (Vec::new(), 0);
        while self.end.is_none() && size < BATCH_BYTES {
            match timeout(self.idle_max, self.body.frame()).await {
                Err(_) => self.end = Some(End::Failed(Refusal::timed_out())),
                Ok(None) => self.end = Some(End::Complete),
                Ok(Some(Err(error))) => {
                    let refusal = Refusal::upload_invalid(format!("the body broke off: {error}"));
                    self.end = Some(End::Failed(refusal));
                }
                Ok(Some(Ok(frame))) => {
                    // A frame that is no data is a trailer, which says nothing here.
                    let bytes = frame.into_data().unwrap_or_default();
                    if !bytes.is_empty() {
                        size += bytes.len();
                        batch.push(bytes);
                    }
                }
            }
        }
        batch
    }
}
