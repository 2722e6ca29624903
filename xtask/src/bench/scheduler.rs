//! `cargo xtask bench scheduler`: what reports, polls, commits and placements cost as nodes and standing tasks grow. The
//! program that measures is an example of the simulation, which has the nodes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::Setting;
use super::report::{Figure, Report};
use crate::process::command;

/// Placements a second that are on the disk when they are answered.
const DURABLE_PLACEMENTS_AIM: f64 = 20_000.0;

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let arguments = ["run", "--release", "--quiet", "--locked", "-p", "outport-simulation"];
    let mut program = command(setting.repository, "cargo", arguments);
    program.args(["--example", "scheduler", "--"]).args(setting.quick.then_some("--quick"));
    let mut program = program.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let lines = BufReader::new(program.stdout.take().context("its output is a pipe")?).lines();
    let mut report = Report::default();
    for line in lines {
        let figure = Figure::parse(&line?)?;
        let is_durable = figure.figure == "placements, on disk";
        report.add(if is_durable { figure.at_least(DURABLE_PLACEMENTS_AIM) } else { figure });
    }
    ensure!(program.wait()?.success(), "the measurement failed");
    Ok(report.into_figures())
}
