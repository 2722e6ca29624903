//! `outport compose`: which project, which Outport, and where answers go.

use std::time::Duration;

use anyhow::{Context, Result};
use outport_operator::{Api, Builder, ComposeOptions, LogsOptions, Shape, UpOptions};

use crate::command_line::{
    Compose, ComposeBuilder, ComposeCluster, ComposeFile, ComposeLogs, ComposeUp,
};
use crate::environment::quoted;
use crate::operator::{data_dir, endpoint, runtime};
use crate::output;

pub fn run(command: &Compose) -> Result<()> {
    let answer = match command {
        Compose::Config(options) => {
            let project = project(&options.file, None);
            let (text, notes) = outport_operator::compose_config(&project, &options.region)?;
            notes.iter().for_each(output::complain);
            text
        }
        Compose::Up(options) => up(options)?,
        Compose::Ps(options) => {
            let project = project(&options.file, Some(&options.of));
            let shape = Shape::of_stdout(options.json);
            let asked = outport_operator::compose_ps;
            let api = Api::new(endpoint(&options.of.which)?)?;
            runtime()?.block_on(asked(&api, &project, shape))?
        }
        Compose::Logs(options) => return logs(options),
        Compose::Down(options) => {
            let project = project(&options.file, Some(&options.of));
            let api = Api::new(endpoint(&options.of.which)?)?;
            let down =
                outport_operator::compose_down(&api, &project, |line| output::complain(line));
            runtime()?.block_on(down)?;
            String::new()
        }
    };
    output::answer(&answer).context("cannot print")
}

fn up(options: &ComposeUp) -> Result<String> {
    let up = UpOptions {
        compose: project(&options.file, Some(&options.of)),
        builder: options.builder.map(|builder| match builder {
            ComposeBuilder::Docker => Builder::Docker,
            ComposeBuilder::Podman => Builder::Podman,
            ComposeBuilder::Buildah => Builder::Buildah,
        }),
        patience: (!options.detach).then(|| Duration::from_secs(options.timeout)),
        node: data_dir(&options.of.which).ok().map(|data_dir| data_dir.join("node")),
    };
    let api = Api::new(endpoint(&options.of.which)?)?;
    let said = outport_operator::compose_up(&api, &up, |line| output::complain(line));
    let text = runtime()?.block_on(said)?;
    output::complain(next(options));
    Ok(text)
}

/// What is asked next, with what says which project it is.
fn next(options: &ComposeUp) -> String {
    let mut which = String::new();
    let mut add = |option: &str, value: Option<String>| {
        let Some(value) = value else { return };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        let value = if value.bytes().all(is_plain) { value } else { quoted(&value) };
        which.push_str(&format!(" {option} {value}"));
    };
    add("--file", options.file.file.as_ref().map(|file| file.display().to_string()));
    add("-p", options.file.project_name.clone());
    add("--cluster", options.of.cluster.clone());
    format!(
        "next: outport compose logs -f{which}; outport compose ps{which}; outport compose down{which}"
    )
}

fn logs(options: &ComposeLogs) -> Result<()> {
    let project = ComposeOptions {
        file: options.file.clone(),
        project: options.project_name.clone(),
        cluster: options.of.cluster.clone(),
        ..ComposeOptions::default()
    };
    let logs = LogsOptions {
        container: options.service.clone(),
        follow: options.follow,
        since: options.since,
        tail: options.tail,
        with_times: options.timestamps,
        node: data_dir(&options.of.which).ok().map(|data_dir| data_dir.join("node")),
        ..LogsOptions::default()
    };
    let api = Api::new(endpoint(&options.of.which)?)?;
    runtime()?.block_on(outport_operator::compose_logs(
        &api,
        &project,
        logs,
        output::part_of_answer,
        |line| output::complain(line),
    ))
}

fn project(file: &ComposeFile, of: Option<&ComposeCluster>) -> ComposeOptions {
    ComposeOptions {
        file: file.file.clone(),
        project: file.project_name.clone(),
        ignore: file.ignore.clone(),
        cluster: of.and_then(|of| of.cluster.clone()),
    }
}
