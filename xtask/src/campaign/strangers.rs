//! Ten thousand connections of strangers, who say nothing, half of something, or do not read, while signed callers work.
//!
//! A round: what callers' answers take and what memory is used without a crowd; the same with it; the memory after it.
//!
//! **Invariant**: the crowd proves nothing: what it signs with is a key's id and a made-up secret.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Course;
use super::callers::{measure, signed_head};
use super::crowd::{Crowd, Manner, raise_descriptor_limit};
use crate::process::{Scratch, until};
use crate::random::Random;
use crate::subject::Subject;

const STRANGERS: usize = 10_000;
/// New connections in one look at the crowd: about two hundred looks fill it.
const CONNECTIONS_PER_LOOK: usize = 50;
/// How long callers are measured, with and without the crowd.
const MEASURED: Duration = Duration::from_secs(10);
/// How much more memory it may use, MiB.
const MORE_MEMORY_MIB: f64 = 32.0;
/// How much of it may stay, MiB, and how long it may take to give it back.
const KEPT_MEMORY_MIB: f64 = 8.0;
const GIVES_BACK_WITHIN: Duration = Duration::from_secs(60);
/// Below this, twice as long is the noise of the machine.
const NOISE: Duration = Duration::from_millis(5);

pub fn run(course: &mut Course) -> Result<()> {
    raise_descriptor_limit()?;
    let (scratch, binary) = (Scratch::new("campaign")?, course.binary()?);
    let (mut subject, _) = Subject::start(&binary, &scratch.path().join("data"))?;
    subject.ready()?;
    // The first round of callers warms it up.
    measure(subject.address(), MEASURED, || Ok(()))?;
    while course.ledger.goes_on()? {
        round(course, &mut subject)?;
    }
    subject.stop()
}

fn round(course: &mut Course, subject: &mut Subject) -> Result<()> {
    let address = subject.address();
    let (before_mib, _) = subject.memory_mib()?;
    let alone = measure(address, MEASURED, || Ok(()))?;
    let manners = manners(&mut course.random, address)?;
    let mut crowd = Crowd::new(address, manners, STRANGERS, &mut course.random);
    let filled = Instant::now();
    while crowd.connected < STRANGERS as u64 {
        crowd.look(CONNECTIONS_PER_LOOK)?;
        crate::interrupt::check()?;
    }
    let fill = filled.elapsed();
    let mut peak_mib: f64 = subject.memory_mib()?.0;
    let crowded = measure(address, MEASURED, || {
        crowd.look(CONNECTIONS_PER_LOOK)?;
        peak_mib = peak_mib.max(subject.memory_mib()?.0);
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    })?;
    let (open, put_out) = (crowd.open(), crowd.put_out);
    drop(crowd);
    let given_back = until("the memory is given back", GIVES_BACK_WITHIN, || {
        let (now_mib, _) = subject.memory_mib()?;
        Ok((now_mib <= before_mib + KEPT_MEMORY_MIB).then_some(now_mib))
    });
    println!(
        "p99 {:.1} ms alone, {:.1} ms with {STRANGERS} strangers ({open} open, {put_out} put out, \
         all there after {:.1} s); {before_mib:.0} MiB before, {peak_mib:.0} at most, {} after",
        ms(alone.p99),
        ms(crowded.p99),
        fill.as_secs_f64(),
        given_back.as_ref().map_or("more".to_owned(), |mib| format!("{mib:.0}")),
    );
    let ledger = &mut course.ledger;
    ledger.count("signed calls", alone.calls + crowded.calls);
    if alone.failed + crowded.failed > 0 {
        ledger.fault(format!("{} signed calls failed", alone.failed + crowded.failed));
    }
    if crowded.p99 > (2 * alone.p99).max(NOISE) {
        ledger.fault("callers waited more than twice as long");
    }
    if peak_mib > before_mib + MORE_MEMORY_MIB {
        ledger.fault("it used more memory than it may");
    }
    if let Err(error) = given_back {
        ledger.fault(error.to_string());
    }
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// What strangers do.
fn manners(random: &mut Random, address: SocketAddr) -> Result<Vec<Manner>> {
    let length = 1 + random.below(1_000_000) as usize;
    let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
    let forged = signed_head(address, "ecs", target, "made up", Err(length))?;
    let half = forged.len() / 2 + random.below(40) as usize;
    let health = "GET /_outport/health HTTP/1.1\r\nhost: a\r\n\r\n";
    Ok(vec![
        Manner::saying(""),
        Manner::saying("G"),
        Manner::saying(&forged[..half]),
        Manner::saying(forged),
        Manner { go_on: b"x".to_vec(), drips: true, ..Manner::saying("POST / HTTP/1.1\r\nx: ") },
        // Asks for ever and reads nothing.
        Manner { go_on: health.into(), ..Manner::saying(health) },
        Manner { reads: true, ..Manner::saying(health) },
        // A TLS record that announces more than it brings; a beginning of HTTP/2.
        Manner::saying(*b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        Manner::saying("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Manner::saying("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n"),
    ])
}
