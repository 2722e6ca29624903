//! What was made in a data directory: a file `made` beside it all.
//!
//! A part that is gone as a whole (a file system that is not mounted, a directory that somebody removed) looks like one that
//! was never made. Made anew it would be empty: no state, no image, no log; and nodes end what an empty state does not know.
//! An authority that is made anew is another one, which nobody trusts.
//! What lies inside a part does not help, since it is gone with it.
//!
//! **Invariant:** a name is written here only once what it names is there and whole, so a start that died before its end
//! refuses nothing.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const FILE: &str = "made";
/// The line of the instance: its name, and its digits.
const INSTANCE: &str = "instance ";
/// In the root of a file system that has just been made.
const OF_THE_FILE_SYSTEM: &str = "lost+found";

/// Names below a data directory, and what is lost without each.
const LOST: [(&str, &str); 9] = [
    ("control", "all state is lost then, and nodes end what they run"),
    ("registry", "all repositories and images are lost then"),
    ("logs", "all log events are lost then"),
    ("tls", "no node and no client trusts the server then, until each was given the new authority"),
    ("join-token", "machines that are to join need the new one then"),
    ("root-key", "clients need the new key then"),
    ("sealing-key", "the registry passwords that were given out are worth nothing then"),
    (
        "master-key",
        "nothing that was sealed with it can be read then: access keys of users, keys of KMS and what is kept under them",
    ),
    ("node/node-id", "this machine is another node then, and what it runs ends"),
];

pub struct Inventory {
    directory: PathBuf,
    lines: BTreeSet<String>,
}

impl Inventory {
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let lines = text.lines().map(str::to_owned).collect();
        Ok(Self { directory: directory.to_owned(), lines })
    }

    /// # Errors
    /// When the directory is of another instance than the one that was made here, or says none: every name on the host
    /// has the id in it.
    pub fn check_instance(&self) -> Result<()> {
        let made = self.lines.iter().find_map(|line| line.strip_prefix(INSTANCE));
        let path = self.directory.join("instance");
        let found = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            found => found.with_context(|| format!("cannot read {}", path.display()))?,
        };
        match made {
            Some(made) if made != found.trim() => bail!(
                "{} is gone or was changed: this is instance {made}, and what it runs on this host has that name; \
                 write {made} into the file",
                path.display()
            ),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When what was made under that name is not there, or nothing is in it.
    pub fn check(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        if !self.lines.contains(name) || is_there(&path) {
            return Ok(());
        }
        let lost = LOST.iter().find(|(known, _)| *known == name).map_or("", |(_, lost)| lost);
        bail!(
            "{} is gone, or nothing is in it (is a file system not mounted?): restore it; to begin without it, remove the \
             line {name} from {}: {lost}",
            path.display(),
            self.directory.join(FILE).display()
        )
    }

    /// The text with these names in it, if it says more than before.
    pub fn with(&mut self, instance: &str, names: &[&str]) -> Option<String> {
        let before = self.lines.len();
        self.lines.insert(format!("{INSTANCE}{instance}"));
        self.lines.extend(names.iter().map(|name| (*name).to_owned()));
        (self.lines.len() > before).then(|| self.text())
    }

    /// The text without this name, if it was there.
    pub fn without(&mut self, name: &str) -> Option<String> {
        self.lines.remove(name).then(|| self.text())
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }
}

/// A file, or a directory with something in it. What cannot be looked at is somebody else's to say.
fn is_there(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_str() != Some(OF_THE_FILE_SYSTEM))
        }),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_is_gone_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let read = || Inventory::read(path).unwrap();
        for (name, _) in LOST {
            read().check(name).unwrap();
        }
        read().check_instance().unwrap();
        std::fs::write(path.join("instance"), "0123abcd\n").unwrap();
        std::fs::create_dir_all(path.join("node")).unwrap();
        let names = LOST.map(|(name, _)| name);
        let mut inventory = read();
        std::fs::write(path.join(FILE), inventory.with("0123abcd", &names).unwrap()).unwrap();
        assert_eq!(read().with("0123abcd", &names), None, "nothing is new");
        for (name, lost) in LOST {
            let refused = read().check(name).unwrap_err().to_string();
            assert!(refused.contains(&*path.join(name).to_string_lossy()), "{refused}");
            assert!(refused.contains(lost) && refused.contains("not mounted"), "{refused}");
        }
        // A mount point without its file system, and one with a new one.
        let control = path.join("control");
        std::fs::create_dir_all(control.join(OF_THE_FILE_SYSTEM)).unwrap();
        assert!(read().check("control").is_err());
        std::fs::write(control.join("journal.sqlite"), "").unwrap();
        std::fs::write(path.join("root-key"), "").unwrap();
        for name in ["control", "root-key"] {
            read().check(name).unwrap();
        }
        read().check_instance().unwrap();
        for other in [Some("4567abcd"), Some(""), None] {
            match other {
                Some(text) => std::fs::write(path.join("instance"), text).unwrap(),
                None => std::fs::remove_file(path.join("instance")).unwrap(),
            }
            let refused = read().check_instance().unwrap_err().to_string();
            assert!(refused.contains("write 0123abcd into the file"), "{refused}");
        }
    }
}
