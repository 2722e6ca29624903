//! What of an instance's tasks is published on this host beside what their definitions say.

use outport_task_network::{HostNetwork, NetworkError, PublishScope, TransportProtocol};

use crate::run_dir;

/// A port of this host that leads to a task with an address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    pub task_id: String,
    pub protocol: TransportProtocol,
    pub container_port: u16,
    pub host_port: u16,
    pub scope: PublishScope,
}

/// All of them, from the records of the instance's network; whether or not its node runs.
///
/// # Errors
/// When the records cannot be read.
pub fn published_ports(instance: &str) -> Result<Vec<PublishedPort>, NetworkError> {
    let listed = HostNetwork::list_published(&run_dir::path(instance))?;
    let ports = listed.into_iter().flat_map(|(name, published)| {
        let scope = published.scope;
        published.ports.into_iter().map(move |mapping| PublishedPort {
            task_id: name.as_str().to_owned(),
            protocol: mapping.protocol,
            container_port: mapping.container_port,
            host_port: mapping.host_port,
            scope,
        })
    });
    Ok(ports.collect())
}
