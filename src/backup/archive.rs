//! What of a data directory goes into a backup.
//!
//! | part | how it is taken |
//! |---|---|
//! | `control/` | the store's rows, between two commits; first, so that what they name is in what is taken later |
//! | `logs/` | journals and catalog at one moment, and the segments that the catalog knows |
//! | `registry/` | the rows at one moment, and the blobs that they know |
//! | keys, `settings`, `made`, `tls/` | as they are: each is small, and written whole |
//! | `node/` | who the node is; no images, no tasks |
//!
//! **Invariant:** all that was acknowledged before the first part is taken is in the backup.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use outport_backup::{ArchiveWriter, FORMAT, Frozen, Head, PartSum};
use serde::{Deserialize, Serialize};

use crate::control_plane::now_ms;
use crate::data_dir::DataDir;
use crate::manual;
use crate::parts::Parts;
use crate::settings::Settings;

/// Files of the data directory itself. `lock` and `endpoint` are made by each start.
const FILES: [&str; 9] = [
    "format",
    "instance",
    "root-key",
    "join-token",
    "sealing-key",
    "master-key",
    // Of a rotation that was cut short.
    "master-key-next",
    "made",
    "settings",
];
/// Without which a copy would be another installation.
const KEYS: [&str; 4] = ["root-key", "join-token", "sealing-key", "master-key"];
/// Who the node of this machine is.
const NODE_FILES: [&str; 2] = ["node/node-id", "node/identity.pem"];
const TLS: &str = "tls";
/// Parts that their owners write.
const PARTS: [&str; 3] = ["control", "logs", "registry"];
/// Of each file of our own.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Written {
    pub instance: String,
    pub parts: BTreeMap<String, PartSum>,
    /// The check value of the master key, if that is the operator's and so not in it.
    #[serde(default)]
    pub master_key: Option<String>,
}

/// Whether a backup may have this in it, at the top of the data directory.
pub fn is_part(name: &str) -> bool {
    FILES.contains(&name) || PARTS.contains(&name) || [TLS, "node"].contains(&name)
}

/// Writes the backup, and waits until it is on disk.
///
/// # Errors
/// Those of the disks, in one line.
pub fn write(parts: &Parts, directory: &Path, to: impl Write + SyncFile) -> Result<Written> {
    let instance = DataDir::instance_of(directory)?;
    let head = Head {
        outport_backup: FORMAT,
        version: manual::VERSION.to_owned(),
        instance: instance.clone(),
        begun_at_s: now_ms() / 1_000,
    };
    let control = parts.store.freeze().map_err(|fault| anyhow!(fault.detail))?;
    let written = parts.logs.while_frozen(|logs| {
        parts.registry.while_frozen(|registry| {
            let mut writer = ArchiveWriter::begin(to, &head)?;
            for (name, bytes) in own_files(directory)? {
                writer.add_bytes(&name, &bytes)?;
            }
            for (part, files) in PARTS.into_iter().zip([&control, &logs, &registry]) {
                files.iter().try_for_each(|file: &Frozen| writer.add(part, file))?;
            }
            let (mut file, parts) = writer.finish()?;
            file.flush().and_then(|()| file.sync()).context("cannot write the backup")?;
            Ok(Written { instance, parts, master_key: given_master_key(directory)? })
        })
    });
    written??
}

/// The check value of a master key that is the operator's.
///
/// # Errors
/// When `settings` is damaged.
pub fn given_master_key(directory: &Path) -> Result<Option<String>> {
    let noted = Settings::read(directory)?.master_key;
    Ok(noted.filter(|it| it.is_given).map(|it| it.check))
}

/// What can be made durable.
pub trait SyncFile {
    /// # Errors
    /// Those of the disk.
    fn sync(&self) -> io::Result<()>;
}

impl SyncFile for &File {
    fn sync(&self) -> io::Result<()> {
        sync(self)
    }
}

/// Until it is on disk; of a pipe there is no disk.
///
/// # Errors
/// Those of the disk.
pub fn sync(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => file.sync_all(),
        false => Ok(()),
    }
}

/// Those that are there, with their names below the data directory.
fn own_files(directory: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut names: Vec<PathBuf> = FILES.iter().chain(&NODE_FILES).map(PathBuf::from).collect();
    let tls = directory.join(TLS);
    let entries =
        std::fs::read_dir(&tls).with_context(|| format!("cannot read {}", tls.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", tls.display()))?;
        if entry.file_type()?.is_file() {
            names.push(Path::new(TLS).join(entry.file_name()));
        }
    }
    let mut files = Vec::new();
    for name in names {
        let path = directory.join(&name);
        match read(&path) {
            Ok(bytes) => files.push((name, bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    let has = |name: &str| files.iter().any(|(known, _)| known == Path::new(name));
    // One whose key is given to each start has made none.
    if let Some(gone) = KEYS.iter().find(|name| is_made(directory, name) && !has(name)) {
        bail!("{} is gone: restore it first", directory.join(gone).display());
    }
    Ok(files)
}

fn is_made(directory: &Path, name: &str) -> bool {
    let made = std::fs::read_to_string(directory.join("made")).unwrap_or_default();
    made.lines().any(|line| line == name)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "it is larger than any that Outport writes",
        )),
        false => Ok(bytes),
    }
}
