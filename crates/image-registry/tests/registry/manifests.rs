//! Images: pushed, pulled, tagged and deleted.

use http::Method;
use outport_image_registry::{Algorithm, Digest, TagMutability};

use crate::server::{OCI_INDEX, OCI_MANIFEST, Server, image_manifest, noise, sha256};

#[tokio::test]
async fn an_image_is_pushed_and_pulled_by_tag_and_digest() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let digest = server.push_image("app", "1.0", b"layer").await;
    for reference in ["1.0".to_owned(), digest.to_string()] {
        let path = format!("/v2/app/manifests/{reference}");
        let image = server.send(Method::GET, &path, "").await.expect(200);
        assert_eq!(sha256(&image.body), digest);
        assert_eq!(image.header("content-type"), OCI_MANIFEST);
        assert_eq!(image.header("docker-content-digest"), digest.to_string());
        let head = server.send(Method::HEAD, &path, "").await.expect(200);
        assert_eq!(head.header("content-length"), image.body.len().to_string());
    }
}

#[tokio::test]
async fn a_manifest_must_be_good_and_have_all_it_refers_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let config = server.push_blob("app", b"{}").await;
    let missing = sha256(b"missing");
    let put = |reference: &str, media_type: &'static str, body: String| {
        let path = format!("/v2/app/manifests/{reference}");
        let server = &server;
        async move { server.send_with(Method::PUT, &path, &[("content-type", media_type)], body).await }
    };
    let lacking = image_manifest(&config, &[(missing.clone(), 7)]);
    let refused = put("1", OCI_MANIFEST, lacking).await.expect(400);
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"][0]["digest"], missing.to_string());

    let index = format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{missing}","size":1}}]}}"#);
    assert_eq!(put("1", OCI_INDEX, index).await.expect(400).code(), "MANIFEST_BLOB_UNKNOWN");
    let good = image_manifest(&config, &[]);
    assert_eq!(put("1", OCI_INDEX, good.clone()).await.expect(400).code(), "MANIFEST_INVALID");
    assert_eq!(put("1", "text/plain", good.clone()).await.expect(400).code(), "MANIFEST_INVALID");
    assert_eq!(put("1", OCI_MANIFEST, "{".into()).await.expect(400).code(), "MANIFEST_INVALID");
    let other = sha256(b"other").to_string();
    assert_eq!(put(&other, OCI_MANIFEST, good.clone()).await.expect(400).code(), "DIGEST_INVALID");
    let big = " ".repeat(4 * 1024 * 1024 + 1);
    assert_eq!(put("1", OCI_MANIFEST, big).await.expect(413).code(), "MANIFEST_INVALID");
    server.send(Method::GET, "/v2/app/manifests/1", "").await.expect(404);

    let sha512 = Digest::of(Algorithm::Sha512, good.as_bytes()).to_string();
    put(&sha512, OCI_MANIFEST, good.clone()).await.expect(201);
    let pulled =
        server.send(Method::GET, &format!("/v2/app/manifests/{sha512}"), "").await.expect(200);
    assert_eq!(pulled.header("docker-content-digest"), sha512);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(put("1", OCI_MANIFEST, deep).await.expect(400).code(), "MANIFEST_INVALID");
}

#[tokio::test]
async fn an_index_keeps_its_images() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let image = server.push_image("app", "amd64", &noise(20, 100)).await;
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{image}","size":1}}]}}"#
    );
    let headers = [("content-type", OCI_INDEX)];
    server
        .send_with(Method::PUT, "/v2/app/manifests/multi", &headers, index.clone())
        .await
        .expect(201);
    let path = format!("/v2/app/manifests/{image}");
    assert_eq!(server.send(Method::DELETE, &path, "").await.expect(405).code(), "UNSUPPORTED");
    let of_index = format!("/v2/app/manifests/{}", sha256(index.as_bytes()));
    server.send(Method::DELETE, &of_index, "").await.expect(202);
    server.send(Method::GET, "/v2/app/manifests/multi", "").await.expect(404);
    server.send(Method::DELETE, &path, "").await.expect(202);
    server.send(Method::DELETE, &path, "").await.expect(404);
}

#[tokio::test]
async fn deleting_a_tag_keeps_the_image_and_its_blobs() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let layer = noise(21, 100);
    let image = server.push_image("app", "1", &layer).await;
    server.send(Method::DELETE, "/v2/app/manifests/1", "").await.expect(202);
    server.send(Method::DELETE, "/v2/app/manifests/1", "").await.expect(404);
    server.send(Method::GET, &format!("/v2/app/manifests/{image}"), "").await.expect(200);
    let blob = format!("/v2/app/blobs/{}", sha256(&layer));
    assert_eq!(server.send(Method::DELETE, &blob, "").await.expect(405).code(), "UNSUPPORTED");
    server.send(Method::DELETE, &format!("/v2/app/manifests/{image}"), "").await.expect(202);
    server.send(Method::DELETE, &blob, "").await.expect(202);
}

#[tokio::test]
async fn an_immutable_tag_stays_on_its_image() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create_with("app", TagMutability::ImmutableExcept(vec!["dev-*".into()]));
    let first = server.push_image("app", "1.0", b"first").await;
    server.push_image("app", "dev-1", b"first").await;
    server.push_image("app", "dev-1", b"second").await;
    // The same image again is the same push again.
    assert_eq!(server.push_image("app", "1.0", b"first").await, first);
    let config = server.push_blob("app", b"{}").await;
    let other = image_manifest(&config, &[]);
    let headers = [("content-type", OCI_MANIFEST)];
    let refused = server.send_with(Method::PUT, "/v2/app/manifests/1.0", &headers, other).await;
    let refused = refused.expect(400);
    assert_eq!(refused.code(), "TAG_INVALID");
    assert_eq!(
        refused.message(),
        "The image tag '1.0' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
    );
    let kept = server.send(Method::GET, "/v2/app/manifests/1.0", "").await.expect(200);
    assert_eq!(kept.header("docker-content-digest"), first.to_string());
}
