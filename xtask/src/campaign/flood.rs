//! Bodies of strangers, and answers that nobody reads, while signed callers work.
//!
//! A round: two hundred strangers send bodies of all sizes, fast and slowly, to every route that takes one; then three
//! hundred readers ask for answers of a megabyte and leave them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;

use super::Course;
use super::callers::{Seen, measure, signed_head};
use super::crowd::{Crowd, Manner, raise_descriptor_limit};
use crate::client::KEY;
use crate::process::{Scratch, until};
use crate::random::Random;
use crate::subject::Subject;

const STRANGERS: usize = 200;
const READERS: usize = 300;
const MEASURED: Duration = Duration::from_secs(15);
/// What connections may take beside bodies or answers.
const CONNECTIONS_MIB: f64 = 24.0;
/// What the bodies of strangers may take together, and answers.
const BODIES_MIB: f64 = 16.0;
const ANSWERS_MIB: f64 = 32.0;
const KEPT_MEMORY_MIB: f64 = 12.0;
const GIVES_BACK_WITHIN: Duration = Duration::from_secs(60);

pub fn run(course: &mut Course) -> Result<()> {
    raise_descriptor_limit()?;
    let (scratch, binary) = (Scratch::new("campaign")?, course.binary()?);
    let (mut subject, _) = Subject::start(&binary, &scratch.path().join("data"))?;
    subject.ready()?;
    make_large_answer(&mut subject)?;
    measure(subject.address(), MEASURED, || Ok(()))?;
    while course.ledger.goes_on()? {
        let address = subject.address();
        let (before_mib, _) = subject.memory_mib()?;

        let manners = manners(&mut course.random, address)?;
        let mut crowd = Crowd::new(address, manners, STRANGERS, &mut course.random);
        let mut peak_mib = before_mib;
        let seen = measure(address, MEASURED, || {
            crowd.look(STRANGERS)?;
            peak_mib = peak_mib.max(subject.memory_mib()?.0);
            Ok(())
        })?;
        drop(crowd);
        let mib = [before_mib, peak_mib, BODIES_MIB];
        judge(course, &mut subject, "bodies of strangers", &seen, mib)?;

        let mut readers = Vec::new();
        let mut peak_mib = before_mib;
        let seen = measure(address, MEASURED, || {
            if readers.len() < READERS {
                readers.push(never_reading(address)?);
            }
            peak_mib = peak_mib.max(subject.memory_mib()?.0);
            Ok(())
        })?;
        drop(readers);
        let mib = [before_mib, peak_mib, ANSWERS_MIB];
        judge(course, &mut subject, "unread answers", &seen, mib)?;
    }
    subject.stop()
}

fn judge(
    course: &mut Course,
    subject: &mut Subject,
    what: &str,
    seen: &Seen,
    [before_mib, peak_mib, held_mib]: [f64; 3],
) -> Result<()> {
    let given_back = until("the memory is given back", GIVES_BACK_WITHIN, || {
        let (now_mib, _) = subject.memory_mib()?;
        Ok((now_mib <= before_mib + KEPT_MEMORY_MIB).then_some(now_mib))
    });
    println!(
        "{what}: p99 of {} calls {:.1} ms, {} failed; {before_mib:.0} MiB before, {peak_mib:.0} at \
         most, {} after",
        seen.calls,
        seen.p99.as_secs_f64() * 1000.0,
        seen.failed,
        given_back.as_ref().map_or("more".to_owned(), |mib| format!("{mib:.0}")),
    );
    let ledger = &mut course.ledger;
    ledger.count("signed calls", seen.calls);
    if seen.failed > 0 {
        ledger.fault(format!("{what}: {} signed calls failed", seen.failed));
    }
    if peak_mib > before_mib + held_mib + CONNECTIONS_MIB {
        ledger.fault(format!("{what}: it used more memory than it may"));
    }
    if let Err(error) = given_back {
        ledger.fault(format!("{what}: {error}"));
    }
    crate::interrupt::check()
}

fn manners(random: &mut Random, address: SocketAddr) -> Result<Vec<Manner>> {
    let mut manners = Vec::new();
    let mut add = |head: Vec<u8>| {
        let fast = Manner { go_on: vec![b' '; 16 * 1024], ..Manner::saying(head) };
        manners.push(Manner { drips: true, ..fast.clone() });
        manners.push(fast);
    };
    for (service, target, bytes_max) in [
        ("ecs", "AmazonEC2ContainerServiceV20141113.ListClusters", 1 << 20),
        ("logs", "Logs_20140328.PutLogEvents", 2 << 20),
        ("ecr", "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart", 28 << 20),
    ] {
        let length = bytes_max - random.below(bytes_max / 2);
        add(signed_head(address, service, target, "made up", Err(usize::try_from(length)?))?);
    }
    for (line, kind) in [
        ("POST /_outport/node/report HTTP/1.1", "application/json"),
        ("POST / HTTP/1.1", "application/x-www-form-urlencoded"),
        ("PUT /v2/app/manifests/1 HTTP/1.1", "application/vnd.oci.image.manifest.v1+json"),
        ("PATCH /v2/app/blobs/uploads/1 HTTP/1.1", "application/octet-stream"),
    ] {
        let head = format!(
            "{line}\r\nhost: {address}\r\ncontent-type: {kind}\r\ncontent-length: 4000000\r\n\r\n"
        );
        add(head.into_bytes());
    }
    Ok(manners)
}

/// A log stream whose events fill an answer of a megabyte.
fn make_large_answer(subject: &mut Subject) -> Result<()> {
    let stream = json!({ "logGroupName": "flood", "logStreamName": "s" });
    subject.logs("CreateLogGroup", &json!({ "logGroupName": "flood" }))?;
    subject.logs("CreateLogStream", &stream)?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let event = json!({ "timestamp": now_ms, "message": "x".repeat(10_000) });
    let mut put = stream;
    put["logEvents"] = vec![event; 100].into();
    subject.logs("PutLogEvents", &put).map(drop)
}

/// Has asked for a megabyte, with the right key, and reads nothing of it.
fn never_reading(address: SocketAddr) -> Result<TcpStream> {
    let body = json!({ "logGroupName": "flood", "logStreamName": "s", "startFromHead": true });
    let body = serde_json::to_vec(&body)?;
    let mut request = signed_head(address, "logs", "Logs_20140328.GetLogEvents", KEY, Ok(&body))?;
    request.extend(body);
    let mut stream = TcpStream::connect(address).context("a reader connects")?;
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::RcvBuf, &4096)?;
    stream.write_all(&request)?;
    Ok(stream)
}
