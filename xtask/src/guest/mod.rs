//! A guest with pure cgroup v2, under software emulation: most users' hosts are like it, the machines
//! that build this often are not.
//!
//! The test programs of the crates that touch control groups, namespaces and rules are run inside,
//! as they are, from a memory file system; their verdict comes over the serial line.
//!
//! **Invariant**: a program that did not end well, or of which nothing was heard, is a failure.

mod boot;
mod initrd;
mod kernel;
mod machine;
mod root;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::Value;

pub use self::initrd::for_disk;
pub use self::kernel::Kernel;
pub use self::machine::{Machine, tail};
use crate::process::{command, output};
use crate::setup;
use crate::test::Counts;

/// Crates whose integration tests run in the guest, by their directories.
const CRATES: [&str; 2] = ["crates/container-runtime", "crates/task-network"];

/// The tests of containers again, without user namespaces: what is another on version 2 is seen by the others.
const LEFT_OUT: &str = "containers_of_the_host";

/// The programs of the core. Networks know no control groups, and one program shows that they are made on Debian's kernel.
const CORE_PROGRAMS: [&str; 3] = ["containers", "disks", "host_network"];

/// Modules of tests that ask for little that is another on version 2: emulated they take minutes, and they are run on
/// the host anyway. What is left is how containers begin, are limited, end, are found again and are removed.
const SAME_ON_BOTH: [&str; 17] = [
    "capabilities",
    "default_profile",
    "escapes",
    "hostile_images",
    "keys",
    "logs",
    "privacy",
    "races",
    "start_failures",
    "stress",
    "system_calls",
    "text_files",
    "unanswering",
    "user_namespaces",
    "users",
    "versions",
    "volumes",
];

/// Which tests run in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that version 2 of control groups, and the kernel of Debian, are another ground for.
    Core,
    All,
}

impl Which {
    /// Arguments of the test programs.
    fn arguments(self) -> String {
        match self {
            Self::Core => SAME_ON_BOTH.map(|module| format!(" --skip {module}::")).concat(),
            Self::All => String::new(),
        }
    }

    fn has(self, program: &str) -> bool {
        match self {
            Self::Core => CORE_PROGRAMS.contains(&program),
            Self::All => program != LEFT_OUT,
        }
    }
}

/// Boots the guest and fails unless every test program passed in it; how many tests those were.
pub fn run_guest(repository: &Path, which: Which) -> Result<Counts> {
    let directory = directory(repository)?;
    let kernel = Kernel::obtain(&directory)?;
    let programs = test_programs(repository, which)?;
    let root = directory.join("root");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    root::fill(&root, &kernel, &programs, which)?;
    let archive = initrd::pack(&root)?;
    boot::boot(&kernel.image, &archive, programs.tests.len())
}

/// Where guests have their files: the kernel stays, so that the next does not download it.
pub fn directory(repository: &Path) -> Result<PathBuf> {
    let directory = setup::build_directory(repository)?.join("guest");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// What runs in the guest.
struct Programs {
    /// Integration tests.
    tests: Vec<PathBuf>,
    /// What they start.
    started: Vec<PathBuf>,
}

/// The integration tests of `CRATES` and the binaries they start, as cargo says. Built with everything else: for two
/// crates alone, their dependencies would be built once more, with fewer features.
fn test_programs(repository: &Path, which: Which) -> Result<Programs> {
    let arguments = ["test", "--workspace", "--no-run", "--locked", "--message-format=json"];
    let manifests = CRATES.map(|directory| repository.join(directory).join("Cargo.toml"));
    let messages = output(&mut command(repository, "cargo", arguments))?;
    let mut programs = Programs { tests: Vec::new(), started: Vec::new() };
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line)?;
        let Some(executable) = message["executable"].as_str().map(PathBuf::from) else { continue };
        let manifest = message["manifest_path"].as_str().map(PathBuf::from);
        if !manifest.is_some_and(|manifest| manifests.contains(&manifest)) {
            continue;
        }
        let kinds = message["target"]["kind"].as_array().cloned().unwrap_or_default();
        let is_test_build = message["profile"]["test"] == true;
        if kinds.contains(&Value::from("test")) {
            if which.has(message["target"]["name"].as_str().unwrap_or_default()) {
                programs.tests.push(executable);
            }
        } else if kinds.contains(&Value::from("bin")) && !is_test_build {
            programs.started.push(executable);
        }
    }
    if programs.tests.len() < CRATES.len() {
        bail!("{CRATES:?} must each have integration tests to run in the guest");
    }
    Ok(programs)
}
