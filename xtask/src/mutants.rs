//! `cargo xtask mutants`: deliberate mistakes in what decides, each of which a test must catch.
//!
//! Each mistake is made in a checkout of its own, and the tests of the planner, the policies, the store, the controllers and
//! the simulation are run there; a mistake of a node is for the simulation alone to catch. One that passes them all shows a
//! hole. Takes some minutes, so it is run by hand and before a release; that each mistake can still be made is an
//! ordinary test.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt;
use crate::process::{Scratch, command, run};
use crate::setup;

/// One mistake: a text that stands once in a file, and what is put in its place.
struct Mutant {
    name: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const MUTANTS: [Mutant; 36] = [
    Mutant {
        name: "the floor of healthy tasks is off by one",
        file: "crates/planner/src/service/steps.rs",
        right: "let mut may_stop = healthy.saturating_sub(floor);",
        wrong: "let mut may_stop = (healthy + 1).saturating_sub(floor);",
    },
    Mutant {
        name: "the ceiling is ignored",
        file: "crates/planner/src/service/steps.rs",
        right: "let room = self.ceiling.saturating_sub(wanted.total());",
        wrong: "let room = self.ceiling + 100;",
    },
    Mutant {
        name: "the circuit breaker never trips",
        file: "crates/planner/src/service/circuit_breaker.rs",
        right: "        && primary.failed_tasks\n            >= service",
        wrong: "        && primary.failed_tasks\n            >= 1_000_000 + service",
    },
    Mutant {
        // Of tasks two places ask, each of which alone is enough.
        name: "retention forgets services too early",
        file: "crates/planner/src/retention.rs",
        right: "ServiceStatus::Inactive && now.is_over(since_ms, settings.inactive_life_ms)",
        wrong: "ServiceStatus::Inactive && now.is_over(since_ms, settings.inactive_life_ms / 2)",
    },
    Mutant {
        name: "a revision is deleted under a service that still stops its tasks",
        file: "crates/planner/src/retention.rs",
        right: "&& service.status != ServiceStatus::Inactive",
        wrong: "&& service.status == ServiceStatus::Active",
    },
    Mutant {
        name: "placement looks at nodes of any architecture",
        file: "crates/planner/src/placement/batch.rs",
        right: "            architecture: needs.architecture,",
        wrong: "            architecture: None,",
    },
    Mutant {
        name: "a batch looks no further than at a node that has tasks of the group",
        file: "crates/planner/src/placement/batch.rs",
        right: "            && best.tasks == 0\n",
        wrong: "",
    },
    Mutant {
        name: "a batch does not count what it has placed",
        file: "crates/planner/src/placement/batch.rs",
        right: "        seen.tasks += 1;\n",
        wrong: "",
    },
    Mutant {
        name: "tasks stay on a DRAINING container instance",
        file: "crates/planner/src/service/steps.rs",
        right: "stays(task) && !scene.is_draining(task)",
        wrong: "stays(task)",
    },
    Mutant {
        name: "a sick task stays",
        file: "crates/planner/src/service/steps.rs",
        right: "&& !is_sick(task, scene)",
        wrong: "&& (true || !is_sick(task, scene))",
    },
    Mutant {
        name: "a protected task is stopped",
        file: "crates/planner/src/service/protection.rs",
        right: "scene.now.wall_ms < *until_ms && task.is_wanted()",
        wrong: "scene.now.wall_ms < *until_ms && !task.is_wanted()",
    },
    Mutant {
        name: "a deployment does not wait for the answer to a pause",
        file: "crates/planner/src/service/stages.rs",
        right: "Answers::WaitUntil(at_ms) => return Outcome::WaitUntil(at_ms),",
        wrong: "Answers::WaitUntil(_) => {}",
    },
    Mutant {
        name: "no deployment bakes",
        file: "crates/planner/src/service/stages.rs",
        right: "LifecycleStage::BakeTime if has_source => configuration.bake_time_min,",
        wrong: "LifecycleStage::BakeTime if has_source => 0,",
    },
    Mutant {
        name: "the old revision goes before the new one has its tasks",
        file: "crates/planner/src/service/stages.rs",
        right: "_ => healthy_of(scene, &primary.id) >= desired,",
        wrong: "_ => healthy_of(scene, &primary.id) + desired >= desired,",
    },
    Mutant {
        name: "traffic is lost in a shift",
        file: "crates/planner/src/deployment.rs",
        right: "place if place == from => ALL_PERMILLE - permille,",
        wrong: "place if place == from => 0,",
    },
    Mutant {
        name: "a roll-back leaves the traffic with what failed",
        file: "crates/planner/src/deployment.rs",
        right: "    if is_shifted {\n        give_all_traffic_to(service, position);\n    }\n",
        wrong: "",
    },
    Mutant {
        name: "retention forgets nothing",
        file: "crates/controllers/src/retention.rs",
        right: "        for token in due_tokens(tx, &now) {",
        wrong: "        for token in due_tokens(tx, &now).into_iter().take(0) {",
    },
    Mutant {
        name: "a node's room is released twice",
        file: "crates/model/src/capacity.rs",
        right: "self.memory_mib = self.memory_mib.saturating_sub(u64::from(held.memory_mib));",
        wrong: "self.memory_mib = self.memory_mib.saturating_sub(2 * u64::from(held.memory_mib));",
    },
    Mutant {
        name: "the end of a task keeps its network interface",
        file: "crates/planner/src/task_end.rs",
        right: "    TaskEnd { task, network_interface }",
        wrong: "    let _kept = network_interface;\n    TaskEnd { task, network_interface: None }",
    },
    Mutant {
        name: "a report moves a task backward",
        file: "crates/planner/src/task_report.rs",
        right: "if task.last_status >= TaskStatus::Stopped || seen.status < task.last_status {\n        return true;",
        wrong: "if task.last_status >= TaskStatus::Stopped {\n        return true;",
    },
    Mutant {
        name: "a node is not told that a task is to stop",
        file: "crates/store/src/rows/task.rs",
        right: "row.map(|row| (&row.node, row.desired_status, row.holds_resources()))",
        wrong: "row.map(|row| (&row.node, DesiredStatus::Running, row.holds_resources()))",
    },
    Mutant {
        name: "a service does not hear of its tasks",
        file: "crates/store/src/rows/task.rs",
        right: "touched.services.extend(service_of(row));",
        wrong: "let _ = service_of(row);",
    },
    Mutant {
        name: "what is known of a node is written again at each pass",
        file: "crates/controllers/src/node_health.rs",
        right: "(last_ms - node.last_seen_ms).abs() >= LAST_SEEN_WRITE_INTERVAL_MS,",
        wrong: "(last_ms - node.last_seen_ms).abs() > LAST_SEEN_WRITE_INTERVAL_MS * 0,",
    },
    Mutant {
        name: "a silent node is lost at once",
        file: "crates/planner/src/node_health.rs",
        right: "} else if silent_ms < settings.node_lost_after_ms {",
        wrong: "} else if silent_ms < settings.node_silent_after_ms + 1 {",
    },
    Mutant {
        name: "the next agent forgets a container that runs",
        file: "crates/node-agent/src/task/runner.rs",
        right: "                    self.created[index] = true;\n                    self.note_running(index, runtime_id);",
        wrong: "                    let _forgotten = runtime_id;",
    },
    Mutant {
        name: "a status is told and not recorded",
        file: "crates/node-agent/src/task/runner.rs",
        right: "        self.keep();\n        self.task_reports.put(self.record.report.clone());",
        wrong: "        self.task_reports.put(self.record.report.clone());",
    },
    Mutant {
        name: "a task is said to have stopped before it is let go",
        file: "crates/node-agent/src/task/runner/ending.rs",
        right: "        let released = self.host.release(&self.record.assignment);",
        wrong: "        self.advance(TaskStatus::Stopped);\n        let released = self.host.release(&self.record.assignment);",
    },
    Mutant {
        name: "a task that nobody assigns is not forgotten",
        file: "crates/node-agent/src/agent/tasks.rs",
        right: "(None, None) => raise(&runner.orders, Order::Forget),",
        wrong: "(None, None) => raise(&runner.orders, Order::Stop(None)),",
    },
    Mutant {
        name: "a task whose record is lost is begun anew",
        file: "crates/node-agent/src/agent/tasks.rs",
        right: "if is_lost { Origin::Unrecorded } else { Origin::New }",
        wrong: "if is_lost { Origin::Recorded } else { Origin::New }",
    },
    Mutant {
        name: "changes of an assignment do not say what is gone",
        file: "crates/node-protocol/src/assignment.rs",
        right: "Self { generation: self.generation, gone, ..Self::default() };",
        wrong: "Self { generation: self.generation, ..Self { gone, ..Self::default() } };\n        changes.gone.clear();",
    },
    Mutant {
        name: "a task that a report of changes does not name is taken for one that is not there",
        file: "crates/controllers/src/node_link/mod.rs",
        right: "            true => Vec::new(),\n            false => self.missing_from(report),",
        wrong: "            true => self.missing_from(report),\n            false => self.missing_from(report),",
    },
    Mutant {
        name: "what is not known does not deny",
        file: "crates/policy/src/answer.rs",
        right: "Answer::Unknown => effect == Effect::Deny",
        wrong: "Answer::Unknown => false && effect == Effect::Deny",
    },
    Mutant {
        name: "a variable without value is another value",
        file: "crates/policy/src/answer.rs",
        right: "(true, false) => Answer::Unknown",
        wrong: "(true, false) => Answer::Yes",
    },
    Mutant {
        name: "a boundary does not limit what a resource gives to a role",
        file: "crates/policy/src/evaluation.rs",
        right: "Some(Named::Parent) => self.within_limits(principal)",
        wrong: "Some(Named::Parent) => Ok(())",
    },
    Mutant {
        name: "a role is assumed without its trust",
        file: "crates/policy/src/evaluation.rs",
        right: "None if resource_policy.has_to_allow() => no_grant",
        wrong: "None if resource_policy.has_to_allow() && evaluation.owner.as_str().is_empty() => no_grant",
    },
    Mutant {
        name: "another account's resource needs no policy of one's own",
        file: "crates/policy/src/evaluation.rs",
        right: "self.by_principal(principal)?;",
        wrong: "self.within_limits(principal)?;",
    },
];

const PACKAGES: [&str; 6] = [
    "outport-model",
    "outport-planner",
    "outport-policy",
    "outport-store",
    "outport-controllers",
    "outport-simulation",
];

pub fn run_mutants(repository: &Path) -> Result<()> {
    interrupt::watch()?;
    let scratch = Scratch::new("mutants")?;
    let checkout = scratch.path().join("tree");
    run(command(repository, "git", ["clone", "--quiet", "--shared", "."]).arg(&checkout))?;
    let target = setup::build_directory(repository)?.join("mutants");
    println!("the tests without a mistake");
    ensure!(
        passes(&checkout, &target)?,
        "the tests fail without any mistake: commit what is right"
    );
    let mut missed = Vec::new();
    for mutant in &MUTANTS {
        let file = checkout.join(mutant.file);
        let text = read(&file)?;
        std::fs::write(&file, mutate(&text, mutant)?)?;
        build(&checkout, &target).with_context(|| format!("{} does not build", mutant.name))?;
        let is_caught = !passes(&checkout, &target)?;
        println!("{:<8} {}", if is_caught { "caught" } else { "MISSED" }, mutant.name);
        if !is_caught {
            missed.push(mutant.name);
        }
        std::fs::write(&file, text)?;
    }
    if !missed.is_empty() {
        bail!("no test catches: {}", missed.join("; "));
    }
    println!("every one of {} mistakes is caught", MUTANTS.len());
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The text with the mistake in it.
fn mutate(text: &str, mutant: &Mutant) -> Result<String> {
    let count = text.matches(mutant.right).count();
    ensure!(count == 1, "{}: `{}` is there {count} times, not once", mutant.file, mutant.right);
    Ok(text.replace(mutant.right, mutant.wrong))
}

fn build(checkout: &Path, target: &Path) -> Result<()> {
    run(&mut cargo(checkout, target, &["--no-run"]))
}

/// Whether all tests pass. Those that fail say so to nobody: they should.
fn passes(checkout: &Path, target: &Path) -> Result<bool> {
    build(checkout, target)?;
    let mut tests = cargo(checkout, target, &["--no-fail-fast"]);
    tests.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(tests.status().context("cannot run cargo")?.success())
}

fn cargo(checkout: &Path, target: &Path, more: &[&str]) -> std::process::Command {
    let mut cargo = command(checkout, "cargo", ["test", "--quiet", "--locked"]);
    for package in PACKAGES {
        cargo.args(["-p", package]);
    }
    cargo.args(more).env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "1");
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_can_be_made() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for mutant in &MUTANTS {
            mutate(&read(&repository.join(mutant.file)).unwrap(), mutant).unwrap();
        }
    }
}
