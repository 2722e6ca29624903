//! `cargo xtask test --quick`: the tests that need no root, no namespaces, no disks of their own and no built container: for
//! a laptop, and for the minutes between two edits.
//!
//! **Invariant:** a test is in this lane unless it is named here, so a new one that needs more fails in it at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::counts::{Counts, run_counting};
use crate::process::{command, output, run};

/// Test programs that need root, by package: they mount, make namespaces and devices, give files away, or run containers.
const PROGRAMS_OF_ROOT: [(&str, &[&str]); 7] = [
    ("outport-container-runtime", &["containers", "containers_of_the_host", "disks"]),
    (
        "outport-image-store",
        &[
            "authorization",
            "fairness",
            "fetch_policy",
            "full_disk",
            "hostile_layers",
            "implied_directories",
            "layers",
            "pull",
            "random_layers",
            "stacked_images",
            "unpack_process",
        ],
    ),
    ("outport-store", &["full_disk"]),
    ("outport-task-disk", &["disks"]),
    (
        "outport-task-network",
        &["first_packet", "host_network", "leaving", "other_engines", "walls"],
    ),
    ("outport-tree-removal", &["hostile_trees"]),
    ("outport-user-namespace", &["many", "namespaces"]),
];
/// Modules and tests that need root, or a program that few have, among others that do not.
const TESTS_OF_ROOT: [&str; 10] = [
    "agent::leftovers::",
    "bearer::tests::the_child_of_one_that_panics_has_ended",
    "control_plane_test::tasks_of_a_newer_control_plane",
    "disk_full::",
    "layer::confinement::",
    "machine::disks::",
    "machine::user_namespaces::",
    "run_dir::",
    "skopeo::",
    "store::tests::full::",
];

pub fn run_quick_tests(repository: &Path) -> Result<()> {
    let began = Instant::now();
    let step = |what: &str| println!("==> {what} ({} s)", began.elapsed().as_secs());
    step("formatting");
    run(&mut command(repository, "cargo", ["fmt", "--all", "--check"]))?;
    step("unit, vector, operation and simulation tests that need no root");
    let metadata = ["metadata", "--no-deps", "--format-version", "1", "--locked"];
    let metadata = output(&mut command(repository, "cargo", metadata))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo's metadata")?;
    // One call for all: each selection of packages has other features, and would be built anew.
    let mut tests = command(
        repository,
        "cargo",
        ["test", "--workspace", "--locked", "--no-fail-fast", "--lib"],
    );
    tests.arg("--bins");
    for program in programs(&metadata, &PROGRAMS_OF_ROOT)? {
        tests.args(["--test", &program]);
    }
    tests.args(["--", "--quiet"]);
    TESTS_OF_ROOT.iter().for_each(|name| {
        tests.args(["--skip", name]);
    });
    let mut counts = Counts::default();
    run_counting(&mut tests, super::CARGO_PATIENCE, &mut counts)?;
    println!(
        "{counts}; the quick tests passed in {} s; `cargo xtask test` runs all",
        began.elapsed().as_secs()
    );
    Ok(())
}

/// The names of the test programs that are not of root.
///
/// # Errors
/// When a name of the list is of no program, or of two of which only one is of root: cargo picks by name alone.
fn programs(metadata: &Value, of_root: &[(&str, &[&str])]) -> Result<BTreeSet<String>> {
    let (mut quick, mut found) = (BTreeSet::new(), BTreeSet::new());
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        for target in package["targets"].as_array().into_iter().flatten() {
            let is_test = target["kind"][0] == "test";
            let Some(program) = target["name"].as_str().filter(|_| is_test) else { continue };
            let is_of_root =
                |(of, programs): &(&str, &[&str])| *of == name && programs.contains(&program);
            if of_root.iter().any(is_of_root) {
                found.insert((name, program));
            } else {
                quick.insert(program.to_owned());
            }
        }
    }
    for (package, programs) in of_root {
        for program in *programs {
            if !found.contains(&(*package, *program)) {
                bail!("{package} has no test program {program}");
            }
            if quick.contains(*program) {
                bail!("two test programs are called {program}, and only one of them needs root");
            }
        }
    }
    Ok(quick)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(of_root: &[(&str, &[&str])], expected: Result<&[&str], &str>) {
        let target = |kind: &str, name: &str| json!({ "kind": [kind], "name": name });
        let metadata = json!({ "packages": [
            { "name": "a", "targets": [target("lib", "a"), target("test", "disks")] },
            { "name": "b", "targets": [target("test", "disks"), target("test", "wire")] },
        ]});
        let actual = programs(&metadata, of_root).map_err(|error| error.to_string());
        let expected = expected.map_err(str::to_owned);
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(actual, expected);
    }

    #[test]
    fn programs_are_in_the_lane_unless_they_are_named() {
        check(&[], Ok(&["disks", "wire"]));
        check(&[("a", &["disks"]), ("b", &["disks"])], Ok(&["wire"]));
        let two = "two test programs are called disks, and only one of them needs root";
        check(&[("a", &["disks"])], Err(two));
        check(&[("a", &["wire"])], Err("a has no test program wire"));
    }
}
