//! `outport cleanup`: removes what a crash left on this host.
//!
//! **Invariant:** nothing of an Outport that runs is touched; the data stays, whatever is removed.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::Flock;
use nix::unistd::{AccessFlags, access};

use crate::command_line::Cleanup;
use crate::data_dir::{DataDir, lock_with_retry};
use crate::instances;
use crate::output;
use crate::scratch_dir;

/// Stops what still runs for a data directory, or for an instance without one, and removes everything
/// that carries the instance's id.
pub fn run(options: &Cleanup) -> Result<()> {
    crate::preflight::check_root()?;
    if options.all {
        return clean_all();
    }
    if let Some(instance) = &options.instance {
        instances::check_id(instance)?;
        let Some(_claim) = instances::claim(instance)? else { return Err(it_runs(instance)) };
        return clean(instance, None);
    }
    let path = &options.data_dir.data_dir;
    if !path.join("instance").exists() {
        bail!(
            "{} is not a data directory of outport: name the right one with --data-dir, or clean up \
             after instances whose directory is gone with --instance ID or --all",
            path.display()
        );
    }
    let instance = DataDir::instance_of(path)?;
    let _lock = lock(path)?;
    let Some(_claim) = instances::claim(&instance)? else { return Err(it_runs(&instance)) };
    let node = path.join("node");
    if access(path, AccessFlags::W_OK).is_ok() {
        return clean(&instance, Some(&node));
    }
    output::complain(format_args!(
        "{} cannot be written: the files of its tasks stay there",
        path.display()
    ));
    clean(&instance, None)
}

fn it_runs(instance: &str) -> anyhow::Error {
    anyhow::anyhow!("the Outport of instance {instance} is running: stop it first")
}

/// The lock of a data directory, which may be on a file system that cannot be written.
fn lock(path: &Path) -> Result<Option<Flock<File>>> {
    let Ok(file) = File::open(path.join("lock")) else { return Ok(None) };
    match lock_with_retry(file) {
        Ok(lock) => Ok(Some(lock)),
        Err(_) => bail!(
            "the data directory {} is in use by another outport: stop the running outport first",
            path.display()
        ),
    }
}

fn clean(instance: &str, node_directory: Option<&Path>) -> Result<()> {
    let removed = instances::remove(instance, node_directory)?;
    // What it says comes last: nothing is left undone for a terminal that was closed.
    output::answer(&report(&removed, instance)).context("cannot print")
}

fn report(removed: &[String], instance: &str) -> String {
    if removed.is_empty() {
        return format!("nothing was left of instance {instance}\n");
    }
    removed.iter().map(|each| format!("removed {each}\n")).collect()
}

/// Goes on after an instance that cannot be cleaned up after; the first such error at the end.
fn clean_all() -> Result<()> {
    let mut first = None;
    // First: of these the data directory is known, so that what is in it is found, too.
    for directory in scratch_dir::remove_dead() {
        let said = format!("removed {}, which a killed `outport run` left\n", directory.display());
        output::answer(&said).context("cannot print")?;
    }
    for instance in instances::on_host() {
        let cleaned = match instances::claim(&instance) {
            Ok(Some(_claim)) => {
                output::answer(&format!("instance {instance}:\n"))?;
                clean(&instance, None)
            }
            Ok(None) => {
                output::answer(&format!("instance {instance} is running and left alone\n"))?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = cleaned.with_context(|| format!("instance {instance}")) {
            output::complain(format_args!("{error:#}"));
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}
