//! Images of services that are built: by an engine of this machine, and loaded into the project's repositories.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::api::Api;
use crate::image_load::{LoadOptions, load};

use super::definition::repository;
use super::project::Project;
use super::service::{Build, Service};

/// What makes an image of a Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    Docker,
    Podman,
    Buildah,
}

impl Builder {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];

    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// The first that is installed.
    fn find() -> Result<Self> {
        let is_there = |builder: &Self| {
            let probe = Command::new(builder.program())
                .arg("--version")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            probe.is_ok_and(|status| status.success())
        };
        match Self::ALL.into_iter().find(is_there) {
            Some(builder) => Ok(builder),
            None => bail!(
                "services of the file are built, and there is neither docker nor podman nor buildah here: build elsewhere, \
                 `outport image load`, and name the image"
            ),
        }
    }
}

/// Builds what is to be built; the images by their services, in AWS's form, which every node and address knows.
///
/// # Errors
/// When there is no engine, or it fails, or the registry does not take an image.
pub async fn images(
    api: &Api,
    project: &Project,
    builder: Option<Builder>,
    say: &mut impl FnMut(&str),
) -> Result<BTreeMap<String, String>> {
    let mut images = BTreeMap::new();
    if project.services.iter().all(|service| service.build.is_none()) {
        return Ok(images);
    }
    let builder = builder.map_or_else(Builder::find, Ok)?;
    let account = api.account().await?;
    let region = &api.endpoint.region;
    for service in &project.services {
        let Some(build) = &service.build else { continue };
        say(&format!("building {} with {}", service.name, builder.program()));
        let directory = tempfile::tempdir()?;
        let source = run(builder, project, service, build, &directory)
            .with_context(|| format!("cannot build {}", service.name))?;
        let target = repository(&project.name, &service.name);
        let options = LoadOptions { source, target: target.clone(), ..LoadOptions::default() };
        let loaded = load(api, &options, &mut *say).await?;
        let image = format!("{account}.dkr.ecr.{region}.amazonaws.com/{target}@{}", loaded.digest);
        images.insert(service.name.clone(), image);
    }
    Ok(images)
}

/// Builds one; where it is to be loaded from.
fn run(
    builder: Builder,
    project: &Project,
    service: &Service,
    build: &Build,
    directory: &TempDir,
) -> Result<String> {
    let name = service
        .image
        .clone()
        .unwrap_or_else(|| format!("{}-{}:latest", project.name, service.name.to_lowercase()));
    let context = project.directory.join(&build.context);
    ensure!(context.is_dir(), "{} is no directory", context.display());
    let mut command = Command::new(builder.program());
    command.args(["build", "--tag", &name]);
    if let Some(file) = &build.dockerfile {
        command.arg("--file").arg(context.join(file));
    }
    if let Some(target) = &build.target {
        command.args(["--target", target]);
    }
    for (argument, value) in &build.arguments {
        let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
        command.args(["--build-arg", &format!("{argument}{value}")]);
    }
    ended(command.arg("--").arg(context))?;
    if builder != Builder::Buildah {
        return Ok(format!("{}:{name}", builder.program()));
    }
    let archive = directory.path().join("image.tar");
    let shown = archive.to_str().context("a directory for temporary files whose name is text")?;
    ended(Command::new("buildah").args([
        "push",
        "--",
        &name,
        &format!("docker-archive:{shown}:{name}"),
    ]))?;
    Ok(shown.to_owned())
}

/// Runs it; all that it says goes to standard error.
fn ended(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr())).status();
    match status {
        Ok(status) => ensure!(status.success(), "{program} failed ({status})"),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("there is no {program} here"),
        Err(error) => return Err(error).with_context(|| format!("cannot start {program}")),
    }
    Ok(())
}
