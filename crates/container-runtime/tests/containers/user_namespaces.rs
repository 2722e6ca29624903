//! What a user namespace changes: root in a container is nobody on the host. All other tests run in one, and
//! without one, see `host`.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use outport_container_runtime::{
    BindMount, ContainerSpec, FailureKind, Namespace, Rootfs, RuntimeError, StartFailure,
    TmpfsMount,
};
use outport_user_namespace::IDS_PER_TASK;

use crate::host::{Host, TASK, ended};

/// A host whose containers have one; `None` where there are none, which it has said.
fn host() -> Option<Host> {
    Some(Host::new()).filter(|host| host.user.is_some())
}

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let seen = fs::symlink_metadata(path).unwrap();
    (seen.uid(), seen.gid())
}

#[track_caller]
fn refused(host: &Host, spec: ContainerSpec) -> StartFailure {
    match host.runtime.create(TASK, "refused", spec) {
        Err(RuntimeError::Start(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn roots_files_and_processes_are_nobodys_on_the_host() {
    let Some(host) = host() else { return };
    let root = host.root_id();
    assert!(root >= IDS_PER_TASK);
    let layer = &host.layer;
    fs::write(layer.join("etc/apps"), "").unwrap();
    chown(layer.join("etc/apps"), Some(1000), Some(1001)).unwrap();
    fs::write(layer.join("etc/far"), "").unwrap();
    chown(layer.join("etc/far"), Some(70_000), Some(70_000)).unwrap();
    let mut spec = host.shell(
        "stat -c '%u:%g %n' / /etc/passwd /etc/apps /etc/far /dev /dev/null /dev/shm /dev/pts/ptmx \
            /proc/self/status /etc/hostname /srv /srv/work /v /tmp/m; \
         touch /tmp/roots; echo changed >> /etc/apps; touch /tmp/apps; chmod 777 /tmp; \
         awk '{print $1, $3}' /proc/self/uid_map /proc/self/gid_map; id -u; sleep 1000",
    );
    spec.working_directory = "/srv/work".into();
    spec.volumes = vec!["/v".into()];
    spec.tmpfs = vec![TmpfsMount { path: "/tmp/m".into(), size_mib: 1, options: vec![] }];
    spec.files = vec![outport_container_runtime::TextFile {
        target: "/etc/hostname".into(),
        text: "name".into(),
    }];
    let shim = host.start("root", spec);
    crate::host::until("it has looked", || host.lines_so_far("root") >= 17);
    let expected = "0:0 /\n0:0 /etc/passwd\n1000:1001 /etc/apps\n65534:65534 /etc/far\n0:0 /dev\n\
        0:0 /dev/null\n0:0 /dev/shm\n0:0 /dev/pts/ptmx\n0:0 /proc/self/status\n0:0 /etc/hostname\n0:0 /srv\n\
        0:0 /srv/work\n0:0 /v\n0:0 /tmp/m\n0 65536\n0 65536\n0\n";
    assert_eq!(host.output("root"), expected);
    let status = fs::read_to_string(format!("/proc/{}/status", shim.pid())).unwrap();
    assert!(status.contains(&format!("\nUid:\t{root}\t{root}\t{root}\t{root}\n")), "{status}");
    // On the disk nothing that it wrote belongs to an account of the host, and the layer is as it was.
    let upper = host.settings.root_dir.join("tasks").join(TASK).join("c/root/upper");
    for name in ["", "tmp", "tmp/roots", "srv/work", "etc"] {
        assert_eq!(owner(upper.join(name)), (root, root), "{name}");
    }
    assert_eq!(owner(upper.join("etc/apps")), (root + 1000, root + 1001));
    assert_eq!(owner(layer.join("etc/apps")), (1000, 1001));
    assert_eq!(owner(layer.join("etc/passwd")), (0, 0));
    shim.kill().unwrap();
    ended(&shim);
    host.remove("root");
    host.check_nothing_left();
}

/// Programs that give rights do so inside: by their owner, and by capabilities that a file has.
#[cfg(target_arch = "x86_64")]
#[test]
fn set_user_ids_and_file_capabilities_work_inside() {
    use crate::system_calls::{Call, NATIVE, number, place};
    let Some(host) = host() else { return };
    let calls: [Call; 2] =
        [[NATIVE, number(libc::SYS_socket), 2, 3, 1], [NATIVE, number(libc::SYS_setuid), 0, 0, 0]];
    for program in ["plain", "as-root", "with-raw"] {
        place(&host, program, &calls);
    }
    let at = |program: &str| host.layer.join("bin").join(program);
    fs::set_permissions(at("as-root"), fs::Permissions::from_mode(0o4755)).unwrap();
    // Version 2 of `vfs_cap_data`, effective, CAP_NET_RAW (13) permitted.
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(at("with-raw").as_os_str().as_bytes()).unwrap();
    let name = c"security.capability";
    // SAFETY: path, name and value outlive the call.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    assert_eq!(set, 0);
    let mut spec = host.shell("plain; as-root; with-raw");
    spec.user = "app".into();
    // P: not permitted.
    assert_eq!(host.run("rights", spec).1, "PP\n..\n.P\n");
}

/// The network is the task's own to administer, and a user other than root may have its outputs.
#[test]
fn the_network_belongs_to_it() {
    let Some(host) = host() else { return };
    let mut spec = host.shell(
        "ip link set lo down && ip link set lo up && echo changed; \
         stat -c %u /sys/class/net/lo/mtu; ip addr add 10.9.9.9/32 dev lo && echo added",
    );
    spec.capabilities.add = vec!["NET_ADMIN".into()];
    spec.sysctls = [("net.ipv4.ip_unprivileged_port_start".to_owned(), "80".to_owned())].into();
    assert_eq!(host.run("net", spec).1, "changed\n0\nadded\n");
}

/// A directory of the host has the owners in the container that it has on the host, and keeps them.
#[test]
fn what_is_mounted_of_the_host_keeps_its_owners() {
    let host = Host::with(|settings| settings.allow_privileged = true);
    if host.user.is_none() {
        return;
    }
    let volume = host.settings.root_dir.join("volume");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("hosts"), "").unwrap();
    fs::write(volume.join("apps"), "").unwrap();
    chown(volume.join("apps"), Some(1000), Some(1001)).unwrap();
    let mut spec = host.shell("stat -c '%u:%g' /srv/v /srv/v/hosts /srv/v/apps; touch /srv/v/new");
    let bind = |source: &Path, readonly| BindMount {
        source: source.to_owned(),
        target: "/srv/v".into(),
        readonly,
    };
    spec.bind_mounts = vec![bind(&volume, false)];
    assert_eq!(host.run("volume", spec).1, "0:0\n0:0\n1000:1001\n");
    assert_eq!(owner(volume.join("new")), (0, 0));
    let mut spec = host.shell("touch /srv/v/again 2>/dev/null || echo read-only");
    spec.bind_mounts = vec![bind(&volume, true)];
    assert_eq!(host.run("read-only", spec).1, "read-only\n");
    // A file system of the kernel's has no such mounts.
    let mut spec = host.spec(&["true"]);
    spec.bind_mounts = vec![bind(Path::new("/proc/self/fdinfo"), true)];
    let failure = refused(&host, spec);
    assert!(
        failure.kind == FailureKind::Mount && failure.message.contains("idmapped"),
        "{failure}"
    );
}

#[test]
fn ids_that_it_does_not_have_are_refused_by_name() {
    let Some(host) = host() else { return };
    let check = |user: &str, gids: &[u32], kind: FailureKind, what: &str| {
        let mut spec = host.spec(&["true"]);
        (spec.user, spec.additional_gids) = (user.to_owned(), gids.to_vec());
        let failure = refused(&host, spec);
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.starts_with(what), "{failure}");
    };
    check("65536", &[], FailureKind::NoSuchUser, "unable to use user 65536: its id is not below");
    check("1000:70000", &[], FailureKind::NoSuchGroup, "unable to use group 70000: ");
    check("1000", &[70_000], FailureKind::NoSuchGroup, "unable to use group 70000: ");
    let tmpfs = |options: &[&str]| {
        let mut spec = host.shell("stat -c '%u:%g' /m");
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        spec.tmpfs = vec![TmpfsMount { path: "/m".into(), size_mib: 1, options }];
        spec
    };
    assert_eq!(host.run("tmpfs", tmpfs(&["uid=1000", "gid=50"])).1, "1000:50\n");
    let failure = refused(&host, tmpfs(&["uid=65536"]));
    assert!(failure.message.contains("invalid tmpfs option uid=65536"), "{failure}");
    let mut spec = host.shell("id -u; id -g");
    spec.user = "65535:65535".into();
    assert_eq!(host.run("last", spec).1, "65535\n65535\n");
}

#[test]
fn what_needs_the_hosts_is_refused_in_another() {
    let host = Host::with(|settings| settings.allow_privileged = true);
    if host.user.is_none() {
        return;
    }
    let check = |change: &dyn Fn(&mut ContainerSpec)| {
        let mut spec = host.spec(&["true"]);
        change(&mut spec);
        let failure = refused(&host, spec);
        assert_eq!(failure.kind, FailureKind::InvalidSpec, "{failure}");
        assert!(failure.message.ends_with("and a user namespace exclude each other"), "{failure}");
    };
    check(&|spec| spec.privileged = true);
    check(&|spec| spec.namespaces.network = Namespace::Host);
    check(&|spec| spec.namespaces.pid = Namespace::Host);
    check(&|spec| spec.rootfs = Rootfs::Directory(host.layer.clone()));
    check(&|spec| spec.user_namespace.as_mut().unwrap().first_id = 1000);
}

/// Two layers of one store and one of elsewhere, as the containers of a task have them.
#[test]
fn layers_of_several_directories_are_one_root() {
    let Some(host) = host() else { return };
    let other = host.settings.root_dir.join("elsewhere/top");
    let beside = host.layer.with_file_name("beside");
    for (directory, name) in [(&other, "top"), (&beside, "beside")] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(name), "").unwrap();
    }
    let mut spec = host.shell("stat -c '%u %n' /top /beside /bin");
    spec.rootfs = Rootfs::Layers(vec![host.layer.clone(), beside, other]);
    assert_eq!(host.run("layers", spec).1, "0 /top\n0 /beside\n0 /bin\n");
}
