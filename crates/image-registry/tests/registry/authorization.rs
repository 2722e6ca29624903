//! Nobody gets in without a password, and nobody does what they may not.

use http::Method;
use outport_image_registry::NewRepository;
use outport_image_registry::TagMutability;
use outport_model::{AccountId, Region, Scope};

use crate::server::{Server, sha256};

#[tokio::test]
async fn a_request_without_a_good_password_is_challenged() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    for password in ["", "wrong"] {
        for path in ["/v2/", "/v2/app/tags/list", "/v2/missing/tags/list", "/v2/nothing"] {
            let refused = server.send_as(password, Method::GET, path, &[], "").await.expect(401);
            assert_eq!(refused.code(), "UNAUTHORIZED");
            let realm =
                format!("Basic realm=\"http://{}/\",service=\"ecr.amazonaws.com\"", server.address);
            assert_eq!(refused.header("www-authenticate"), realm);
            assert_eq!(refused.header("docker-distribution-api-version"), "registry/2.0");
        }
    }
    let expired = server.send_as("old", Method::GET, "/v2/", &[], "").await.expect(403);
    assert_eq!(
        expired.message(),
        "Your authorization token has expired. Reauthenticate and try again."
    );
    let welcome = server.send(Method::GET, "/v2/", "").await.expect(200);
    assert_eq!(welcome.header("docker-distribution-api-version"), "registry/2.0");
    server.send(Method::GET, "/v2", "").await.expect(200);
}

#[tokio::test]
async fn every_change_needs_a_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let image = server.push_image("app", "1", b"layer").await;
    let blob = sha256(b"layer");
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let upload = session.header("location").to_owned();
    let whole = format!("/v2/app/blobs/uploads/?digest={blob}");
    let finish = format!("{upload}?digest={blob}");
    for (method, path) in [
        (Method::POST, "/v2/app/blobs/uploads/"),
        (Method::POST, whole.as_str()),
        (Method::PATCH, upload.as_str()),
        (Method::PUT, finish.as_str()),
        (Method::GET, upload.as_str()),
        (Method::DELETE, upload.as_str()),
        (Method::PUT, "/v2/app/manifests/1"),
        (Method::GET, "/v2/app/tags/list"),
        (Method::GET, "/v2/_catalog"),
    ] {
        let refused = server.send_as("reader", method, path, &[], "layer").await.expect(403);
        assert_eq!(refused.code(), "DENIED", "{path}");
    }
    // Whether a repository exists is told only to those who may know.
    for name in ["private", "private-and-missing"] {
        let path = format!("/v2/{name}/manifests/1");
        server.send_as("team", Method::GET, &path, &[], "").await.expect(403);
    }
    for path in [format!("/v2/app/manifests/{image}"), format!("/v2/app/blobs/{blob}")] {
        server.send_as("reader", Method::GET, &path, &[], "").await.expect(200);
    }
}

#[tokio::test]
async fn accounts_and_regions_are_apart() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    server.push_image("app", "1", b"layer").await;
    let path = "/v2/app/manifests/1";
    let other = server.send_as("elsewhere", Method::GET, path, &[], "").await.expect(404);
    assert!(
        other.message().contains("Requested image") || other.message().contains("111111111111")
    );
    // AWS's form of the host names the registry; the caller's right to it is asked as ever.
    let host = [("host", "000000000000.dkr.ecr.us-east-1.amazonaws.com")];
    server.send_as("owner", Method::GET, path, &host, "").await.expect(200);
    server.send_as("elsewhere", Method::GET, path, &host, "").await.expect(403);
    let west = [("host", "000000000000.dkr.ecr.eu-west-1.amazonaws.com")];
    server.send_as("owner", Method::GET, path, &west, "").await.expect(404);
    let scope = Scope::new(AccountId::new("000000000000"), Region::new("eu-west-1"));
    let name = "app".parse().expect("a name");
    let tag_mutability = TagMutability::Mutable;
    let new = NewRepository { name, tag_mutability, scan_on_push: false, tags: Default::default() };
    server.registry.create_repository(&scope, &new, 1).expect("another repository of that name");
    let empty =
        server.send_as("owner", Method::GET, "/v2/app/tags/list", &west, "").await.expect(200);
    assert_eq!(empty.json()["tags"], serde_json::json!([]));
}
