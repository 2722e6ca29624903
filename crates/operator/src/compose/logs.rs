//! `outport compose logs`: what the services of a project write.

use std::io;

use anyhow::{Result, bail};

use crate::api::Api;
use crate::find::Meant;
use crate::logs::{LogsOptions, print_of};

use super::ComposeOptions;

/// Prints it; `options` says how, and of which container if not of all. Its `of` and `cluster` are the project's.
///
/// # Errors
/// When the project is not there, and as of [`crate::logs()`].
pub async fn logs(
    api: &Api,
    compose: &ComposeOptions,
    options: LogsOptions,
    print: impl FnMut(&str) -> io::Result<()>,
    complain: impl FnMut(&str),
) -> Result<()> {
    let (name, cluster) = (compose.project_name()?, compose.cluster().to_owned());
    if super::service(api, &cluster, &name).await?.is_none() {
        bail!("there is nothing of {name} in the cluster {cluster}: `outport compose up` makes it");
    }
    let options = LogsOptions { of: name.clone(), cluster: Some(cluster.clone()), ..options };
    print_of(api, &Meant::Service { cluster, name }, &options, print, complain).await
}
