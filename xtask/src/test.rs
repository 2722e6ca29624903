//! `cargo xtask test`: every test, in the order in which a failure is cheapest.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process::{Scratch, Started, command, find, run, until_end_within};
use crate::{guest, interrupt, setup};

/// The suite takes some minutes; one that hangs must not hang for ever.
const PYTEST_PATIENCE: Duration = Duration::from_secs(30 * 60);

pub fn run_tests(repository: &Path) -> Result<()> {
    let began = Instant::now();
    interrupt::watch()?;
    setup::require_root()?;
    setup::install_packages(&[&setup::TEST_PROGRAMS[..], &setup::GUEST_PROGRAMS].concat())?;
    setup::install_cargo_components(repository)?;
    let programs = setup::python_programs(repository)?;
    setup::add_deploy_tools(repository, &programs)?;

    let step = |what: &str| println!("==> {what} ({} s)", began.elapsed().as_secs());
    step("formatting");
    run(&mut command(repository, "cargo", ["fmt", "--all", "--check"]))?;
    step("lints");
    run(command(repository, "cargo", ["clippy", "--workspace", "--all-targets", "--locked"])
        .args(["--quiet", "--", "--deny", "warnings"]))?;
    if find("cargo-deny").is_some() {
        step("advisories, bans, licences and sources of the dependencies");
        run(&mut command(repository, "cargo", ["deny", "--all-features", "check"]))?;
    } else {
        println!("cargo-deny is not installed: advisories are not checked; tidy checks the rest");
    }
    step("unit, vector, operation, simulation, tidy, container-runtime and network tests");
    // All of them, whatever fails: who reads the report wants to know of every one.
    let options = ["test", "--workspace", "--locked", "--quiet", "--no-fail-fast"];
    run(&mut command(repository, "cargo", options))?;

    step("client and container tests against the built binary");
    let binary = setup::build_outport(repository, false)?;
    let scratch = Scratch::new("pytest")?;
    // Told to end, pytest lets its fixtures clean up; `-rs` names what could not run here, and why.
    let options = ["-q", "-rs", "-p", "no:cacheprovider", "--durations", "5"];
    // Most of the time they wait: for a container to end, for a log to be there.
    let at_once = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"];
    let mut pytest = Started::new(
        command(repository, programs.join("pytest"), options)
            .args(at_once)
            .arg("--basetemp")
            .arg(scratch.path().join("tests"))
            .arg("tests")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OUTPORT_BINARY", &binary)
            .env("PATH", setup::path_with(&programs)?),
    )?;
    until_end_within(&mut pytest, PYTEST_PATIENCE)?;
    drop(scratch);

    step("the core of the container tests in a guest with pure cgroup v2");
    guest::run_guest(repository)?;
    println!("all tests passed in {} s", began.elapsed().as_secs());
    Ok(())
}

/// `cargo xtask guest`: the last step of the tests alone.
pub fn run_guest_alone(repository: &Path) -> Result<()> {
    interrupt::watch()?;
    setup::require_root()?;
    setup::install_packages(&[&setup::TEST_PROGRAMS[..], &setup::GUEST_PROGRAMS].concat())?;
    guest::run_guest(repository)
}
