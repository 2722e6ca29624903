//! Blobs on their way in.

use std::time::Duration;

use http::Method;
use outport_image_registry::{Algorithm, Digest, Limits};

use crate::server::{Server, files_below, noise, sha256};

#[tokio::test]
async fn a_blob_is_pushed_in_one_request_in_two_or_in_chunks() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let bytes = noise(1, 1_500_000);
    let digest = sha256(&bytes);

    let whole = format!("/v2/app/blobs/uploads/?digest={digest}");
    let pushed = server.send(Method::POST, &whole, bytes.clone()).await.expect(201);
    assert_eq!(pushed.header("location"), format!("/v2/app/blobs/{digest}"));
    assert_eq!(pushed.header("docker-content-digest"), digest.to_string());

    let second = noise(2, 700_000);
    let digest = sha256(&second);
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    assert_eq!(session.header("range"), "0-0");
    assert!(session.header("location").ends_with(session.header("docker-upload-uuid")));
    let path = format!("{}?digest={digest}", session.header("location"));
    server.send(Method::PUT, &path, second.clone()).await.expect(201);

    let third = noise(3, 300_000);
    let digest = sha256(&third);
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    let first = [("content-range", "0-99999")];
    let sent = server.send_with(Method::PATCH, &location, &first, third[..100_000].to_vec()).await;
    assert_eq!(sent.expect(202).header("range"), "0-99999");
    server.send(Method::PATCH, &location, third[100_000..200_000].to_vec()).await.expect(202);
    let status = server.send(Method::GET, &location, "").await.expect(204);
    assert_eq!(status.header("range"), "0-199999");
    let last = [("content-range", "200000-299999")];
    let path = format!("{location}?digest={digest}");
    server.send_with(Method::PUT, &path, &last, third[200_000..].to_vec()).await.expect(201);
    for bytes in [bytes, second, third] {
        let path = format!("/v2/app/blobs/{}", sha256(&bytes));
        assert!(server.send(Method::GET, &path, "").await.expect(200).body == bytes);
    }
    assert_eq!(files_below(&directory.path().join("uploads")), Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_blob_and_a_sha512_blob_are_blobs() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    for bytes in [Vec::new(), noise(4, 5_000)] {
        let digest = Digest::of(Algorithm::Sha512, &bytes);
        let path = format!("/v2/app/blobs/uploads/?digest={digest}");
        server.send(Method::POST, &path, bytes.clone()).await.expect(201);
        let path = format!("/v2/app/blobs/{digest}");
        assert!(server.send(Method::GET, &path, "").await.expect(200).body == bytes);
    }
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let wrong = sha256(b"something else");
    let path = format!("/v2/app/blobs/uploads/?digest={wrong}");
    assert_eq!(
        server.send(Method::POST, &path, "bytes").await.expect(400).code(),
        "DIGEST_INVALID"
    );

    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    let refused = server.send(Method::PUT, &format!("{location}?digest={wrong}"), "bytes").await;
    assert_eq!(refused.expect(400).code(), "DIGEST_INVALID");
    let gone = server.send(Method::GET, &location, "").await.expect(404);
    assert_eq!(gone.code(), "BLOB_UPLOAD_UNKNOWN");
    for bad in ["", "digest=sha256:zz", "digest=md5:00"] {
        let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
        let path = format!("{}?{bad}", session.header("location"));
        assert_eq!(
            server.send(Method::PUT, &path, "bytes").await.expect(400).code(),
            "DIGEST_INVALID"
        );
        server.send(Method::DELETE, session.header("location"), "").await.expect(204);
    }
    assert_eq!(files_below(directory.path()), Vec::<String>::new());
    server.send(Method::GET, &format!("/v2/app/blobs/{wrong}"), "").await.expect(404);
}

#[tokio::test]
async fn chunks_out_of_order_or_of_another_length_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    let chunk = |range: &'static str, body: &'static str| {
        let (server, location) = (&server, &location);
        async move { server.send_with(Method::PATCH, location, &[("content-range", range)], body).await }
    };
    chunk("0-4", "01234").await.expect(202);
    let refused = chunk("6-9", "6789").await.expect(416);
    assert_eq!(refused.code(), "BLOB_UPLOAD_INVALID");
    assert_eq!((refused.header("range"), refused.header("location")), ("0-4", location.as_str()));
    chunk("0-4", "01234").await.expect(416);
    assert_eq!(chunk("5-9", "567890").await.expect(400).code(), "SIZE_INVALID");
    assert_eq!(chunk("5-9", "5").await.expect(400).code(), "SIZE_INVALID");
    assert_eq!(chunk("9-5", "56789").await.expect(400).code(), "BLOB_UPLOAD_INVALID");
    let status = server.send(Method::GET, &location, "").await.expect(204);
    assert_eq!(status.header("range"), "0-4");
    chunk("5-9", "56789").await.expect(202);
    let path = format!("{location}?digest={}", sha256(b"0123456789"));
    server.send(Method::PUT, &path, "").await.expect(201);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let bytes = noise(5, 900_000);
    let location = {
        let server = Server::start(directory.path()).await;
        server.create("app");
        let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
        let location = session.header("location").to_owned();
        server.send(Method::PATCH, &location, bytes[..500_000].to_vec()).await.expect(202);
        location
    };
    let server = Server::start(directory.path()).await;
    let status = server.send(Method::GET, &location, "").await.expect(204);
    assert_eq!(status.header("range"), "0-499999");
    let range = [("content-range", "500000-899999")];
    server.send_with(Method::PATCH, &location, &range, bytes[500_000..].to_vec()).await.expect(202);
    let digest = sha256(&bytes);
    server.send(Method::PUT, &format!("{location}?digest={digest}"), "").await.expect(201);
    let path = format!("/v2/app/blobs/{digest}");
    assert!(server.send(Method::GET, &path, "").await.expect(200).body == bytes);
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_can_be_cancelled() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path()).await;
    server.create("app");
    server.create("other");
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let id = session.header("docker-upload-uuid").to_owned();
    let stolen = format!("/v2/other/blobs/uploads/{id}");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let refused = server.send(method, &stolen, "").await.expect(404);
        assert_eq!(refused.code(), "BLOB_UPLOAD_UNKNOWN");
    }
    let path = format!("{stolen}?digest={}", sha256(b""));
    assert_eq!(server.send(Method::PUT, &path, "").await.expect(404).code(), "BLOB_UPLOAD_UNKNOWN");
    let own = format!("/v2/app/blobs/uploads/{id}");
    server.send(Method::DELETE, &own, "").await.expect(204);
    server.send(Method::PATCH, &own, "more").await.expect(404);
    assert_eq!(files_below(directory.path()), Vec::<String>::new());
}

#[tokio::test]
async fn sizes_and_numbers_have_limits() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits { blob_bytes_max: 1_000, upload_sessions_max: 2, ..Limits::default() };
    let server = Server::start_with(directory.path(), limits).await;
    server.create("app");
    let bytes = noise(6, 1_001);
    let path = format!("/v2/app/blobs/uploads/?digest={}", sha256(&bytes));
    assert_eq!(server.send(Method::POST, &path, bytes).await.expect(413).code(), "SIZE_INVALID");
    assert_eq!(files_below(directory.path()), Vec::<String>::new());
    for _ in 0..2 {
        server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    }
    let refused = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(429);
    assert_eq!(refused.code(), "TOOMANYREQUESTS");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_and_can_be_resumed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits { body_idle_max: Duration::from_secs(2), ..Limits::default() };
    let server = Server::start_with(directory.path(), limits).await;
    server.create("app");
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: Basic QVdTOm93bmVy\r\n\
         content-length: 10\r\n\r\n01234"
    );
    stream.write_all(head.as_bytes()).await.expect("the half is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    let status = server.send(Method::GET, &location, "").await.expect(204);
    assert_eq!(status.header("range"), "0-4");
    server.send(Method::PATCH, &location, "56789").await.expect(202);
    let path = format!("{location}?digest={}", sha256(b"0123456789"));
    server.send(Method::PUT, &path, "").await.expect(201);
}

#[tokio::test]
async fn an_upload_has_one_writer_at_a_time() {
    use tokio::io::AsyncWriteExt;
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits { upload_busy_wait_max: Duration::from_secs(2), ..Limits::default() };
    let server = Server::start_with(directory.path(), limits).await;
    server.create("app");
    let session = server.send(Method::POST, "/v2/app/blobs/uploads/", "").await.expect(202);
    let location = session.header("location").to_owned();
    let mut first = tokio::net::TcpStream::connect(server.address).await.expect("a connection");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: Basic QVdTOm93bmVy\r\n\
         content-length: 9000000\r\n\r\n"
    );
    let half = noise(8, 3_000_000);
    first.write_all(head.as_bytes()).await.expect("the head is sent");
    first.write_all(&half).await.expect("the half is sent");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let received = async || {
        let status = server.send(Method::GET, &location, "").await.expect(204);
        let range = status.header("range");
        range.strip_prefix("0-").and_then(|last| last.parse().ok()).unwrap_or(0_usize)
    };
    // How far it is can be asked all the while. Once something has been written, the first writer has the session.
    while received().await == 0 {
        assert!(std::time::Instant::now() < deadline, "the first writer never got the session");
    }
    let second = server.send(Method::PATCH, &location, "x").await.expect(409);
    assert_eq!(second.code(), "BLOB_UPLOAD_INVALID");
    assert_eq!(
        server.send(Method::DELETE, &location, "").await.expect(409).code(),
        "BLOB_UPLOAD_INVALID"
    );
    // A client that goes away gives the session back, with what it had sent.
    drop(first);
    while received().await != half.len() - 1 {
        assert!(std::time::Instant::now() < deadline, "the session never came back");
    }
    server.send(Method::PATCH, &location, "x").await.expect(202);
}
