//! A full disk: said clearly, and as empty afterwards as before. Needs root, for a small file system.

use std::path::Path;
use std::process::Command;

use http::Method;
use outport_image_registry::Limits;

use crate::server::{Server, files_below, noise, sha256};

const FILE_SYSTEM_BYTES: usize = 4 << 20;

/// A file system in memory that is full soon; gone when it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(directory: &'a Path) -> Self {
        let mut mount = Command::new("mount");
        let size = format!("size={FILE_SYSTEM_BYTES},mode=700");
        mount.args(["-t", "tmpfs", "-o", &size, "outport-test"]).arg(directory);
        assert!(mount.status().expect("mount runs").success(), "mounting a file system needs root");
        Self(directory)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily, since the registry's last thread may still be closing its files.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let _disk = SmallDisk::mount(directory.path());
    let server = Server::start(directory.path()).await;
    server.create("app");
    let bytes = noise(30, 2 * FILE_SYSTEM_BYTES);
    let path = format!("/v2/app/blobs/uploads/?digest={}", sha256(&bytes));
    let refused = server.send(Method::POST, &path, bytes.clone()).await.expect(507);
    assert_eq!(refused.code(), "INSUFFICIENT_STORAGE");
    assert_eq!(refused.message(), "no space left on the disk of the registry");

    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    server.send(Method::PATCH, &location, bytes).await.expect(507);
    server.send(Method::GET, &location, "").await.expect(404);
    assert_eq!(files_below(directory.path()), Vec::<String>::new());
    let small = noise(31, 100_000);
    let digest = server.push_blob("app", &small).await;
    let path = format!("/v2/app/blobs/{digest}");
    assert!(server.send(Method::GET, &path, "").await.expect(200).body == small);
}

#[tokio::test]
async fn a_push_beyond_the_quota_is_denied_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits { bytes_max: 1_000_000, ..Limits::default() };
    let server = Server::start_with(directory.path(), limits).await;
    server.create("app");
    server.push_blob("app", &noise(40, 600_000)).await;
    let bytes = noise(41, 600_000);
    let path = format!("/v2/app/blobs/uploads/?digest={}", sha256(&bytes));
    let refused = server.send(Method::POST, &path, bytes).await.expect(403);
    assert_eq!(refused.code(), "DENIED");
    assert!(refused.message().starts_with("quota exceeded: "), "{}", refused.message());
    let small = noise(42, 300_000);
    let digest = server.push_blob("app", &small).await;
    let path = format!("/v2/app/blobs/{digest}");
    assert!(server.send(Method::GET, &path, "").await.expect(200).body == small);
}
