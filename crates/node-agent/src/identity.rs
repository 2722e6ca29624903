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
/// Of a file that has more than a key.
const CERTIFICATE: &str = "BEGIN CERTIFICATE";

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

    /// What is stored; a new key when there is nothing. A certificate of another authority counts for nothing.
    ///
    /// # Errors
    /// When the file cannot be used, whole as it is: what is damaged in it would be refused by every control plane, at
    /// every try. And when the authority's certificate in it is of another node: who joined as a new one would be given
    /// nothing, and end all that the old one runs.
    pub fn open(&self, node: &NodeId, pin: Pin) -> Result<Stored, LinkError> {
        let text = match std::fs::read(&self.path) {
            // A bit of another value may be no UTF-8: the text is not believed for that.
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = NodeKey::generate().map_err(unusable)?;
                self.write(&key.pem())?;
                return Ok(Stored::Key(key));
            }
            Err(error) => return Err(self.failed("cannot read", &error)),
        };
        if !text.contains(CERTIFICATE) {
            return NodeKey::read(&text)
                .map(Stored::Key)
                .map_err(|error| self.damaged(&error, &text));
        }
        match NodeIdentity::read(&text) {
            Ok(identity) if Pin::of(identity.authority()) == pin => {
                let certified = &identity.certificate().node;
                if certified == node {
                    return Ok(Stored::Identity(identity));
                }
                Err(LinkError::Identity(format!(
                    "{} is of node {certified}, and node-id beside it says {node}: write {certified} into node-id if it \
                     was damaged or lost; or, to make another node of this one without its tasks, remove {}",
                    self.path.display(),
                    FILE
                )))
            }
            // Of another installation.
            Ok(_) => {
                NodeKey::read(&text).map(Stored::Key).map_err(|error| self.damaged(&error, &text))
            }
            Err(error) => Err(self.damaged(&error, &text)),
        }
    }

    fn damaged(&self, error: &outport_certificates::CertificateError, text: &str) -> LinkError {
        let otherwise = match NodeKey::read(text) {
            Ok(_) => {
                "if only the certificate in it is damaged, remove all lines from the first BEGIN CERTIFICATE on: the node \
                 asks for another certificate with its key"
            }
            Err(_) => {
                "remove it and deregister this node's container instance, so that it can join anew"
            }
        };
        LinkError::Identity(format!(
            "{} is damaged ({error}): restore it from a backup; or, {otherwise}",
            self.path.display()
        ))
    }

    pub fn path(&self) -> &Path {
        &self.path
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
    use std::collections::BTreeMap;
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
        let other_id = NodeId::new("f".repeat(32));
        let error = file.open(&other_id, authority.pin()).err().unwrap().to_string();
        assert!(error.contains(&format!("write {NODE} into node-id")), "{error}");
        std::fs::write(directory.path().join(FILE), "damaged").unwrap();
        let error = file.open(&node, authority.pin()).err().unwrap().to_string();
        assert!(error.contains("identity.pem") && error.contains("deregister"), "{error}");
    }

    /// A bit of each byte of the file, and each place at which it may be cut.
    #[test]
    fn a_damaged_identity_is_refused_by_its_file_and_never_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = IdentityFile::in_directory(directory.path());
        let node = NodeId::new(NODE);
        let authority = Authority::read(&Authority::make("a", NOW_MS).unwrap()).unwrap();
        let key = NodeKey::generate().unwrap();
        let request = NodeRequest::read(&key.request(&node).unwrap().0).unwrap();
        let chain = authority.issue_node(&node, &request.verify().unwrap(), NOW_MS).unwrap();
        let whole = NodeIdentity::new(&key, &chain).unwrap();
        let text = whole.file();
        let path = directory.path().join(FILE);
        let check = |bytes: &[u8], what: &str| {
            std::fs::write(&path, bytes).unwrap();
            match file.open(&node, authority.pin()) {
                // Outside of what is in it: a line's end, a word of its head.
                Ok(Stored::Identity(read)) => {
                    let both = [&read, &whole].map(|one| {
                        (one.certificate().clone(), Pin::of(one.authority()) == authority.pin())
                    });
                    assert_eq!(both[0], both[1], "{what}");
                    "used"
                }
                // No certificate is left: the node joins again with its key.
                Ok(Stored::Key(read)) => {
                    assert_eq!(read.pem(), key.pem(), "{what}");
                    "key"
                }
                Err(error) => {
                    let error = error.to_string();
                    let says = ["identity.pem is damaged", "restore it from a backup"];
                    assert!(says.iter().all(|words| error.contains(words)), "{what}: {error}");
                    "refused"
                }
            }
        };
        let mut outcomes = BTreeMap::new();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << (at % 8);
            *outcomes.entry(check(&bytes, &format!("byte {at}"))).or_insert(0) += 1;
        }
        assert!(outcomes["refused"] > text.len() / 4 * 3, "{outcomes:?} of {} bytes", text.len());
        assert_eq!(outcomes.get("key"), None, "{outcomes:?}");
        for length in 0..text.len() - 1 {
            check(&text.as_bytes()[..length], &format!("cut at {length}"));
        }
    }
}
