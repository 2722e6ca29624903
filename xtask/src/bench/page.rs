//! `docs/performance.md`, made of `docs/performance.json`, which `cargo xtask bench --all` writes.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::All;
use super::machine::Machine;
use super::report::Figure;

const FIGURES: &str = "docs/performance.json";
const PAGE: &str = "docs/performance.md";

const HEAD: &str = "# Performance

<!-- Made by `cargo xtask performance` from performance.json. Do not edit. -->

What Outport costs, measured by `cargo xtask bench --all`: the release build, signed requests over connections that are
kept, load and server on the same machine. Absolute figures are of this machine only; what carries over are the ratios,
which were taken in one run: beside a peer on the same disk, or beside the same work at another size.

An aim is what we want of a machine like this one. One that is missed is said to be missed.
";

/// What each bench does, for who reads its table.
const WORDS: [(&str, &str, &str); 6] = [
    (
        "api",
        "The API",
        "Revisions are registered by 64 clients at once, and each is on the disk when it is answered. Starts and memory are \
         those of `outport server` over them, and over a hundred thousand tasks besides. Describes come over 16 \
         connections; a list is a page of a hundred tasks, its time that of one call after the other.",
    ),
    (
        "scheduler",
        "The scheduler",
        "Simulated nodes, the real node link, planner and store. The subject of a figure is the same at every size: what \
         differs is how many nodes and tasks stand around it.",
    ),
    (
        "registry",
        "The registry",
        "The same requests to both registries, in turn, on the same disk. Both call fsync on a blob before they answer 201; \
         Outport makes the name and the row of the blob last, too.",
    ),
    (
        "logs",
        "Logs",
        "Lines of a web server of about 228 bytes with a random request id each, in batches as large as PutLogEvents takes; \
         each batch is on the disk when it is answered. Searches read all of them. No peer is measured beside it: zstd on \
         the same text is the floor of the size, fdatasync that of the time.",
    ),
    (
        "launch",
        "Launches",
        "From a signed RunTask until the first byte that the container wrote is in its log, with the image present, in turn \
         with `runc run` and `docker run` of the same root file system. Bursts are fifty tasks at once, beside fifty \
         `runc run` by as many workers as there are cores. Standing tasks are containers that sleep on the same machine.",
    ),
    (
        "operator",
        "The command line",
        "From the start of the command to its end, one after the other. `run` makes an Outport on a data directory of its own, \
         runs `true`, and removes all of it; the others ask one that stands.",
    ),
];

/// Writes the page; or, to check it, fails when it is stale.
pub fn run(repository: &Path, check: bool) -> Result<()> {
    let text = std::fs::read_to_string(repository.join(FIGURES)).with_context(|| {
        format!("{FIGURES} is not there: cargo xtask bench --all --json {FIGURES}")
    })?;
    let page = page(&serde_json::from_str(&text)?);
    let file = repository.join(PAGE);
    if check {
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        ensure!(found == page, "{PAGE} is stale: cargo xtask performance");
        return Ok(());
    }
    Ok(std::fs::write(file, page)?)
}

fn page(all: &All) -> String {
    let mut page = HEAD.to_owned();
    let Machine { processor, cores, memory_gib, kernel, disk, rust, date, commit } = &all.machine;
    let _ = write!(
        page,
        "\n| | |\n|---|---|\n| date | {date} |\n| commit | {commit} |\n| processor | {processor}, {cores} cores |\n\
         | memory | {memory_gib:.0} GiB |\n| kernel | {kernel} |\n| disk | {disk} |\n| compiler | {rust} |\n"
    );
    for (name, version) in &all.peers {
        let _ = writeln!(page, "| peer | {name} {version} |");
    }
    for (name, figures) in &all.benches {
        let found = WORDS.iter().find(|(bench, ..)| bench == name);
        let (title, words) = found.map_or((name.as_str(), ""), |(_, title, words)| (title, words));
        let _ = write!(page, "\n## {title}\n\n{words}\n\n{}", table(figures));
    }
    page
}

fn table(figures: &[Figure]) -> String {
    let mut table = "| figure | at | value | aim |\n|---|---|---:|---|\n".to_owned();
    for figure in figures {
        let aim = figure.aim.map_or_else(String::new, |aim| {
            let verdict = if aim.is_met(figure.value) { "met" } else { "**missed**" };
            format!("{}: {verdict}", aim.words())
        });
        let (name, size, value, unit) =
            (&figure.figure, figure.sizes(), figure.value(), &figure.unit);
        let _ = writeln!(table, "| {name} | {size} | {value} {unit} | {aim} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_that_is_missed_is_said() {
        let figures = [
            Figure::new("start", 480.0, "ms").of("tasks", 100).at_most(500.0),
            Figure::new("compression", 3.2, "x").at_least(5.0),
        ];
        let table = table(&figures);
        assert!(table.contains("| start | tasks 100 | 480 ms | ≤ 500: met |"), "{table}");
        assert!(table.contains("| compression |  | 3.20 x | ≥ 5: **missed** |"), "{table}");
    }
}
