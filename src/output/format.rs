//! The two forms of the log: lines for people, and lines for programs, each one JSON object.
//!
//! | member | what it is |
//! |---|---|
//! | `timestamp` | RFC 3339, UTC, with microseconds |
//! | `level` | `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE` |
//! | `event` | the stable name, see `docs/operations/events.md` |
//! | `message` | for people; its words may change |
//! | `target` | the module that says it |
//! | `spans` | what was being done, outermost first: `name` (`request`, `pass`, `task`) and its ids |
//! | others | the fields of the event |
//!
//! **Invariant:** with the second form, each line of standard error is an object: also what is said to people, and how
//! many lines are missing.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{MakeWriter, time};

use crate::command_line::LogFormat;

/// Set once, before anything is logged.
static IS_JSON: AtomicBool = AtomicBool::new(false);
/// The first words of a line that is for people, on standard error.
const NAME: &str = "outport";

/// From now on, what is said past the log has this form, too.
pub fn set(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

fn chosen() -> LogFormat {
    if IS_JSON.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Text }
}

/// Writes what passes `filter` to `writer`.
pub fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    has_colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(has_colours)
        .with_writer(writer)
        // They would be printed past our writer; it fails never.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => Box::new(lines.finish()),
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(false).finish())
        }
    }
}

/// A line that people should see and no filter hides.
pub fn said(level: &'static str, event: &'static str, line: impl Display) -> String {
    let message = line.to_string();
    Notice { level, event, message, lines: None }.to_line(chosen())
}

/// Where lines are missing, how many.
pub fn lost(lines: u64) -> String {
    let message = "lines of the log that could not be written".to_owned();
    Notice { level: "WARN", event: "log_lines_lost", message, lines: Some(lines) }.to_line(chosen())
}

#[derive(Serialize)]
struct Notice {
    level: &'static str,
    event: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
}

impl Notice {
    fn to_line(&self, format: LogFormat) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            timestamp: String,
            #[serde(flatten)]
            notice: &'a Notice,
        }
        let text = match (format, self.lines) {
            // Text and numbers are always JSON.
            (LogFormat::Json, _) => {
                serde_json::to_string(&Line { timestamp: now(), notice: self }).unwrap_or_default()
            }
            (LogFormat::Text, Some(lines)) => format!("{NAME}: {}: {lines}", self.message),
            (LogFormat::Text, None) => format!("{NAME}: {}", harmless(&self.message)),
        };
        text + "\n"
    }
}

/// Names from a stranger's file or from a server stand in messages: what would move the cursor or colour a terminal is
/// written as Rust writes it.
fn harmless(message: &str) -> String {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        match is_harmful(character) {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text
}

/// As the log's own lines have it.
fn now() -> String {
    let mut text = String::new();
    match time::SystemTime.format_time(&mut Writer::new(&mut text)) {
        Ok(()) => text,
        Err(_) => format!("{:?}", SystemTime::now()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_message_does_not_reach_into_the_terminal() {
        let message = "a \u{1b}[31mred\u{7}\u{9b}0m name\n\tand é more\r".to_owned();
        let notice = Notice { level: "ERROR", event: "outport_failed", message, lines: None };
        assert_eq!(
            notice.to_line(LogFormat::Text),
            "outport: a \\u{1b}[31mred\\u{7}\\u{9b}0m name\n\tand é more\\r\n"
        );
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let written = Written::default();
        let lines = written.clone();
        let filter = EnvFilter::new(crate::LOG_FILTER);
        let subscriber = subscriber(format, filter, false, move || lines.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn two_lines() {
        let span = tracing::error_span!("task", task = "4f", cluster = "default");
        span.in_scope(|| {
            tracing::warn!(event = "image_pull_failed", attempts = 3, "cannot \"pull\"\nan image");
            tracing::info!(target: "outport::access", event = "request_answered", "not asked for");
        });
        tracing::info!(event = "node_joined", node = %"n1", "a node joined");
    }

    #[test]
    fn each_line_is_an_object_with_its_ids() {
        let text = logged(LogFormat::Json, two_lines);
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second] = &lines[..] else { panic!("{text}") };
        assert!(first["timestamp"].as_str().unwrap().ends_with('Z'), "{first}");
        assert_eq!(first["level"], "WARN");
        assert_eq!(first["event"], "image_pull_failed");
        assert_eq!(first["message"], "cannot \"pull\"\nan image");
        assert_eq!(first["attempts"], 3);
        assert_eq!(first["spans"][0]["name"], "task");
        assert_eq!(first["spans"][0]["task"], "4f");
        assert_eq!(first["spans"][0]["cluster"], "default");
        assert_eq!(second["event"], "node_joined");
        assert_eq!(second["node"], "n1");
    }

    #[test]
    fn lines_for_people_have_event_and_ids() {
        let text = logged(LogFormat::Text, two_lines);
        for part in ["event=\"image_pull_failed\"", "task{task=\"4f\" cluster=\"default\"}"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn what_is_said_past_the_log_has_its_form() {
        let check = |lines, text: &str| {
            let message = "no \"room\"".to_owned();
            let notice = Notice { level: "ERROR", event: "outport_failed", message, lines };
            assert_eq!(notice.to_line(LogFormat::Text), text);
            let line = notice.to_line(LogFormat::Json);
            let line: Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
            assert_eq!(line["level"], "ERROR");
            assert_eq!(line["event"], "outport_failed");
            assert_eq!(line["message"], "no \"room\"");
            assert_eq!(line.get("lines").and_then(Value::as_u64), lines);
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        };
        check(None, "outport: no \"room\"\n");
        check(Some(3), "outport: no \"room\": 3\n");
    }
}
