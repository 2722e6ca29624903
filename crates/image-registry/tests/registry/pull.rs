//! Blobs on their way out, and who may see them.

use http::Method;

use crate::server::{Server, noise, sha256};

#[tokio::test]
async fn a_blob_is_pulled_whole_or_in_part() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let bytes = noise(10, 1_000_000);
    let digest = server.push_blob("app", &bytes).await;
    let path = format!("/v2/app/blobs/{digest}");
    let head = server.send(Method::HEAD, &path, "").await.expect(200);
    assert_eq!(head.header("content-length"), "1000000");
    assert_eq!(head.header("docker-content-digest"), digest.to_string());
    assert!(head.body.is_empty());

    let part = |range: &'static str| {
        let (server, path) = (&server, &path);
        async move { server.send_with(Method::GET, path, &[("range", range)], "").await }
    };
    let middle = part("bytes=300000-800000").await.expect(206);
    assert_eq!(middle.header("content-range"), "bytes 300000-800000/1000000");
    assert!(middle.body == bytes[300_000..=800_000]);
    assert!(part("bytes=-5").await.expect(206).body == bytes[999_995..]);
    assert!(part("bytes=999999-").await.expect(206).body == bytes[999_999..]);
    let refused = part("bytes=1000000-").await.expect(416);
    assert_eq!(refused.header("content-range"), "bytes */1000000");
    assert!(part("bytes=nonsense").await.expect(200).body == bytes);
}

#[tokio::test]
async fn a_repository_sees_only_the_blobs_that_it_was_given() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    for name in ["app", "other", "private"] {
        server.create(name);
    }
    let digest = server.push_blob("private", b"secret").await;
    let path = format!("/v2/other/blobs/{digest}");
    for method in [Method::GET, Method::HEAD, Method::DELETE] {
        server.send(method, &path, "").await.expect(404);
    }
    // Without a right on the source, and without the blob in it, a mount becomes an ordinary upload.
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=private");
    server.send_as("team", Method::POST, &mount, &[], "").await.expect(202);
    let elsewhere = format!("/v2/other/blobs/uploads/?mount={digest}&from=app");
    server.send(Method::POST, &elsewhere, "").await.expect(202);
    let nowhere = format!("/v2/other/blobs/uploads/?mount={digest}&from=missing");
    server.send(Method::POST, &nowhere, "").await.expect(202);
    let unsaid = format!("/v2/other/blobs/uploads/?mount={digest}");
    server.send(Method::POST, &unsaid, "").await.expect(202);
    server.send(Method::GET, &path, "").await.expect(404);

    let mounted = server.send(Method::POST, &mount, "").await.expect(201);
    assert_eq!(mounted.header("location"), path);
    assert_eq!(server.send(Method::GET, &path, "").await.expect(200).body, "secret");
    // The same bytes pushed again are the same file, and one repository losing them leaves the other.
    server.push_blob("app", b"secret").await;
    server.send(Method::DELETE, &format!("/v2/private/blobs/{digest}"), "").await.expect(202);
    server.send(Method::GET, &format!("/v2/private/blobs/{digest}"), "").await.expect(404);
    assert_eq!(server.send(Method::GET, &path, "").await.expect(200).body, "secret");
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_the_protocols_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let digest = sha256(b"nothing");
    for (method, path, status, code) in [
        (Method::GET, format!("/v2/app/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        (Method::GET, "/v2/app/manifests/1".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (Method::GET, format!("/v2/app/manifests/{digest}"), 404, "MANIFEST_UNKNOWN"),
        (Method::GET, "/v2/missing/manifests/1".to_owned(), 404, "NAME_UNKNOWN"),
        (Method::POST, "/v2/missing/blobs/uploads/".to_owned(), 404, "NAME_UNKNOWN"),
        (Method::GET, "/v2/missing/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        (Method::GET, "/v2/App/tags/list".to_owned(), 400, "NAME_INVALID"),
        (Method::GET, "/v2/app/blobs/sha256:0".to_owned(), 400, "DIGEST_INVALID"),
        (Method::GET, "/v2/app/manifests/.bad".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (Method::DELETE, "/v2/app/manifests/.bad".to_owned(), 400, "TAG_INVALID"),
        (Method::POST, "/v2/app/manifests/1".to_owned(), 405, "UNSUPPORTED"),
        (Method::GET, "/v2/nothing".to_owned(), 404, "NOT_FOUND"),
    ] {
        let answer = server.send(method, &path, "").await.expect(status);
        assert_eq!(answer.code(), code, "{path}");
    }
    let missing = server.send(Method::POST, "/v2/missing/blobs/uploads/", "").await;
    assert_eq!(
        missing.message(),
        "The repository with name 'missing' does not exist in the registry with id '000000000000'"
    );
}
