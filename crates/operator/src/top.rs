//! `outport top`: what the tasks of this machine use, by their control groups.
//!
//! Which tasks there are says the API; what they use says the kernel, to everybody on the machine. Tasks of other machines
//! are counted and not shown.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use outport_container_runtime::CgroupUsage;
use outport_container_runtime::cgroup::{Cgroup, Hierarchies};
use serde::Serialize;
use serde_json::json;

use crate::api::Api;
use crate::find;
use crate::table::{Shape, json as as_json, paragraph, table};
use crate::value::{name_of, text};

/// Of an id.
const ID_SHOWN: usize = 12;
const MIB: f64 = 1024.0 * 1024.0;
/// Control groups of an Outport's tasks lie below one of this name and its instance's id.
const GROUPS_PREFIX: &str = "outport-";

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    task_arn: String,
    cluster: String,
    group: String,
    /// Of one core, since the look before.
    cpu_percent: f64,
    memory_bytes: u64,
    /// `None`: no limit of its own.
    memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    processes: u64,
}

/// Looks at the same tasks again and again.
#[derive(Default)]
pub struct Top {
    before: HashMap<String, (Instant, u64)>,
}

impl Top {
    /// What `outport top` prints after `interval`, in which the use of the processor is measured.
    ///
    /// # Errors
    /// When the API cannot be asked, or this machine has no control groups.
    pub async fn look(
        &mut self,
        api: &Api,
        cluster: Option<&str>,
        interval: Duration,
        shape: Shape,
    ) -> Result<String> {
        let hierarchies = Hierarchies::read()?;
        if self.before.is_empty() {
            for (task, usage) in usages(&hierarchies) {
                self.before.insert(task, (Instant::now(), usage.cpu_ns));
            }
        }
        tokio::time::sleep(interval).await;
        let mut here: HashMap<String, CgroupUsage> = usages(&hierarchies).collect();
        let (mut rows, mut elsewhere) = (Vec::new(), 0);
        let mut seen = HashMap::new();
        for cluster in find::clusters(api, cluster).await? {
            for task in find::tasks(api, &cluster, json!({})).await? {
                let id = name_of(text(&task, "taskArn")).to_owned();
                let Some(usage) = here.remove(&id) else {
                    elsewhere += usize::from(text(&task, "lastStatus") == "RUNNING");
                    continue;
                };
                let now = (Instant::now(), usage.cpu_ns);
                let group = text(&task, "group");
                rows.push(Row {
                    task_arn: text(&task, "taskArn").to_owned(),
                    cluster: name_of(&cluster).to_owned(),
                    group: group.strip_prefix("service:").unwrap_or(group).to_owned(),
                    cpu_percent: percent(self.before.get(&id), now),
                    memory_bytes: usage.memory_bytes,
                    memory_limit_bytes: usage.memory_limit_bytes,
                    processes: usage.pids,
                });
                seen.insert(id, now);
            }
        }
        self.before = seen;
        rows.sort_by(|one, other| {
            let by_use = other.cpu_percent.total_cmp(&one.cpu_percent);
            by_use.then(other.memory_bytes.cmp(&one.memory_bytes))
        });
        match shape.is_json {
            true => as_json(&rows),
            false => Ok(shown(shape, &rows, elsewhere)),
        }
    }
}

/// The tasks that have a control group on this machine, of whatever instance.
fn usages(hierarchies: &Hierarchies) -> impl Iterator<Item = (String, CgroupUsage)> {
    let of = |path: &PathBuf| Cgroup::new(hierarchies, path).children();
    let roots = of(&PathBuf::new()).into_iter().filter(|name| name.starts_with(GROUPS_PREFIX));
    let tasks = roots.flat_map(move |root| {
        let tasks = of(&PathBuf::from(&root)).into_iter();
        tasks.map(move |task| (PathBuf::from(&root).join(&task), task))
    });
    // One that ends meanwhile is left out.
    tasks.filter_map(|(path, task)| Some((task, Cgroup::new(hierarchies, path).usage().ok()?)))
}

/// Of one core; nothing for a task that is seen for the first time.
fn percent(before: Option<&(Instant, u64)>, (now, cpu_ns): (Instant, u64)) -> f64 {
    let Some((then, before_ns)) = before else { return 0.0 };
    let elapsed_ns = now.duration_since(*then).as_nanos() as f64;
    let percent = cpu_ns.saturating_sub(*before_ns) as f64 * 100.0 / elapsed_ns.max(1.0);
    (percent * 10.0).round() / 10.0
}

fn shown(shape: Shape, rows: &[Row], elsewhere: usize) -> String {
    let has_one_cluster = rows.windows(2).all(|pair| pair[0].cluster == pair[1].cluster);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let memory = row.memory_bytes as f64 / MIB;
            let limit = row.memory_limit_bytes.map(|limit| limit as f64 / MIB);
            vec![
                name_of(&row.task_arn).chars().take(ID_SHOWN).collect(),
                if has_one_cluster { String::new() } else { row.cluster.clone() },
                row.group.clone(),
                format!("{:.1} %", row.cpu_percent),
                format!("{memory:.1} MiB"),
                limit.map_or_else(String::new, |limit| format!("{limit:.0} MiB")),
                row.processes.to_string(),
            ]
        })
        .collect();
    let titles = ["TASK", "CLUSTER", "GROUP", "CPU", "MEMORY", "LIMIT", "PROCESSES"];
    let mut shown = table(shape, &titles, &cells);
    if elsewhere > 0 {
        let tasks = if elsewhere == 1 { "task runs" } else { "tasks run" };
        let last = format!("{elsewhere} more {tasks} on other machines");
        shown.push_str(&paragraph(shape, "", &last));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_one_core_and_of_the_time_between() {
        let then = Instant::now();
        let now = then + Duration::from_secs(2);
        let check = |before: Option<(Instant, u64)>, cpu_ns, expected: f64| {
            assert_eq!(percent(before.as_ref(), (now, cpu_ns)), expected);
        };
        check(None, 5, 0.0);
        check(Some((then, 1_000)), 1_000, 0.0);
        check(Some((then, 0)), 3_000_000_000, 150.0);
        // A control group that was made anew begins at 0.
        check(Some((then, 9_000)), 10, 0.0);
    }

    #[test]
    fn what_has_no_limit_shows_none_and_what_is_elsewhere_is_counted() {
        let row = Row {
            task_arn: "arn:aws:ecs:us-east-1:0:task/default/4f2a5b6c7d8e9f00".to_owned(),
            cluster: "default".to_owned(),
            group: "web".to_owned(),
            cpu_percent: 12.5,
            memory_bytes: 3 << 20,
            memory_limit_bytes: None,
            processes: 2,
        };
        assert_eq!(
            shown(Shape::default(), &[row], 1),
            "TASK          GROUP  CPU     MEMORY   PROCESSES\n\
             4f2a5b6c7d8e  web    12.5 %  3.0 MiB  2\n\
             1 more task runs on other machines\n"
        );
    }
}
