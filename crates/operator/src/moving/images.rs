//! Images from registry to registry, by skopeo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::account::{Account, Service};
use super::inputs::{Inputs, Step};
use super::names::is_repository_name;
use crate::value::{list, text};

/// Of one image, at any size that a registry takes.
const COPY_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Where skopeo looks for what it may take from whom.
const POLICIES: [&str; 2] = ["/etc/containers/policy.json", ".config/containers/policy.json"];

/// An image of a repository, by tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    pub repository: String,
    /// `:1.0` or `@sha256:…`
    pub reference: String,
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "image {}{}", self.repository, self.reference)
    }
}

/// Those that the definitions name of the registry there.
pub fn named(inputs: &Inputs) -> BTreeSet<Image> {
    let prefix = format!("{}/", inputs.place.registry());
    let definitions = inputs.steps.iter().filter_map(|step| match step {
        Step::Register { input, .. } => Some(input),
        Step::Service { .. } => None,
    });
    let containers = definitions.flat_map(|input| list(input, "containerDefinitions"));
    containers.filter_map(|one| image(text(one, "image").strip_prefix(&prefix)?)).collect()
}

fn image(name: &str) -> Option<Image> {
    let at = name.find([':', '@']);
    let (repository, reference) = name.split_at(at.unwrap_or(name.len()));
    let reference = if reference.is_empty() { ":latest" } else { reference };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":@._-".contains(c);
    (is_repository_name(repository) && reference.chars().all(is_plain))
        .then(|| Image { repository: repository.to_owned(), reference: reference.to_owned() })
}

/// The digest that an image has in a registry; `None` when it is not there.
///
/// # Errors
/// As of [`Account::call`].
pub async fn digest(account: &Account, image: &Image) -> Result<Option<String>> {
    let id = match (image.reference.strip_prefix(':'), image.reference.rsplit_once('@')) {
        (_, Some((_, digest))) => json!({ "imageDigest": digest }),
        (tag, None) => json!({ "imageTag": tag }),
    };
    let input = json!({ "repositoryName": image.repository, "imageIds": [id] });
    match account.call(Service::Ecr, "DescribeImages", &input).await {
        Ok(answer) => {
            let details = list(&answer, "imageDetails").first();
            Ok(details.map(|details| text(details, "imageDigest").to_owned()))
        }
        Err(error) if error.to_string().starts_with("ImageNotFound") => Ok(None),
        Err(error) => Err(error),
    }
}

/// One side of a copy.
struct Side<'a> {
    name: &'static str,
    account: &'a Account,
    /// The URI of each repository.
    uris: BTreeMap<String, String>,
}

/// Copies images between two registries.
pub struct Copier<'a> {
    from: Side<'a>,
    to: Side<'a>,
    /// With the passwords, and authorities to trust; only its owner reads it.
    directory: tempfile::TempDir,
}

impl<'a> Copier<'a> {
    /// # Errors
    /// When skopeo is not there, or a registry gives no password.
    pub async fn new(from: &'a Account, to: &'a Account) -> Result<Self> {
        let version = Command::new("skopeo").arg("--version").stdout(Stdio::null()).status().await;
        if !version.is_ok_and(|status| status.success()) {
            bail!("skopeo is not installed, which copies them: apt-get install skopeo");
        }
        let directory =
            tempfile::tempdir().context("no place for the passwords of the registries")?;
        let from = Side { name: "src", account: from, uris: uris(from).await? };
        let to = Side { name: "dest", account: to, uris: uris(to).await? };
        let mut passwords = Map::new();
        for side in [&from, &to] {
            let answer =
                side.account.call(Service::Ecr, "GetAuthorizationToken", &json!({})).await?;
            let token = text(&answer["authorizationData"][0], "authorizationToken");
            let hosts = side.uris.values().filter_map(|uri| Some(uri.split_once('/')?.0));
            passwords.extend(hosts.map(|host| (host.to_owned(), json!({ "auth": token }))));
            if let Some(authority) = &side.account.ecr.endpoint.authority {
                let place = directory.path().join(side.name);
                fs::create_dir(&place)?;
                fs::copy(authority, place.join("ca.crt")).context("the authorities to trust")?;
            }
        }
        write_private(&directory.path().join("auth.json"), &json!({ "auths": passwords }))?;
        Ok(Self { from, to, directory })
    }

    /// # Errors
    /// What skopeo says at its end.
    pub async fn copy(&self, image: &Image) -> Result<()> {
        let mut command = Command::new("skopeo");
        let home = std::env::var("HOME").unwrap_or_default();
        if !POLICIES.iter().any(|policy| Path::new(&home).join(policy).exists()) {
            command.arg("--insecure-policy");
        }
        command.args(["copy", "--all", "--preserve-digests", "--authfile"]);
        command.arg(self.directory.path().join("auth.json"));
        for side in [&self.from, &self.to] {
            let place = self.directory.path().join(side.name);
            if side.account.ecr.endpoint.url.starts_with("http://") {
                command.arg(format!("--{}-tls-verify=false", side.name));
            } else if place.exists() {
                command.arg(format!("--{}-cert-dir", side.name)).arg(place);
            }
        }
        for side in [&self.from, &self.to] {
            let uri = side.uris.get(&image.repository);
            let uri = uri.with_context(|| format!("no repository {}", image.repository))?;
            // skopeo takes either of a tag and a digest.
            let reference =
                image.reference.rfind('@').map_or(&*image.reference, |at| &image.reference[at..]);
            command.arg(format!("docker://{uri}{reference}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let done = tokio::time::timeout(COPY_TIMEOUT, command.output()).await;
        let done =
            done.with_context(|| format!("not copied within {} s", COPY_TIMEOUT.as_secs()))??;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("skopeo: {}", said.lines().last().unwrap_or("it says nothing"));
        }
        Ok(())
    }
}

async fn uris(account: &Account) -> Result<BTreeMap<String, String>> {
    let repositories =
        account.pages(Service::Ecr, "DescribeRepositories", "repositories", json!({})).await?;
    let uri = |one: &Value| {
        (text(one, "repositoryName").to_owned(), text(one, "repositoryUri").to_owned())
    };
    Ok(repositories.iter().map(uri).collect())
}

fn write_private(path: &Path, value: &Value) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(value.to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(&str, &str)>) {
        let found = image(name).map(|image| (image.repository, image.reference));
        let expected = expected.map(|(name, reference)| (name.to_owned(), reference.to_owned()));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn an_image_is_of_a_repository_by_tag_or_digest() {
        check("app", Some(("app", ":latest")));
        check("team/app:1.0", Some(("team/app", ":1.0")));
        check("app:1@sha256:00", Some(("app", ":1@sha256:00")));
        check("app@sha256:00", Some(("app", "@sha256:00")));
        check("app:1 --x", None);
        check("", None);
    }
}
