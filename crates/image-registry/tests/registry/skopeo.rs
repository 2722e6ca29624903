//! Real Skopeo, and Buildah where it is installed, against a real listener, with the drop-in file that
//! Outport writes. Skopeo must be installed.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use outport_image_registry::HostIntegration;
use serde_json::json;

use crate::server::{Server, noise, sha256};

/// An OCI layout of one image with one layer. The layer is compressed already, so that a client pushes
/// it as it is. Returns it.
fn write_layout(directory: &Path, tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).expect("compressed");
    let compressed = encoder.finish().expect("compressed");
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a directory");
    let write = |bytes: &[u8]| {
        let digest = sha256(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).expect("a blob");
        (digest.to_string(), bytes.len())
    };
    let (layer, layer_size) = write(&compressed);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [sha256(tar).to_string()] },
    });
    let (config, config_size) = write(config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": layer_size,
        }],
    });
    let (manifest, manifest_size) = write(manifest.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest, "size": manifest_size,
            "annotations": { "org.opencontainers.image.ref.name": "1.0" },
        }],
    });
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("a file");
    std::fs::write(directory.join("index.json"), index.to_string()).expect("a file");
    compressed
}

/// Runs a client whose home is a scratch directory, so that nothing of this host's set-up is used.
async fn run(home: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", home).env("XDG_RUNTIME_DIR", home);
    command.env("REGISTRY_AUTH_FILE", home.join("auth.json"));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends");
    let output = output.unwrap_or_else(|error| panic!("{program} must be installed: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_the_printed_address_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("registry")).await;
    server.create("team/app");
    server.create("copy");
    let home = directory.path().join("home");
    let drop_ins = home.join(".config/containers/registries.conf.d");
    let layout = directory.path().join("layout");
    let layer = write_layout(&layout, &noise(40, 3_000_000));
    let policy = json!({ "default": [{ "type": "insecureAcceptAnything" }] });
    std::fs::create_dir_all(&drop_ins).expect("a directory");
    std::fs::write(home.join(".config/containers/policy.json"), policy.to_string())
        .expect("a policy");

    let source = format!("oci:{}:1.0", layout.display());
    let address = format!("docker://{}/team/app:1.0", server.address);
    let login = ["login", "--username", "AWS", "--password", "owner", &server.address.to_string()]
        .map(str::to_owned);
    let login: Vec<&str> = login.iter().map(String::as_str).collect();
    let refused = run(&home, "skopeo", &login).await;
    assert!(
        refused.is_err_and(|text| text.contains("HTTPS client")),
        "without the drop-in, Skopeo wants TLS"
    );

    let integration = HostIntegration::in_directory(&drop_ins, "test", server.address);
    let integration = integration.expect("a loopback address");
    assert!(integration.write().expect("the drop-in is written"));
    run(&home, "skopeo", &login).await.expect("login");
    run(&home, "skopeo", &["copy", &source, &address]).await.expect("push");
    let inspected = run(&home, "skopeo", &["inspect", &address]).await.expect("inspect");
    assert!(inspected.contains(&sha256(&layer).to_string()), "{inspected}");
    // From one repository to another: the layer is mounted.
    let copy = format!("docker://{}/copy:1.0", server.address);
    run(&home, "skopeo", &["copy", &address, &copy]).await.expect("copy");
    let pulled = directory.path().join("pulled");
    let target = format!("dir:{}", pulled.display());
    run(&home, "skopeo", &["copy", &copy, &target]).await.expect("pull");
    let layer_file = pulled.join(sha256(&layer).hex());
    assert!(std::fs::read(layer_file).expect("the layer") == layer);
    run(&home, "skopeo", &["delete", &address]).await.expect("delete");
    server.send(Method::GET, "/v2/team/app/manifests/1.0", "").await.expect(404);

    integration.remove().expect("the drop-in is removed");
    assert!(!integration.path().exists());
}

#[test]
fn the_drop_in_is_for_loopback_and_for_its_own_instance_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let make = |address: &str| {
        let address = address.parse().expect("an address");
        HostIntegration::in_directory(directory.path(), "abc", address)
    };
    assert_eq!(make("192.0.2.1:4566"), None);
    assert_eq!(make("0.0.0.0:4566"), None);
    let own = make("127.0.0.1:4566").expect("a loopback address");
    assert!(own.write().expect("written"));
    for location in ["127.0.0.1:4566", "localhost:4566"] {
        assert!(own.text().contains(&format!("location = \"{location}\"\ninsecure = true\n")));
    }
    assert!(
        make("127.0.0.1:4567").expect("an address").write().expect("replaced"),
        "a new address"
    );
    own.remove().expect("removed");
    own.remove().expect("gone already");
    std::fs::write(own.path(), "# someone else's\n").expect("a file");
    assert!(!own.write().expect("left alone"));
    own.remove().expect("left alone");
    assert!(own.path().exists());
}
