//! `outport cleanup`: removes what a crash left on this host.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use outport_image_registry::HostIntegration;

use crate::command_line::Cleanup;
use crate::data_dir::DataDir;

/// Stops what still runs for a data directory and removes everything that carries its instance id.
/// The data itself stays.
pub fn run(options: &Cleanup) -> Result<()> {
    crate::preflight::check_root()?;
    let path = &options.data_dir.data_dir;
    if !path.join("instance").exists() {
        anyhow::bail!(
            "{} is not a data directory of outport: name the right one with --data-dir",
            path.display()
        );
    }
    let data_dir = DataDir::own(path).context("stop the running outport first")?;
    let instance = data_dir.instance();
    let removed = outport_node_agent::remove_everything(&data_dir.part("node")?, instance)?;
    for each in &removed {
        println!("removed {each}");
    }
    // Only the instance counts for what is removed.
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if let Some(file) = HostIntegration::new(instance, anywhere) {
        file.remove().context("cannot remove the registry's configuration file")?;
    }
    if removed.is_empty() {
        println!("nothing was left of instance {instance}");
    }
    Ok(())
}
