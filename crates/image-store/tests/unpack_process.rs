//! Layers unpacked by a process of their own: this program again, hence no test harness. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use outport_image_store::layer::process::unpack_main;
use outport_image_store::{ImageStore, Platform, StoreOptions, UnpackLimits, Unpacker};
use std::process::ExitCode;
use support::registry::{Access, Registry};
use support::tarball::Tarball;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "unpack") {
        return unpack_main(&arguments[2]);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("layers_are_unpacked_by_a_process: test");
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(layers_are_unpacked_by_a_process());
    println!("test layers_are_unpacked_by_a_process ... ok");
    ExitCode::SUCCESS
}

async fn layers_are_unpacked_by_a_process() {
    let registry = Registry::start(Access::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let limits = UnpackLimits { entries_max: 5, ..UnpackLimits::default() };
    let open = |program: &str| {
        let arguments = vec!["unpack".into()];
        let options = StoreOptions {
            limits,
            unpacker: Unpacker::Process { program: program.into(), arguments },
            platform: Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() },
        };
        ImageStore::open(directory.path(), options).unwrap()
    };
    let store = open("/proc/self/exe");
    let honest = Tarball::new()
        .directory("d")
        .file("d/file", b"x")
        .hard_link("other", "d/file")
        .file(".wh.gone", b"");
    registry.put_image("honest", &[honest.finish()]);
    registry.put_image("hostile", &[Tarball::new().file("../x", b"x").finish()]);
    let six = (0..6).fold(Tarball::new(), |tar, number| tar.file(&format!("f{number}"), b""));
    registry.put_image("bomb", &[six.finish()]);
    registry.put_image("cut", &[Tarball::new().file("x", &[1; 900]).unfinished()[..700].to_vec()]);
    let pull = async |store: &ImageStore, tag: &str| {
        store.pull(&registry.reference(&format!("app:{tag}")), &registry.endpoint()).await
    };
    let image = pull(&store, "honest").await.unwrap();
    assert_eq!(std::fs::read(image.layers[0].join("other")).unwrap(), b"x");
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
