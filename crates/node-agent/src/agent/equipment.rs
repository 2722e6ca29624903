//! What a node works with, opened at its start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outport_container_runtime::{Driver, Runtime, RuntimeError, RuntimeSettings};
use outport_image_store::{ImageStore, OwnRegistry, StoreOptions, Unpacker};
use outport_node_protocol::Registered;
use tokio::task::JoinHandle;

use super::{AgentError, AgentSettings, check_addresses};
use crate::control_plane::{ControlPlane, link_name};
use crate::log_wakeups::LogWakeups;
use crate::machine::{Disks, Images, KeptOutputs, Machine, Networks, Secrets, UserNamespaces};
use crate::run_dir;
use crate::task_endpoint::TaskEndpoint;

pub(super) async fn machine(
    settings: &AgentSettings,
    control_plane: &Arc<ControlPlane>,
    endpoint: &Arc<TaskEndpoint>,
    registered: Registered,
) -> Result<Machine, AgentError> {
    check_addresses(&settings.instance, &registered.vpc_cidr)?;
    let run_dir = run_dir::path(&settings.instance);
    run_dir::make(&run_dir)?;
    let runtime = runtime(&settings.directory, &settings.instance, settings.allow_privileged)?;
    runtime.weigh_shims()?;
    let runtime = Arc::new(runtime);
    let unpacker = Unpacker::Process { program: own_program(), arguments: vec!["unpack".into()] };
    let own_registry =
        Some(OwnRegistry { tls: control_plane.tls().clone(), server_name: link_name() });
    let bytes_max = u64::from(settings.images_gib) << 30;
    let layers_in_use = layers_in_use(&runtime)?;
    let options = StoreOptions {
        unpacker,
        bytes_max,
        own_registry,
        layers_in_use,
        ..StoreOptions::default()
    };
    let store = ImageStore::open(&settings.directory.join("images"), options)?;
    let (directory, gib) = (settings.directory.clone(), settings.task_storage_gib);
    let disks = tokio::task::spawn_blocking(move || Disks::open(&directory, gib));
    let outputs = Arc::new(KeptOutputs::open(&settings.directory)?);
    let users = user_namespaces(settings, &run_dir);
    let host_access = settings.host_access.clone();
    let networks = Networks::open(
        &run_dir,
        &settings.instance,
        &registered.vpc_cidr,
        host_access,
        settings.publish,
        endpoint.port(),
    )
    .await?;
    let disks = Arc::new(disks.await.map_err(std::io::Error::other)??);
    let users = Arc::new(users.await.map_err(std::io::Error::other)?);
    let driver = match &settings.oci_runtime {
        Some(program) => Driver::Oci(program.clone()),
        None => Driver::BuiltIn,
    };
    Ok(Machine {
        runtime,
        networks,
        images: Images::new(store, control_plane.clone(), registered),
        secrets: Secrets::new(control_plane.clone()),
        disks,
        outputs,
        users,
        control_plane: control_plane.clone(),
        endpoint: endpoint.clone(),
        driver,
        log_wakeups: LogWakeups::open()?,
        open_files: settings.container_open_files,
        host_tasks_reach_metadata: settings.host_tasks_reach_metadata,
        containers: Default::default(),
        directory: settings.directory.clone(),
        reclaims: Default::default(),
    })
}

/// Of all containers that an earlier agent left, whoever understands their tasks; `None` when that is not known of each.
fn layers_in_use(runtime: &Runtime) -> Result<Option<Vec<PathBuf>>, RuntimeError> {
    let of_each = runtime.holds_of_all()?.into_values().map(|holds| holds.layers);
    Ok(of_each.collect::<Option<Vec<_>>>().map(|layers| layers.concat()))
}

/// Looks whether this host has them, while the rest is opened.
fn user_namespaces(settings: &AgentSettings, run_dir: &Path) -> JoinHandle<UserNamespaces> {
    let wanted = match (settings.user_namespaces, &settings.oci_runtime) {
        (false, _) => Err("--no-user-namespaces"),
        (true, Some(_)) => Err("--oci-runtime makes containers without"),
        (true, None) => Ok(()),
    };
    let (ids, run_dir) = (settings.subordinate_ids, run_dir.to_owned());
    let trial = settings.directory.join("user-namespace-trial");
    tokio::task::spawn_blocking(move || UserNamespaces::open(&run_dir, ids, wanted, &trial))
}

pub(super) fn runtime(
    directory: &Path,
    instance: &str,
    allow_privileged: bool,
) -> Result<Runtime, RuntimeError> {
    Runtime::new(RuntimeSettings {
        root_dir: directory.to_owned(),
        run_dir: run_dir::path(instance),
        cgroup_root: format!("outport-{instance}"),
        shim_binary: own_program(),
        shim_args: vec!["shim".to_owned()],
        allow_privileged,
    })
}

/// The file that this process runs, even when it was replaced on disk meanwhile.
pub(super) fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}
