//! What the host must offer before anything is started: one clear line each, and what to do.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command_line::NodeOptions;

/// Checks what running containers needs. Stops at the first thing that is missing.
pub fn check_node_host(options: &NodeOptions) -> Result<()> {
    check_root()?;
    if let Some(program) = &options.oci_runtime
        && !program.is_file()
    {
        bail!("--oci-runtime {}: there is no such program", program.display());
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems")?;
    if !filesystems.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        bail!("this kernel has no overlayfs, which image layers need: run `modprobe overlay`");
    }
    for (namespace, option) in
        [("net", "CONFIG_NET_NS"), ("pid", "CONFIG_PID_NS"), ("ipc", "CONFIG_IPC_NS")]
    {
        if !Path::new("/proc/self/ns").join(namespace).exists() {
            bail!(
                "this kernel has no {namespace} namespaces, which tasks need: use a kernel with {option}"
            );
        }
    }
    if !has_memory_controller()? {
        bail!(
            "no memory control group is mounted, so limits could not be kept: mount cgroup v2 at \
             /sys/fs/cgroup, or enable the controller with cgroup_enable=memory on the kernel's \
             command line"
        );
    }
    if !is_on_path("nft") {
        bail!(
            "the program nft is missing, which task networking needs: run `apt-get install nftables`"
        );
    }
    Ok(())
}

/// Containers, links and control groups are root's.
pub fn check_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("outport must run as root to make containers: run it with sudo");
    }
    Ok(())
}

/// Under cgroup v1 and hybrid a mount of its own, under v2 a word in the root's list.
fn has_memory_controller() -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let is_v1 = mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(2);
        fields.next() == Some("cgroup")
            && fields.next().is_some_and(|options| options.split(',').any(|o| o == "memory"))
    });
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    Ok(is_v1 || controllers.is_ok_and(|list| list.split_whitespace().any(|c| c == "memory")))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
