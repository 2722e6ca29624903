//! Downloads one blob into a file, resuming where a connection broke, hashing as it goes.

use crate::digest::Digest;
use crate::registry::{RegistryError, Session};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// Longest wait for the next piece of a blob.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Most times that a broken download is taken up again.
const RESUMES_MAX: u32 = 5;
const RESUME_WAIT: Duration = Duration::from_millis(200);
/// Bytes gathered before they are hashed and written on a blocking thread.
const CHUNK_BYTES: usize = 1 << 20;

/// How slow a download may be before it makes place for others. A registry that sends a byte now and then would hold
/// its place for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadLimits {
    /// A blob has this long, …
    pub time_base: Duration,
    /// … and a second more for each so many bytes that came. What is announced and does not come buys no time.
    pub bytes_per_second_min: u64,
    /// A connection that brings less than `window_bytes_min` within this long counts as broken.
    pub window: Duration,
    /// See `window`.
    pub window_bytes_min: u64,
}

impl Default for DownloadLimits {
    fn default() -> DownloadLimits {
        DownloadLimits {
            time_base: Duration::from_secs(10 * 60),
            bytes_per_second_min: 256 << 10,
            window: Duration::from_secs(60),
            window_bytes_min: 256 << 10,
        }
    }
}

impl DownloadLimits {
    /// For so many bytes.
    fn time(&self, bytes: u64) -> Duration {
        self.time_base + Duration::from_secs(bytes / self.bytes_per_second_min.max(1))
    }
}

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
    /// What came took longer than it may.
    Late,
}

/// Downloads the blob `expected` of `size` bytes into the empty `file` and verifies it. The file is left at its start.
pub(crate) async fn download(
    session: &Session<'_>,
    expected: Digest,
    size: u64,
    file: File,
    limits: &DownloadLimits,
) -> Result<File, RegistryError> {
    let time = limits.time(size);
    match tokio::time::timeout(time, attempts(session, expected, size, file, limits)).await {
        Ok(done) => done,
        Err(_) => Err(too_slow(expected, size, time)),
    }
}

fn too_slow(expected: Digest, bytes: u64, time: Duration) -> RegistryError {
    let url = format!("blobs/{expected}");
    let reason = format!("{bytes} bytes did not come within {} seconds", time.as_secs());
    RegistryError::Unreachable { url, reason }
}

async fn attempts(
    session: &Session<'_>,
    expected: Digest,
    size: u64,
    file: File,
    limits: &DownloadLimits,
) -> Result<File, RegistryError> {
    let begun = Instant::now();
    let mut sink = Sink { file, hasher: Sha256::new(), written: 0 };
    let mut resumes = 0;
    loop {
        let response = session.blob(expected, sink.written).await?;
        if sink.written > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            sink.restart().map_err(RegistryError::Disk)?;
        }
        let ended;
        (sink, ended) = read_body(response, sink, size, (begun, limits)).await?;
        match ended {
            Ended::Late => {
                return Err(too_slow(expected, sink.written + 1, limits.time(sink.written)));
            }
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
    (begun, limits): (Instant, &DownloadLimits),
) -> Result<(Sink, Ended), RegistryError> {
    let mut body = response.into_body();
    let mut window = (Instant::now(), sink.written);
    let mut gathered = Vec::new();
    let mut gathered_bytes = 0;
    loop {
        let received = sink.written + gathered_bytes as u64;
        let left = limits.time(received).saturating_sub(begun.elapsed());
        let ended = match tokio::time::timeout(left.min(READ_TIMEOUT), body.frame()).await {
            Err(_) if left <= READ_TIMEOUT => Some(Ended::Late),
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
        let is_slow =
            window.0.elapsed() >= limits.window && received < window.1 + limits.window_bytes_min;
        let ended = match ended {
            None if is_slow => Some(Ended::Broken("the registry sends too slowly".to_owned())),
            ended => ended,
        };
        if window.0.elapsed() >= limits.window {
            window = (Instant::now(), received);
        }
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
