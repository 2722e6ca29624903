//! `outport logs`: what the containers of a task or a service wrote, from CloudWatch Logs where they log there, else from
//! this host's disk.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find::{self, Meant};
use crate::local_logs::LocalLog;
use crate::moment::{Since, clock, now_ms};
use crate::value::{list, name_of, text};

/// Between two looks for new lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks for new tasks of a service, and for the end of a task.
const TASKS_INTERVAL: Duration = Duration::from_secs(3);
/// Of an id before a line.
const ID_SHOWN: usize = 8;

#[derive(Debug, Default)]
pub struct LogsOptions {
    /// A task, by its id or the beginning of that, or a service by its name.
    pub of: String,
    pub cluster: Option<String>,
    /// Only of this container of each task.
    pub container: Option<String>,
    /// Goes on until the task has stopped; with a service, for ever.
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
struct Source {
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

/// Gives what is to be printed to `print`, until there is no more or its reader has gone.
///
/// # Errors
/// When the API cannot be asked or refuses, when `of` means nothing, and when no container's output can be found.
pub async fn logs(
    api: &Api,
    options: &LogsOptions,
    print: impl FnMut(&str) -> io::Result<()>,
) -> Result<()> {
    let meant = find::meant(api, options.cluster.as_deref(), &options.of).await?;
    print_of(api, &meant, options, print).await
}

/// As [`logs`], of what is known already.
pub(crate) async fn print_of(
    api: &Api,
    meant: &Meant,
    options: &LogsOptions,
    mut print: impl FnMut(&str) -> io::Result<()>,
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
        let mut lines = Vec::new();
        for (number, source) in sources.open.iter_mut().enumerate() {
            let new = source.lines(api, from_ms).await?;
            let new = new.into_iter().filter(|line| from_ms.is_none_or(|from| line.at_ms >= from));
            lines.extend(new.map(|line| (number, line)));
        }
        lines.sort_by_key(|(_, line)| line.at_ms);
        let skipped = tail.take().map_or(0, |tail| lines.len().saturating_sub(tail));
        let has_many = sources.open.len() > 1;
        for (number, line) in &lines[skipped..] {
            let text = shown(options, &sources.open[*number], line, has_many)?;
            match print(&text) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                printed => printed?,
            }
        }
        // One look more after the end, for what was written last.
        if !options.follow || (is_over && lines.is_empty()) {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        if looked.elapsed() >= TASKS_INTERVAL && !is_over {
            looked = Instant::now();
            is_over = sources.look(api, meant, options).await?;
        }
    }
    sources.say_what_is_missing()
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
    /// Tasks that were looked at, each with what stands in the way of its output.
    known: BTreeMap<String, Vec<String>>,
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
        };
        for task in tasks {
            let id = name_of(text(&task, "taskArn")).to_owned();
            if !self.known.contains_key(&id) {
                let input = json!({ "taskDefinition": task["taskDefinitionArn"] });
                let answer = api.ecs("DescribeTaskDefinition", input).await?;
                let (open, missing) = sources(&task, &answer["taskDefinition"], options);
                self.open.extend(open);
                self.known.insert(id, missing);
            }
        }
        Ok(is_over)
    }

    /// Of those that were asked for, though there are tasks.
    fn have_no_container(&self) -> bool {
        !self.known.is_empty() && self.open.is_empty() && self.known.values().all(Vec::is_empty)
    }

    fn say_what_is_missing(&self) -> Result<()> {
        let missing: Vec<&str> = self.known.values().flatten().map(String::as_str).collect();
        match self.open.is_empty() && !missing.is_empty() {
            true => bail!("{}", missing.join("\n")),
            false => Ok(()),
        }
    }
}

/// Where the output of a task's containers is, and why that of the others is not to be had.
fn sources(task: &Value, definition: &Value, options: &LogsOptions) -> (Vec<Source>, Vec<String>) {
    let id = name_of(text(task, "taskArn"));
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for container in list(definition, "containerDefinitions") {
        let name = text(container, "name");
        if options.container.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let configuration = &container["logConfiguration"];
        let log_options = &configuration["options"];
        let place = if text(configuration, "logDriver") == "awslogs" {
            Some(Place::Stream {
                group: text(log_options, "awslogs-group").to_owned(),
                stream: stream(task, log_options, id, name),
                token: None,
            })
        } else {
            let node = options.node.as_deref();
            node.and_then(|node| LocalLog::find(node, id, name)).map(Place::Local)
        };
        match place {
            Some(place) => {
                found.push(Source { task: id.to_owned(), container: name.to_owned(), place });
            }
            None => missing.push(format!(
                "container {name} of task {id} has no logConfiguration: its output is on the host that runs it, as long \
                 as the task is there; ask as root on that host, with its --data-dir, or give it the log driver awslogs"
            )),
        }
    }
    (found, missing)
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
    /// What came since the last look.
    async fn lines(&mut self, api: &Api, from_ms: Option<i64>) -> Result<Vec<Line>> {
        let (group, stream, token) = match &mut self.place {
            Place::Local(log) => return log.lines(),
            Place::Stream { group, stream, token } => (group, stream, token),
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

    #[test]
    fn one_container_is_taken_of_several() {
        let task = json!({ "taskArn": "arn:aws:ecs:r:a:task/c/4f2a" });
        let logs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-stream-prefix": "p" } });
        let container = |name: &str| json!({ "name": name, "logConfiguration": logs });
        let definition = json!({ "containerDefinitions": [container("web"), container("db")] });
        let check = |wanted: Option<&str>, expected: &[&str]| {
            let options =
                LogsOptions { container: wanted.map(str::to_owned), ..LogsOptions::default() };
            let (found, _) = sources(&task, &definition, &options);
            let names: Vec<&str> = found.iter().map(|source| source.container.as_str()).collect();
            assert_eq!(names, expected);
        };
        check(None, &["web", "db"]);
        check(Some("db"), &["db"]);
        check(Some("cache"), &[]);
    }

    #[test]
    fn what_logs_nowhere_says_where_its_output_is() {
        let task = json!({ "taskArn": "arn:aws:ecs:r:a:task/c/4f2a" });
        let definition = json!({ "containerDefinitions": [{ "name": "web" }] });
        let (found, missing) = sources(&task, &definition, &LogsOptions::default());
        assert!(found.is_empty());
        assert!(
            missing[0].contains("container web of task 4f2a has no logConfiguration"),
            "{missing:?}"
        );
    }
}
