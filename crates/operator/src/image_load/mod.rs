//! `outport image load`: an image from a file, a directory or a local engine, pushed to the registry of the Outport that is
//! asked, with the caller's own credentials.
//!
//! ```text
//! source ─→ archive or layout ─→ content: what has to be pushed, with its digests ─→ push: blobs, then manifests
//! ```
//!
//! **Invariant:** an archive is a stranger's. Nothing of it is unpacked: its members are read at the place where they are in the
//! file, documents up to a limit, and everything that is pushed has the digest by which it is referred to.

mod archive;
mod content;
mod digest;
mod docker_save;
mod layout;
mod platform;
mod push;
mod source;
mod target;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use crate::api::Api;
use crate::value::{list, text};

use content::{Content, Wanted};
use platform::Platform;
use push::Registry;
use target::Target;

#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// A file, a directory, `-` for standard input, `docker:NAME` or `podman:NAME`.
    pub source: String,
    /// `REPOSITORY[:TAG]`, also behind the registry's host.
    pub target: String,
    /// Which image, where the source has several.
    pub name: Option<String>,
    /// `OS/ARCHITECTURE[/VARIANT]`; this machine's unless given.
    pub platform: Option<String>,
    /// All platforms.
    pub all: bool,
}

/// What is there now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// What to write into a task definition.
    pub uri: String,
    /// The same, whatever the tag will be later.
    pub uri_by_digest: String,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    /// Whether the repository was made by this.
    pub created_repository: bool,
}

/// Loads an image; `say` is told how it goes on, a line each.
///
/// # Errors
/// When the source has no such image or is damaged, or the registry does not take it.
pub async fn load(api: &Api, options: &LoadOptions, mut say: impl FnMut(&str)) -> Result<Loaded> {
    let target = Target::parse(&options.target, api)?;
    let platform = match &options.platform {
        Some(text) => Platform::parse(text)?,
        None => Platform::native(),
    };
    let wanted = Wanted {
        name: options.name.as_deref(),
        platform,
        is_platform_named: options.platform.is_some(),
        all: options.all,
    };
    let source = source::open(&options.source, &mut say)?;
    let content = Content::of(&source, &wanted)
        .with_context(|| format!("cannot take an image from {}", options.source))?;
    let (repository_uri, created_repository) = repository(api, &target.repository).await?;
    if created_repository {
        say(&format!("made the repository {}", target.repository));
    }
    let registry = Registry::login(api, &target.repository).await?;
    registry.push(&content, &target.tag, &mut say).await?;
    let digest = content.digest().to_string();
    say(&digest);
    Ok(Loaded {
        uri: format!("{repository_uri}:{}", target.tag),
        uri_by_digest: format!("{repository_uri}@{digest}"),
        repository: target.repository,
        tag: target.tag,
        digest,
        created_repository,
    })
}

/// The repository's URI, and whether it had to be made.
async fn repository(api: &Api, name: &str) -> Result<(String, bool)> {
    let input = json!({ "repositoryNames": [name] });
    match api.ecr("DescribeRepositories", input).await {
        Ok(answer) => {
            let found = list(&answer, "repositories").first();
            let uri = found.map(|found| text(found, "repositoryUri")).unwrap_or_default();
            Ok((uri.to_owned(), false))
        }
        Err(error) if error.to_string().starts_with("RepositoryNotFoundException") => {
            let answer = api.ecr("CreateRepository", json!({ "repositoryName": name })).await?;
            Ok((text(&answer["repository"], "repositoryUri").to_owned(), true))
        }
        Err(error) => Err(error),
    }
}
