//! `outport compose`: which project, which Outport, and where answers go.

use std::time::Duration;

use anyhow::{Context, Result};
use outport_operator::{Api, Builder, ComposeOptions, Shape, UpOptions};

use crate::command_line::{Compose, ComposeBuilder, ComposeCluster, ComposeFile, ComposeUp};
use crate::operator::{endpoint, runtime};
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
    };
    let api = Api::new(endpoint(&options.of.which)?)?;
    runtime()?.block_on(outport_operator::compose_up(&api, &up, |line| output::complain(line)))
}

fn project(file: &ComposeFile, of: Option<&ComposeCluster>) -> ComposeOptions {
    ComposeOptions {
        file: file.file.clone(),
        project: file.project_name.clone(),
        ignore: file.ignore.clone(),
        cluster: of.and_then(|of| of.cluster.clone()),
    }
}
