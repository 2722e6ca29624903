//! Tells the program which commit it is built from: `OUTPORT_VERSION`, such as `0.1.0 (commit 0123456789ab)`.
//!
//! `OUTPORT_COMMIT` says it where the sources are no checkout. A commit compiles this one crate again, and nothing else.

#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::path::{Path, PathBuf};
use std::process::Command;

const COMMIT: &str = "OUTPORT_COMMIT";
/// As many digits as are enough for good.
const SHORT: &str = "--short=12";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let version = env!("CARGO_PKG_VERSION");
    let given = std::env::var(COMMIT).ok().filter(|commit| !commit.is_empty());
    let origin = match given.or_else(checked_out) {
        Some(commit) => format!("commit {commit}"),
        None => "built without git: commit unknown".to_owned(),
    };
    println!("cargo::rustc-env=OUTPORT_VERSION={version} ({origin})");
}

/// The commit of this checkout. `None` without git, or where the sources lie in somebody else's repository.
fn checked_out() -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != here {
        return None;
    }
    // What changes with a commit and with a checkout. Of a file that is not there cargo would think that it changed.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if here.join(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", SHORT, "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let answer = Command::new("git")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|answer| answer.status.success())?;
    let text = String::from_utf8(answer.stdout).ok()?;
    Some(text.trim().to_owned())
}
