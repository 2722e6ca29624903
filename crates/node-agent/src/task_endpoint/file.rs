//! What outlives the agent of what a task may ask: one file a task, in the instance's directory in memory.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use outport_container_runtime::private;
use outport_model::clock::SteadyMs;
use outport_model::{TaskId, checked_json};
use outport_node_protocol::TaskCredentials;
use serde::{Deserialize, Serialize};

use super::ADDRESS;

const DIRECTORY: &str = "endpoint";

/// One task. The serialized form is a promise: fields are only added, with a default.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointFile {
    pub task: TaskId,
    /// Of the endpoint: the rules of the host lead there, also while no agent runs.
    pub port: u16,
    /// Random: who does not know it gets no credentials.
    pub credentials_id: String,
    pub peers: Peers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// Where the task's requests come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peers {
    Addresses(Vec<Ipv4Addr>),
    /// The host itself.
    Host,
}

/// Credentials that were given.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub credentials: TaskCredentials,
    /// When they were asked for, on the clock that never steps: it begins with the boot, as the file does.
    pub asked_steady_ms: SteadyMs,
}

impl Held {
    pub fn is_good(&self, now_ms: SteadyMs) -> bool {
        now_ms - self.asked_steady_ms < self.credentials.lifetime_ms
    }

    /// When the next ones are asked for: at half of their life.
    pub fn renew_at_ms(&self) -> SteadyMs {
        self.asked_steady_ms + self.credentials.lifetime_ms / 2
    }
}

impl EndpointFile {
    pub fn may_ask(&self, peer: IpAddr) -> bool {
        match &self.peers {
            Peers::Addresses(own) => own.iter().any(|address| peer == *address),
            // What the host sends to its own address comes from that address.
            Peers::Host => peer == ADDRESS,
        }
    }

    pub fn addresses(&self) -> &[Ipv4Addr] {
        match &self.peers {
            Peers::Addresses(own) => own,
            Peers::Host => &[],
        }
    }
}

/// The directory.
pub struct Files(PathBuf);

impl Files {
    pub fn new(run_dir: &Path) -> Self {
        Self(run_dir.join(DIRECTORY))
    }

    /// What is not understood is left alone: its task cannot ask until the version that wrote it is back.
    pub fn read(&self) -> Vec<EndpointFile> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    not_read(&self.0, &error);
                }
                return Vec::new();
            }
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = |path: PathBuf| match read_one(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                not_read(&path, &error);
                None
            }
        };
        paths.filter_map(read).collect()
    }

    /// The task is served without as well, until this agent ends.
    pub fn write(&self, file: &EndpointFile) {
        if let Err(error) = self.try_write(file) {
            tracing::error!(
                event = "task_endpoint_not_written",
                task = %file.task,
                %error,
                "cannot write down what a task may ask this node: after a restart of the agent it gets no credentials"
            );
        }
    }

    fn try_write(&self, file: &EndpointFile) -> io::Result<()> {
        private::make_directories(&self.0)?;
        let new = self.0.join(format!("{}.new", file.task));
        private::write(&new, checked_json::write(file)?)?;
        fs::rename(new, self.path(&file.task))
    }

    pub fn remove(&self, task: &TaskId) {
        match fs::remove_file(self.path(task)) {
            Err(error) if error.kind() != ErrorKind::NotFound => tracing::error!(
                event = "task_endpoint_not_removed",
                %task,
                %error,
                "cannot remove the file with the credentials of a task that has stopped"
            ),
            _ => {}
        }
    }

    fn path(&self, task: &TaskId) -> PathBuf {
        self.0.join(format!("{task}.json"))
    }
}

fn not_read(path: &Path, error: &io::Error) {
    tracing::warn!(
        event = "task_endpoint_not_read",
        file = %path.display(),
        %error,
        "cannot read what a task may ask this node: it gets no credentials any more"
    );
}

/// The error has no byte of the file in it.
fn read_one(path: &Path) -> io::Result<EndpointFile> {
    let file = checked_json::read(&fs::read(path)?).read();
    file.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "it is damaged or not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_at_half_of_their_life() {
        let credentials = TaskCredentials {
            role_arn: "arn".into(),
            access_key_id: "ASIA1".into(),
            secret_access_key: "secret".into(),
            session_token: "token".into(),
            expires_at_ms: 0,
            lifetime_ms: 1_000,
        };
        let held = Held { credentials, asked_steady_ms: 10_000 };
        assert_eq!(held.renew_at_ms(), 10_500);
        assert_eq!(
            [10_000, 10_999, 11_000].map(|now_ms| held.is_good(now_ms)),
            [true, true, false]
        );
        assert!(!format!("{:?}", held.credentials).contains("secret"), "nor are they in a log");
    }

    /// The bytes of a version are never changed.
    #[test]
    fn the_file_of_the_first_version_is_read_and_written() {
        let golden = concat!(
            r#"{"task":"t1","port":21679,"credentials_id":"6f1c","peers":{"Addresses":["172.31.0.4"]},"#,
            r#""held":{"credentials":{"role_arn":"arn","access_key_id":"ASIA1","secret_access_key":"secret","#,
            r#""session_token":"token","expires_at_ms":2,"lifetime_ms":1},"asked_steady_ms":3}}"#
        );
        let read: EndpointFile = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), golden);
        assert_eq!(read.addresses(), [Ipv4Addr::new(172, 31, 0, 4)]);
        let least =
            r#"{"task":"t1","port":1,"credentials_id":"6f1c","peers":"Host","of_the_future":1}"#;
        let read: EndpointFile = serde_json::from_str(least).unwrap();
        assert!(read.held.is_none() && read.may_ask(ADDRESS.into()));
        assert!(!read.may_ask("127.0.0.1".parse().unwrap()));
    }
}
