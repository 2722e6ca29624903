//! Layers unpacked by a process of their own: this program again, hence no test harness. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test says what it left out")]

mod support;

use outport_image_store::layer::process::unpack_main;
use outport_image_store::{ImageStore, Platform, StoreOptions, UnpackLimits, Unpacker};
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use support::registry::{Access, Registry};
use support::tarball::{CHARACTER_DEVICE, Tarball};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "unpack") {
        return unpack_main(&arguments[2]);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("layers_are_unpacked_by_a_process: test");
            println!("the_process_has_given_up_what_it_does_not_need: test");
            println!("a_child_whose_parent_has_gone_does_nothing: test");
            println!("a_deep_tree_in_the_trash_does_not_end_the_program: test");
            println!("processor_time_has_an_end: test");
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(layers_are_unpacked_by_a_process());
    println!("test layers_are_unpacked_by_a_process ... ok");
    the_process_has_given_up_what_it_does_not_need();
    println!("test the_process_has_given_up_what_it_does_not_need ... ok");
    a_child_whose_parent_has_gone_does_nothing();
    println!("test a_child_whose_parent_has_gone_does_nothing ... ok");
    processor_time_has_an_end();
    println!("test processor_time_has_an_end ... ok");
    a_deep_tree_in_the_trash_does_not_end_the_program();
    println!("test a_deep_tree_in_the_trash_does_not_end_the_program ... ok");
    ExitCode::SUCCESS
}

/// What the process with the number `parent` tells its child.
fn unpacking(parent: u32, limits: &UnpackLimits) -> String {
    let limits = serde_json::to_string(limits).unwrap();
    format!("{{\"parent\":{parent},\"work\":{{\"Unpack\":{limits}}}}}")
}

/// As the kernel shows it while the process waits for the rest of its blob.
fn the_process_has_given_up_what_it_does_not_need() {
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits::default();
    let task = unpacking(std::process::id(), &limits);
    let mut child = Command::new("/proc/self/exe")
        .args(["unpack", &task])
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let of_child = |name: &str| {
        std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !of_child("status").contains("Seccomp:\t2") && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let (status, limits) = (of_child("status"), of_child("limits"));
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
    let kept = 1_u64 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31;
    for set in ["CapPrm", "CapEff"] {
        let line = status.lines().find(|line| line.starts_with(set)).unwrap();
        let has = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(has & !kept, 0, "{line}");
    }
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    for (name, value) in [
        ("Max core file size", "0"),
        ("Max address space", "1073741824"),
        ("Max file size", "68719476736"),
        ("Max open files", "512"),
        ("Max cpu time", "1200"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let soft = line[name.len()..].split_whitespace().next().unwrap();
        assert_eq!(soft, value, "{line}");
    }
    let root = std::fs::read_link(format!("/proc/{}/root", child.id())).unwrap();
    assert_eq!(root, directory.path().canonicalize().unwrap());
    // State, parent, group, session, …; niceness is the sixteenth from the state.
    let fields = |stat: &str| -> Vec<i64> {
        let numbers = stat.rsplit_once(") ").unwrap().1.split(' ').skip(1);
        numbers.take(20).map(|field| field.parse().unwrap()).collect()
    };
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (own, of_child) = (fields(&own), fields(&of_child("stat")));
    assert_eq!(of_child[2], i64::from(child.id()), "a session of its own");
    assert_eq!(of_child[15], (own[15] + 10).min(19), "niceness");
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("Unpacked"), "{said}");
}

/// The signal of a parent's death comes only from then on that it was asked for.
fn a_child_whose_parent_has_gone_does_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for work in [unpacking(1, &UnpackLimits::default()), r#"{"parent":1,"work":"Remove"}"#.into()] {
        std::fs::write(directory.path().join("kept"), "").unwrap();
        let output = Command::new("/proc/self/exe")
            .args(["unpack", &work])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("the parent has gone"), "{said}");
        assert!(directory.path().join("kept").exists());
    }
}

/// Behind the archive's end the blob has gigabytes more, which cost nothing but time.
fn processor_time_has_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { processor_time_max_s: 1, ..UnpackLimits::default() };
    let blob = std::fs::File::create_new(directory.path().join("blob")).unwrap();
    blob.set_len(60 << 30).unwrap();
    let blob = std::fs::File::open(directory.path().join("blob")).unwrap();
    std::fs::create_dir(directory.path().join("layer")).unwrap();
    let task = unpacking(std::process::id(), &limits);
    let output = Command::new("/proc/self/exe")
        .args(["unpack", &task])
        .current_dir(directory.path().join("layer"))
        .stdin(blob)
        .output()
        .unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(killed, Some(rustix::process::Signal::XCPU.as_raw()), "{output:?}");
}

/// What an earlier version let a layer make: 15,200 levels ended the program at every start.
fn a_deep_tree_in_the_trash_does_not_end_the_program() {
    const DEPTH: usize = 5000;
    for unpacker in [
        Unpacker::InProcess,
        Unpacker::Process { program: "/proc/self/exe".into(), arguments: vec!["unpack".into()] },
        // No process to be had: it is done here.
        Unpacker::Process { program: "/no/such/program".into(), arguments: Vec::new() },
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tmp = directory.path().join("tmp");
        std::fs::create_dir_all(tmp.join("half-made")).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(tmp.join("half-made"), flags, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
        }
        drop(at);
        let options = StoreOptions { unpacker: unpacker.clone(), ..StoreOptions::default() };
        let _store = ImageStore::open(directory.path(), options).unwrap();
        let left = || {
            let count =
                |name: &str| std::fs::read_dir(directory.path().join(name)).unwrap().count();
            count("tmp") + count("trash")
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while left() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(left(), 0, "{unpacker:?}");
    }
}

async fn layers_are_unpacked_by_a_process() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { entries_max: 15, ..UnpackLimits::default() };
    let open = |program: &str| {
        let arguments = vec!["unpack".into()];
        let options = StoreOptions {
            limits,
            unpacker: Unpacker::Process { program: program.into(), arguments },
            platform: Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() },
            ..StoreOptions::default()
        };
        ImageStore::open(directory.path(), options).unwrap()
    };
    let store = open("/proc/self/exe");
    let honest = Tarball::new()
        .directory("d")
        .file("d/file", b"x")
        .hard_link("other", "d/file")
        .file(".wh.gone", b"")
        .directory("opaque")
        .file("opaque/.wh..wh..opq", b"")
        .file("implied/file", b"x")
        .device("jail/dev/urandom", CHARACTER_DEVICE, (1, 9))
        .gnu_sparse("hole", &[(100, 1)], 5000, b"x");
    registry.put_image("honest", &[honest.finish()]);
    registry.put_image("hostile", &[Tarball::new().file("../x", b"x").finish()]);
    let many = (0..16).fold(Tarball::new(), |tar, number| tar.file(&format!("f{number}"), b""));
    registry.put_image("bomb", &[many.finish()]);
    registry.put_image("cut", &[Tarball::new().file("x", &[1; 900]).unfinished()[..700].to_vec()]);
    let pull = async |store: &ImageStore, tag: &str| {
        store.pull(&registry.reference(&format!("app:{tag}")), &registry.endpoint()).await
    };
    let image = pull(&store, "honest").await.unwrap();
    assert_eq!(std::fs::read(image.layers[0].join("other")).unwrap(), b"x");
    assert_eq!(std::fs::read(image.layers[0].join("hole")).unwrap().len(), 5000);
    let mut value = [0; 4];
    let opaque = image.layers[0].join("opaque");
    let read = rustix::fs::getxattr(opaque, "trusted.overlay.opaque", &mut value[..]).unwrap();
    assert_eq!(&value[..read], b"y", "the parent marks what the child may not");
    let urandom = std::fs::metadata(image.layers[0].join("jail/dev/urandom")).unwrap();
    assert_eq!(urandom.rdev(), rustix::fs::makedev(1, 9));
    for (tag, words) in [
        ("hostile", "\"../x\": path with .."),
        ("bomb", "limit on entries exceeded"),
        ("cut", "malformed layer"),
    ] {
        let reason = pull(&store, tag).await.unwrap_err().reason();
        assert!(reason.contains(words), "{tag}: {reason}");
    }
    drop((image, store));
    registry.put_image("other", &[Tarball::new().file("new", b"x").finish()]);
    let broken = open("/bin/false");
    let reason = pull(&broken, "other").await.unwrap_err().reason();
    assert!(reason.contains("the unpacker ended with"), "{reason}");
}
