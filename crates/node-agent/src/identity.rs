//! Who this node is: its key, and the certificate that its control plane gave it for it.
//!
//! ```text
//! <directory>/identity.pem   the key alone before the node has joined, then key and certificate    0600
//! ```
//!
//! **Invariant:** a key is on disk before anything is asked for it, so that an answer which is lost, or a
//! crash, never leaves the control plane with a key that nobody has.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use outport_certificates::{NodeIdentity, NodeKey, Pin};
use outport_container_runtime::private;
use outport_model::NodeId;

use crate::link_error::LinkError;

const FILE: &str = "identity.pem";

/// The file.
pub struct IdentityFile {
    path: PathBuf,
}

/// What is in it.
pub enum Stored {
    /// Never joined, or joined another installation.
    Key(NodeKey),
    Identity(NodeIdentity),
}

impl IdentityFile {
    pub fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join(FILE) }
    }

    /// What is stored; a new key when there is nothing. A certificate of another authority or node
    /// counts for nothing.
    pub fn open(&self, node: &NodeId, pin: Pin) -> Result<Stored, LinkError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = NodeKey::generate().map_err(unusable)?;
                self.write(&key.pem())?;
                return Ok(Stored::Key(key));
            }
            Err(error) => return Err(self.failed("cannot read", &error)),
        };
        match NodeIdentity::read(&text) {
            Ok(identity)
                if identity.certificate().node == *node
                    && Pin::of(identity.authority()) == pin =>
            {
                Ok(Stored::Identity(identity))
            }
            _ => NodeKey::read(&text).map(Stored::Key).map_err(|error| {
                LinkError::Identity(format!(
                    "{}: {error}; restore it from a backup, or remove it and deregister this node's container \
                     instance, so that it can join anew",
                    self.path.display()
                ))
            }),
        }
    }

    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// The identity takes the place of what was there.
    pub fn store(&self, identity: &NodeIdentity) -> Result<(), LinkError> {
        self.write(&identity.file())
    }

    /// Whole or not at all, on disk when it returns, readable by the owner only.
    fn write(&self, text: &str) -> Result<(), LinkError> {
        let beside = self.path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = private::create(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)?;
            match self.path.parent() {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|error| self.failed("cannot write", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> LinkError {
        LinkError::Identity(format!("{what} {}: {error}", self.path.display()))
    }
}

fn unusable(error: outport_certificates::CertificateError) -> LinkError {
    LinkError::Identity(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use outport_certificates::{Authority, NodeRequest};

    use super::*;

    const NODE: &str = "0123456789abcdef0123456789abcdef";
    const NOW_MS: i64 = 1_795_880_000_000;

    fn key_of(stored: &Stored) -> String {
        match stored {
            Stored::Key(key) => key.pem(),
            Stored::Identity(_) => panic!("it has not joined"),
        }
    }

    #[test]
    fn a_key_is_kept_and_an_identity_is_of_one_node_and_one_authority() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(directory.path());
        let node = NodeId::new(NODE);
        let authority = Authority::read(&Authority::make("a", NOW_MS).unwrap()).unwrap();
        let other = Authority::read(&Authority::make("b", NOW_MS).unwrap()).unwrap();
        let first = key_of(&file.open(&node, authority.pin()).unwrap());
        let stored = file.open(&node, authority.pin()).unwrap();
        assert_eq!(key_of(&stored), first, "it is asked for once");
        let Stored::Key(key) = stored else { panic!("it has not joined") };
        let request = NodeRequest::read(&key.request(&node).unwrap().0).unwrap();
        let chain = authority.issue_node(&node, &request.verify().unwrap(), NOW_MS).unwrap();
        file.store(&NodeIdentity::new(&key, &chain).unwrap()).unwrap();
        let mode = directory.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(file.open(&node, authority.pin()).unwrap(), Stored::Identity(_)));
        assert_eq!(key_of(&file.open(&node, other.pin()).unwrap()), first);
        let copy = NodeId::new("f".repeat(32));
        assert_eq!(key_of(&file.open(&copy, authority.pin()).unwrap()), first);
        std::fs::write(directory.path().join(FILE), "damaged").unwrap();
        let error = file.open(&node, authority.pin()).err().unwrap().to_string();
        assert!(error.contains("identity.pem") && error.contains("deregister"), "{error}");
    }
}
