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
mod events;
mod guest;
mod interrupt;
mod metrics;
mod mutants;
mod outport;
mod package;
mod process;
mod random;
mod reservation;
mod setup;
mod sources;
mod steps;
mod subject;
mod test;
mod tidy;
mod upgrade;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this repository")]
enum Chore {
    /// Run every test: units, simulation, clients, containers, and a guest with pure cgroup v2
    #[command(args_conflicts_with_subcommands = true)]
    Test {
        /// Only what needs neither root nor a container; in two minutes, once it is built
        #[arg(long)]
        quick: bool,
        #[command(subcommand)]
        part: Option<test::Part>,
    },
    /// Show the main job, from a pushed image to a service, on a scratch data directory
    Demo(demo::Options),
    /// Make what Outport is installed from: tarball, .deb, container image, bill of materials
    Package(package::Options),
    /// Measure, beside peers that are measured in the same run
    Bench(bench::Options),
    /// Write docs/performance.md from docs/performance.json, which `bench --all` writes
    Performance {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
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
    /// Write docs/operations/events.md, the list of the log's events
    Events {
        /// Only fail when it is stale
        #[arg(long)]
        check: bool,
    },
    /// Write docs/operations/metrics.md, the list of the metrics
    Metrics {
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

fn main() -> Result<()> {
    let repository = repository();
    match Chore::parse() {
        Chore::Test { quick, part } => test::run_tests(&repository, quick, part),
        Chore::Demo(options) => demo::run_demo(&repository, options),
        Chore::Package(options) => package::run(&repository, options),
        Chore::Bench(options) => bench::run(&repository, options),
        Chore::Performance { check } => bench::run_page(&repository, check),
        Chore::Campaign(campaign) => campaign::run(&repository, campaign),
        Chore::Mutants => mutants::run_mutants(&repository),
        Chore::Tidy => tidy::run(&repository),
        Chore::Codegen { check } => codegen::run(&repository, check),
        Chore::Compatibility { check } => compatibility::run(&repository, check),
        Chore::Events { check } => events::run(&repository, check),
        Chore::Metrics { check } => metrics::run(&repository, check),
        Chore::ImportFacts { botocore } => codegen::import_facts(&repository, &botocore),
    }
}

/// The root of the repository, which this package stands in.
fn repository() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
