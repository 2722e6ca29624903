//! `outport node`: runs tasks for a control plane elsewhere.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use outport_certificates::{InvalidJoinToken, JoinToken};
use outport_model::{Region, container_instance};
use outport_node_agent::{
    Agent, AgentSettings, HostAccess, PublishScope, TransportProtocol, capacity,
    memory_mib_of_machine,
};

use crate::command_line::{Node, NodeOptions};
use crate::data_dir::DataDir;
use crate::health::Stage;
use crate::installation;
use crate::node_door::NodeDoor;
use crate::open_files;
use crate::output;
use crate::preflight;
use crate::service_manager;
use crate::settings::Settings;
use crate::stop_signal::StopSignal;
use crate::summary::{self, Offered};

/// Who this machine is; below the data directory.
pub const NODE_ID: &str = "node/node-id";

/// Runs until it is told to stop; the tasks run on.
pub async fn run(options: Node) -> Result<()> {
    let mut stop = StopSignal::listen()?;
    preflight::check_node_host(&options.node)?;
    let join_token = join_token(&options.join_token_file)?;
    let data_dir = DataDir::own(&options.data_dir.data_dir)?;
    let door = options.metrics_listen.map(|address| NodeDoor::open(address, data_dir.path()));
    let door = door.transpose()?;
    let cluster = cluster(&data_dir, &options.node)?;
    let (server, own) = (options.server.clone(), WithServer::default());
    let settings = settings(&data_dir, &options.node, cluster.clone(), server, join_token, own)?;
    let capacity = settings.capacity.clone();
    let mut agent = tokio::select! {
        agent = Agent::start(settings) => agent?,
        () = stop.received() => return Ok(()),
    };
    joined(&data_dir, &cluster);
    data_dir.settle(|settings| settings.server = Some(options.server.clone()));
    if let Some(door) = &door {
        door.readiness.set(Stage::Ready);
    }
    let offered = Offered { cluster: &cluster, capacity: &capacity, publish: None };
    let more = summary::lines(data_dir.path(), None, Some(offered));
    output::say(format_args!(
        "outport node is ready, its control plane is {}\n{more}",
        options.server
    ));
    service_manager::is_ready();
    tokio::select! {
        () = stop.received() => {
            output::complain(leaving(agent.unstopped().len(), data_dir.path()));
            agent.detach();
            Ok(())
        }
        reason = agent.dismissed() => bail!(dismissal(&reason)),
    }
}

/// What is said when a node ends by a signal. Its tasks are the control plane's, which only notices that it is silent.
fn leaving(tasks: usize, data_dir: &Path) -> String {
    let (tasks, run) = match tasks {
        0 => return "no task runs; ending".to_owned(),
        1 => ("1 task".to_owned(), "runs"),
        many => (format!("{many} tasks"), "run"),
    };
    format!(
        "{tasks} {run} on without this process, which only looks after them: the next start takes over; to stop and remove them: \
         outport cleanup --data-dir {}. Services start others elsewhere once the control plane gives this machine up",
        data_dir.display()
    )
}

/// The cluster that this machine joins.
///
/// # Errors
/// When it is in another one.
pub fn cluster(data_dir: &DataDir, options: &NodeOptions) -> Result<String> {
    let stored = Settings::read(data_dir.path())?.cluster;
    installation::cluster(options.cluster.as_deref(), stored.as_deref())
}

/// Writes down who this machine is from now on.
pub fn joined(data_dir: &DataDir, cluster: &str) {
    data_dir.remember(&[NODE_ID]);
    data_dir.settle(|settings| settings.cluster = Some(cluster.to_owned()));
}

/// What is left to say, and to do, when the control plane does not want the node any more. As at AWS, containers of an
/// instance that was deregistered run on, and nobody looks after them.
pub fn dismissal(reason: &str) -> String {
    format!(
        "{reason}. Its containers run on, and nobody looks after them: `outport cleanup` stops and removes them"
    )
}

fn join_token(file: &Path) -> Result<JoinToken> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if text.trim().is_empty() {
        bail!(
            "{} is empty: copy the file join-token from the server's data directory",
            file.display()
        );
    }
    text.parse().map_err(|error: InvalidJoinToken| anyhow!("{}: {error}", file.display()))
}

/// What a node has only of a control plane in the same process.
#[derive(Debug, Default)]
pub struct WithServer {
    /// Of the control plane: no task may take its port.
    pub address: Option<SocketAddr>,
    /// Where the ports of tasks with addresses of their own are published; `outport ps` shows them.
    pub publish: Option<PublishScope>,
}

/// What an agent is told.
///
/// # Errors
/// When options do not go together, or the host refuses.
pub fn settings(
    data_dir: &DataDir,
    options: &NodeOptions,
    cluster: String,
    control_plane_url: String,
    join_token: JoinToken,
    own: WithServer,
) -> Result<AgentSettings> {
    let mut host_access = HostAccess::parse(&options.open_to_tasks)
        .context("--open-to-tasks takes ports such as 5432 or udp/514, or all")?;
    // Tasks are clients of it, as of AWS.
    if let Some(address) = own.address.filter(|address| !address.ip().is_loopback()) {
        host_access = host_access.with(TransportProtocol::Tcp, address.port());
    }
    let own_port = own.address.map(|address| address.port());
    data_dir.check(NODE_ID)?;
    warn_of_memory(options.memory_mib);
    Ok(AgentSettings {
        directory: data_dir.part("node")?,
        instance: data_dir.instance().to_owned(),
        control_plane_url,
        join_token,
        cluster,
        regions: task_regions(&options.task_regions)?,
        attributes: attributes(&options.attributes)?,
        capacity: capacity(options.cpu_units, options.memory_mib, own_port)?,
        oci_runtime: options.oci_runtime.clone(),
        container_open_files: open_files::raise_limit()?,
        task_storage_gib: (!options.unlimited_task_storage).then_some(options.task_storage_gib),
        images_gib: options.images_gib,
        allow_privileged: options.allow_privileged,
        user_namespaces: !options.no_user_namespaces,
        subordinate_ids: options.subordinate_ids.unwrap_or_default(),
        host_access,
        host_tasks_reach_metadata: options.host_tasks_reach_metadata,
        publish: own.publish,
    })
}

/// Attributes as `rack=1`; without a value as `ssd`.
fn attributes(given: &[String]) -> Result<Vec<(String, String)>> {
    let attributes = given.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match container_instance::is_registered_attribute(name, value) {
            true => Ok((name.to_owned(), value.to_owned())),
            false => bail!(
                "--attributes {text}: no attribute of a container instance; NAME=VALUE with letters, numbers and -_./\\, the value also \
                 with @, colons and spaces; of names that begin with ecs. only ecs.availability-zone and ecs.instance-type"
            ),
        }
    });
    let attributes: Vec<_> = attributes.collect::<Result<_>>()?;
    let most = container_instance::CUSTOM_ATTRIBUTES_MAX;
    let custom =
        attributes.iter().filter(|(name, _)| !container_instance::is_reserved_attribute(name));
    if custom.count() > most {
        bail!("--attributes: a container instance can have at most {most}");
    }
    Ok(attributes)
}

fn task_regions(given: &[String]) -> Result<Vec<Region>> {
    given.iter().map(|name| installation::region_of("--task-regions", name)).collect()
}

/// More than there is may be meant, as for a trial of the scheduler; most often it is a mistake in the unit.
fn warn_of_memory(offered_mib: Option<u32>) {
    let Ok(total_mib) = memory_mib_of_machine() else { return };
    if let Some(offered_mib) = offered_mib.filter(|offered| is_too_much(*offered, total_mib)) {
        tracing::warn!(
            event = "memory_overcommitted",
            offered_mib,
            total_mib,
            "--memory-mib offers {offered_mib} MiB, and this machine has {total_mib} MiB: tasks that use what they were \
             placed with are ended by the kernel"
        );
    }
}

fn is_too_much(offered_mib: u32, total_mib: u64) -> bool {
    u64::from(offered_mib) > total_mib
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_memory_than_there_is_is_too_much() {
        assert!(!is_too_much(1024, 1024));
        assert!(is_too_much(1025, 1024));
    }

    #[test]
    fn a_node_says_what_it_leaves_and_what_becomes_of_it() {
        let said = |tasks| leaving(tasks, Path::new("/d"));
        assert_eq!(said(0), "no task runs; ending");
        assert!(said(1).starts_with("1 task runs on without"), "{}", said(1));
        assert!(said(3).starts_with("3 tasks run on without"), "{}", said(3));
        assert!(said(3).contains("outport cleanup --data-dir /d."), "{}", said(3));
    }
}
