//! `cargo xtask bench`: figures with their spread, beside a peer's or beside the same work at another size, taken in turn
//! in the same run. Absolute times do not carry over between machines: read the ratios.

mod api;
mod auth;
mod auth_starts;
mod burst;
mod disk;
mod docker;
mod figures;
mod launch;
mod load;
mod logs;
mod machine;
mod operator;
mod page;
mod registry;
mod report;
mod runc;
mod scheduler;
mod server;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use self::machine::Machine;
use self::report::{Figure, write};
use crate::{interrupt, setup};

pub use page::run as run_page;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    bench: Option<Bench>,
    /// Every bench that has figures as JSON
    #[arg(long)]
    all: bool,
    /// Only small sizes: whether it works at all
    #[arg(long, global = true)]
    quick: bool,
    /// Measure this program, not the release build of this tree
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
    /// Write the figures to this file, too
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Subcommand)]
enum Bench {
    /// The API over a hundred thousand tasks and revisions
    Api,
    /// Reports, polls, commits and placements with many nodes and standing tasks
    Scheduler,
    /// Push and pull, beside docker-registry
    Registry,
    /// Log lines: taking them in, searching them, what they take on disk
    Logs,
    /// From RunTask to the first byte of the app, bursts, the same over many tasks, a cold start, idle memory
    Launch,
    /// What policies cost: a user's call beside root's, the memory of roles
    Auth,
    /// `outport run -- true`; `outport status` and `ps` over ten thousand tasks
    Operator,
}

/// What `--all` measures, in this order.
const ALL: [(&str, Measure); 7] = [
    ("api", api::measure),
    ("scheduler", scheduler::measure),
    ("registry", registry::measure),
    ("logs", logs::measure),
    ("launch", launch::measure),
    ("operator", operator::measure),
    ("auth", auth::measure),
];

type Measure = fn(&Setting<'_>) -> Result<Vec<Figure>>;

/// What is measured, and how much of it.
struct Setting<'a> {
    repository: &'a Path,
    binary: Option<&'a Path>,
    quick: bool,
}

impl Setting<'_> {
    /// The program that is measured: the release build of this tree unless another one was named.
    fn binary(&self) -> Result<PathBuf> {
        match self.binary {
            Some(binary) => Ok(binary.canonicalize()?),
            None => setup::build_outport(self.repository, true),
        }
    }
}

/// What `--all` writes, and the page about performance is made of.
#[derive(Debug, Deserialize, Serialize)]
struct All {
    machine: Machine,
    /// Name and version.
    peers: Vec<(String, String)>,
    benches: Vec<(String, Vec<Figure>)>,
}

pub fn run(repository: &Path, options: Options) -> Result<()> {
    let (binary, json) = (options.binary.as_deref(), options.json.as_deref());
    let setting = Setting { repository, binary, quick: options.quick };
    let measure: Measure = match options.bench {
        Some(Bench::Api) => api::measure,
        Some(Bench::Scheduler) => scheduler::measure,
        Some(Bench::Registry) => registry::measure,
        Some(Bench::Logs) => logs::measure,
        Some(Bench::Launch) => launch::measure,
        Some(Bench::Operator) => operator::measure,
        Some(Bench::Auth) => auth::measure,
        None if options.all => return run_all(&setting, json),
        None => bail!("say which bench, or --all"),
    };
    interrupt::watch()?;
    println!("building the release");
    write(&measure(&setting)?, json)
}

fn run_all(setting: &Setting<'_>, json: Option<&Path>) -> Result<()> {
    interrupt::watch()?;
    println!("building the release");
    let mut benches = Vec::new();
    for (name, measure) in ALL {
        interrupt::check()?;
        println!("{name}");
        benches.push((name.to_owned(), measure(setting)?));
    }
    let peers = registry::peer()?.into_iter().collect();
    write(&All { machine: Machine::look(setting.repository)?, peers, benches }, json)
}
