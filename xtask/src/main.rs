//! `cargo xtask`: the chores of this repository.
//!
//! **Invariant**: a chore leaves the machine as it found it, packages that it says it installs and
//! the build directory apart; also when it fails or is interrupted.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person that started it"
)]

mod bench;
mod campaign;
mod client;
mod codegen;
mod compatibility;
mod demo;
mod guest;
mod interrupt;
mod mutants;
mod outport;
mod process;
mod random;
mod reservation;
mod setup;
mod subject;
mod test;
mod tidy;
mod upgrade;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this repository")]
enum Chore {
    /// Run every test: units, simulation, clients, containers, and a guest with pure cgroup v2
    Test {
        #[command(subcommand)]
        part: Option<TestPart>,
    },
    /// Run the core of the container tests in a guest with pure cgroup v2 (a part of `test`)
    Guest,
    /// Show the main job, from a pushed image to a service, on a scratch data directory
    Demo,
    /// Measure, beside peers that are measured in the same run
    #[command(subcommand)]
    Bench(Bench),
    /// Attack an Outport of its own at random for some minutes; fails when it shows a fault
    #[command(subcommand)]
    Campaign(campaign::Campaign),
    /// Make deliberate mistakes in what decides; fails when no test catches one
    Mutants,
    /// Check the rules of the house: who uses whom, purity, names, licences
    Tidy,
    /// Write the generated code of crates/aws-models
    Codegen {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
    /// Write docs/compatibility.md
    Compatibility {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
    /// Make the fact files anew from an unpacked botocore wheel
    ImportFacts {
        /// The wheel's `botocore` folder
        #[arg(long)]
        botocore: PathBuf,
    },
}

#[derive(Subcommand)]
enum TestPart {
    /// Go from an older revision to this tree and back over live containers (before a release; not a part of `test`)
    Upgrade(upgrade::Options),
}

#[derive(Subcommand)]
enum Bench {
    /// From RunTask to the first byte of the app, a burst, a cold start, idle memory
    Launch {
        /// How often each subject is measured
        #[arg(long, default_value_t = 100)]
        runs: usize,
    },
    /// Reports, polls, commits and placements with many nodes and standing tasks
    Scheduler {
        /// Only small sizes
        #[arg(long)]
        quick: bool,
        /// Write the figures to this file, too
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Only the bursts of fifty tasks
    Burst {
        /// How many bursts
        #[arg(long, default_value_t = 10)]
        runs: usize,
    },
}

fn main() -> Result<()> {
    let repository = repository();
    match Chore::parse() {
        Chore::Test { part: None } => test::run_tests(&repository),
        Chore::Test { part: Some(TestPart::Upgrade(options)) } => {
            upgrade::run(&repository, options)
        }
        Chore::Guest => test::run_guest_alone(&repository),
        Chore::Demo => demo::run_demo(&repository),
        Chore::Bench(Bench::Launch { runs }) => bench::run_launch(&repository, runs),
        Chore::Bench(Bench::Scheduler { quick, json }) => {
            bench::run_scheduler(&repository, quick, json.as_deref())
        }
        Chore::Bench(Bench::Burst { runs }) => bench::run_burst(&repository, runs),
        Chore::Campaign(campaign) => campaign::run(&repository, campaign),
        Chore::Mutants => mutants::run_mutants(&repository),
        Chore::Tidy => tidy::run(&repository),
        Chore::Codegen { check } => codegen::run(&repository, check),
        Chore::Compatibility { check } => compatibility::run(&repository, check),
        Chore::ImportFacts { botocore } => codegen::import_facts(&repository, &botocore),
    }
}

/// The root of the repository, which this package stands in.
fn repository() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
