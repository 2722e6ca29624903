//! The data directory: its lock, its format, and the secrets of this installation.
//!
//! ```text
//! format          the number of the layout; a newer one is refused
//! lock            held while a process owns the directory
//! instance        8 hexadecimal digits: part of every name made on the host
//! root-key        the root access key pair of the account              0600
//! join-token      what a node needs to join                            0600
//! sealing-key     seals registry passwords and page tokens             0600
//! master-key      seals what is secret in the store, unless the operator gives it        0600
//! tls/            the certificate authority of this installation, the server's certificate
//! made            what of these was made here: what is gone is not made anew    0600
//! settings        what the first start fixed: account, region, range, cluster  0600
//! endpoint        the address and key of the running control plane     0600
//! admin-socket    what the operator asks of the running control plane      0600
//! control/        the store                registry/   images and layers of ECR
//! logs/           CloudWatch Logs          node/       images and tasks of this machine
//! ```
//!
//! **Invariant:** a secret is written once, synced, readable by root only, and never logged.

mod endpoint;
mod first_start;
mod foreign;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{Flock, FlockArg};
use outport_certificates::{JoinToken, Pin};

use crate::backup;
use crate::instances::{self, Claim, KeptClaim};
use crate::inventory::Inventory;
use crate::settings::{self, Settings};
pub use endpoint::{Endpoint, KeyPair};

/// The layout that this version writes.
const FORMAT: u32 = 1;
const SECRET_BYTES: usize = 32;
const CLAIM_PATIENCE: Duration = Duration::from_secs(3);
const CLAIM_RETRY: Duration = Duration::from_millis(20);

/// An owned data directory. The lock goes with it.
pub struct DataDir {
    path: PathBuf,
    instance: String,
    inventory: Mutex<Inventory>,
    /// Of a first start: the directories that it made for this one, the topmost first. `None` of a later one.
    first_start: Option<Vec<PathBuf>>,
    _lock: Flock<File>,
    /// `None` for who may not write to `/run`, as a control plane alone that is not root.
    _claim: Option<KeptClaim>,
}

impl DataDir {
    /// Makes or opens the directory and takes its lock.
    pub fn own(path: &Path) -> Result<Self> {
        let missing = first_start::missing(path);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let path = path.canonicalize()?;
        foreign::check(&path)?;
        let lock = take_lock(&path)?;
        // Now that nobody else is at it.
        let first_start = first_start::holds_only_the_lock(&path)?.then_some(missing);
        if backup::is_unfinished(&path) {
            bail!(
                "a restore into {} was not finished: run `outport restore` again, with the same backup or another",
                path.display()
            );
        }
        check_format(&path)?;
        let inventory = Inventory::read(&path)?;
        inventory.check_instance()?;
        let instance = read_or_make(&path.join("instance"), || random_hex(4))?;
        let claim = claim(&path, &instance)?;
        let _claim = claim.map(instances::keep).transpose().context("cannot keep the lock")?;
        let inventory = Mutex::new(inventory);
        Ok(Self { path, instance, inventory, first_start, _lock: lock, _claim })
    }

    /// The instance of a directory that may be read-only; takes no lock.
    pub fn instance_of(path: &Path) -> Result<String> {
        let file = path.join("instance");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    /// 8 hexadecimal digits that stand in every name this installation makes on a host.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// # Errors
    /// When what [`DataDir::remember`] was told of is gone.
    pub fn check(&self, name: &str) -> Result<()> {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner).check(name)
    }

    /// That those of these which are there were made, and are whole: a later start refuses to begin without them.
    pub fn remember(&self, names: &[&str]) {
        let made: Vec<&str> =
            names.iter().copied().filter(|name| self.path.join(name).exists()).collect();
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = inventory.with(&self.instance, &made) else { return };
        if let Err(error) = write_secret(&inventory.path(), text.trim_end()) {
            tracing::warn!(
                event = "inventory_not_written",
                %error,
                "cannot note what was made in the data directory: if a part of it is lost, the next start does not notice"
            );
        }
    }

    /// What was made under this name is kept elsewhere from now on: a later start does not miss it.
    pub fn forget(&self, name: &str) -> Result<()> {
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        match inventory.without(name) {
            Some(text) => write_secret(&inventory.path(), text.trim_end()),
            None => Ok(()),
        }
    }

    /// Changes what later starts take when they are told nothing. What is so already is not written again.
    pub fn settle(&self, change: impl FnOnce(&mut Settings)) {
        if let Err(error) = self.change_settings(change) {
            // Tasks are to be stopped even where it cannot be written.
            tracing::warn!(
                event = "settings_not_written",
                error = format_args!("{error:#}"),
                "cannot note in the data directory what this start settled: the next one may have to be told --cluster"
            );
        }
    }

    /// As [`DataDir::settle`], for who cannot do without.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        let before = Settings::read(&self.path)?;
        let mut settings = before.clone();
        change(&mut settings);
        if settings == before {
            return Ok(());
        }
        write_secret(&self.path.join(settings::FILE), &serde_json::to_string(&settings)?)
    }

    /// A part of the directory; made when it was never there.
    pub fn part(&self, name: &str) -> Result<PathBuf> {
        self.check(name)?;
        let part = self.path.join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&part)?;
        Ok(part)
    }

    /// Where the authority and the server's certificate are; made by who opens it.
    pub fn tls_path(&self) -> Result<PathBuf> {
        self.check("tls")?;
        Ok(self.path.join("tls"))
    }

    /// The root key pair of the account; made at the first start.
    pub fn root_key(&self) -> Result<KeyPair> {
        self.check("root-key")?;
        let text = read_or_make(&self.path.join("root-key"), || {
            let key = KeyPair {
                access_key_id: format!("AKIA{}", random_base32(16)?),
                secret_access_key: random_base64(30)?,
            };
            Ok(serde_json::to_string(&key)?)
        })?;
        serde_json::from_str(&text).context("the file root-key of the data directory is damaged")
    }

    /// What a node proves to know when it joins, and whom it then believes. One that an older version
    /// wrote gets the pin, and so does one from before a new authority.
    pub fn join_token(&self, pin: Pin) -> Result<JoinToken> {
        self.check("join-token")?;
        let path = self.path.join("join-token");
        let text =
            read_or_make(&path, || Ok(JoinToken::new(&random_hex(SECRET_BYTES)?, pin)?.expose()))?;
        let token = JoinToken::with_pin(&text, pin)
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        if token.expose() != text {
            write_secret(&path, &token.expose())?;
        }
        Ok(token)
    }

    /// The key that seals what is handed out and must come back unchanged.
    pub fn sealing_key(&self) -> Result<[u8; SECRET_BYTES]> {
        self.key("sealing-key")
    }

    fn key(&self, name: &str) -> Result<[u8; SECRET_BYTES]> {
        self.check(name)?;
        let text = read_or_make(&self.path.join(name), || random_hex(SECRET_BYTES))?;
        let bytes = hex::decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.with_context(|| format!("the file {name} of the data directory is damaged"))
    }

    /// Tells `outport env` where the running control plane is. What says so already is not written again:
    /// a start needs no space that it can do without.
    pub fn publish(&self, endpoint: &Endpoint) -> Result<()> {
        let (path, text) = (self.path.join("endpoint"), serde_json::to_string(endpoint)?);
        if std::fs::read_to_string(&path).is_ok_and(|there| there.trim() == text) {
            return Ok(());
        }
        // A start writes it anew if need be: after a crash of the host nobody misses it.
        write_private(&path, &text, false)
    }

    /// The directory itself, whose file system all parts share unless an operator mounted others.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The lock of the instance: two directories of one id are a copy and its original.
fn claim(path: &Path, instance: &str) -> Result<Option<Claim>> {
    match claim_with_retry(instance) {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => bail!(
            "an Outport of the instance {instance}, as which {} is known, is running: is it a copy of \
             that one's data directory? Stop it, or choose another directory with --data-dir",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error).context("cannot take the lock of the instance in /run/outport"),
    }
}

/// Who looks for what the dead left holds the lock of each for a moment.
fn claim_with_retry(instance: &str) -> std::io::Result<Option<Claim>> {
    let deadline = Instant::now() + CLAIM_PATIENCE;
    loop {
        match instances::claim(instance) {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(CLAIM_RETRY),
            outcome => return outcome,
        }
    }
}

/// Whether a data directory has this in it.
///
/// # Errors
/// When this user may not look.
pub fn holds(directory: &Path, name: &str) -> Result<bool> {
    match std::fs::metadata(directory.join(name)) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            bail!("{} is readable by its owner only: run this with sudo", directory.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", directory.display())),
    }
}

/// Makes another join token: what was given out lets nobody join any more. `token` is that of the running control plane, which
/// goes on with the new one once that is on disk.
pub fn rotate_join_token(directory: &Path, token: &JoinToken) -> Result<()> {
    let new = JoinToken::new(&random_hex(SECRET_BYTES)?, token.pin())?;
    write_secret(&directory.join("join-token"), &new.expose())?;
    token.replace(&new);
    Ok(())
}

/// The lock of a data directory, without anything else of it.
pub fn take_lock(path: &Path) -> Result<Flock<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path.join("lock"))
        .with_context(|| format!("cannot write to the data directory {}", path.display()))?;
    match lock_with_retry(file) {
        Ok(lock) => Ok(lock),
        Err(nix::errno::Errno::EWOULDBLOCK) => bail!(
            "the data directory {} is in use by another outport: stop that one, or choose another \
             directory with --data-dir",
            path.display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot lock {}", path.join("lock").display()))
        }
    }
}

/// A process that was killed may have begun a child, which has all its descriptors until it executes a program or ends.
pub fn lock_with_retry(mut file: File) -> nix::Result<Flock<File>> {
    let deadline = Instant::now() + CLAIM_PATIENCE;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < deadline => file,
            Err((_, error)) => return Err(error),
        };
        std::thread::sleep(CLAIM_RETRY);
    }
}

/// # Errors
/// When a newer version wrote the directory.
pub fn check_format(path: &Path) -> Result<()> {
    let text = read_or_make(&path.join("format"), || Ok(FORMAT.to_string()))?;
    let format: u32 = text
        .parse()
        .with_context(|| format!("{} does not hold a number", path.join("format").display()))?;
    if format > FORMAT {
        bail!(
            "the data directory {} was written by a newer outport (format {format}, this one knows \
             {FORMAT}): upgrade this outport, or choose another directory with --data-dir",
            path.display()
        );
    }
    Ok(())
}

/// The trimmed text of a file; written first when there is none.
fn read_or_make(path: &Path, make: impl FnOnce() -> Result<String>) -> Result<String> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text)
                .with_context(|| format!("cannot read {}", path.display()))?;
            if text.trim().is_empty() {
                bail!("{} is empty: restore it from a backup", path.display());
            }
            Ok(text.trim().to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = make()?;
            write_secret(path, &text)?;
            Ok(text)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whole or not at all, on disk when it returns, readable by the owner only.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    write_private(path, text, true)
}

fn write_private(path: &Path, text: &str, on_disk: bool) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        writeln!(file, "{text}")?;
        if on_disk {
            file.sync_all()?;
        }
        std::fs::rename(&beside, path)?;
        match path.parent() {
            Some(parent) if on_disk => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

pub fn random_bytes(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the kernel gives no random bytes: {error}"))?;
    Ok(bytes)
}

fn random_hex(bytes: usize) -> Result<String> {
    Ok(hex::encode(random_bytes(bytes)?))
}

fn random_base32(letters: usize) -> Result<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    Ok(random_bytes(letters)?
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

fn random_base64(bytes: usize) -> Result<String> {
    use base64::Engine;
    Ok(base64::engine::general_purpose::STANDARD.encode(random_bytes(bytes)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn join_token(data_dir: &DataDir) -> String {
        data_dir.join_token(Pin::of(b"authority")).unwrap().expose()
    }

    #[test]
    fn a_join_token_of_an_older_version_keeps_its_secret() {
        let directory = tempfile::tempdir().unwrap();
        let secret = "0123456789abcdef".repeat(4);
        std::fs::write(directory.path().join("join-token"), format!("{secret}\n")).unwrap();
        let data_dir = DataDir::own(directory.path()).unwrap();
        let token = join_token(&data_dir);
        assert_eq!(token, format!("outport1.{secret}.{}", Pin::of(b"authority")));
        let stored = std::fs::read_to_string(directory.path().join("join-token")).unwrap();
        assert_eq!(stored.trim(), token);
        let mode = directory.path().join("join-token").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(directory.path().join("join-token"), "nonsense").unwrap();
        let error = data_dir.join_token(Pin::of(b"authority")).unwrap_err().to_string();
        assert!(error.contains("join-token"), "{error}");
    }

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDir::own(directory.path()).unwrap();
        let (instance, key, token) =
            (first.instance().to_owned(), first.root_key().unwrap(), join_token(&first));
        drop(first);
        let second = DataDir::own(directory.path()).unwrap();
        assert_eq!(second.instance(), instance);
        assert!(second.root_key().unwrap() == key);
        assert_eq!(join_token(&second), token);
        for name in ["root-key", "join-token", "instance"] {
            let mode = directory.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_second_owner_and_a_newer_format_are_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let owner = DataDir::own(directory.path()).unwrap();
        let refused = DataDir::own(directory.path()).err().unwrap().to_string();
        assert!(refused.contains("in use by another outport"), "{refused}");
        drop(owner);
        std::fs::write(directory.path().join("format"), "2").unwrap();
        let refused = DataDir::own(directory.path()).err().unwrap().to_string();
        assert!(refused.contains("newer outport"), "{refused}");
    }

    #[test]
    fn what_is_published_already_is_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let owner = DataDir::own(directory.path()).unwrap();
        let key = owner.root_key().unwrap();
        let url = "http://127.0.0.1:1".to_owned();
        let region = "us-east-1".into();
        let endpoint = Endpoint { url, region, key, https_url: None, authority: None };
        owner.publish(&endpoint).unwrap();
        // As on a full disk: nothing can be written beside it.
        std::fs::create_dir(directory.path().join("endpoint.new")).unwrap();
        owner.publish(&endpoint).unwrap();
        owner.publish(&Endpoint { url: "http://127.0.0.1:2".into(), ..endpoint }).unwrap_err();
    }
}
