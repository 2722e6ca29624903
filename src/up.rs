//! `outport up`: control plane and node in one process, in the foreground.

use anyhow::Result;
use outport_node_agent::Agent;

use crate::command_line::Up;
use crate::control_plane::ControlPlane;
use crate::data_dir::DataDir;
use crate::stop_signal::StopSignal;
use crate::{node, preflight};

/// What tasks that end with it say of their end.
const STOPPED: &str = "Outport was stopped on this host.";

/// Runs until it is told to stop.
pub async fn run(options: Up) -> Result<()> {
    let mut stop = StopSignal::listen()?;
    preflight::check_node_host()?;
    let data_dir = DataDir::own(&options.control_plane.data_dir.data_dir)?;
    let mut control_plane = ControlPlane::start(&data_dir, &options.control_plane).await?;
    let settings = node::settings(
        &data_dir,
        &options.node,
        control_plane.url.clone(),
        &data_dir.join_token()?,
        Some(options.control_plane.listen.port()),
    )?;
    let agent = tokio::select! {
        agent = Agent::start(settings) => match agent {
            Ok(agent) => agent,
            Err(error) => {
                control_plane.stop().await;
                return Err(error.into());
            }
        },
        () = stop.received() => {
            control_plane.stop().await;
            return Ok(());
        }
    };
    control_plane.readiness.set(true);
    println!("outport is ready at {}", control_plane.url);

    stop.received().await;
    control_plane.readiness.set(false);
    let stopped = if options.keep_tasks {
        agent.detach();
        Ok(())
    } else {
        eprintln!("outport: stopping the tasks; another Ctrl-C leaves them running");
        control_plane.stop_controllers().await;
        tokio::select! {
            stopped = agent.stop_tasks(STOPPED) => stopped,
            () = stop.received() => Ok(()),
        }
    };
    control_plane.stop().await;
    Ok(stopped?)
}
