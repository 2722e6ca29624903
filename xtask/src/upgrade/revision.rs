//! An older revision, and its program.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::process::{Started, command, output, until_end_within};
use crate::setup;

/// A build of everything, on a busy machine.
const BUILD_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Revisions that cannot be gone back to: each commit and all before it, and why. Design note 0011 says what a
/// revision promises; these were made before it did.
const NO_WAY_BACK: [(&str, &str); 2] = [
    (
        // The parent of 8035ad4, "Let a node believe its control plane only, and speak for itself only".
        "8035ad4^",
        "its store has no table `node_identity`, which every later one writes when a node joins, and it opens no journal \
     with a table that it does not know",
    ),
    (
        "5cad046",
        "its store reads no row of a task definition of the form that every later one writes (design note 0017), and its \
     registry and log store open no tables of version 2, which keep totals of their rows (design note 0019)",
    ),
];

pub struct Revision {
    commit: String,
    subject: String,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", &self.commit[..12.min(self.commit.len())], self.subject)
    }
}

impl Revision {
    pub fn find(repository: &Path, name: &str) -> Result<Self> {
        let wanted = format!("{name}^{{commit}}");
        let commit =
            output(&mut command(repository, "git", ["rev-parse", "--verify", "--quiet", &wanted]))?;
        let commit = commit.trim().to_owned();
        let subject =
            output(&mut command(repository, "git", ["log", "-1", "--format=%s", &commit]))?;
        Ok(Self { commit, subject: subject.trim().to_owned() })
    }

    /// Why it cannot be gone back to, as far as somebody has found out.
    pub fn known_limit(&self, repository: &Path) -> Result<Option<&'static str>> {
        for (last, why) in NO_WAY_BACK {
            let arguments = ["merge-base", "--is-ancestor", &self.commit, last];
            if command(repository, "git", arguments).status()?.success() {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Its program, built once, in a tree of its own that is removed again.
    pub fn program(&self, repository: &Path) -> Result<PathBuf> {
        let directory = setup::build_directory(repository)?.join("upgrade");
        let program = directory.join(&self.commit).join("outport");
        if program.exists() {
            return Ok(program);
        }
        println!("building it, once");
        let tree = Tree::check_out(repository, &directory, &self.commit)?;
        let target = directory.join("target");
        let mut build = Started::new(
            command(&tree.path, "cargo", ["build", "--locked", "--quiet", "--bin", "outport"])
                .env("CARGO_TARGET_DIR", &target),
        )?;
        until_end_within(&mut build, BUILD_PATIENCE)?;
        std::fs::create_dir_all(directory.join(&self.commit))?;
        // Whole or not at all.
        let beside = program.with_extension("new");
        std::fs::copy(target.join("debug/outport"), &beside)?;
        std::fs::rename(beside, &program)?;
        Ok(program)
    }
}

/// A work tree of the repository; gone when it is dropped.
struct Tree {
    repository: PathBuf,
    path: PathBuf,
}

impl Tree {
    fn check_out(repository: &Path, directory: &Path, commit: &str) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("tree-{}", std::process::id()));
        let tree = Self { repository: repository.to_owned(), path };
        let add = ["worktree", "add", "--quiet", "--detach"].map(Path::new);
        output(command(repository, "git", add).arg(&tree.path).arg(commit))?;
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Not through `run`: also of an interrupted chore nothing stays.
        let removed = command(&self.repository, "git", ["worktree", "remove", "--force"])
            .arg(&self.path)
            .status();
        if !removed.is_ok_and(|status| status.success()) {
            eprintln!("remove the work tree {} by hand", self.path.display());
        }
    }
}
