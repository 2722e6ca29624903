//! Callers that write rows and log events all the time, and what they were told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::Client;
use crate::process::until;
use crate::subject::Subject;

const GROUP: &str = "/upgrade-load";
const STREAM: &str = "events";
/// Between two writes of a caller: rows are in memory for ever.
const PAUSE: Duration = Duration::from_millis(10);
/// After a call that nobody answered.
const RETRY: Duration = Duration::from_millis(50);
/// What is written before the next step, at least.
const WRITES_PER_STEP: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Told {
    /// Revision and the text that it was registered with.
    rows: Vec<(String, String)>,
    events: BTreeSet<u64>,
    /// Events that were sent and not answered: they may be there.
    unsure: BTreeSet<u64>,
}

pub struct Load {
    told: Arc<Mutex<Told>>,
    ended: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
    /// Rows that a check has found already.
    rows_seen: usize,
}

impl Load {
    pub fn start(subject: &mut Subject, image: &str) -> Result<Self> {
        subject.logs("CreateLogGroup", &json!({ "logGroupName": GROUP }))?;
        let stream = json!({ "logGroupName": GROUP, "logStreamName": STREAM });
        subject.logs("CreateLogStream", &stream)?;
        let (told, ended) = (Arc::<Mutex<Told>>::default(), Arc::<AtomicBool>::default());
        let (address, image) = (subject.address(), image.to_owned());
        let of_rows = (told.clone(), ended.clone());
        let of_events = (told.clone(), ended.clone());
        let callers = vec![
            std::thread::spawn(move || write_rows(address, &image, &of_rows.0, &of_rows.1)),
            std::thread::spawn(move || write_events(address, &of_events.0, &of_events.1)),
        ];
        Ok(Self { told, ended, callers, rows_seen: 0 })
    }

    pub fn run_for_a_while(&self) -> Result<()> {
        let count = || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.rows.len().min(told.events.len())
        };
        let enough = count() + WRITES_PER_STEP;
        until("callers are answered", PATIENCE, || Ok((count() >= enough).then_some(())))
    }

    /// No caller writes any more.
    pub fn end(&mut self) -> Result<()> {
        self.ended.store(true, Ordering::Release);
        for caller in self.callers.drain(..) {
            caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
        }
        Ok(())
    }

    /// How many rows and events were acknowledged, and what is wrong.
    pub fn check(&mut self, subject: &mut Subject) -> Result<(usize, usize, Vec<String>)> {
        let (rows, events) = {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            (told.rows.clone(), told.events.clone())
        };
        let mut faults = Vec::new();
        // Each once after it was written, and all of them by name.
        for (arn, text) in &rows[self.rows_seen..] {
            let ask = json!({ "taskDefinition": arn });
            let found = subject.ecs("DescribeTaskDefinition", &ask).ok();
            let shown = found.map(|found| {
                found["taskDefinition"]["containerDefinitions"][0]["environment"][0]["value"]
                    .clone()
            });
            if shown.as_ref().and_then(Value::as_str) != Some(text) {
                faults.push(format!("the row {arn} with {text} is {shown:?}"));
            }
        }
        let listed = list_rows(subject)?;
        let lost: Vec<_> = rows.iter().filter(|(arn, _)| !listed.contains(arn)).collect();
        if !lost.is_empty() {
            faults.push(format!("{} rows are not listed, such as {}", lost.len(), lost[0].0));
        }
        self.rows_seen = rows.len();
        let found = list_events(subject)?;
        // After the answer: what was sent meanwhile and is not answered may be there as well.
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = BTreeSet::new();
        for number in found {
            if !seen.insert(number) {
                faults.push(format!("the log event {number} is there twice"));
            }
        }
        let lost: Vec<_> = events.difference(&seen).collect();
        if !lost.is_empty() {
            faults.push(format!("{} log events are lost, such as {}", lost.len(), lost[0]));
        }
        let sent = told.events.len() + told.unsure.len();
        if seen.len() > sent + 1 {
            faults.push(format!("{} log events are there of {sent} that were sent", seen.len()));
        }
        Ok((rows.len(), events.len(), faults))
    }
}

fn write_rows(address: SocketAddr, image: &str, told: &Mutex<Told>, ended: &AtomicBool) {
    let mut client = Client::new(address);
    let mut number = 0_u64;
    while !ended.load(Ordering::Acquire) {
        number += 1;
        let text = format!("row {number}");
        let register = json!({
            "family": "load",
            "containerDefinitions": [{ "name": "app", "image": image, "memory": 64,
                                       "environment": [{ "name": "TEXT", "value": text }] }],
        });
        let answer = client.ecs("RegisterTaskDefinition", &register).ok();
        let arn = answer
            .as_ref()
            .and_then(|answer| answer["taskDefinition"]["taskDefinitionArn"].as_str());
        match arn {
            Some(arn) => {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                told.rows.push((arn.to_owned(), text));
            }
            None => {
                client = Client::new(address);
                std::thread::sleep(RETRY);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn write_events(address: SocketAddr, told: &Mutex<Told>, ended: &AtomicBool) {
    let mut client = Client::new(address);
    let mut number = 0_u64;
    while !ended.load(Ordering::Acquire) {
        number += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let put = json!({
            "logGroupName": GROUP, "logStreamName": STREAM,
            "logEvents": [{ "timestamp": now.as_millis() as u64, "message": number.to_string() }],
        });
        // Before it is sent: it may be there before the answer is.
        told.lock().unwrap_or_else(PoisonError::into_inner).unsure.insert(number);
        let is_told = client.logs("PutLogEvents", &put).is_ok();
        if is_told {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.unsure.remove(&number);
            told.events.insert(number);
        } else {
            client = Client::new(address);
            std::thread::sleep(RETRY);
        }
        std::thread::sleep(PAUSE);
    }
}

fn list_rows(subject: &mut Subject) -> Result<BTreeSet<String>> {
    let (mut listed, mut token) = (BTreeSet::new(), Value::Null);
    loop {
        let mut ask = json!({ "familyPrefix": "load" });
        if !token.is_null() {
            ask["nextToken"] = token;
        }
        let mut page = subject.ecs("ListTaskDefinitions", &ask)?;
        let arns = page["taskDefinitionArns"].as_array().context("it lists")?.iter();
        listed.extend(arns.filter_map(|arn| Some(arn.as_str()?.to_owned())));
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(listed);
        }
    }
}

fn list_events(subject: &mut Subject) -> Result<Vec<u64>> {
    let (mut found, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut ask =
            json!({ "logGroupName": GROUP, "logStreamName": STREAM, "startFromHead": true });
        if let Some(token) = &token {
            ask["nextToken"] = json!(token);
        }
        let page = subject.logs("GetLogEvents", &ask)?;
        for event in page["events"].as_array().context("it has events")? {
            let number = event["message"].as_str().and_then(|text| text.parse().ok());
            found.push(number.with_context(|| format!("{event} is not one of ours"))?);
        }
        let next = page["nextForwardToken"].as_str().map(str::to_owned);
        if next == token {
            return Ok(found);
        }
        token = next;
    }
}
