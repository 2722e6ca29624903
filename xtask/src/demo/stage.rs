//! What the steps of the demonstration share: the clients, how a command is shown, and what is said when one fails.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{APP_PORT, PATIENCE};
use crate::process::{command, output, until};

const FETCH_PATIENCE: Duration = Duration::from_secs(2);

pub struct Stage {
    pub scratch: PathBuf,
    pub path: OsString,
    pub environment: Vec<(String, String)>,
    pub repository_uri: String,
    pub network: String,
}

impl Stage {
    /// Shows and runs a command of the AWS CLI; its JSON answer. Words are split at blanks.
    pub fn aws(&self, line: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.aws_text(line)?)?)
    }

    pub fn aws_text(&self, line: &str) -> Result<String> {
        say(&format!("aws {}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
        self.aws_silently(line)
    }

    pub fn aws_silently(&self, line: &str) -> Result<String> {
        output(&mut self.prepared("aws", line.split_whitespace()))
    }

    pub fn shell(&self, line: &str) -> Result<String> {
        output(&mut self.prepared("sh", ["-c", line]))
    }

    fn prepared<'a>(&self, program: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut prepared = command(&self.scratch, program, words);
        prepared
            .env("PATH", &self.path)
            .env("AWS_PAGER", "")
            .env("AWS_DEFAULT_OUTPUT", "json")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        prepared
    }

    /// The tasks that a filter of `list-tasks` finds.
    pub fn tasks(&self, filter: &str) -> Result<Vec<Value>> {
        let listed = self.aws_silently(&format!("ecs list-tasks {filter}"))?;
        let listed: Value = serde_json::from_str(&listed)?;
        let arns: Vec<&str> =
            listed["taskArns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let described =
            self.aws_silently(&format!("ecs describe-tasks --tasks {}", arns.join(" ")))?;
        let described: Value = serde_json::from_str(&described)?;
        Ok(described["tasks"].as_array().cloned().unwrap_or_default())
    }

    pub fn task(&self, arn: &str) -> Result<Value> {
        let described = self.aws_silently(&format!("ecs describe-tasks --tasks {arn}"))?;
        let described: Value = serde_json::from_str(&described)?;
        Ok(described["tasks"][0].clone())
    }

    /// The tasks of the service that should run.
    pub fn service_tasks(&self) -> Result<Vec<Value>> {
        self.tasks("--service-name web")
    }

    /// Why tasks have stopped, a line each: what a person would look for after a wait that failed.
    pub fn stopped_tasks(&self) -> Result<Vec<String>> {
        Ok(self.tasks("--desired-status STOPPED")?.iter().map(why_it_stopped).collect())
    }

    /// Asks a task for its page.
    pub fn page(&self, task: &Value) -> Result<Page> {
        let details = task.pointer("/attachments/0/details").and_then(Value::as_array);
        let address: Ipv4Addr = details
            .into_iter()
            .flatten()
            .find(|detail| detail["name"] == "privateIPv4Address")
            .and_then(|detail| detail["value"].as_str())
            .context("the task has an address")?
            .parse()?;
        // RUNNING says that the container runs; its program may still be about to listen.
        let text = until("the page", PATIENCE, || Ok(fetch(address).ok()))?;
        Ok(Page { url: format!("http://{address}:{APP_PORT}/"), text: text.trim().to_owned() })
    }
}

pub struct Page {
    pub url: String,
    pub text: String,
}

fn why_it_stopped(task: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let id = word(&task["taskArn"]).rsplit('/').next().unwrap_or_default().to_owned();
    let mut line =
        format!("task {id}: {}, {}", word(&task["stopCode"]), word(&task["stoppedReason"]));
    for container in task["containers"].as_array().into_iter().flatten() {
        line.push_str(&format!("; container {}", word(&container["name"])));
        if !container["exitCode"].is_null() {
            line.push_str(&format!(" exited with {}", container["exitCode"]));
        }
        if container["reason"] != json!(null) {
            line.push_str(&format!(": {}", word(&container["reason"])));
        }
    }
    line
}

/// One GET with the simplest client there is.
fn fetch(address: Ipv4Addr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&(address, APP_PORT).into(), FETCH_PATIENCE)?;
    stream.set_read_timeout(Some(FETCH_PATIENCE))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer of HTTP")?;
    ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

/// The processes of a task's container, by their control groups.
pub fn processes_of(task: &str, container: &str) -> Result<Vec<String>> {
    let group = format!("/{task}/{container}");
    let names = Path::new("/proc").read_dir()?;
    Ok(names
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let groups = std::fs::read_to_string(format!("/proc/{name}/cgroup"));
            groups.is_ok_and(|groups| groups.contains(&group))
        })
        .collect())
}

/// A text of an answer.
pub fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("the answer has {pointer}: {answer}"))?.to_owned())
}

/// A command, as a person would type it.
pub fn say(line: &str) {
    println!("$ {line}");
}

/// What came of it.
pub fn came(line: impl std::fmt::Display) {
    println!("    {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_task_is_said_with_all_its_reasons() {
        let task = json!({
            "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/default/4f2a",
            "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: no such tag",
            "containers": [
                { "name": "web", "reason": "CannotPullContainerError" },
                { "name": "side", "exitCode": 137 },
            ],
        });
        assert_eq!(
            why_it_stopped(&task),
            "task 4f2a: TaskFailedToStart, CannotPullContainerError: no such tag; container web: \
             CannotPullContainerError; container side exited with 137"
        );
        assert_eq!(why_it_stopped(&json!({})), "task -: -, -");
    }
}
