//! Reads the trail backwards, a bounded piece at a time.

use std::fs::File;
use std::io;

use outport_model::TimestampMs;
use serde_json::Value;

use crate::AuditTrail;
use crate::event::time_text;
use crate::segments::{numbers, open_to_read, read_piece};

/// Bytes of the trail that one lookup reads, at most, but for the end of a line: then it answers with what it found, and where to go on.
pub const SCAN_BYTES_MAX: u64 = 16 << 20;
/// What is read at once.
const PIECE_BYTES: u64 = 256 << 10;
/// How far the clock may have stepped between neighbouring events: what is older than what is asked for by more ends the lookup.
const STEP_MS: TimestampMs = 60_000;

/// What is looked for: all conditions hold for an event that is found.
#[derive(Clone, Debug)]
pub struct Lookup<'a> {
    /// Whose the events are.
    pub account: &'a str,
    pub attributes: Vec<(Attribute, &'a str)>,
    /// Both inclusive, to the second.
    pub start_ms: Option<TimestampMs>,
    pub end_ms: Option<TimestampMs>,
    pub limit: usize,
    /// Where an earlier lookup ended.
    pub from: Option<Position>,
}

/// `LookupAttributeKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    EventId,
    EventName,
    ReadOnly,
    Username,
    ResourceType,
    /// An ARN, or what comes behind its last `/` or `:`.
    ResourceName,
    EventSource,
    AccessKeyId,
}

/// A place between two lines: a segment, and the bytes of it that are still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// An event as it was written, and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub line: String,
    pub event: Value,
}

/// What one lookup found, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookupPage {
    pub entries: Vec<Entry>,
    /// `None`: there is nothing more.
    pub next: Option<Position>,
}

/// How a lookup goes on.
enum Step {
    On,
    /// Enough was found, or read; the position goes to who asked.
    Pause(Position),
    /// All that comes is older than what is asked for.
    Done,
}

impl AuditTrail {
    /// Looks for events in what is written, newest first. Blocks: it reads files.
    ///
    /// # Errors
    /// The disk's.
    pub fn lookup(&self, lookup: &Lookup<'_>) -> io::Result<LookupPage> {
        let mut reading = Reading::new(lookup);
        let mut from = lookup.from;
        for number in numbers(self.directory())?.into_iter().rev() {
            if from.is_some_and(|from| number > from.segment) {
                continue;
            }
            let Some((file, length)) = open_to_read(self.directory(), number)? else { continue };
            // Where the segment that was named is gone, the next older one is read from its end.
            let named = from.take().filter(|from| from.segment == number);
            let end = named.map_or(length, |named| named.offset.min(length));
            match reading.segment(&file, number, end)? {
                Step::On => {}
                Step::Pause(next) => {
                    return Ok(LookupPage { entries: reading.entries, next: Some(next) });
                }
                Step::Done => break,
            }
        }
        Ok(LookupPage { entries: reading.entries, next: None })
    }
}

struct Reading<'a> {
    lookup: &'a Lookup<'a>,
    /// What a line has to contain, whatever it means there.
    texts: Vec<String>,
    start: Option<String>,
    oldest: Option<String>,
    end: Option<String>,
    scanned: u64,
    entries: Vec<Entry>,
}

impl<'a> Reading<'a> {
    fn new(lookup: &'a Lookup<'a>) -> Self {
        let values = lookup.attributes.iter().map(|(_, value)| *value);
        // As it stands in JSON, without its quotes.
        let escaped = |value: &str| {
            let text = Value::from(value).to_string();
            text.trim_matches('"').to_owned()
        };
        Self {
            lookup,
            texts: values.chain([lookup.account]).map(escaped).collect(),
            start: lookup.start_ms.map(time_text),
            oldest: lookup.start_ms.map(|start| time_text(start.saturating_sub(STEP_MS))),
            end: lookup.end_ms.map(time_text),
            scanned: 0,
            entries: Vec::new(),
        }
    }

    /// Reads a segment from `end` to its beginning.
    fn segment(&mut self, file: &File, number: u64, end: u64) -> io::Result<Step> {
        let mut end = end;
        let mut want = PIECE_BYTES;
        while end > 0 {
            let begin = end.saturating_sub(want);
            let piece = read_piece(file, begin, end)?;
            // The first line of the piece may begin before it.
            let whole = if begin == 0 { Some(0) } else { after_first_line(&piece) };
            let Some(whole) = whole else {
                want = want.saturating_mul(2);
                continue;
            };
            want = PIECE_BYTES;
            let mut line_end = piece.len();
            while line_end > whole {
                let line_begin = begin_of_line(&piece[..line_end], whole);
                let line = &piece[line_begin..line_end];
                self.scanned += line.len() as u64;
                line_end = line_begin;
                let here = Position { segment: number, offset: begin + line_begin as u64 };
                match self.line(line, here) {
                    Step::On => {}
                    step => return Ok(step),
                }
            }
            end = begin + whole as u64;
        }
        Ok(Step::On)
    }

    fn line(&mut self, line: &[u8], here: Position) -> Step {
        // A line that a crash has torn is no event.
        let text = std::str::from_utf8(line).unwrap_or_default().trim_end();
        let is_candidate = self.texts.iter().all(|wanted| text.contains(wanted.as_str()));
        if let Some(time) = time_of(text) {
            if self.oldest.as_deref().is_some_and(|oldest| time < oldest) {
                return Step::Done;
            }
            if is_candidate
                && self.is_within(time)
                && let Ok(event) = serde_json::from_str::<Value>(text)
                && self.is_wanted(&event)
            {
                self.entries.push(Entry { line: text.to_owned(), event });
            }
        }
        let is_enough = self.entries.len() >= self.lookup.limit || self.scanned >= SCAN_BYTES_MAX;
        if is_enough { Step::Pause(here) } else { Step::On }
    }

    /// Times are written in one form: as texts they are ordered as times.
    fn is_within(&self, time: &str) -> bool {
        self.start.as_deref().is_none_or(|start| time >= start)
            && self.end.as_deref().is_none_or(|end| time <= end)
    }

    fn is_wanted(&self, event: &Value) -> bool {
        event["recipientAccountId"] == self.lookup.account
            && self.lookup.attributes.iter().all(|(attribute, value)| attribute.is(value, event))
    }
}

impl Attribute {
    fn is(self, value: &str, event: &Value) -> bool {
        let mut resources = event["resources"].as_array().into_iter().flatten();
        match self {
            Self::EventId => event["eventID"] == value,
            Self::EventName => event["eventName"] == value,
            Self::ReadOnly => event["readOnly"].as_bool() == value.parse().ok(),
            Self::Username => event["additionalEventData"]["userName"] == value,
            Self::ResourceType => resources.any(|resource| resource["type"] == value),
            Self::ResourceName => resources.any(|resource| {
                let arn = resource["ARN"].as_str().unwrap_or_default();
                arn == value || arn.rsplit(['/', ':']).next() == Some(value)
            }),
            Self::EventSource => event["eventSource"] == value,
            Self::AccessKeyId => event["userIdentity"]["accessKeyId"] == value,
        }
    }
}

/// When an event was, without reading all of it: no text inside of it has a quote that is not escaped.
fn time_of(line: &str) -> Option<&str> {
    let (_, behind) = line.split_once(r#""eventTime":""#)?;
    behind.split_once('"').map(|(time, _)| time)
}

/// Behind the first end of a line that is not the end of the piece.
fn after_first_line(piece: &[u8]) -> Option<usize> {
    let at = piece.iter().position(|byte| *byte == b'\n')? + 1;
    (at < piece.len()).then_some(at)
}

/// Where the last line of `piece` begins, not before `least`.
fn begin_of_line(piece: &[u8], least: usize) -> usize {
    let body = &piece[least..piece.len().saturating_sub(1).max(least)];
    body.iter().rposition(|byte| *byte == b'\n').map_or(least, |at| least + at + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::event::tests::event;
    use crate::{Event, Options};

    const ACCOUNT: &str = "000000000000";

    fn trail(directory: &Path, bytes_max: u64) -> AuditTrail {
        let options =
            Options { bytes_max, account: ACCOUNT.to_owned(), region: "us-east-1".to_owned() };
        AuditTrail::open(directory, options).unwrap()
    }

    fn all<'a>(attributes: Vec<(Attribute, &'a str)>) -> Lookup<'a> {
        Lookup { account: ACCOUNT, attributes, start_ms: None, end_ms: None, limit: 50, from: None }
    }

    fn times(page: &LookupPage) -> Vec<String> {
        let time = |entry: &'_ Entry| entry.event["eventTime"].as_str().unwrap()[14..19].to_owned();
        page.entries.iter().map(time).collect()
    }

    #[test]
    fn pages_go_back_over_segments_to_the_first_event() {
        let directory = tempfile::tempdir().unwrap();
        // Segments of two events or three.
        let trail = trail(directory.path(), 40 << 10);
        for second in 0..20 {
            trail.record(event("DeleteCluster", second * 1000));
            trail.flush();
        }
        assert!(numbers(directory.path()).unwrap().len() > 5);
        let (mut lookup, mut found) = (Lookup { limit: 3, ..all(vec![]) }, Vec::new());
        loop {
            let page = trail.lookup(&lookup).unwrap();
            assert!(page.entries.len() <= 3);
            found.extend(times(&page));
            lookup.from = page.next;
            if page.next.is_none() {
                break;
            }
            // What comes meanwhile is newer than all pages.
            trail.record(event("DeleteCluster", 3_000_000));
            trail.flush();
        }
        let expected: Vec<String> = (0..20).rev().map(|second| format!("00:{second:02}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_position_in_a_segment_that_is_gone_goes_on_with_older_ones() {
        let directory = tempfile::tempdir().unwrap();
        let trail = trail(directory.path(), 1 << 20);
        trail.record(event("DeleteCluster", 1000));
        trail.flush();
        let from = Some(Position { segment: 9, offset: 7 });
        assert_eq!(times(&trail.lookup(&Lookup { from, ..all(vec![]) }).unwrap()), ["00:01"]);
        let from = Some(Position { segment: 0, offset: 7 });
        assert_eq!(trail.lookup(&Lookup { from, ..all(vec![]) }).unwrap(), LookupPage::default());
    }

    #[test]
    fn lines_longer_than_a_piece_and_torn_ones_are_passed() {
        let directory = tempfile::tempdir().unwrap();
        let trail = trail(directory.path(), 64 << 20);
        let long = |second: i64| Event {
            parameters: Some(format!(r#"{{"a":"{}"}}"#, "x".repeat(90 << 10))),
            response: Some(format!(r#"{{"a":"{}"}}"#, "x".repeat(90 << 10))),
            ..event("DeleteCluster", second * 1000)
        };
        for second in 0..8 {
            trail.record(long(second));
        }
        trail.flush();
        let segment = directory.path().join("00000000000000000001.jsonl");
        let mut bytes = fs::read(&segment).unwrap();
        bytes.extend_from_slice(b"{\"eventVersion\":\"1.11\",\"recipientAccountId\":\"0000");
        fs::write(&segment, bytes).unwrap();
        let page = trail.lookup(&all(vec![])).unwrap();
        assert_eq!(
            times(&page),
            ["00:07", "00:06", "00:05", "00:04", "00:03", "00:02", "00:01", "00:00"]
        );
    }

    #[test]
    fn attributes_and_times_choose() {
        let directory = tempfile::tempdir().unwrap();
        let trail = trail(directory.path(), 1 << 20);
        trail.record(event("CreateCluster", 1000));
        trail.record(Event { is_read_only: true, answers: vec![], ..event("ListClusters", 2000) });
        trail.record(Event { service: "ecr", ..event("DeleteCluster", 3000) });
        trail.flush();
        let check = |attribute, value: &str, expected: &[&str]| {
            let page = trail.lookup(&all(vec![(attribute, value)])).unwrap();
            assert_eq!(times(&page), expected, "{attribute:?} {value}");
        };
        check(Attribute::EventName, "ListClusters", &["00:02"]);
        check(Attribute::EventName, "listclusters", &[]);
        check(Attribute::ReadOnly, "false", &["00:03", "00:01"]);
        check(Attribute::ReadOnly, "true", &["00:02"]);
        check(Attribute::Username, "root", &["00:03", "00:02", "00:01"]);
        check(Attribute::EventSource, "ecr.amazonaws.com", &["00:03"]);
        check(Attribute::AccessKeyId, "AKID", &["00:03", "00:02", "00:01"]);
        check(Attribute::AccessKeyId, "AKI", &[]);
        check(Attribute::ResourceType, "AWS::ECS::Cluster", &["00:03", "00:01"]);
        check(Attribute::ResourceName, "a", &["00:03", "00:01"]);
        check(
            Attribute::ResourceName,
            "arn:aws:ecs:us-east-1:000000000000:cluster/a",
            &["00:03", "00:01"],
        );
        check(Attribute::ResourceName, "\"", &[]);
        let of_time = |start_ms, end_ms| {
            let lookup = Lookup { start_ms, end_ms, ..all(vec![]) };
            times(&trail.lookup(&lookup).unwrap())
        };
        assert_eq!(of_time(Some(2000), None), ["00:03", "00:02"]);
        assert_eq!(of_time(None, Some(2000)), ["00:02", "00:01"]);
        assert_eq!(of_time(Some(1500), Some(2500)), ["00:02", "00:01"]);
        assert_eq!(of_time(Some(500_000), None), [""; 0]);
        let foreign = Lookup { account: "111111111111", ..all(vec![]) };
        assert_eq!(trail.lookup(&foreign).unwrap(), LookupPage::default());
    }
}
