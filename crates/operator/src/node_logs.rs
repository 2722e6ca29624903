//! `outport logs` with the data directory of a node alone: what its containers wrote, read without anybody's API. A node has no
//! key of its account; root on it may read all that is there.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use outport_container_runtime::kept_logs_directory;

use crate::local_logs::LocalLog;
use crate::logs::{LogsOptions, Source, print_new};
use crate::moment::now_ms;
use crate::value::name_of;

/// Between two looks for new lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Prints what the containers of a task on this node wrote; with `follow`, until they are over. `options.node` is the node's
/// part of the data directory.
///
/// # Errors
/// When the node has nothing of such a task, or of more than one that begins so, and when the disk fails.
pub async fn logs_of_node(
    node: &Path,
    options: &LogsOptions,
    mut print: impl FnMut(&str) -> io::Result<()>,
) -> Result<()> {
    let mut sources = sources(node, options)?;
    let from_ms = options.since.map(|since| since.begin_ms(now_ms()));
    let mut tail = options.tail;
    loop {
        // Before the look: what is kept has no more to come.
        let is_over = sources.iter().all(Source::is_over);
        let printed =
            print_new(None, &mut sources, options, from_ms, &mut tail, &mut print).await?;
        if printed.is_none() || !options.follow || is_over {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn sources(node: &Path, options: &LogsOptions) -> Result<Vec<Source>> {
    let word = name_of(&options.of);
    let (running, kept) = (node.join("tasks"), kept_logs_directory(node));
    let mut tasks = names(&running);
    tasks.extend(names(&kept));
    tasks.retain(|task| task.starts_with(word));
    let task = match tasks.len() {
        1 => tasks.pop_first().unwrap_or_default(),
        0 => bail!(
            "no task whose id begins with {word} has output on this node, which keeps it until an hour after a task has \
             stopped and knows no services: `outport ps --all`, asked on the machine of its control plane, shows the ids"
        ),
        _ => {
            let tasks: Vec<String> = tasks.into_iter().collect();
            bail!("{word} means task {}: say more of it", tasks.join(" or "))
        }
    };
    let mut containers = names(&running.join(&task).join("c"));
    containers.extend(names(&kept.join(&task)));
    let wanted = |name: &String| options.container.as_ref().is_none_or(|wanted| wanted == name);
    let found = containers.into_iter().filter(wanted).filter_map(|container| {
        let log = LocalLog::find(node, &task, &container)?;
        Some(Source::local(&task, &container, log))
    });
    let found: Vec<Source> = found.collect();
    match found.is_empty() {
        true => bail!("task {task} has no output on this node"),
        false => Ok(found),
    }
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(node: &Path, of: &str) -> Result<Vec<String>, String> {
        let options = LogsOptions { of: of.to_owned(), ..LogsOptions::default() };
        let found = sources(node, &options).map_err(|error| error.to_string())?;
        Ok(found.iter().map(Source::name).collect())
    }

    #[test]
    fn a_task_of_the_node_is_found_by_the_beginning_of_its_id() {
        let node = tempfile::tempdir().unwrap();
        for log in ["tasks/4f2a/c/web/log", "outputs/4f2a/db", "outputs/4f99/web"] {
            fs::create_dir_all(node.path().join(log)).unwrap();
        }
        assert_eq!(found(node.path(), "4f2").unwrap(), ["4f2a db", "4f2a web"]);
        assert_eq!(found(node.path(), "arn:aws:ecs:r:1:task/c/4f99").unwrap(), ["4f99 web"]);
        let said = found(node.path(), "4f").unwrap_err();
        assert_eq!(said, "4f means task 4f2a or 4f99: say more of it");
        let said = found(node.path(), "web").unwrap_err();
        assert!(
            said.starts_with("no task whose id begins with web has output on this node"),
            "{said}"
        );
    }
}
