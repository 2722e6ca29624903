//! `outport logs`: what the containers of a task or a service wrote, from CloudWatch Logs where they log there, else from
//! this host's disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find::{self, Meant};
use crate::local_logs::LocalLog;
use crate::moment::{Since, clock, now_ms};
use crate::ps::why_it_stopped;
use crate::value::{list, name_of, text};

/// Between two looks for new lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks for new tasks of a service, and for the end of a task.
const TASKS_INTERVAL: Duration = Duration::from_secs(3);
/// Of an id before a line.
const ID_SHOWN: usize = 8;

#[derive(Debug, Default)]
pub struct LogsOptions {
    /// A task, by its id or the beginning of that, a service by its name, or `family:NAME`.
    pub of: String,
    pub cluster: Option<String>,
    /// Only of this container of each task.
    pub container: Option<String>,
    /// Goes on until the task has stopped; with a service or a family, for ever.
    pub follow: bool,
    /// Nothing older.
    pub since: Option<Since>,
    /// Only so many of the lines that are there.
    pub tail: Option<usize>,
    pub with_times: bool,
    pub is_json: bool,
    /// The node's part of this host's data directory, if there is one.
    pub node: Option<PathBuf>,
}

/// A line of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub text: String,
}

/// One container's output.
pub(crate) struct Source {
    task: String,
    container: String,
    place: Place,
}

enum Place {
    Stream { group: String, stream: String, token: Option<String> },
    Local(LocalLog),
}

/// A line, as programs read it from `outport logs --json`, one object a line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    timestamp: i64,
    task: &'a str,
    container: &'a str,
    message: &'a str,
}

/// Gives what is to be printed to `print`, until there is no more or its reader has gone. `complain` is told at once which
/// containers' output cannot be had, and why, while that of others can.
///
/// # Errors
/// When the API cannot be asked or refuses, when `of` means nothing, and when no container's output can be had: also with
/// `follow`, as soon as there is nothing to follow.
pub async fn logs(
    api: &Api,
    options: &LogsOptions,
    print: impl FnMut(&str) -> io::Result<()>,
    complain: impl FnMut(&str),
) -> Result<()> {
    let meant = find::meant(api, options.cluster.as_deref(), &options.of).await?;
    print_of(api, &meant, options, print, complain).await
}

/// As [`logs`], of what is known already.
pub(crate) async fn print_of(
    api: &Api,
    meant: &Meant,
    options: &LogsOptions,
    mut print: impl FnMut(&str) -> io::Result<()>,
    mut complain: impl FnMut(&str),
) -> Result<()> {
    let from_ms = options.since.map(|since| since.begin_ms(now_ms()));
    let mut sources = Sources::default();
    let mut looked = Instant::now();
    let mut is_over = sources.look(api, meant, options).await?;
    if sources.known.is_empty() && !options.follow {
        bail!("{} has run no task that is still known", options.of);
    }
    if let Some(container) = &options.container
        && sources.have_no_container()
    {
        bail!("no task of {} has a container {container}", options.of);
    }
    let mut tail = options.tail;
    loop {
        for missing in sources.news_of_missing()? {
            complain(&missing);
        }
        let open = &mut sources.open;
        let printed = print_new(Some(api), open, options, from_ms, &mut tail, &mut print).await?;
        let Some(printed) = printed else { return Ok(()) };
        // One look more after the end, for what was written last.
        if !options.follow || (is_over && printed == 0) {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        if looked.elapsed() >= TASKS_INTERVAL && !is_over {
            looked = Instant::now();
            is_over = sources.look(api, meant, options).await?;
        }
    }
    Ok(())
}

/// Prints what came since the last look, in the order of its time; `tail` is taken by the first. How many lines; `None` when
/// their reader has gone. Without an API there are no streams.
pub(crate) async fn print_new(
    api: Option<&Api>,
    sources: &mut [Source],
    options: &LogsOptions,
    from_ms: Option<i64>,
    tail: &mut Option<usize>,
    print: &mut impl FnMut(&str) -> io::Result<()>,
) -> Result<Option<usize>> {
    let mut lines = Vec::new();
    for (number, source) in sources.iter_mut().enumerate() {
        let new = source.lines(api, from_ms).await?;
        let new = new.into_iter().filter(|line| from_ms.is_none_or(|from| line.at_ms >= from));
        lines.extend(new.map(|line| (number, line)));
    }
    lines.sort_by_key(|(_, line)| line.at_ms);
    let skipped = tail.take().map_or(0, |tail| lines.len().saturating_sub(tail));
    let has_many = sources.len() > 1;
    for (number, line) in &lines[skipped..] {
        let text = shown(options, &sources[*number], line, has_many)?;
        match print(&text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(None),
            printed => printed?,
        }
    }
    Ok(Some(lines.len()))
}

fn shown(options: &LogsOptions, source: &Source, line: &Line, has_many: bool) -> Result<String> {
    let text = line.text.trim_end_matches('\n');
    if options.is_json {
        let (task, container) = (source.task.as_str(), source.container.as_str());
        let shown = Shown { timestamp: line.at_ms, task, container, message: text };
        return Ok(format!("{}\n", serde_json::to_string(&shown)?));
    }
    let mut before = String::new();
    if options.with_times {
        before = format!("{}Z ", clock(line.at_ms));
    }
    if has_many {
        let id: String = source.task.chars().take(ID_SHOWN).collect();
        before.push_str(&format!("{id} {} | ", source.container));
    }
    Ok(format!("{before}{text}\n"))
}

#[derive(Default)]
struct Sources {
    open: Vec<Source>,
    /// Tasks that were looked at.
    known: BTreeSet<String>,
    /// What the revisions of tasks say, by their ARNs.
    definitions: BTreeMap<String, Value>,
    /// Containers whose place is known, or that it is not to be had: the task and the name.
    settled: BTreeSet<(String, String)>,
    /// Whether a container may yet begin to write here.
    is_awaited: bool,
    /// Containers, by name, of which it was said that their output cannot be had; whether since their task never ran.
    said: BTreeSet<(String, bool)>,
    /// Why not, of those of which nobody was told yet.
    missing: Vec<String>,
}

impl Sources {
    /// Adds the tasks that are new; whether no more will come.
    async fn look(&mut self, api: &Api, meant: &Meant, options: &LogsOptions) -> Result<bool> {
        let (tasks, is_over) = match meant {
            Meant::Task(task) => {
                let input = json!({ "cluster": task["clusterArn"], "tasks": [task["taskArn"]] });
                let answer = api.ecs("DescribeTasks", input).await?;
                let tasks = list(&answer, "tasks").to_vec();
                let is_over = tasks.iter().all(|task| text(task, "lastStatus") == "STOPPED");
                (tasks, is_over)
            }
            Meant::Service { cluster, name } => {
                (find::service_tasks(api, cluster, name).await?, false)
            }
            Meant::Family { cluster, family } => {
                (find::family_tasks(api, cluster, family).await?, false)
            }
        };
        self.is_awaited = false;
        for task in tasks {
            let revision = text(&task, "taskDefinitionArn").to_owned();
            if !self.definitions.contains_key(&revision) {
                let input = json!({ "taskDefinition": revision });
                let answer = api.ecs("DescribeTaskDefinition", input).await?;
                self.definitions.insert(revision.clone(), answer["taskDefinition"].clone());
            }
            let definition = self.definitions[&revision].clone();
            self.take(&task, &definition, options);
        }
        Ok(is_over)
    }

    /// Takes in what is new of a task.
    fn take(&mut self, task: &Value, definition: &Value, options: &LogsOptions) {
        let id = name_of(text(task, "taskArn"));
        self.known.insert(id.to_owned());
        for container in list(definition, "containerDefinitions") {
            let name = text(container, "name");
            let key = (id.to_owned(), name.to_owned());
            if options.container.as_ref().is_some_and(|wanted| wanted != name)
                || self.settled.contains(&key)
            {
                continue;
            }
            match place(task, container, options) {
                Ok(place) => {
                    self.open.push(Source { task: key.0.clone(), container: key.1.clone(), place });
                }
                // It has not begun: then it is looked for again.
                Err(_) if options.follow && may_begin_here(task, options) => {
                    self.is_awaited = true;
                    continue;
                }
                // What is said of one task of a service is said of them all.
                Err(missing) if self.said.insert((key.1.clone(), never_ran(task))) => {
                    self.missing.push(missing);
                }
                Err(_) => {}
            }
            self.settled.insert(key);
        }
    }

    /// Of those that were asked for, though there are tasks.
    fn have_no_container(&self) -> bool {
        !self.known.is_empty() && self.settled.is_empty() && !self.is_awaited
    }

    /// What nobody was told yet of output that cannot be had.
    ///
    /// # Errors
    /// That, when there is nothing else.
    fn news_of_missing(&mut self) -> Result<Vec<String>> {
        let missing = std::mem::take(&mut self.missing);
        match self.open.is_empty() && !self.is_awaited && !missing.is_empty() {
            true => bail!("{}", missing.join("\n")),
            false => Ok(missing),
        }
    }
}

/// Where the output of a container is, or why it is not to be had.
fn place(task: &Value, container: &Value, options: &LogsOptions) -> Result<Place, String> {
    let (id, name) = (name_of(text(task, "taskArn")), text(container, "name"));
    let configuration = &container["logConfiguration"];
    let log_options = &configuration["options"];
    if text(configuration, "logDriver") == "awslogs" {
        return Ok(Place::Stream {
            group: text(log_options, "awslogs-group").to_owned(),
            stream: stream(task, log_options, id, name),
            token: None,
        });
    }
    let node = options.node.as_deref();
    node.and_then(|node| LocalLog::find(node, id, name)).map(Place::Local).ok_or_else(|| {
        if never_ran(task) {
            return format!("container {name} of task {id} never ran: {}", why_it_stopped(task));
        }
        format!(
            "container {name} of task {id} has no logConfiguration: its output is on the host that runs it, until an hour \
             after the task has stopped: type `sudo outport logs {id}` there, with --data-dir if it has another than the usual \
             one; or give it the log driver awslogs"
        )
    })
}

fn never_ran(task: &Value) -> bool {
    text(task, "lastStatus") == "STOPPED" && task["startedAt"].is_null()
}

/// Whether a container may yet be made on this host, where somebody who may read its output asks.
fn may_begin_here(task: &Value, options: &LogsOptions) -> bool {
    let is_early = ["PROVISIONING", "PENDING", "ACTIVATING"].contains(&text(task, "lastStatus"));
    let may_read = |node: &Path| std::fs::read_dir(node.join("tasks")).is_ok();
    is_early && options.node.as_deref().is_some_and(may_read)
}

/// The name that ECS gives the stream: `prefix/container/task`; without a prefix, the container's id at run time.
fn stream(task: &Value, options: &Value, id: &str, name: &str) -> String {
    let prefix = text(options, "awslogs-stream-prefix");
    if !prefix.is_empty() {
        return format!("{prefix}/{name}/{id}");
    }
    let container =
        list(task, "containers").iter().find(|container| text(container, "name") == name);
    container.map(|container| text(container, "runtimeId").to_owned()).unwrap_or_default()
}

impl Source {
    /// Of a container whose files are here.
    pub fn local(task: &str, container: &str, log: LocalLog) -> Self {
        let (task, container) = (task.to_owned(), container.to_owned());
        Self { task, container, place: Place::Local(log) }
    }

    /// Whether nothing more will come of it, as far as is known here.
    pub fn is_over(&self) -> bool {
        matches!(&self.place, Place::Local(log) if log.is_over())
    }

    #[cfg(test)]
    pub fn name(&self) -> String {
        format!("{} {}", self.task, self.container)
    }

    /// What came since the last look.
    async fn lines(&mut self, api: Option<&Api>, from_ms: Option<i64>) -> Result<Vec<Line>> {
        let (group, stream, token, api) = match (&mut self.place, api) {
            (Place::Local(log), _) => return log.lines(),
            (Place::Stream { .. }, None) => return Ok(Vec::new()),
            (Place::Stream { group, stream, token }, Some(api)) => (group, stream, token, api),
        };
        let mut lines = Vec::new();
        loop {
            let mut input =
                json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
            if let Some(from_ms) = from_ms {
                input["startTime"] = json!(from_ms);
            }
            if let Some(token) = token {
                input["nextToken"] = json!(token);
            }
            let answer = match api.logs("GetLogEvents", input).await {
                // The stream is made with the container's first line.
                Err(error) if error.to_string().starts_with("ResourceNotFoundException") => {
                    return Ok(lines);
                }
                answer => answer?,
            };
            let events = list(&answer, "events");
            lines.extend(events.iter().map(|event| Line {
                at_ms: event["timestamp"].as_i64().unwrap_or_default(),
                text: text(event, "message").to_owned(),
            }));
            let next = answer["nextForwardToken"].as_str().map(str::to_owned);
            // The same again means that there is no more.
            let is_end = events.is_empty() || next == *token;
            *token = next.or(token.take());
            if is_end {
                return Ok(lines);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        let place = Place::Stream { group: "g".into(), stream: "s".into(), token: None };
        Source { task: "4f2a5b6c7d8e9f00".into(), container: "web".into(), place }
    }

    #[test]
    fn lines_say_whose_they_are_where_there_are_many() {
        let line = Line { at_ms: 1_700_000_000_123, text: "hello\n".into() };
        let check = |options: LogsOptions, has_many, expected: &str| {
            assert_eq!(shown(&options, &source(), &line, has_many).unwrap(), expected);
        };
        check(LogsOptions::default(), false, "hello\n");
        check(LogsOptions::default(), true, "4f2a5b6c web | hello\n");
        let with_times = LogsOptions { with_times: true, ..LogsOptions::default() };
        check(with_times, false, "2023-11-14 22:13:20Z hello\n");
        let is_json = LogsOptions { is_json: true, ..LogsOptions::default() };
        let json = "{\"timestamp\":1700000000123,\"task\":\"4f2a5b6c7d8e9f00\",\"container\":\"web\",\"message\":\"hello\"}\n";
        check(is_json, true, json);
    }

    #[test]
    fn streams_are_named_as_ecs_names_them() {
        let task = json!({ "containers": [{ "name": "web", "runtimeId": "4f2a-12" }] });
        assert_eq!(
            stream(&task, &json!({ "awslogs-stream-prefix": "p" }), "4f2a", "web"),
            "p/web/4f2a"
        );
        assert_eq!(stream(&task, &json!({}), "4f2a", "web"), "4f2a-12");
    }

    /// What is found of a task of this status, and what it is said of.
    fn looked(definition: &Value, status: &str, options: &LogsOptions) -> Sources {
        let task = json!({ "taskArn": "arn:aws:ecs:r:a:task/c/4f2a", "lastStatus": status });
        let mut sources = Sources::default();
        sources.take(&task, definition, options);
        sources
    }

    fn definition(containers: &[(&str, bool)]) -> Value {
        let logs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-stream-prefix": "p" } });
        let containers = containers.iter().map(|(name, logs_there)| match logs_there {
            true => json!({ "name": name, "logConfiguration": logs }),
            false => json!({ "name": name }),
        });
        json!({ "containerDefinitions": containers.collect::<Vec<_>>() })
    }

    fn names(sources: &Sources) -> Vec<&str> {
        sources.open.iter().map(|source| source.container.as_str()).collect()
    }

    #[test]
    fn one_container_is_taken_of_several() {
        let definition = definition(&[("web", true), ("db", true)]);
        let check = |wanted: Option<&str>, expected: &[&str]| {
            let options =
                LogsOptions { container: wanted.map(str::to_owned), ..LogsOptions::default() };
            let sources = looked(&definition, "RUNNING", &options);
            assert_eq!(names(&sources), expected);
            assert_eq!(sources.have_no_container(), expected.is_empty());
        };
        check(None, &["web", "db"]);
        check(Some("db"), &["db"]);
        check(Some("cache"), &[]);
    }

    #[test]
    fn what_cannot_be_read_is_said_once_and_ends_it_only_when_there_is_nothing_else() {
        let follow = LogsOptions { follow: true, ..LogsOptions::default() };
        let said = "container web of task 4f2a has no logConfiguration";
        for options in [&follow, &LogsOptions::default()] {
            for status in ["PENDING", "RUNNING"] {
                let mut alone = looked(&definition(&[("web", false)]), status, options);
                let error = alone.news_of_missing().unwrap_err().to_string();
                assert!(error.contains(said), "{error}");
            }
            let mut stopped = looked(&definition(&[("web", false)]), "STOPPED", options);
            let error = stopped.news_of_missing().unwrap_err().to_string();
            assert!(error.starts_with("container web of task 4f2a never ran"), "{error}");
            let mut both = looked(&definition(&[("web", false), ("db", true)]), "RUNNING", options);
            assert_eq!(names(&both), ["db"]);
            let news = both.news_of_missing().unwrap();
            assert!(news.len() == 1 && news[0].contains(said), "{news:?}");
            assert!(both.news_of_missing().unwrap().is_empty());
        }
    }

    #[test]
    fn what_has_not_begun_on_this_host_is_waited_for() {
        let node = tempfile::tempdir().unwrap();
        let path = node.path();
        std::fs::create_dir(path.join("tasks")).unwrap();
        let options =
            LogsOptions { follow: true, node: Some(path.to_owned()), ..LogsOptions::default() };
        let definition = definition(&[("web", false)]);
        let mut sources = looked(&definition, "PENDING", &options);
        assert!(sources.is_awaited && sources.news_of_missing().unwrap().is_empty());
        std::fs::create_dir_all(path.join("tasks/4f2a/c/web/log")).unwrap();
        let task = json!({ "taskArn": "arn:aws:ecs:r:a:task/c/4f2a", "lastStatus": "RUNNING" });
        sources.take(&task, &definition, &options);
        assert_eq!(names(&sources), ["web"]);
        // One that runs and is not here is elsewhere.
        std::fs::remove_dir_all(path.join("tasks/4f2a")).unwrap();
        looked(&definition, "RUNNING", &options).news_of_missing().unwrap_err();
    }
}
