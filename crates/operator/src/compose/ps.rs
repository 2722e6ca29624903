//! `outport compose ps`: the containers of a project, and how they are reached.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::find;
use crate::reach::{self, Port, Published};
use crate::table::{Shape, json as as_json, table};
use crate::value::{list, name_of, text};

use super::ComposeOptions;

/// Of an id, as many characters tell tasks apart.
const ID_SHOWN: usize = 12;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    service: String,
    task_arn: String,
    status: String,
    /// Of one that has ended.
    exit_code: Option<i64>,
    image: String,
    /// Where they are reached: a URL for each TCP port, `ADDRESS:PORT/udp` for the others.
    ports: Vec<String>,
}

/// What it prints.
///
/// # Errors
/// When the API cannot be asked, or the file is wrong where the name has to come from it.
pub async fn ps(api: &Api, options: &ComposeOptions, shape: Shape) -> Result<String> {
    let (project, cluster) = (options.project_name()?, options.cluster());
    let (published, machine) = (Published::ask(api).await?, api.machine());
    let mut rows = Vec::new();
    if super::service(api, cluster, &project).await?.is_some() {
        let filter = json!({ "serviceName": project });
        for task in find::tasks(api, cluster, filter).await? {
            let input = json!({ "taskDefinition": text(&task, "taskDefinitionArn") });
            let definition = api.ecs("DescribeTaskDefinition", input).await?;
            let definitions = list(&definition["taskDefinition"], "containerDefinitions");
            rows.extend(
                definitions.iter().map(|definition| row(&task, definition, &published, &machine)),
            );
        }
    }
    if shape.is_json {
        return as_json(&rows);
    }
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            let status = match row.exit_code {
                Some(code) => format!("{} ({code})", row.status),
                None => row.status,
            };
            let task = name_of(&row.task_arn).chars().take(ID_SHOWN).collect();
            vec![row.service, task, status, row.image, row.ports.join(" ")]
        })
        .collect();
    Ok(table(shape, &["SERVICE", "TASK", "STATUS", "IMAGE", "PORTS"], &cells))
}

fn row(task: &Value, definition: &Value, published: &Published, machine: &str) -> Row {
    let name = text(definition, "name");
    let container = list(task, "containers").iter().find(|found| text(found, "name") == name);
    let container = container.cloned().unwrap_or_default();
    let alone = json!({ "networkMode": "awsvpc", "containerDefinitions": [definition] });
    let ports = reach::ports(task, &alone, published, machine);
    Row {
        service: name.to_owned(),
        task_arn: text(task, "taskArn").to_owned(),
        status: text(&container, "lastStatus").to_owned(),
        exit_code: container["exitCode"].as_i64(),
        image: text(definition, "image").to_owned(),
        ports: ports.iter().map(Port::shown).collect(),
    }
}
