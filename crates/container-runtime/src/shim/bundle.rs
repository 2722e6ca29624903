//! The container as an OCI runtime document, and the parts of it that the built-in driver shares.
//!
//! **Invariant:** what Docker's default container has, this has: mounts, masked and read-only paths,
//! devices, capabilities. A difference is asked for by the spec, never by accident.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::resource::Resource;
use serde_json::{Map, Value, json};

use super::bundle_mounts::{kernel_mounts, mounts};
use super::capabilities::Capabilities;
use super::seccomp;
use super::user::User;
use crate::cgroup::{DeviceRule, Hierarchies};
use crate::error::{FailureKind, StartFailure};
use crate::runtime::Intent;
use crate::spec::{ContainerSpec, HostDevice, Namespace, Ulimit};

const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
pub(super) const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const CGROUP_PATH: &str = "/sys/fs/cgroup";

/// ECS's ulimit names are the kernel's, without the prefix.
const ULIMITS: [(&str, Resource); 15] = [
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("data", Resource::RLIMIT_DATA),
    ("stack", Resource::RLIMIT_STACK),
    ("rss", Resource::RLIMIT_RSS),
    ("nproc", Resource::RLIMIT_NPROC),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("locks", Resource::RLIMIT_LOCKS),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
];

/// A device that the container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    path: String,
    kind: char,
    major: u32,
    minor: u32,
    mode: u32,
    gid: u32,
    access: String,
}

impl Device {
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    pub fn is_block(&self) -> bool {
        self.kind == 'b'
    }

    pub fn number(&self) -> libc::dev_t {
        libc::makedev(self.major, self.minor)
    }

    pub fn mode(&self) -> u32 {
        self.mode
    }

    pub fn gid(&self) -> u32 {
        self.gid
    }

    pub fn rule(&self) -> DeviceRule {
        DeviceRule {
            kind: self.kind,
            major: Some(self.major),
            minor: Some(self.minor),
            access: self.access.clone(),
        }
    }
}

/// Looks up the devices of the spec on the host.
pub(super) fn host_devices(spec: &ContainerSpec) -> Result<Vec<Device>, StartFailure> {
    spec.devices.iter().map(device).collect()
}

fn device(wanted: &HostDevice) -> Result<Device, StartFailure> {
    let failure = |detail: &dyn std::fmt::Display| {
        let message = format!("error gathering device information: {detail}");
        StartFailure::new(FailureKind::InvalidSpec, message)
    };
    let path = &wanted.host_path;
    let metadata = std::fs::metadata(path)
        .map_err(|error| failure(&format!("{}: {error}", path.display())))?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return Err(failure(&format!("not a device node: {}", path.display()))),
    };
    let access = &wanted.permissions;
    if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
        return Err(failure(&format!("invalid permissions {access:?}")));
    }
    Ok(Device {
        path: wanted.container_path.clone(),
        kind,
        major: libc::major(metadata.rdev()),
        minor: libc::minor(metadata.rdev()),
        mode: metadata.mode() & 0o777,
        gid: metadata.gid(),
        access: access.clone(),
    })
}

/// What the document is made from, beside the intent.
pub(super) struct Parts<'a> {
    pub rootfs: &'a Path,
    pub user: &'a User,
    pub devices: &'a [Device],
    pub bounding: Capabilities,
    /// Where a network namespace of the container's own is pinned.
    pub own_network: Option<PathBuf>,
    pub hierarchies: &'a Hierarchies,
}

/// The variables the process gets, in order, each name once.
pub(super) fn environment(spec: &ContainerSpec, home: &str) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = vec![("PATH".to_owned(), PATH_DEFAULT.to_owned())];
    if let Some(hostname) = &spec.hostname {
        env.push(("HOSTNAME".to_owned(), hostname.clone()));
    }
    env.push(("HOME".to_owned(), home.to_owned()));
    for (name, value) in &spec.env {
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    env
}

/// The document, for a runtime that is a program of its own.
pub(super) fn document(intent: &Intent, parts: &Parts<'_>) -> Result<Value, StartFailure> {
    let spec = &intent.spec;
    let mut linux = Map::new();
    let cgroup = Path::new("/").join(&intent.cgroup);
    linux.insert("cgroupsPath".into(), json!(cgroup));
    linux.insert("namespaces".into(), namespaces(spec, parts.own_network.as_deref()));
    linux.insert("devices".into(), parts.devices.iter().map(device_json).collect());
    if !spec.sysctls.is_empty() {
        linux.insert("sysctl".into(), json!(spec.sysctls));
    }
    if !spec.privileged {
        linux.insert("maskedPaths".into(), json!(MASKED_PATHS));
        linux.insert("readonlyPaths".into(), json!(readonly_paths(parts.hierarchies)));
    }
    linux.insert("resources".into(), resources(spec, parts.devices));
    if let Some(profile) = seccomp::document(spec, parts.bounding) {
        linux.insert("seccomp".into(), profile);
    }
    let mounts = [kernel_mounts(spec), mounts(spec)?].concat();
    let mut document = json!({
        "ociVersion": "1.0.2",
        "process": process(spec, parts)?,
        "root": {"path": parts.rootfs, "readonly": spec.readonly_rootfs},
        "mounts": mounts,
        "linux": linux,
    });
    if let (Some(hostname), Namespace::New) = (&spec.hostname, &spec.namespaces.uts) {
        document["hostname"] = json!(hostname);
    }
    Ok(document)
}

/// On version 1 some runtimes mount each hierarchy writable, below a memory file system: a container's
/// root could lift its own limits.
fn readonly_paths(hierarchies: &Hierarchies) -> Vec<String> {
    let mut paths: Vec<String> = READONLY_PATHS.map(str::to_owned).to_vec();
    paths.push(CGROUP_PATH.to_owned());
    if !hierarchies.is_unified() {
        let names = hierarchies.mounts.iter().filter_map(|mount| mount.path.file_name()?.to_str());
        paths.extend(names.map(|name| format!("{CGROUP_PATH}/{name}")));
    }
    paths
}

fn process(spec: &ContainerSpec, parts: &Parts<'_>) -> Result<Value, StartFailure> {
    let user = parts.user;
    let env: Vec<String> = environment(spec, &user.home)
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let bounding = parts.bounding.names();
    let held = if user.uid == 0 { parts.bounding } else { Capabilities::NONE };
    let cwd = if spec.working_directory.is_empty() { "/" } else { &spec.working_directory };
    check_ulimits(spec)?;
    let rlimits: Vec<Value> = spec.resource_limits().iter().map(rlimit).collect();
    let mut process = json!({
        "args": spec.args,
        "env": env,
        "cwd": cwd,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.gids},
        "capabilities": {
            "bounding": bounding,
            "effective": held.names(),
            "permitted": held.names(),
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits,
    });
    if spec.no_new_privileges {
        process["noNewPrivileges"] = json!(true);
    }
    Ok(process)
}

/// Refuses limits that cannot be set.
pub(super) fn check_ulimits(spec: &ContainerSpec) -> Result<(), StartFailure> {
    for ulimit in &spec.ulimits {
        resource(&ulimit.name)?;
        if ulimit.soft > ulimit.hard {
            return Err(StartFailure::new(
                FailureKind::InvalidSpec,
                format!(
                    "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                    ulimit.soft, ulimit.hard
                ),
            ));
        }
    }
    Ok(())
}

/// The kernel's limit of that name.
pub(super) fn resource(name: &str) -> Result<Resource, StartFailure> {
    let known = ULIMITS.iter().find(|(known, _)| *known == name);
    known.map(|(_, resource)| *resource).ok_or_else(|| {
        StartFailure::new(FailureKind::InvalidSpec, format!("invalid ulimit type: {name}"))
    })
}

fn rlimit(ulimit: &Ulimit) -> Value {
    let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
    json!({"type": name, "soft": ulimit.soft, "hard": ulimit.hard})
}

fn namespaces(spec: &ContainerSpec, own_network: Option<&Path>) -> Value {
    let mut list = vec![json!({"type": "mount"}), json!({"type": "cgroup"})];
    let wanted = &spec.namespaces;
    for (name, namespace) in [("pid", &wanted.pid), ("ipc", &wanted.ipc), ("uts", &wanted.uts)] {
        match namespace {
            Namespace::New => list.push(json!({"type": name})),
            Namespace::Path(path) => list.push(json!({"type": name, "path": path})),
            Namespace::Host => {}
        }
    }
    match (&wanted.network, own_network) {
        (Namespace::Host, _) => {}
        (Namespace::Path(path), _) => list.push(json!({"type": "network", "path": path})),
        (Namespace::New, Some(path)) => list.push(json!({"type": "network", "path": path})),
        (Namespace::New, None) => list.push(json!({"type": "network"})),
    }
    Value::Array(list)
}

fn device_json(device: &Device) -> Value {
    json!({
        "path": device.path,
        "type": device.kind.to_string(),
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": 0,
        "gid": device.gid,
    })
}

/// What an OCI runtime would otherwise reset when it takes over the cgroup.
fn resources(spec: &ContainerSpec, devices: &[Device]) -> Value {
    let limits = &spec.limits;
    let mut rules = Vec::new();
    if spec.privileged {
        rules.push(json!({"allow": true, "access": "rwm"}));
    } else {
        rules.push(json!({"allow": false, "access": "rwm"}));
        let allowed = crate::cgroup::default_rules().into_iter();
        for rule in allowed.chain(devices.iter().map(Device::rule)) {
            rules.push(json!({
                "allow": true,
                "type": rule.kind.to_string(),
                "major": rule.major.map(i64::from),
                "minor": rule.minor.map(i64::from),
                "access": rule.access,
            }));
        }
    }
    let memory = limits.memory_bytes;
    json!({
        "devices": rules,
        "cpu": {
            "shares": limits.cpu_shares,
            "quota": limits.cpu_quota_us,
            "period": limits.cpu_period_us,
        },
        "memory": {
            "limit": memory,
            "reservation": limits.memory_reservation_bytes,
            "swap": memory.map(|bytes| limits.memory_and_swap_bytes.unwrap_or(bytes)),
        },
        "pids": {"limit": limits.pids_max.unwrap_or(crate::cgroup::PIDS_MAX_DEFAULT)},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Rootfs;

    #[test]
    fn the_environment_has_each_name_once_and_the_users_value() {
        let mut spec = ContainerSpec::new(Rootfs::Layers(Vec::new()), Vec::new());
        spec.hostname = Some("host".to_owned());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        spec.env = vec![pair("A", "1"), pair("PATH", "/bin"), pair("A", "2=3"), pair("EMPTY", "")];
        let env: Vec<String> = environment(&spec, "/root")
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(env, ["PATH=/bin", "HOSTNAME=host", "HOME=/root", "A=2=3", "EMPTY="]);
    }

    #[test]
    fn ulimits_are_checked() {
        let check = |name: &str, soft, hard, ok: bool| {
            let mut spec = ContainerSpec::new(Rootfs::Layers(Vec::new()), Vec::new());
            spec.ulimits = vec![Ulimit { name: name.to_owned(), soft, hard }];
            assert_eq!(check_ulimits(&spec).is_ok(), ok, "{:?}", spec.ulimits);
        };
        check("nofile", 1024, 4096, true);
        check("nofile", 4096, 1024, false);
        check("nofiles", 1, 1, false);
        check("memlock", u64::MAX, u64::MAX, true);
    }
}
