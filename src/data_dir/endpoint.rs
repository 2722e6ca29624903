//! Where the running control plane is, as `outport env` and the operator's commands find it in the data directory.
//!
//! **Invariant:** it is read without the lock, by whoever may read the directory, whether or not an Outport runs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{DataDir, holds};
use crate::node::NODE_ID;
use crate::settings::Settings;

/// A key pair that signs requests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// What `outport env` prints.
#[derive(Clone, Serialize, Deserialize)]
pub struct Endpoint {
    pub url: String,
    pub region: String,
    pub key: KeyPair,
    /// The same over TLS.
    #[serde(default)]
    pub https_url: Option<String>,
    /// Whom a client has to trust for that, where it is not one of the authorities that everybody trusts.
    #[serde(default)]
    pub authority: Option<PathBuf>,
}

impl DataDir {
    /// What the last control plane published; needs no lock.
    ///
    /// # Errors
    /// When there was none, with whom to ask instead, or this user may not read it.
    pub fn published(path: &Path) -> Result<Endpoint> {
        let file = path.join("endpoint");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(nobody_published(path)?),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
                "{} is readable by its owner only: run this with sudo; or take the credentials once, with \
                 `eval \"$(sudo outport env --data-dir {})\"`, and give no --data-dir",
                file.display(),
                path.display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        serde_json::from_str(&text).context("the file endpoint of the data directory is damaged")
    }

    /// Whether it is that of a node whose control plane is elsewhere, as far as this user can see.
    pub fn is_of_node_alone(path: &Path) -> bool {
        let has = |name: &str| holds(path, name).unwrap_or(false);
        has(NODE_ID) && !has("endpoint")
    }

    /// Whether an Outport runs with this directory, as far as can be seen.
    pub fn is_in_use(path: &Path) -> bool {
        let Ok(file) = File::open(path.join("lock")) else { return false };
        // Shared, so that two who look do not take each other for it.
        matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, Errno::EWOULDBLOCK)))
    }
}

/// Why a directory has no endpoint, and whom to ask.
fn nobody_published(path: &Path) -> Result<String> {
    let shown = path.display();
    if !holds(path, NODE_ID)? {
        return Ok(format!(
            "no Outport has run with the data directory {shown}: start `outport up` first, or name its directory with \
             --data-dir"
        ));
    }
    let settings = Settings::read(path)?;
    let server = settings.server.as_deref();
    let (named, url) = match server {
        Some(server) => (format!("its control plane, {server},"), server),
        None => ("its control plane".to_owned(), "https://HOST:PORT"),
    };
    Ok(format!(
        "{shown} is the data directory of a node, which answers nothing itself but `outport logs TASK`. Ask {named} on that \
         machine; or set here what `sudo outport env` prints there, with AWS_ENDPOINT_URL={url} and, as AWS_CA_BUNDLE, a copy \
         of the file that `sudo outport ca` prints there, and type the same again, with `sudo -E` for sudo"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn a_directory_without_an_endpoint_says_whom_to_ask() {
        let directory = tempfile::tempdir().unwrap();
        let check = |expected: &str| {
            let error = DataDir::published(directory.path()).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("start `outport up` first");
        std::fs::create_dir(directory.path().join("node")).unwrap();
        std::fs::write(directory.path().join(NODE_ID), "n").unwrap();
        check(
            "which answers nothing itself but `outport logs TASK`. Ask its control plane on that machine",
        );
        let text = r#"{"server":"https://10.0.0.1:4566"}"#;
        std::fs::write(directory.path().join(settings::FILE), text).unwrap();
        check("Ask its control plane, https://10.0.0.1:4566, on that machine; or set here");
        check("AWS_ENDPOINT_URL=https://10.0.0.1:4566 and");
        assert!(DataDir::is_of_node_alone(directory.path()));
        std::fs::write(directory.path().join("endpoint"), "{}").unwrap();
        assert!(!DataDir::is_of_node_alone(directory.path()));
    }

    #[test]
    fn a_directory_is_in_use_while_somebody_owns_it() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!DataDir::is_in_use(directory.path()));
        let owner = DataDir::own(directory.path()).unwrap();
        assert!(DataDir::is_in_use(directory.path()));
        drop(owner);
        assert!(!DataDir::is_in_use(directory.path()));
    }
}
