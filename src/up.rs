//! `outport up`: control plane and node in one process, in the foreground.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use outport_node_agent::{Agent, AgentError, AgentSettings};

use crate::command_line::Up;
use crate::control_plane::{ControlPlane, OwnNode, check_options};
use crate::data_dir::DataDir;
use crate::health::Stage;
use crate::settings::Settings;
use crate::stop_signal::StopSignal;
use crate::summary::Offered;
use crate::{node, output, preflight, vpc_range};

/// How long a node that is starting is waited for when everything is to stop.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// What tasks that end with it say of their end.
const STOPPED: &str = "Outport was stopped on this host.";

/// Containers and ranges of an instance that does not run are nobody's, and stay until somebody cleans up. One that runs
/// takes tasks as this one does: what both offer there is only once, unless somebody divided it.
fn warn_of_other_instances(own: &str, offers_everything: bool) {
    let own = own.to_owned();
    // It looks through directories and asks nft; nobody waits for it.
    tokio::task::spawn_blocking(move || {
        let (dead, running) = crate::instances::others(&own);
        for instance in running.iter().filter(|_| offers_everything) {
            tracing::warn!(
                event = "machine_offered_twice",
                instance,
                "another Outport, {instance}, runs tasks on this machine too, and this one offers all of its CPU and memory: \
                 divide them with --cpu-units and --memory-mib of both"
            );
        }
        for instance in dead {
            tracing::warn!(
                event = "dead_instance_found",
                "an Outport that does not run has left things on this host; remove them with: outport cleanup \
                 --instance {instance}"
            );
        }
    });
}

/// A node that was deregistered joins anew when its Outport is started again, as a container agent of AWS's does.
async fn start_node(settings: AgentSettings) -> Result<Agent, AgentError> {
    match Agent::start(settings.clone()).await {
        Err(error) if error.is_dismissal() => {
            tracing::warn!(
                event = "node_deregistered_joins_again",
                %error,
                "this machine was deregistered and joins as another container instance"
            );
            outport_node_agent::forget_identity(&settings.directory)?;
            Agent::start(settings).await
        }
        started => started,
    }
}

/// With nobody looking after its tasks.
async fn remove_what_the_node_left(
    directory: PathBuf,
    instance: String,
    stop: &mut StopSignal,
) -> Result<()> {
    output::complain("removing the tasks of the deregistered node; another Ctrl-C leaves them");
    let removing = tokio::task::spawn_blocking(move || {
        outport_node_agent::remove_everything(&directory, &instance)
    });
    tokio::select! {
        removed = removing => Ok(removed?.map(drop)?),
        () = stop.received() => Ok(()),
    }
}

/// What is said when everything is to stop.
fn stopping(tasks: usize) -> String {
    let patience = outport_node_agent::STOP_ALL_PATIENCE.as_secs();
    match tasks {
        0 => "no task runs; ending".to_owned(),
        _ => format!(
            "stopping {tasks} {}, {patience} seconds at most; another Ctrl-C kills what still runs",
            if tasks == 1 { "task" } else { "tasks" }
        ),
    }
}

/// Whether this is a first start that is told no range.
fn is_to_choose_a_range(data_dir: &DataDir, options: &Up) -> Result<bool> {
    let is_told = options.control_plane.default_vpc_cidr.is_some();
    Ok(!is_told && Settings::read(data_dir.path())?.default_vpc_cidr.is_none())
}

/// Runs until it is told to stop.
pub async fn run(options: Up) -> Result<()> {
    let mut stop = StopSignal::listen()?;
    preflight::check_node_host(&options.node)?;
    check_options(&options.control_plane)?;
    let data_dir = DataDir::own(&options.control_plane.data_dir.data_dir)?;
    let own_node = OwnNode {
        cluster: node::cluster(&data_dir, &options.node)?,
        instance: data_dir.instance().to_owned(),
        publish: options.publish_tasks.scope(),
    };
    // Until its node has it.
    let turn = if is_to_choose_a_range(&data_dir, &options)? {
        Some(vpc_range::Turn::take().await)
    } else {
        None
    };
    let started = ControlPlane::start(&data_dir, &options.control_plane, Some(&own_node)).await;
    let mut control_plane = match started {
        Ok(control_plane) => control_plane,
        Err(error) => {
            data_dir.undo_first_start();
            return Err(error);
        }
    };
    let settings = node::settings(
        &data_dir,
        &options.node,
        own_node.cluster.clone(),
        control_plane.node_url.clone(),
        control_plane.join_token.clone(),
        node::WithServer { address: Some(options.control_plane.listen), publish: own_node.publish },
    )?;
    let capacity = settings.capacity.clone();
    let (directory, instance) = (settings.directory.clone(), settings.instance.clone());
    let mut start = pin!(start_node(settings));
    let (started, stop_asked) = tokio::select! {
        started = &mut start => (started.map(Some), false),
        // A start that is cut short leaves things on the host: it is finished, then undone.
        () = stop.received() => tokio::select! {
            started = tokio::time::timeout(START_PATIENCE, &mut start) => {
                (started.ok().transpose(), true)
            }
            () = stop.received() => (Ok(None), true),
        }
    };
    drop(turn);
    let mut agent = match started {
        Ok(Some(agent)) => {
            node::joined(&data_dir, &own_node.cluster);
            agent
        }
        Ok(None) => {
            control_plane.stop().await;
            return Ok(());
        }
        Err(error) => {
            control_plane.stop().await;
            return Err(error.into());
        }
    };
    if !stop_asked {
        control_plane.readiness.set(Stage::Ready);
        let publish = own_node.publish;
        let offered = Offered { cluster: &own_node.cluster, capacity: &capacity, publish };
        control_plane.say_ready(&data_dir, Some(offered));
        let is_divided = options.node.cpu_units.is_some() && options.node.memory_mib.is_some();
        warn_of_other_instances(data_dir.instance(), !is_divided);
        let dismissed = tokio::select! {
            () = stop.received() => None,
            reason = agent.dismissed() => Some(reason),
        };
        if let Some(reason) = dismissed {
            output::complain(format_args!("{reason}. The API goes on without a node"));
            stop.received().await;
            control_plane.readiness.set(Stage::Stopping);
            control_plane.stop_controllers().await;
            drop(agent);
            let removed = match options.keep_tasks {
                true => Ok(()),
                false => remove_what_the_node_left(directory, instance, &mut stop).await,
            };
            control_plane.stop().await;
            return removed;
        }
        control_plane.readiness.set(Stage::Stopping);
    }
    let stopped = if options.keep_tasks {
        agent.detach();
        Ok(())
    } else {
        output::complain(stopping(agent.unstopped().len()));
        control_plane.stop_controllers().await;
        let (kill, killing) = tokio::sync::oneshot::channel();
        let more_signals = async {
            stop.received().await;
            output::complain(
                "killing the tasks; another Ctrl-C ends at once and leaves what is left",
            );
            // Who waits for it may be done already.
            let _ = kill.send(());
            stop.received().await;
        };
        let hurry = async {
            let Ok(()) = killing.await else { return std::future::pending().await };
        };
        tokio::select! {
            stopped = agent.stop_tasks(STOPPED, hurry) => stopped,
            () = more_signals => Ok(()),
        }
    };
    control_plane.stop().await;
    Ok(stopped?)
}
