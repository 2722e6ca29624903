//! `cargo xtask bench registry`: push and pull of an image of four large layers, and of many small blobs, in turn with the
//! same requests to Debian's docker-registry on the same disk.
//!
//! Both make a blob last before they answer 201: docker-registry 2.8 calls fsync on the file of the upload and renames it
//! (read in its source, not traced); Outport syncs the directory, too, and the row that says whose blob it is.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Setting;
use super::disk;
use super::figures::Figures;
use super::report::{Figure, Report};
use super::server::Server;
use crate::client::Client;
use crate::process::{Scratch, Started, output, until};
use crate::random::Random;
use crate::reservation::Reservation;
use crate::{interrupt, setup};

const LAYERS: usize = 4;
const SMALL_BLOB_BYTES: usize = 4096;
const SMALL_BLOB_CONNECTIONS: usize = 16;
const PROGRAM: &str = "docker-registry";
const PATIENCE: Duration = Duration::from_secs(30);

struct Size {
    layer_bytes: usize,
    small_blobs: usize,
    rounds: usize,
}

/// Where images go, and how one says who one is.
struct Door {
    address: SocketAddr,
    authorization: String,
}

/// Bytes with their digest.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Taken {
    push: Figures,
    pull: Figures,
    small: Figures,
}

/// The peer and its version.
pub fn peer() -> Result<Option<(String, String)>> {
    let said = output(Command::new(PROGRAM).arg("--version"))?;
    let version = said.split_whitespace().last().unwrap_or_default();
    Ok(Some((PROGRAM.to_owned(), version.to_owned())))
}

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let size = match setting.quick {
        true => Size { layer_bytes: 4 << 20, small_blobs: 100, rounds: 1 },
        false => Size { layer_bytes: 50 << 20, small_blobs: 1_000, rounds: 7 },
    };
    setup::install_packages(&[(PROGRAM, PROGRAM)])?;
    let binary = setting.binary()?;
    let scratch = Scratch::new("bench-registry")?;
    let (mut server, _) = Server::start(&binary, &scratch.path().join("data"))?;
    let ours = our_door(&mut server)?;
    let (mut registry, theirs) = start_peer(scratch.path())?;
    let (mut outport, mut peer) = (Taken::default(), Taken::default());
    let mut random = Random::new(1);
    for round in 0..size.rounds {
        let layers = blobs(&mut random, LAYERS, size.layer_bytes);
        let small = blobs(&mut random, size.small_blobs, SMALL_BLOB_BYTES);
        let mut both = [(&ours, &mut outport), (&theirs, &mut peer)];
        // Who comes first has the quieter disk.
        both.rotate_left(round % 2);
        for (door, taken) in both {
            taken.push.add(push_image(door, &layers)?);
            taken.pull.add(each(door, &layers, LAYERS, pull_blob)?);
            taken.small.add(each(door, &small, SMALL_BLOB_CONNECTIONS, push_blob)?);
        }
    }
    let floor = floor(scratch.path(), &blobs(&mut random, 1, LAYERS * size.layer_bytes))?;
    // It does not end well by SIGTERM.
    registry.kill()?;
    server.stop()?;
    let mut report = Report::default();
    tell(&size, &outport, &peer, &mut report);
    report.add(Figure::new("write and fsync of as many bytes (floor)", floor, "ms"));
    report.add(disk::floor(scratch.path())?);
    Ok(report.into_figures())
}

fn tell(size: &Size, ours: &Taken, theirs: &Taken, report: &mut Report) {
    let mib = (LAYERS * size.layer_bytes) >> 20;
    let mut pair = |name: &str, ours: &Figures, theirs: &Figures, count: (&str, usize)| {
        let (mine, peer) = (ours.percentile_ms(50), theirs.percentile_ms(50));
        report.add(Figure::new(name, mine, "ms").of(count.0, count.1));
        report.add(Figure::new(format!("{name}, {PROGRAM}"), peer, "ms").of(count.0, count.1));
        let ratio = Figure::new(format!("{name}, beside {PROGRAM}"), mine / peer, "x");
        report.add(ratio.of(count.0, count.1).at_most(1.0));
    };
    pair("push of four layers", &ours.push, &theirs.push, ("MiB", mib));
    pair("pull of four layers", &ours.pull, &theirs.pull, ("MiB", mib));
    pair("push of small blobs", &ours.small, &theirs.small, ("blobs", size.small_blobs));
}

fn our_door(server: &mut Server) -> Result<Door> {
    server.ecr("CreateRepository", &json!({ "repositoryName": "bench" }))?;
    let token = server.ecr("GetAuthorizationToken", &json!({}))?;
    let token = token["authorizationData"][0]["authorizationToken"].as_str().context("a token")?;
    let authorization = format!("authorization: Basic {token}\r\n");
    Ok(Door { address: server.address(), authorization })
}

fn start_peer(scratch: &Path) -> Result<(Started, Door)> {
    let place = Reservation::new()?;
    let door = Door { address: place.address(), authorization: String::new() };
    let configuration = json!({
        "version": "0.1",
        "log": { "level": "error", "accesslog": { "disabled": true } },
        "storage": {
            "filesystem": { "rootdirectory": scratch.join("peer") },
            "cache": { "blobdescriptor": "inmemory" },
        },
        "http": { "addr": door.address.to_string() },
    });
    // YAML takes JSON.
    let file = scratch.join("peer.yml");
    std::fs::write(&file, configuration.to_string())?;
    let mut serve = Command::new(PROGRAM);
    serve.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let mut registry = Started::new(&mut serve)?;
    until("docker-registry answers", PATIENCE, || {
        ensure!(registry.is_running()?, "docker-registry has ended");
        Ok(Client::new(door.address)
            .exchange_parts(&[b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n"])
            .ok())
    })?;
    Ok((registry, door))
}

/// Random bytes: nobody has them yet, and no layer shrinks.
fn blobs(random: &mut Random, count: usize, bytes: usize) -> Vec<Blob> {
    let blob = |_| {
        let bytes: Vec<u8> =
            (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
        Blob { digest: digest_of(&bytes), bytes }
    };
    (0..count).map(blob).collect()
}

fn digest_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.collect::<String>())
}

fn push_image(door: &Door, layers: &[Blob]) -> Result<Duration> {
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config = Blob { digest: digest_of(config), bytes: config.to_vec() };
    let of = |blob: &Blob, kind: &str| {
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({ "mediaType": media_type, "digest": blob.digest, "size": blob.bytes.len() })
    };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind, "config": of(&config, "config.v1+json"),
        "layers": layers.iter().map(|layer| of(layer, "layer.v1.tar")).collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let began = Instant::now();
    each(door, layers, LAYERS, push_blob)?;
    let mut client = Client::new(door.address);
    push_blob(&mut client, door, &config)?;
    let path = "/v2/bench/manifests/latest";
    request(&mut client, door, "PUT", path, (kind, &manifest), 201)?;
    Ok(began.elapsed())
}

/// Does something with each blob, over so many connections.
fn each(
    door: &Door,
    blobs: &[Blob],
    connections: usize,
    act: fn(&mut Client, &Door, &Blob) -> Result<()>,
) -> Result<Duration> {
    let began = Instant::now();
    let work = |first: usize| -> Result<()> {
        let mut client = Client::new(door.address);
        for blob in blobs.iter().skip(first).step_by(connections) {
            interrupt::check()?;
            act(&mut client, door, blob)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|n| scope.spawn(move || work(n))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    Ok(began.elapsed())
}

/// As docker and skopeo do it: a session, the bytes, the digest.
fn push_blob(client: &mut Client, door: &Door, blob: &Blob) -> Result<()> {
    let octets = "application/octet-stream";
    let session = request(client, door, "POST", "/v2/bench/blobs/uploads/", (octets, &[]), 202)?;
    let session = request(client, door, "PATCH", &session, (octets, &blob.bytes), 202)?;
    let mark = if session.contains('?') { '&' } else { '?' };
    let path = format!("{session}{mark}digest={}", blob.digest);
    request(client, door, "PUT", &path, (octets, &[]), 201)?;
    Ok(())
}

fn pull_blob(client: &mut Client, door: &Door, blob: &Blob) -> Result<()> {
    let head = format!(
        "GET /v2/bench/blobs/{} HTTP/1.1\r\nhost: {}\r\n{}\r\n",
        blob.digest, door.address, door.authorization
    );
    let answer = client.exchange_parts(&[head.as_bytes()])?;
    let whole = answer.status == 200 && answer.body.len() == blob.bytes.len();
    ensure!(whole, "a pull was answered {} with {} bytes", answer.status, answer.body.len());
    Ok(())
}

/// The path of the answer's location.
fn request(
    client: &mut Client,
    door: &Door,
    method: &str,
    path: &str,
    (content_type, body): (&str, &[u8]),
    expected: u16,
) -> Result<String> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        door.address,
        door.authorization,
        body.len()
    );
    let answer = client.exchange_parts(&[head.as_bytes(), body])?;
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == expected, "{method} {path}: {} {said}", answer.status);
    let location = answer.location;
    let path =
        location.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    Ok(path.map_or(location.clone(), str::to_owned))
}

fn floor(directory: &Path, blobs: &[Blob]) -> Result<f64> {
    let path = directory.join("floor");
    let began = Instant::now();
    for blob in blobs {
        std::fs::write(&path, &blob.bytes)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    let took = began.elapsed().as_secs_f64() * 1000.0;
    std::fs::remove_file(&path)?;
    Ok(took)
}
