//! `outport compose`: a compose file as a task definition and a service.
//!
//! ```text
//! yaml ─→ project (services, complaints) ─→ definition (pure, inputs of the API) ─→ up, down, ps
//! ```
//!
//! **Invariant:** nothing is built, pushed or made before the whole file was understood. A key that is not run is refused with
//! its name and line, and left out only when whoever calls says so.

mod build;
mod complaints;
#[cfg(test)]
mod corpus;
mod definition;
mod down;
mod logs;
mod project;
mod ps;
mod read;
mod service;
mod short;
#[cfg(test)]
mod tests;
mod up;
mod variables;
mod yaml;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::api::Api;
use crate::value::{list, text};

pub use build::Builder;
pub use down::down;
pub use logs::logs;
use project::Project;
pub use ps::ps;
pub use up::{UpOptions, up};

/// On what was made from a compose file: the project's name.
const PROJECT_TAG: &str = "outport:compose-project";
const CLUSTER_DEFAULT: &str = "default";

/// Which project.
#[derive(Clone, Debug, Default)]
pub struct ComposeOptions {
    pub file: Option<PathBuf>,
    /// Instead of the name that the file or its directory gives.
    pub project: Option<String>,
    /// Keys that are left out.
    pub ignore: Vec<String>,
    pub cluster: Option<String>,
}

impl ComposeOptions {
    fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or(CLUSTER_DEFAULT)
    }

    /// The project's name, of the file unless it is given.
    fn project_name(&self) -> Result<String> {
        match &self.project {
            Some(name) => {
                project::check_name(name)?;
                Ok(name.clone())
            }
            None => Project::name_of(self),
        }
    }
}

/// What `outport compose config` prints: what would be registered and created, and notes for standard error. What is built has its
/// repository in place of its image.
///
/// # Errors
/// All that is wrong with the file.
pub fn config(options: &ComposeOptions, region: &str) -> Result<(String, Vec<String>)> {
    let project = Project::read(options)?;
    let image = |service: &service::Service| match (&service.build, &service.image) {
        (None, Some(image)) => image.clone(),
        _ => definition::repository(&project.name, &service.name),
    };
    let document = json!({
        "taskDefinition": definition::task_definition(&project, region, image),
        "service": definition::service(&project),
    });
    Ok((format!("{}\n", serde_json::to_string_pretty(&document)?), project.notes))
}

/// The project's service, as long as anything of it is there.
///
/// # Errors
/// When there is one of that name that no compose file made.
async fn service(api: &Api, cluster: &str, project: &str) -> Result<Option<Value>> {
    let input = json!({ "cluster": cluster, "services": [project], "include": ["TAGS"] });
    let answer = match api.ecs("DescribeServices", input).await {
        Err(error) if error.to_string().starts_with("ClusterNotFoundException") => return Ok(None),
        answer => answer?,
    };
    let found = list(&answer, "services").iter().find(|found| text(found, "status") != "INACTIVE");
    match found {
        Some(found) if tag(found, PROJECT_TAG) != project => bail!(
            "the cluster {cluster} has a service {project} that is not of `outport compose`: give the project another name with -p"
        ),
        found => Ok(found.cloned()),
    }
}

/// The value of a tag; empty when there is none.
fn tag<'a>(tagged: &'a Value, key: &str) -> &'a str {
    let tag = list(tagged, "tags").iter().find(|tag| text(tag, "key") == key);
    tag.map(|tag| text(tag, "value")).unwrap_or_default()
}
