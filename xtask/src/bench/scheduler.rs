//! `cargo xtask bench scheduler`: what reports, polls, commits and placements cost as nodes and standing tasks grow. The
//! program that measures is an example of the simulation, which has the nodes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::report::{Figure, write};
use crate::interrupt;
use crate::process::command;

pub fn run_scheduler(repository: &Path, quick: bool, json: Option<&Path>) -> Result<()> {
    interrupt::watch()?;
    println!("building the release");
    let arguments = ["run", "--release", "--quiet", "--locked", "-p", "outport-simulation"];
    let mut program = command(repository, "cargo", arguments);
    program.args(["--example", "scheduler", "--"]).args(quick.then_some("--quick"));
    let mut program = program.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let lines = BufReader::new(program.stdout.take().context("its output is a pipe")?).lines();
    let mut figures = Vec::new();
    for line in lines {
        let figure = Figure::parse(&line?)?;
        println!("{}", figure.line());
        figures.push(figure);
    }
    ensure!(program.wait()?.success(), "the measurement failed");
    write(&figures, json)
}
