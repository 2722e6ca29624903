//! Collection beside pushes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Method;
use outport_image_registry::Collected;
use outport_model::Now;

use crate::server::{Server, files_below, noise, scope, sha256};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[tokio::test]
async fn only_what_nothing_refers_to_goes() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    server.create("gone");
    server.push_image("app", "1", b"kept").await;
    server.push_image("gone", "1", b"lost").await;
    let loose = server.push_blob("app", b"loose").await;
    server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let now_ms = server.now_ms.load(Ordering::Relaxed);
    let collect =
        |now_ms| server.registry.collect_garbage(&Now::steady_at(now_ms)).expect("a collection");
    assert_eq!(collect(now_ms + 1), Collected::default(), "everything is young");

    let name = "gone".parse().expect("a name");
    server.registry.delete_repository(&scope(), &name, true).expect("deleted");
    assert_eq!(collect(now_ms + 1), Collected { blobs: 1, bytes: 4, uploads: 0 }, "`lost` goes");
    // A client that asks for a blob is about to use it.
    server.now_ms.store(now_ms + DAY_MS / 2, Ordering::Relaxed);
    server.send(Method::HEAD, &format!("/v2/app/blobs/{loose}"), "").await.expect(200);
    let collected = collect(now_ms + DAY_MS + 1_000);
    assert_eq!(collected, Collected { blobs: 0, bytes: 0, uploads: 1 }, "the session goes");
    assert_eq!(collect(now_ms + 2 * DAY_MS), Collected { blobs: 1, bytes: 5, uploads: 0 });
    server.send(Method::GET, &format!("/v2/app/blobs/{loose}"), "").await.expect(404);
    let mut kept = [sha256(b"kept").hex().to_owned(), sha256(b"{}").hex().to_owned()];
    kept.sort();
    assert_eq!(files_below(directory.path()), kept);
}

#[tokio::test]
async fn leftovers_of_a_crash_go_at_the_first_collection() {
    let directory = tempfile::tempdir().expect("a directory");
    let digest = {
        let server = Server::start(directory.path()).await;
        server.create("app");
        server.push_blob("app", b"known").await
    };
    let stray = sha256(b"published, and then the power failed");
    let shard = directory.path().join("blobs/sha256").join(&stray.hex()[..2]);
    std::fs::create_dir_all(&shard).expect("a directory");
    std::fs::write(shard.join(stray.hex()), "bytes").expect("a file");
    let session = directory.path().join("uploads/c9a646d3-9c61-4cb7-bfcd-ee2522c8f633");
    std::fs::write(session, "bytes").expect("a file");
    let server = Server::start(directory.path()).await;
    let now_ms = server.now_ms.load(Ordering::Relaxed);
    server.registry.collect_garbage(&Now::steady_at(now_ms)).expect("a collection");
    assert_eq!(files_below(directory.path()), [digest.hex()]);
}

/// Pushes, deletes and collects the same few blobs from several sides. Whatever a push was told is there
/// must be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collection_never_takes_a_blob_from_a_push() {
    const ROUNDS: u64 = 15;
    const PUSHERS: u64 = 4;
    let directory = tempfile::tempdir().expect("a directory");
    let server = Arc::new(Server::start(directory.path()).await);
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let server = Arc::clone(&server);
            server.create(&format!("app-{pusher}"));
            tokio::spawn(async move {
                let mut collected = 0;
                for round in 0..ROUNDS {
                    let layer = noise(round % 3, 2_000);
                    collected +=
                        push_delete_collect(&server, &format!("app-{pusher}"), &layer).await;
                }
                server.push_image(&format!("app-{pusher}"), "last", &noise(pusher, 3_000)).await;
                collected
            })
        })
        .collect();
    let mut collected = 0;
    for pusher in pushers {
        collected += pusher.await.expect("a pusher ends well");
    }
    assert!(collected > 0, "nothing was collected, so the test shows nothing");
    for pusher in 0..PUSHERS {
        let layer = noise(pusher, 3_000);
        let path = format!("/v2/app-{pusher}/blobs/{}", sha256(&layer));
        assert!(server.send(Method::GET, &path, "").await.expect(200).body == layer);
    }
}

async fn push_delete_collect(server: &Server, repository: &str, layer: &[u8]) -> u64 {
    let image = server.push_image(repository, "1", layer).await;
    let blob = format!("/v2/{repository}/blobs/{}", sha256(layer));
    assert!(server.send(Method::GET, &blob, "").await.expect(200).body == layer);
    server
        .send(Method::DELETE, &format!("/v2/{repository}/manifests/{image}"), "")
        .await
        .expect(202);
    server.send(Method::DELETE, &blob, "").await.expect(202);
    let (registry, now_ms) = (Arc::clone(&server.registry), server.now_ms.load(Ordering::Relaxed));
    let collected =
        tokio::task::spawn_blocking(move || registry.collect_garbage(&Now::steady_at(now_ms)));
    collected.await.expect("it ends").expect("a collection").blobs
}
