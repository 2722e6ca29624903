//! Signed callers who work while something else goes on: what they saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use outport_identity::sigv4::{RequestHead, SignatureStyle, Signer};
use outport_identity::{AccessKeyId, SecretAccessKey};
use serde_json::json;

use crate::client::{Client, KEY};

const CALLERS: usize = 4;

/// What callers saw.
pub struct Seen {
    pub calls: u64,
    pub failed: u64,
    pub p99: Duration,
}

/// Signed callers work for so long; half of their calls come over new connections. `meanwhile` is done over and over.
pub fn measure(
    address: SocketAddr,
    measured: Duration,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<Seen> {
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || call_until(address, &stop))
        })
        .collect();
    let begun = Instant::now();
    let mut done = Ok(());
    while begun.elapsed() < measured && done.is_ok() {
        done = meanwhile().and_then(|()| crate::interrupt::check());
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    let mut failed = 0;
    for caller in callers {
        let (each, missed) = caller.join().map_err(|_| anyhow!("a caller panicked"))?;
        took.extend(each);
        failed += missed;
    }
    done?;
    took.sort_unstable();
    let p99 = *took.get(took.len() * 99 / 100).context("there were calls")?;
    Ok(Seen { calls: took.len() as u64 + failed, failed, p99 })
}

fn call_until(address: SocketAddr, stop: &AtomicBool) -> (Vec<Duration>, u64) {
    let (mut took, mut failed) = (Vec::new(), 0);
    let mut kept = Client::new(address);
    while !stop.load(Ordering::Relaxed) {
        let mut fresh = Client::new(address);
        for client in [&mut kept, &mut fresh] {
            let begun = Instant::now();
            match client.ecs("ListClusters", &json!({})) {
                Ok(_) => took.push(begun.elapsed()),
                Err(error) => {
                    eprintln!("a signed call failed: {error:#}");
                    failed += 1;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (took, failed)
}

/// The head of a request that announces a body of so many bytes. `secret`: the right one is [`KEY`].
pub fn signed_head(
    address: SocketAddr,
    service: &str,
    target: &str,
    secret: &str,
    body: Result<&[u8], usize>,
) -> Result<Vec<u8>> {
    let host = address.to_string();
    let headers = [
        ("host", host.as_bytes()),
        ("content-type", b"application/x-amz-json-1.1".as_slice()),
        ("x-amz-target", target.as_bytes()),
    ];
    let head = RequestHead { method: "POST", path: "/", query: "", headers: &headers };
    let signer = Signer {
        access_key_id: AccessKeyId::new(KEY),
        secret_access_key: SecretAccessKey::new(secret),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
        style: SignatureStyle::STANDARD,
    };
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let length = body.map_or_else(|length| length, <[u8]>::len);
    let mut bytes = format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    for (name, value) in signer.sign(&head, body.unwrap_or_default(), now_ms)? {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}
