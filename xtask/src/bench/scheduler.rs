//! `cargo xtask bench scheduler`: what reports, polls, commits and placements cost as nodes and standing tasks grow. The
//! program that measures is an example of the simulation, which has the nodes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::Setting;
use super::report::{Figure, Report};
use crate::process::command;

/// The nodes for which the aims are.
const NODES: u64 = 5_000;
/// Placements a second that are on the disk when they are answered.
const DURABLE_PLACEMENTS_AIM: f64 = 20_000.0;
/// Placements a second that are decided, without a commit.
const PLACEMENTS_AIM: f64 = 200_000.0;
/// What the reports of all nodes take, in percent of a core.
const REPORTS_AIM: f64 = 3.0;
const TASK_KIB_AIM: f64 = 4.0;
const NODE_KIB_AIM: f64 = 20.0;
/// Whose cost does not grow with the tasks that stand around.
const FLAT: [&str; 6] = [
    "report of what is known",
    "report of a change",
    "poll without news",
    "commit of one row",
    "placements, decided",
    "placements, decided, half the nodes of another architecture",
];
/// What the most tasks may cost, beside the fewest.
const FLAT_AIM: f64 = 1.5;

pub fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let arguments = ["run", "--release", "--quiet", "--locked", "-p", "outport-simulation"];
    let mut program = command(setting.repository, "cargo", arguments);
    program.args(["--example", "scheduler", "--"]).args(setting.quick.then_some("--quick"));
    let mut program = program.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let lines = BufReader::new(program.stdout.take().context("its output is a pipe")?).lines();
    let mut report = Report::default();
    let mut measured = Vec::new();
    for line in lines {
        let figure = with_aim(Figure::parse(&line?)?);
        measured.push(figure.clone());
        report.add(figure);
    }
    ensure!(program.wait()?.success(), "the measurement failed");
    flat(&measured).into_iter().for_each(|figure| report.add(figure));
    Ok(report.into_figures())
}

fn with_aim(figure: Figure) -> Figure {
    let is_of_aim = size(&figure, "nodes") == Some(NODES);
    match figure.figure.as_str() {
        "placements, on disk" => figure.at_least(DURABLE_PLACEMENTS_AIM),
        "placements, decided" if is_of_aim => figure.at_least(PLACEMENTS_AIM),
        "reports of every node" if is_of_aim => figure.at_most(REPORTS_AIM),
        "memory of a task" => figure.at_most(TASK_KIB_AIM),
        "memory of a node" => figure.at_most(NODE_KIB_AIM),
        _ => figure,
    }
}

/// What each of [`FLAT`] costs among the most tasks, beside the fewest, of every number of nodes that was measured with both.
fn flat(measured: &[Figure]) -> Vec<Figure> {
    let mut ratios = Vec::new();
    for subject in FLAT {
        let mut left: Vec<&Figure> = measured.iter().filter(|f| f.figure == subject).collect();
        while let Some(first) = left.first() {
            let nodes = size(first, "nodes");
            let (mut same, others): (Vec<_>, Vec<_>) =
                left.iter().partition(|figure| size(figure, "nodes") == nodes);
            left = others;
            same.sort_by_key(|figure| size(figure, "tasks"));
            let (Some(fewest), Some(most)) = (same.first(), same.last()) else { continue };
            if size(fewest, "tasks") != size(most, "tasks") {
                ratios.push(ratio(fewest, most));
            }
        }
    }
    ratios
}

fn ratio(fewest: &Figure, most: &Figure) -> Figure {
    // A rate falls when the cost grows.
    let ratio = match most.unit.ends_with("/s") {
        true => fewest.value / most.value,
        false => most.value / fewest.value,
    };
    Figure::new(format!("cost of {}, beside fewer tasks", most.figure), ratio, "x")
        .of("nodes", size(most, "nodes"))
        .of("tasks", size(most, "tasks"))
        .of("beside", size(fewest, "tasks"))
        .at_most(FLAT_AIM)
}

fn size(figure: &Figure, name: &str) -> Option<u64> {
    figure.size.get(name)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(subject: &str, value: f64, unit: &str, nodes: u64, tasks: u64) -> Figure {
        Figure::new(subject, value, unit).of("nodes", nodes).of("tasks", tasks)
    }

    #[test]
    fn the_most_tasks_are_shown_beside_the_fewest_of_the_same_nodes() {
        let measured = [
            figure("commit of one row", 2.0, "us", 100, 100),
            figure("commit of one row", 2.0, "us", 1_000, 100),
            figure("commit of one row", 9.0, "us", 1_000, 10_000),
            figure("commit of one row", 5.0, "us", 1_000, 100_000),
            figure("placements, decided", 400_000.0, "1/s", 5_000, 100),
            figure("placements, decided", 200_000.0, "1/s", 5_000, 100_000),
            figure("memory of a task", 3.0, "KiB", 5_000, 100_000),
        ];
        let lines: Vec<String> = flat(&measured)
            .iter()
            .map(|one| {
                let is_met = one.aim.is_some_and(|aim| aim.is_met(one.value));
                format!("{}: {} x, {}, {is_met}", one.figure, one.value(), one.sizes())
            })
            .collect();
        assert_eq!(
            lines,
            [
                "cost of commit of one row, beside fewer tasks: 2.50 x, nodes 1000, tasks 100000, beside 100, false",
                "cost of placements, decided, beside fewer tasks: 2 x, nodes 5000, tasks 100000, beside 100, false",
            ]
        );
    }

    #[test]
    fn the_aims_are_for_five_thousand_nodes() {
        let aim = |subject: &str, nodes| with_aim(figure(subject, 1.0, "x", nodes, 100)).aim;
        for subject in ["placements, decided", "reports of every node"] {
            assert!(aim(subject, 5_000).is_some() && aim(subject, 1_000).is_none(), "{subject}");
        }
        for subject in ["placements, on disk", "memory of a task", "memory of a node"] {
            assert!(aim(subject, 64_000).is_some(), "{subject}");
        }
    }
}
