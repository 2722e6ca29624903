//! Downloads one blob into a file, resuming where a connection broke, hashing as it goes.

use crate::digest::Digest;
use crate::registry::{RegistryError, Session};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

/// Longest wait for the next piece of a blob.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Most times that a broken download is taken up again.
const RESUMES_MAX: u32 = 5;
const RESUME_WAIT: Duration = Duration::from_millis(200);
/// Bytes gathered before they are hashed and written on a blocking thread.
const CHUNK_BYTES: usize = 1 << 20;

/// A blob that is being written: the file, its hash and its length always agree.
struct Sink {
    file: File,
    hasher: Sha256,
    written: u64,
}

impl Sink {
    fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.written = 0;
        Ok(())
    }

    fn write(&mut self, chunks: &[Bytes]) -> std::io::Result<()> {
        for chunk in chunks {
            self.file.write_all(chunk)?;
            self.hasher.update(chunk);
            self.written += chunk.len() as u64;
        }
        Ok(())
    }
}

/// How one connection ended.
enum Ended {
    Complete,
    Broken(String),
}

/// Downloads the blob `expected` of `size` bytes into the empty `file` and verifies it. The file is left at its start.
pub(crate) async fn download(
    session: &Session<'_>,
    expected: Digest,
    size: u64,
    file: File,
) -> Result<File, RegistryError> {
    let mut sink = Sink { file, hasher: Sha256::new(), written: 0 };
    let mut resumes = 0;
    loop {
        let response = session.blob(expected, sink.written).await?;
        if sink.written > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            sink.restart().map_err(RegistryError::Disk)?;
        }
        let ended;
        (sink, ended) = read_body(response, sink, size).await?;
        match ended {
            Ended::Complete if sink.written == size => break,
            Ended::Complete => {
                return Err(RegistryError::SizeMismatch { expected: size, found: sink.written });
            }
            Ended::Broken(reason) if resumes == RESUMES_MAX => {
                let url = format!("blobs/{expected}");
                return Err(RegistryError::Unreachable { url, reason });
            }
            Ended::Broken(reason) => {
                resumes += 1;
                tracing::debug!(%expected, reason, resumes, at = sink.written, "download resumes");
                tokio::time::sleep(RESUME_WAIT * resumes).await;
            }
        }
    }
    let found = Digest::from_hasher(sink.hasher);
    if found != expected {
        return Err(RegistryError::DigestMismatch { expected, found });
    }
    sink.file.seek(SeekFrom::Start(0)).map_err(RegistryError::Disk)?;
    Ok(sink.file)
}

async fn read_body(
    response: http::Response<hyper::body::Incoming>,
    mut sink: Sink,
    size: u64,
) -> Result<(Sink, Ended), RegistryError> {
    let mut body = response.into_body();
    let mut gathered = Vec::new();
    let mut gathered_bytes = 0;
    loop {
        let ended = match tokio::time::timeout(READ_TIMEOUT, body.frame()).await {
            Err(_) => Some(Ended::Broken("i/o timeout".to_owned())),
            Ok(None) => Some(Ended::Complete),
            Ok(Some(Err(error))) => Some(Ended::Broken(error.to_string())),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    gathered_bytes += bytes.len();
                    gathered.push(bytes);
                }
                None
            }
        };
        let received = sink.written + gathered_bytes as u64;
        if received > size {
            return Err(RegistryError::SizeMismatch { expected: size, found: received });
        }
        if gathered_bytes >= CHUNK_BYTES || (ended.is_some() && gathered_bytes > 0) {
            sink = write(sink, std::mem::take(&mut gathered)).await?;
            gathered_bytes = 0;
        }
        if let Some(ended) = ended {
            return Ok((sink, ended));
        }
    }
}

async fn write(mut sink: Sink, chunks: Vec<Bytes>) -> Result<Sink, RegistryError> {
    let task = tokio::task::spawn_blocking(move || sink.write(&chunks).map(|()| sink));
    match task.await {
        Ok(result) => result.map_err(RegistryError::Disk),
        Err(error) => Err(RegistryError::Disk(std::io::Error::other(error))),
    }
}
