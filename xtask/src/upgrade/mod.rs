//! `cargo xtask test upgrade REV`: from an older revision to this tree and back, over live containers and load.
//!
//! ```text
//! old    counters are started, callers write
//! new    in its place, on the same directory: all is checked; more counters are started
//! old    again: all is checked; each counter is told to end, and says so
//! ```
//!
//! A revision that refuses what this tree has written is a fault, unless that is known of it ([`revision`]): then this
//! tree goes on where it was, and the refusal must have cost nothing.
//!
//! Checked at each step: every container has the process that it had, begun when it began; every row and log event that
//! was acknowledged is there, once; every line that a container wrote is there, in order, once.
//!
//! Each program ends by SIGTERM and leaves its tasks (`--keep-tasks`), as an upgrade does; with `--kill` by SIGKILL.
//!
//! **Invariant**: a fault is said with what was seen, and no revision is said to hold that was not tried. Interrupted or
//! failed, nothing stays on the host but the built programs in the build directory.

mod counters;
mod load;
mod revision;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::Scratch;
use crate::setup;
use crate::subject::Subject;
use counters::Counters;
use load::Load;
use revision::Revision;

#[derive(Args)]
pub struct Options {
    /// The older revision: a commit, a tag, or such as HEAD~1
    revision: String,
    /// End each program by SIGKILL instead of SIGTERM
    #[arg(long)]
    kill: bool,
    /// The newer outport; built from this tree, without optimisation, unless given
    #[arg(long, value_name = "PATH", env = "OUTPORT_BINARY")]
    binary: Option<PathBuf>,
}

pub fn run(repository: &Path, options: Options) -> Result<()> {
    setup::require_root()?;
    setup::install_packages(&[])?;
    let new = match options.binary {
        Some(binary) => binary,
        None => setup::build_outport(repository, false)?,
    };
    let revision = Revision::find(repository, &options.revision)?;
    println!("old: {revision}");
    let known = revision.known_limit(repository)?;
    if let Some(limit) = known {
        println!("known of it: it cannot be gone back to: {limit}");
    }
    let old = revision.program(repository)?;
    let mut trial = Trial::start(repository, &old, options.kill)?;
    let tried = trial.go(&old, &new);
    trial.end(&new);
    if let Some(refusal) = &trial.refusal {
        println!("new -> old is refused: {refusal}");
        if known.is_none() {
            trial.faults.push("it cannot be gone back to, and that was not known".to_owned());
        }
    }
    for fault in &trial.faults {
        println!("fault: {fault}");
    }
    tried.with_context(|| format!("old is {revision}"))?;
    if !trial.faults.is_empty() {
        bail!("{} faults between this tree and {revision}", trial.faults.len());
    }
    match trial.refusal {
        None => println!("upgrade {revision}: old -> new -> old holds"),
        Some(_) => println!(
            "upgrade {revision}: old -> new holds; new -> old is refused and costs nothing"
        ),
    }
    Ok(())
}

/// A program does not start on what the other one has left.
#[derive(Debug)]
struct NotStarted(String);

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: it does not start on what the other one has left", self.0)
    }
}

/// One Outport whose program changes.
struct Trial {
    // Before the scratch directory, which it lives in.
    subject: Option<Subject>,
    image: String,
    counters: Vec<Counters>,
    load: Load,
    is_killed: bool,
    faults: Vec<String>,
    /// What the older program said of what the newer one has left, when it did not start on it.
    refusal: Option<String>,
    _scratch: Scratch,
}

impl Trial {
    fn start(repository: &Path, old: &Path, is_killed: bool) -> Result<Self> {
        let scratch = Scratch::new("upgrade")?;
        let layout = setup::build_image(repository, scratch.path())?;
        let data_dir = scratch.path().join("data");
        let (mut subject, _) = Subject::start_with(old, &data_dir, &["--keep-tasks"])?;
        subject.ready()?;
        let image = subject.push(&layout, "1.0")?;
        let load = Load::start(&mut subject, &image)?;
        let (counters, faults, refusal) = Default::default();
        let subject = Some(subject);
        Ok(Self { subject, image, counters, load, is_killed, faults, refusal, _scratch: scratch })
    }

    fn go(&mut self, old: &Path, new: &Path) -> Result<()> {
        self.start_counters("old")?;
        self.load.run_for_a_while()?;
        self.step(new, "old -> new")?;
        self.start_counters("new")?;
        self.load.run_for_a_while()?;
        let (last, by) = match self.step(old, "new -> old") {
            Ok(()) => ("old, again", "old-again"),
            Err(error) if error.is::<NotStarted>() => {
                let said = error.root_cause().to_string();
                self.refusal = Some(said.lines().next().unwrap_or_default().to_owned());
                self.step(new, "new, after old has refused")?;
                ("new, again", "new-again")
            }
            Err(error) => return Err(error),
        };
        self.start_counters(by)?;
        self.load.run_for_a_while()?;
        self.check(last)?;
        self.load.end()?;
        let subject = self.subject.as_mut().context("it runs")?;
        for counters in &mut self.counters {
            self.faults.extend(counters.stop(subject)?);
        }
        println!("every container ended when it was told to, with all that it had written");
        Ok(())
    }

    fn start_counters(&mut self, by: &'static str) -> Result<()> {
        let subject = self.subject.as_mut().context("it runs")?;
        let counters = Counters::start(subject, &self.image, by)?;
        println!("{by}: {} containers run", counters.len());
        self.counters.push(counters);
        Ok(())
    }

    /// Another program in the place of the one that runs.
    fn step(&mut self, program: &Path, what: &str) -> Result<()> {
        let subject = self.subject.as_mut().context("it runs")?;
        subject
            .replace(program, self.is_killed)
            .and_then(|_| subject.ready())
            .context(NotStarted(what.to_owned()))?;
        self.check(what)
    }

    fn check(&mut self, what: &str) -> Result<()> {
        let subject = self.subject.as_mut().context("it runs")?;
        let mut faults = Vec::new();
        let mut lines = 0;
        for counters in &mut self.counters {
            let (read, found) = counters.check(subject)?;
            lines += read;
            faults.extend(found);
        }
        let (rows, events, found) = self.load.check(subject)?;
        faults.extend(found);
        let containers: usize = self.counters.iter().map(Counters::len).sum();
        println!(
            "{what}: {containers} containers with the processes that they had, {rows} acknowledged rows, {events} \
             acknowledged log events, {lines} lines of containers: {} faults",
            faults.len()
        );
        self.faults.extend(faults.into_iter().map(|fault| format!("{what}: {fault}")));
        Ok(())
    }

    /// Removes all of it, with the newer program: it knows what the older one made.
    fn end(&mut self, new: &Path) {
        // The callers' own errors are of an Outport that is gone.
        let _ended = self.load.end().is_ok();
        if let Some(mut subject) = self.subject.take() {
            subject.clean_up_with(new);
        }
    }
}
