//! What is wrong with a container is said in Docker's words, and nothing of it stays.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use outport_container_runtime::{
    BindMount, ContainerSpec, FailureKind, HostDevice, Rootfs, RuntimeError, StartFailure, Ulimit,
};

use crate::host::{Host, TASK, ended};

#[track_caller]
fn create_fails(host: &Host, spec: ContainerSpec) -> StartFailure {
    match host.runtime.create(TASK, "fails", spec) {
        Err(RuntimeError::Start(failure)) => {
            host.check_nothing_left();
            failure
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(host: &Host, spec: ContainerSpec, kind: FailureKind, message: &str) {
    let failure = create_fails(host, spec);
    assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
}

#[test]
fn programs_that_cannot_be_executed() {
    let host = Host::new();
    let bin = host.layer.join("bin");
    fs::write(bin.join("plain"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(bin.join("plain"), fs::Permissions::from_mode(0o644)).unwrap();
    check(
        &host,
        host.spec(&["nope", "-x"]),
        FailureKind::ExecutableNotFound,
        "exec: \"nope\": executable file not found in $PATH",
    );
    check(
        &host,
        host.spec(&["/bin/nope"]),
        FailureKind::ExecutableNotFound,
        "exec: \"/bin/nope\": stat /bin/nope: no such file or directory",
    );
    check(
        &host,
        host.spec(&["/bin/plain"]),
        FailureKind::PermissionDenied,
        "exec: \"/bin/plain\": permission denied",
    );
    check(
        &host,
        host.spec(&["/etc"]),
        FailureKind::PermissionDenied,
        "exec: \"/etc\": is a directory",
    );
    check(&host, host.spec(&[]), FailureKind::InvalidSpec, "no command specified");
}

#[test]
fn programs_that_the_kernel_refuses_at_the_start() {
    let host = Host::new();
    let bin = host.layer.join("bin");
    for (name, text) in [("empty", ""), ("noise", "\u{1}\u{2}junk"), ("script", "#!/no/such\n")] {
        fs::write(bin.join(name), text).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let check = |program: &str, with_init: bool, kind: FailureKind, message: &str| {
        let mut spec = host.spec(&[program]);
        spec.init_process_enabled = with_init;
        let shim = host.create("refused", spec);
        let Err(RuntimeError::Start(failure)) = shim.start() else { panic!("{program} started") };
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
        let record = ended(&shim);
        assert_eq!((record.exit_code, record.start_failure), (None, Some(failure)));
        host.remove("refused");
    };
    check("/bin/empty", false, FailureKind::ExecFormat, "exec /bin/empty: exec format error");
    check("/bin/noise", false, FailureKind::ExecFormat, "exec /bin/noise: exec format error");
    check("/bin/noise", true, FailureKind::ExecFormat, "exec /bin/noise: exec format error");
    let missing = "exec /bin/script: no such file or directory";
    check("/bin/script", false, FailureKind::ExecutableNotFound, missing);
    host.check_nothing_left();
}

#[test]
fn what_the_spec_asks_for_and_cannot_be() {
    let host = Host::that_gives_power();
    let base = || host.shell("exit 0");
    let mut spec = base();
    spec.user = "nobody-here".into();
    let message = "unable to find user nobody-here: no matching entries in passwd file";
    check(&host, spec, FailureKind::NoSuchUser, message);

    let mut spec = base();
    spec.ulimits = vec![Ulimit { name: "files".into(), soft: 1, hard: 1 }];
    check(&host, spec, FailureKind::InvalidSpec, "invalid ulimit type: files");

    let mut spec = base();
    spec.bind_mounts =
        vec![BindMount { source: "/no/such".into(), target: "/x".into(), readonly: false }];
    check(&host, spec, FailureKind::Mount, "bind source path does not exist: /no/such");

    let mut spec = base();
    spec.working_directory = "relative".into();
    let message = "the working directory 'relative' is invalid, it needs to be an absolute path";
    check(&host, spec, FailureKind::WorkingDirectory, message);

    let mut spec = base();
    spec.working_directory = "/bin/sh/sub".into();
    assert_eq!(create_fails(&host, spec).kind, FailureKind::WorkingDirectory);

    let mut spec = base();
    spec.rootfs = Rootfs::Layers(vec![host.layer.join("gone")]);
    assert_eq!(create_fails(&host, spec).kind, FailureKind::Rootfs);

    let mut spec = base();
    spec.rootfs = Rootfs::Layers((0..128).map(|n| host.layer.join(n.to_string())).collect());
    check(&host, spec, FailureKind::Rootfs, "128 layers; from 1 to 127 can be used");

    // By words below /dev, and elsewhere by the way back.
    for path in ["/dev/../etc/null", "/dev/./../null", "/etc/null", "dev/null"] {
        let mut spec = base();
        let (host_path, permissions) = ("/dev/null".into(), "rwm".to_owned());
        spec.devices = vec![HostDevice { host_path, container_path: path.into(), permissions }];
        assert_eq!(create_fails(&host, spec).kind, FailureKind::Mount, "{path}");
        assert!(!host.layer.join("etc/null").exists());
    }

    let mut spec = base();
    spec.version += 1;
    assert_eq!(create_fails(&host, spec).kind, FailureKind::InvalidSpec);

    let mut spec = base();
    spec.privileged = true;
    let refused = Host::new().runtime.create(TASK, "privileged", spec);
    assert!(matches!(refused, Err(RuntimeError::PrivilegedNotAllowed(_))), "{refused:?}");
    host.check_nothing_left();
}

#[test]
fn account_files_cannot_lead_out_or_hold_up() {
    let host = Host::new();
    let passwd = host.layer.join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    // Out of the image: resolved inside of it, where there is no such file.
    symlink("../../../../../../../../etc/shadow", &passwd).unwrap();
    let mut spec = host.shell("id -u");
    spec.user = "root".into();
    assert_eq!(create_fails(&host, spec).kind, FailureKind::NoSuchUser);
    fs::remove_file(&passwd).unwrap();
    nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    let failure = create_fails(&host, host.shell("id -u"));
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Rootfs, "open /etc/passwd: not a regular file")
    );
}

#[test]
fn a_shim_that_cannot_run_is_an_error_of_the_host() {
    let host = Host::with(|settings| settings.shim_binary = "/bin/false".into());
    let failed = host.runtime.create(TASK, "gone", host.shell("exit 0"));
    assert!(matches!(failed, Err(RuntimeError::ShimGone { .. })), "{failed:?}");
    host.check_nothing_left();
    let host = Host::with(|settings| settings.shim_binary = "/no/such/binary".into());
    let failed = host.runtime.create(TASK, "gone", host.shell("exit 0"));
    assert!(matches!(failed, Err(RuntimeError::Io { .. })), "{failed:?}");
    host.check_nothing_left();
}

/// Where everything may be added; elsewhere an unknown name counts as power over the host.
#[test]
fn a_capability_that_is_not_there() {
    let host = Host::with(|settings| settings.allow_privileged = true);
    let mut spec = host.shell("exit 0");
    spec.capabilities.add = vec!["CAP_FLY".into()];
    check(&host, spec, FailureKind::Capability, "invalid capability: \"CAP_FLY\"");
}
