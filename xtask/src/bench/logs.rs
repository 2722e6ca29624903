//! `cargo xtask bench logs`: lines of a web server through PutLogEvents, searches over them, the newest of a stream, and
//! what they take on disk; beside zstd on the same text and the disk's fdatasync rate.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Setting;
use super::disk;
use super::figures::Figures;
use super::load::{self, Until};
use super::report::{Figure, Report};
use super::server::Server;
use crate::interrupt;
use crate::process::{Scratch, until};
use crate::random::Random;

const GROUP: &str = "/ecs/shop";
const STREAMS: usize = 4;
/// A batch is at most a mebibyte, 26 bytes beside each line counted.
const LINES_PER_BATCH: usize = 4_000;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// The levels of zstd whose ratio is told.
const LEVELS: [i32; 4] = [1, 3, 6, 19];

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let lines = if setting.quick { 20_000 } else { 500_000 };
    let binary = setting.binary()?;
    let scratch = Scratch::new("bench-logs")?;
    let (mut server, _) = Server::start(&binary, &scratch.path().join("data"))?;
    server.logs("CreateLogGroup", &json!({ "logGroupName": GROUP }))?;
    for stream in 0..STREAMS {
        let input = json!({ "logGroupName": GROUP, "logStreamName": stream_name(stream) });
        server.logs("CreateLogStream", &input)?;
    }
    let mut report = Report::default();
    let mut random = Random::new(1);
    let text: Vec<String> = (0..lines).map(|number| line(number, &mut random)).collect();
    let text_bytes: usize = text.iter().map(String::len).sum();
    report.add(disk::floor(scratch.path())?);
    put(&mut server, &text, text_bytes, &mut report)?;
    wait_for_sealing(&server)?;
    searches(&mut server, &text, &mut report)?;
    report.add(Figure::new("resident memory", server.resident_mib()?, "MiB").of("lines", lines));
    server.stop()?;
    on_disk(server.data_dir(), text_bytes, &mut report)?;
    zstd_floor(&text, &mut report)?;
    Ok(report.into_figures())
}

fn stream_name(stream: usize) -> String {
    format!("web/{stream}")
}

/// About 228 bytes, as of a web server; the request's id is as random as such ids are.
fn line(number: usize, random: &mut Random) -> String {
    let level = if random.below(50) == 0 { "ERROR" } else { "INFO" };
    let service = ["checkout", "catalog", "payment", "search"][random.below(4) as usize];
    format!(
        "2026-11-22T12:{:02}:{:02}.{:03}Z {level} service={service} request_id={:016x} method=GET \
         path=/api/v1/items/{} status={} duration_ms={} user=u{} agent=\"Mozilla/5.0 (X11; Linux \
         x86_64)\" bytes={} message=\"request handled\"",
        number / 60_000 % 60,
        number / 1000 % 60,
        number % 1000,
        random.next(),
        random.below(5_000),
        [200, 200, 200, 304, 404, 500][random.below(6) as usize],
        random.below(977),
        random.below(7_000_000),
        random.below(65_536),
    )
}

fn put(server: &mut Server, text: &[String], bytes: usize, report: &mut Report) -> Result<()> {
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut requests = Vec::new();
    for (number, lines) in text.chunks(LINES_PER_BATCH).enumerate() {
        let event = |line: &String| json!({ "timestamp": now_ms, "message": line });
        let input = json!({
            "logGroupName": GROUP, "logStreamName": stream_name(number % STREAMS),
            "logEvents": lines.iter().map(event).collect::<Vec<_>>(),
        });
        requests.push(server.sign_logs("PutLogEvents", &input)?);
    }
    let load = load::run(server.address(), &requests, STREAMS, Until::Count(requests.len()))?;
    let rate = text.len() as f64 / load.seconds;
    report.add(
        Figure::new("PutLogEvents, durable", rate, "lines/s")
            .of("lines", text.len())
            .of("lines a batch", LINES_PER_BATCH.min(text.len())),
    );
    report.add(Figure::new("text taken in", bytes as f64 / load.seconds / 1e6, "MB/s"));
    Ok(())
}

/// What is full is sealed in the background.
fn wait_for_sealing(server: &Server) -> Result<()> {
    let journals = server.data_dir().join("logs/journals");
    until("full journals are sealed", PATIENCE, || {
        Ok((std::fs::read_dir(&journals)?.count() <= 1).then_some(()))
    })
}

fn searches(server: &mut Server, text: &[String], report: &mut Report) -> Result<()> {
    let id = |line: &String| {
        let (_, rest) = line.split_once("request_id=").context("a line has an id")?;
        Ok::<_, anyhow::Error>(rest.split(' ').next().unwrap_or_default().to_owned())
    };
    let present = id(&text[text.len() / 2])?;
    let patterns = [
        ("present once", format!("\"{present}\"")),
        ("absent", "\"NullPointerException\"".to_owned()),
        ("two terms", "ERROR checkout".to_owned()),
    ];
    for (name, pattern) in patterns {
        let (mut latency, mut found) = (Figures::default(), 0);
        for _ in 0..ROUNDS {
            interrupt::check()?;
            let began = Instant::now();
            found = filter(server, &pattern)?;
            latency.add(began.elapsed());
        }
        report.add(
            Figure::new(format!("FilterLogEvents, {name}"), latency.percentile_ms(50), "ms")
                .of("lines", text.len())
                .of("found", found),
        );
    }
    let mut latency = Figures::default();
    let input = json!({ "logGroupName": GROUP, "logStreamName": stream_name(0), "limit": 100 });
    for _ in 0..ROUNDS * 20 {
        let began = Instant::now();
        server.logs("GetLogEvents", &input)?;
        latency.add(began.elapsed());
    }
    report.add(
        Figure::new("GetLogEvents, the newest 100", latency.percentile_ms(50), "ms")
            .of("lines", text.len()),
    );
    Ok(())
}

/// All pages; how many events were found.
fn filter(server: &mut Server, pattern: &str) -> Result<usize> {
    let (mut found, mut token) = (0, Value::Null);
    loop {
        let mut input = json!({ "logGroupName": GROUP, "filterPattern": pattern });
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let mut page = server.logs("FilterLogEvents", &input)?;
        found += page["events"].as_array().context("a list of events")?.len();
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(found);
        }
    }
}

fn on_disk(data_dir: &Path, text_bytes: usize, report: &mut Report) -> Result<()> {
    let logs = data_dir.join("logs");
    let (segments, journals) =
        (bytes_in(&logs.join("segments"))?, bytes_in(&logs.join("journals"))?);
    // A journal has the text as it is.
    let sealed = text_bytes as f64 - journals as f64;
    if segments > 0 {
        report.add(
            Figure::new("log text beside its bytes in segments", sealed / segments as f64, "x")
                .of("MB of text", text_bytes / 1_000_000)
                .at_least(5.0),
        );
    }
    let all = segments + journals + bytes_in(&logs)?;
    report.add(Figure::new(
        "log text beside all bytes on disk",
        text_bytes as f64 / all as f64,
        "x",
    ));
    Ok(())
}

fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.metadata()?;
        bytes += if file.is_file() { file.len() } else { 0 };
    }
    Ok(bytes)
}

fn zstd_floor(text: &[String], report: &mut Report) -> Result<()> {
    let text = text.join("\n");
    for level in LEVELS {
        interrupt::check()?;
        // The slow ones on less of it.
        let part = &text.as_bytes()[..text.len().min(if level > 6 { 8 << 20 } else { 64 << 20 })];
        let began = Instant::now();
        let packed = zstd::bulk::compress(part, level)?;
        let rate = part.len() as f64 / began.elapsed().as_secs_f64() / 1e6;
        let ratio = part.len() as f64 / packed.len() as f64;
        report.add(
            Figure::new(format!("zstd -{level} of the text in one piece"), ratio, "x")
                .of("MB/s", rate.round()),
        );
    }
    Ok(())
}
