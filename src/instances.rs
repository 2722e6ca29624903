//! The Outports of this host: which there are, which of them run, and what the dead left.
//!
//! **Invariant:** whoever runs holds the lock of its instance, `/run/outport/<instance>.lock`; nothing of
//! an instance whose lock is held is touched by anybody else.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use outport_image_registry::HostIntegration;

const LOCKS: &str = "/run/outport";
/// A lock whose file was removed while it was waited for is taken again, so often.
const CLAIM_ATTEMPTS: usize = 10;

/// How often somebody may have cleaned `/run` before it is seen.
const KEEP_INTERVAL: Duration = Duration::from_secs(2);

/// The lock of an instance. Its file goes with it.
pub struct Claim {
    path: PathBuf,
    /// `None` once it is another claim's.
    lock: Option<Flock<File>>,
}

impl Claim {
    /// Makes the file again if somebody has removed it: whoever looks for it must find it locked. Whether it was gone.
    fn keep(&mut self) -> std::io::Result<bool> {
        let inode = |found: std::io::Result<fs::Metadata>| found.ok().map(|found| found.ino());
        let own = self.lock.as_ref().and_then(|lock| inode(lock.metadata()));
        if own.is_none() || own == inode(fs::metadata(&self.path)) {
            return Ok(false);
        }
        let (Some(locks), Some(instance)) = (self.path.parent(), self.path.file_stem()) else {
            return Ok(false);
        };
        let again = claim_in(locks, &instance.to_string_lossy())?;
        self.lock = again.ok_or(Errno::EWOULDBLOCK)?.lock.take();
        Ok(true)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Only a file of a few bytes in memory is left if it cannot be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A claim whose file is made again whenever somebody removes it.
pub struct KeptClaim {
    _claim: Arc<Mutex<Claim>>,
}

/// Keeps a claim, with a thread that looks after it.
///
/// # Errors
/// When there is no thread.
pub fn keep(claim: Claim) -> std::io::Result<KeptClaim> {
    let claim = Arc::new(Mutex::new(claim));
    let kept = Arc::downgrade(&claim);
    std::thread::Builder::new().name("instance-lock".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(KEEP_INTERVAL);
            let Some(claim) = kept.upgrade() else { return };
            let kept = claim.lock().unwrap_or_else(PoisonError::into_inner).keep();
            match kept {
                Ok(false) => {}
                Ok(true) => tracing::warn!(
                    event = "instance_lock_removed",
                    "somebody removed the lock file of this instance; it is made again"
                ),
                Err(error) => tracing::error!(
                    event = "instance_lock_not_made",
                    %error,
                    "the lock file of this instance was removed and cannot be made again"
                ),
            }
        }
    })?;
    Ok(KeptClaim { _claim: claim })
}

/// Takes the lock of an instance; `None` when somebody has it.
///
/// # Errors
/// When the directory or the file cannot be made.
pub fn claim(instance: &str) -> std::io::Result<Option<Claim>> {
    claim_in(Path::new(LOCKS), instance)
}

fn claim_in(locks: &Path, instance: &str) -> std::io::Result<Option<Claim>> {
    fs::create_dir_all(locks)?;
    let path = locks.join(format!("{instance}.lock"));
    for _ in 0..CLAIM_ATTEMPTS {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            // Removed by the one that held it: whoever comes next makes another file.
            Ok(lock) if lock.metadata()?.nlink() == 0 => {}
            Ok(lock) => return Ok(Some(Claim { path, lock: Some(lock) })),
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, error)) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// The process that runs as an instance; `None` when none does, or it cannot be told.
pub fn process_of(instance: &str) -> Option<u32> {
    process_with_lock(&Path::new(LOCKS).join(format!("{instance}.lock")))
}

/// Of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE <process> <device>:<inode> 0 EOF`.
fn process_with_lock(path: &Path) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    let (major, minor) = (nix::sys::stat::major(found.dev()), nix::sys::stat::minor(found.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let fields = locks.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut held = fields.filter(|fields| fields.get(5) == Some(&file.as_str()));
    held.find_map(|fields| fields.get(4)?.parse().ok())
}

/// Every instance that has left anything on this host, running or not.
pub fn on_host() -> BTreeSet<String> {
    let mut found = outport_node_agent::instances_on_host();
    found.extend(HostIntegration::instances());
    found
}

/// Those of them that do not run, and those that run with tasks or places for them here, without `own`.
pub fn others(own: &str) -> (Vec<String>, Vec<String>) {
    let with_tasks = outport_node_agent::instances_on_host();
    let (mut dead, mut running) = (Vec::new(), Vec::new());
    for instance in on_host().into_iter().filter(|instance| instance != own) {
        match claim(&instance) {
            Ok(Some(_)) => dead.push(instance),
            Ok(None) if with_tasks.contains(&instance) => running.push(instance),
            // A control plane alone, or one that cannot be told.
            Ok(None) | Err(_) => {}
        }
    }
    (dead, running)
}

/// Drop-ins of instances of which nothing else is left either: their addresses may be anybody's now.
pub fn remove_drop_ins_of_dead_instances(own: &str) {
    let alive = outport_node_agent::instances_on_host();
    for instance in HostIntegration::instances() {
        if instance == own || alive.contains(&instance) {
            continue;
        }
        if let Ok(Some(_claim)) = claim(&instance)
            && let Err(error) = remove_drop_in(&instance)
        {
            tracing::warn!(
                event = "dead_instance_drop_in_not_removed",
                %error,
                instance,
                "cannot remove the registry's configuration file of an instance that does not run"
            );
        }
    }
}

/// Whether there was one.
fn remove_drop_in(instance: &str) -> std::io::Result<bool> {
    // Only the instance counts for what is removed.
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    HostIntegration::new(instance, anywhere).map_or(Ok(false), |file| file.remove())
}

/// Removes what an instance left: what there was. `node_directory` is `None` when its data directory is gone
/// or cannot be written; the files in it stay then. The caller holds the claim.
///
/// # Errors
/// When something of it stays.
pub fn remove(instance: &str, node_directory: Option<&Path>) -> Result<Vec<String>> {
    let mut removed = match node_directory {
        Some(directory) => outport_node_agent::remove_everything(directory, instance)?,
        None => {
            let stand_in = Path::new(LOCKS).join(format!("{instance}.cleanup"));
            let removed = outport_node_agent::remove_everything(&stand_in, instance);
            match fs::remove_dir_all(&stand_in) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot remove {}", stand_in.display()));
                }
                _ => removed?,
            }
        }
    };
    if remove_drop_in(instance).context("cannot remove the registry's configuration file")? {
        removed.push("the registry's configuration file for podman, skopeo and buildah".to_owned());
    }
    Ok(removed)
}

/// An instance's id, of the command line.
pub fn check_id(text: &str) -> Result<()> {
    if text.len() != 8 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        bail!("--instance is {text:?}: an instance id has 8 hexadecimal digits, such as 0123abcd");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_claimed_by_one_at_a_time_and_leaves_no_file() {
        let locks = tempfile::tempdir().unwrap();
        let first = claim_in(locks.path(), "0123abcd").unwrap().unwrap();
        assert!(claim_in(locks.path(), "0123abcd").unwrap().is_none());
        assert!(claim_in(locks.path(), "0123abce").unwrap().is_some());
        drop(first);
        assert!(fs::read_dir(locks.path()).unwrap().next().is_none());
        assert!(claim_in(locks.path(), "0123abcd").unwrap().is_some());
    }

    #[test]
    fn the_process_that_runs_as_an_instance_is_known() {
        let locks = tempfile::tempdir().unwrap();
        let path = locks.path().join("0123abcd.lock");
        assert_eq!(process_with_lock(&path), None);
        let claim = claim_in(locks.path(), "0123abcd").unwrap().unwrap();
        assert_eq!(process_with_lock(&path), Some(std::process::id()));
        drop(claim);
        assert_eq!(process_with_lock(&path), None);
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_made_again() {
        let locks = tempfile::tempdir().unwrap();
        let mut claim = claim_in(locks.path(), "0123abcd").unwrap().unwrap();
        assert!(!claim.keep().unwrap());
        let file = locks.path().join("0123abcd.lock");
        fs::remove_file(&file).unwrap();
        assert!(claim.keep().unwrap());
        assert!(claim_in(locks.path(), "0123abcd").unwrap().is_none());
        // Somebody took it before it was seen.
        fs::remove_file(&file).unwrap();
        let other = claim_in(locks.path(), "0123abcd").unwrap().unwrap();
        assert!(claim.keep().is_err());
        drop(other);
        assert!(claim.keep().unwrap());
        drop(claim);
        assert!(fs::read_dir(locks.path()).unwrap().next().is_none());
    }

    #[test]
    fn only_an_id_is_taken_for_one() {
        for text in ["", "0123abc", "0123ABCD", "../../ab", "0123abcd0"] {
            assert!(check_id(text).is_err(), "{text}");
        }
        check_id("0123abcd").unwrap();
    }
}
