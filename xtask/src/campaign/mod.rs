//! `cargo xtask campaign NAME`: rounds of one kind of attack, drawn from a seed, for some minutes.
//!
//! | campaign | a round |
//! |---|---|
//! | `clock` | a world of the simulation in which the wall clock is set, forward and back |
//! | `descriptors` | tasks are started while `up` may open few files |
//! | `escape` | one kind of the tests of escapes and races, or 50 shapes of running out of memory |
//! | `kill` | SIGKILL of `up` while callers write |
//! | `launches` | tasks are launched while named points of the code fail |
//! | `layers` | some thousand random layers, each unpacked beside a canary; crafted ones at the begin |
//! | `flood` | strangers send bodies, readers leave answers of a megabyte unread, callers work |
//! | `policies` | a million requests with policies by chance, decided in two ways |
//! | `signatures` | 50,000 signed requests with something changed |
//! | `strangers` | 10,000 connections that prove nothing, callers work |
//! | `full` | a disk fills by a container, a push, log events or a stranger while tasks run |
//! | `inodes` | the same with its inodes |
//! | `rules` | somebody flushes the host's firewall rules while a task that wants out runs |
//! | `suspend` | Outport, or it and all its containers, is suspended for up to five minutes |
//!
//! A campaign is a function of a [`Course`]: it gets random numbers, starts what it needs
//! ([`Stage`] is an Outport with an image), asks [`Ledger::goes_on`] before each round and notes what
//! should not have been with [`Ledger::fault`]. To add one: a module, a variant, a line in `run`, a
//! row above.
//!
//! **Invariant**: the last line is the verdict, `campaign NAME: N rounds, F faults, seed S`; the exit
//! code is 0 only without a fault; the seed repeats what was drawn (not what the machine did with
//! it). Interrupted or failed, a campaign removes what it made.

mod callers;
mod clock;
mod crowd;
mod descriptors;
mod escape;
mod flood;
mod full;
mod kill;
mod launches;
mod layers;
mod ledger;
mod policies;
mod rules;
mod signatures;
mod stage;
mod strangers;
mod suspend;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::interrupt;
use crate::random::Random;
pub use ledger::Ledger;
pub use stage::Stage;

#[derive(Subcommand)]
pub enum Campaign {
    /// Start tasks while the process may open few files
    Descriptors(Options),
    /// Run the tests of escapes and races, round after round
    Escape(Options),
    /// Kill it at random while callers write, and ask for all that was acknowledged
    Kill(Options),
    /// Launch tasks while steps of the launch fail at random
    Launches(Options),
    /// Unpack random and crafted layers that try to break out or to cost too much
    Layers(Options),
    /// Fill the data directory's disk in several ways while tasks run
    Full(Options),
    /// Use up the inodes of the data directory's disk while tasks run
    Inodes(Options),
    /// Flush the host's firewall rules at random while a task runs
    Rules(Options),
    /// Send bodies that prove nothing, and leave answers unread, while signed callers work
    Flood(Options),
    /// Decide requests by random policies in two ways: the answers have to be the same
    Policies(Options),
    /// Change signed requests at random: none may pass
    Signatures(Options),
    /// Hold ten thousand connections that prove nothing while signed callers work
    Strangers(Options),
    /// Suspend Outport, and sometimes everything of it, while tasks run
    Suspend(Options),
    /// Set the wall clock of simulated worlds, by an hour, a day and a year
    Clock(Options),
}

#[derive(Args)]
pub struct Options {
    /// How long new rounds are begun
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Repeats what another run drew; random unless given
    #[arg(long)]
    seed: Option<u64>,
    /// The outport to try; built from this tree, without optimisation, unless given
    #[arg(long, value_name = "PATH", env = "OUTPORT_BINARY")]
    binary: Option<PathBuf>,
}

/// What a campaign is given.
pub struct Course<'c> {
    pub repository: &'c Path,
    pub random: Random,
    pub ledger: Ledger,
    binary: Option<PathBuf>,
}

pub fn run(repository: &Path, campaign: Campaign) -> Result<()> {
    match campaign {
        Campaign::Descriptors(options) => {
            conduct(repository, "descriptors", options, descriptors::run)
        }
        Campaign::Escape(options) => conduct(repository, "escape", options, escape::run),
        Campaign::Kill(options) => conduct(repository, "kill", options, kill::run),
        Campaign::Launches(options) => conduct(repository, "launches", options, launches::run),
        Campaign::Layers(options) => conduct(repository, "layers", options, layers::run),
        Campaign::Full(options) => conduct(repository, "full", options, full::run),
        Campaign::Inodes(options) => conduct(repository, "inodes", options, full::run_inodes),
        Campaign::Rules(options) => conduct(repository, "rules", options, rules::run),
        Campaign::Flood(options) => conduct(repository, "flood", options, flood::run),
        Campaign::Policies(options) => conduct(repository, "policies", options, policies::run),
        Campaign::Signatures(options) => {
            conduct(repository, "signatures", options, signatures::run)
        }
        Campaign::Strangers(options) => conduct(repository, "strangers", options, strangers::run),
        Campaign::Suspend(options) => conduct(repository, "suspend", options, suspend::run),
        Campaign::Clock(options) => conduct(repository, "clock", options, clock::run),
    }
}

fn conduct(
    repository: &Path,
    name: &'static str,
    options: Options,
    campaign: fn(&mut Course) -> Result<()>,
) -> Result<()> {
    interrupt::watch()?;
    let seed = options.seed.unwrap_or_else(Random::new_seed);
    println!("campaign {name}: {} min, seed {seed}", options.minutes);
    let mut course = Course {
        repository,
        random: Random::new(seed),
        ledger: Ledger::new(name, seed, options.minutes),
        binary: options.binary,
    };
    // A fault also when it could not go on: an Outport that ended is what campaigns look for.
    if let Err(error) = campaign(&mut course) {
        course.ledger.fault(format!("it could not go on: {error:#}"));
    }
    course.ledger.close()
}
