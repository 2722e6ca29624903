//! `outport open`: the URL of a task or of a service's task.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::api::Api;
use crate::find;
use crate::reach::{self, Published};
use crate::value::{name_of, text};

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    pub task_arn: String,
    pub url: String,
}

/// The URL of the first TCP port in the task's definition. Of a service the task that is healthy and runs longest.
///
/// # Errors
/// When the API cannot be asked or refuses, nothing of that name runs, or it has no port.
pub async fn open(api: &Api, cluster: Option<&str>, word: &str) -> Result<Opened> {
    let task = find::running_task(api, cluster, word).await?;
    let definition = find::definition(api, &task).await?;
    let published = Published::ask(api).await?;
    let ports = reach::ports(&task, &definition, &published, &api.machine());
    match ports.iter().find(|port| !port.is_udp) {
        Some(port) => Ok(Opened { task_arn: text(&task, "taskArn").to_owned(), url: port.shown() }),
        None => bail!(
            "task {} maps no TCP port: give its container portMappings, or reach any port of it with `outport forward`",
            name_of(text(&task, "taskArn"))
        ),
    }
}
