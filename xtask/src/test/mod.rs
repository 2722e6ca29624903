//! `cargo xtask test`: every test, in the order in which a failure is cheapest, or a part of them.

mod book;
mod counts;
mod quick;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

pub use self::counts::Counts;
use self::counts::run_counting;
use crate::guest::{self, Which};
use crate::process::{Scratch, command, find, run};
use crate::steps::Steps;
use crate::{interrupt, setup, upgrade};

/// The suite takes some minutes; one that hangs must not hang for ever.
const PYTEST_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The same of cargo's tests, with what it takes to build them on a slow machine.
const CARGO_PATIENCE: Duration = Duration::from_secs(90 * 60);

/// A part of the tests.
#[derive(Subcommand)]
pub enum Part {
    /// Formatting, lints, and the tests of the crates: units, vectors, operations, simulation, containers, networks
    Unit,
    /// The built binary under the AWS CLI, boto3, docker, skopeo and others
    Clients,
    /// Tasks and their containers in the built binary
    Containers,
    /// The core of the container tests in a virtual machine with pure cgroup v2
    Guest {
        /// All of them: takes some minutes more
        #[arg(long)]
        nightly: bool,
    },
    /// The book of docs/; builds mdBook where it is missing, which takes some minutes
    Book,
    /// Go from an older revision to this tree and back over live containers (before a release; not a part of the whole)
    Upgrade(upgrade::Options),
}

/// Runs a part, or everything.
pub fn run_tests(repository: &Path, quick: bool, part: Option<Part>) -> Result<()> {
    interrupt::watch()?;
    let steps: &[Step] = match part {
        _ if quick => return quick::run_quick_tests(repository),
        Some(Part::Book) => {
            let mdbook = match book::installed(repository)? {
                Some(mdbook) => mdbook,
                None => book::install(repository)?,
            };
            return book::build(repository, &mdbook);
        }
        Some(Part::Upgrade(options)) => return upgrade::run(repository, options),
        Some(Part::Unit) => &[Step::Formatting, Step::Lints, Step::Dependencies, Step::Crates],
        Some(Part::Clients) => &[Step::Python(&["tests/clients"])],
        Some(Part::Containers) => &[Step::Python(&["tests/containers"])],
        Some(Part::Guest { nightly: false }) => &[Step::Guest(Which::Core)],
        Some(Part::Guest { nightly: true }) => &[Step::Guest(Which::All)],
        None => &Step::ALL,
    };
    setup::require_root()?;
    setup::install_packages(&[&setup::TEST_PROGRAMS[..], &setup::GUEST_PROGRAMS].concat())?;
    setup::install_cargo_components(repository)?;
    let mut said = Steps::new(steps.len());
    let mut counts = Counts::default();
    let mut first_failure = None;
    for step in steps {
        said.begin(step.name());
        if let Err(error) = step.run(repository, &mut counts) {
            interrupt::check()?;
            println!("    failed: {error:#}");
            first_failure.get_or_insert(error);
            if !step.has_tests() {
                break;
            }
        }
    }
    let seconds = said.seconds();
    match first_failure {
        Some(error) => {
            println!("{counts}; not all is well, after {seconds} s");
            Err(error)
        }
        None => {
            println!("{counts}; all tests passed in {seconds} s");
            Ok(())
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Formatting,
    Lints,
    Dependencies,
    Book,
    Crates,
    Python(&'static [&'static str]),
    Guest(Which),
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Formatting,
        Self::Lints,
        Self::Dependencies,
        Self::Book,
        Self::Crates,
        Self::Python(&["tests/clients", "tests/containers"]),
        Self::Guest(Which::Core),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Formatting => "formatting",
            Self::Lints => "lints",
            Self::Dependencies => "advisories, bans, licences and sources of the dependencies",
            Self::Book => "the pages for users as a book",
            Self::Crates => {
                "the tests of the crates: units, vectors, operations, simulation, containers, networks"
            }
            Self::Python(["tests/clients"]) => "the built binary under its clients",
            Self::Python(["tests/containers"]) => "tasks and containers in the built binary",
            Self::Python(_) => "clients and containers against the built binary",
            Self::Guest(Which::Core) => {
                "the core of the container tests in a guest with pure cgroup v2"
            }
            Self::Guest(Which::All) => "the container tests in a guest with pure cgroup v2",
        }
    }

    /// The steps behind one with tests are run whatever fails: who reads the report wants to know of every one.
    fn has_tests(self) -> bool {
        matches!(self, Self::Crates | Self::Python(_) | Self::Guest(_))
    }

    fn run(self, repository: &Path, counts: &mut Counts) -> Result<()> {
        match self {
            Self::Formatting => run(&mut command(repository, "cargo", ["fmt", "--all", "--check"])),
            Self::Lints => {
                let lints = ["clippy", "--workspace", "--all-targets", "--locked"];
                run(command(repository, "cargo", lints).args(["--", "--deny", "warnings"]))
            }
            Self::Dependencies => {
                if find("cargo-deny").is_none() {
                    println!(
                        "    cargo-deny is not installed: advisories are not checked; tidy checks the rest"
                    );
                    return Ok(());
                }
                run(&mut command(repository, "cargo", ["deny", "--all-features", "check"]))
            }
            Self::Book => match book::installed(repository)? {
                Some(mdbook) => book::build(repository, &mdbook),
                None => {
                    println!(
                        "    mdbook is not installed (`cargo xtask test book` builds it): tidy checks links and contents"
                    );
                    Ok(())
                }
            },
            Self::Crates => {
                let tests = ["test", "--workspace", "--locked", "--no-fail-fast"];
                // Dots of libtest; cargo itself says which crate's they are.
                let mut tests = command(repository, "cargo", tests);
                run_counting(tests.args(["--", "--quiet"]), CARGO_PATIENCE, counts)
            }
            Self::Python(directories) => run_pytest(repository, directories, counts),
            Self::Guest(which) => {
                counts.add(guest::run_guest(repository, which)?);
                Ok(())
            }
        }
    }
}

fn run_pytest(repository: &Path, directories: &[&str], counts: &mut Counts) -> Result<()> {
    let programs = setup::python_programs(repository)?;
    setup::add_deploy_tools(repository, &programs)?;
    let binary = setup::build_outport(repository, false)?;
    let scratch = Scratch::new("pytest")?;
    // Told to end, pytest lets its fixtures clean up; `-rs` names what could not run here, and why.
    let options = ["-q", "-rs", "-p", "no:cacheprovider", "--durations", "5"];
    // Most of the time they wait: for a container to end, for a log to be there.
    let at_once = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"];
    let mut pytest = command(repository, programs.join("pytest"), options);
    pytest
        .args(at_once)
        .arg("--basetemp")
        .arg(scratch.path().join("tests"))
        .args(directories)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .env("OUTPORT_BINARY", &binary)
        .env("OUTPORT_XTASK", std::env::current_exe()?)
        .env("PATH", setup::path_with(&programs)?);
    run_counting(&mut pytest, PYTEST_PATIENCE, counts)
}
