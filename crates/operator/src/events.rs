//! `outport events`: what services say of their deployments, and how tasks ended, in the order in which it happened.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::moment::{Since, clock, now_ms};
use crate::ps::why_it_stopped;
use crate::table::{Shape, json as as_json, paragraph, table};
use crate::value::{list, name_of, text, time_ms};

/// Between two looks for new ones.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct EventsOptions {
    /// Only of this cluster.
    pub cluster: Option<String>,
    /// Only of this service.
    pub service: Option<String>,
    /// Nothing older.
    pub since: Option<Since>,
    /// Goes on for ever.
    pub follow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// Milliseconds since 1970.
    at_ms: i64,
    cluster: String,
    /// `service web`, `task 4f2a…`.
    subject: String,
    message: String,
}

/// Gives what `outport events` prints to `print`, the newest last, until its reader has gone. JSON is one list, and an object a
/// line where it goes on.
///
/// # Errors
/// When the API cannot be asked, or refuses.
pub async fn events(
    api: &Api,
    options: &EventsOptions,
    shape: Shape,
    mut print: impl FnMut(&str) -> io::Result<()>,
) -> Result<()> {
    let begin_ms = options.since.map(|since| since.begin_ms(now_ms()));
    let Some(found) = look(api, options).await? else {
        let service = options.service.as_deref().unwrap_or_default();
        bail!("there is no service {service}: `outport status` shows those that there are");
    };
    let mut news = News::new(begin_ms);
    let first = news.of(found);
    if !options.follow {
        until_nobody_reads(print(&all(shape, first)?))?;
        return Ok(());
    }
    let mut batch = first;
    loop {
        for event in &batch {
            if !until_nobody_reads(print(&line(shape, event)?))? {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        // A service that was deleted meanwhile says no more.
        batch = news.of(look(api, options).await?.unwrap_or_default());
    }
}

/// Whether somebody goes on to read.
fn until_nobody_reads(printed: io::Result<()>) -> io::Result<bool> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true),
    }
}

/// What was not told yet. It keeps what is still there, so that it does not grow with the time.
struct News {
    begin_ms: Option<i64>,
    told: BTreeSet<Event>,
}

impl News {
    fn new(begin_ms: Option<i64>) -> Self {
        Self { begin_ms, told: BTreeSet::new() }
    }

    /// In the order in which it happened.
    fn of(&mut self, found: Vec<Event>) -> Vec<Event> {
        let found: BTreeSet<Event> = found
            .into_iter()
            .filter(|event| self.begin_ms.is_none_or(|begin| event.at_ms >= begin))
            .collect();
        let new = found.difference(&self.told).cloned().collect();
        self.told = found;
        new
    }
}

/// All that is known now; `None` when there is no such service.
async fn look(api: &Api, options: &EventsOptions) -> Result<Option<Vec<Event>>> {
    let wanted = options.service.as_deref();
    let mut events = Vec::new();
    let mut is_known = false;
    for cluster in find::clusters(api, options.cluster.as_deref()).await? {
        let services = find::services(api, &cluster).await?;
        // A cluster without the service would refuse to list its tasks.
        let has_it = |wanted| services.iter().any(|one| text(one, "serviceName") == wanted);
        if !wanted.is_none_or(has_it) {
            continue;
        }
        is_known = true;
        let is_wanted =
            |service: &&Value| wanted.is_none_or(|wanted| wanted == text(service, "serviceName"));
        for service in services.iter().filter(is_wanted) {
            events.extend(of_service(service, &cluster));
        }
        let mut filter = json!({ "desiredStatus": "STOPPED" });
        if let Some(service) = wanted {
            filter["serviceName"] = json!(service);
        }
        let tasks = find::tasks(api, &cluster, filter).await?;
        // Who follows is told of an end once, when all of it is known.
        let is_told = |task: &&Value| !options.follow || time_ms(task, "stoppedAt").is_some();
        events.extend(tasks.iter().filter(is_told).map(|task| of_task(task, &cluster)));
    }
    Ok((is_known || wanted.is_none()).then_some(events))
}

fn of_service(service: &Value, cluster: &str) -> Vec<Event> {
    let name = text(service, "serviceName");
    // AWS begins each with the service's name.
    let begin = format!("(service {name}) ");
    let event = |event: &Value| {
        let message = text(event, "message");
        Event {
            at_ms: time_ms(event, "createdAt").unwrap_or_default(),
            cluster: name_of(cluster).to_owned(),
            subject: format!("service {name}"),
            message: message.strip_prefix(&begin).unwrap_or(message).to_owned(),
        }
    };
    list(service, "events").iter().map(event).collect()
}

fn of_task(task: &Value, cluster: &str) -> Event {
    let at_ms = time_ms(task, "stoppedAt").or_else(|| time_ms(task, "stoppingAt"));
    Event {
        at_ms: at_ms.unwrap_or_default(),
        cluster: name_of(cluster).to_owned(),
        subject: format!("task {}", name_of(text(task, "taskArn"))),
        message: why_it_stopped(task),
    }
}

fn all(shape: Shape, events: Vec<Event>) -> Result<String> {
    if shape.is_json {
        return as_json(&events);
    }
    let rows: Vec<Vec<String>> = events
        .into_iter()
        .map(|event| vec![clock(event.at_ms), event.cluster, event.subject, event.message])
        .collect();
    Ok(table(shape, &["TIME (UTC)", "CLUSTER", "OF", "WHAT"], &rows))
}

/// Columns would have other widths with each look.
fn line(shape: Shape, event: &Event) -> Result<String> {
    if shape.is_json {
        return Ok(format!("{}\n", serde_json::to_string(event)?));
    }
    let Event { at_ms, cluster, subject, message } = event;
    let text = format!("{subject} of {cluster}: {message}");
    Ok(paragraph(shape, &format!("{}  ", clock(*at_ms)), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ms: i64, message: &str) -> Event {
        Event {
            at_ms,
            cluster: "default".to_owned(),
            subject: "service web".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn each_is_told_once_in_order_and_nothing_that_is_older() {
        let mut news = News::new(Some(2_000));
        let told = |events: Vec<Event>| -> Vec<String> {
            events.into_iter().map(|event| event.message).collect()
        };
        let first = vec![event(3_000, "c"), event(1_000, "a"), event(2_000, "b")];
        assert_eq!(told(news.of(first.clone())), ["b", "c"]);
        assert_eq!(told(news.of(first)), [""; 0]);
        // One of the same time, and an old one that has gone.
        assert_eq!(told(news.of(vec![event(3_000, "d"), event(3_000, "c")])), ["d"]);
        assert_eq!(news.told.len(), 2);
    }

    #[test]
    fn who_follows_gets_a_line_or_an_object_each() {
        let event = event(1_000, "has started");
        assert_eq!(
            line(Shape::default(), &event).unwrap(),
            "1970-01-01 00:00:01  service web of default: has started\n"
        );
        let shape = Shape { is_json: true, ..Shape::default() };
        let text = line(shape, &event).unwrap();
        assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
        assert!(text.contains("\"atMs\":1000"), "{text}");
    }

    #[test]
    fn on_a_narrow_terminal_nothing_is_cut() {
        let shape = Shape { width: Some(40), ..Shape::default() };
        let message =
            "was unable to place a task because no container instance met all of its requirements";
        let text = all(shape, vec![event(1_000, message)]).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(message), "{text}");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        assert!(!until_nobody_reads(Err(ErrorKind::BrokenPipe.into())).unwrap());
        assert!(until_nobody_reads(Ok(())).unwrap());
        assert!(until_nobody_reads(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
