//! The listener: slow, greedy, cut and parting clients, over real connections.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use outport_front_door::{Limits, PaceLimit};
use support::Sent;
use support::listener::{head, list_clusters, rest, start, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_connection_carries_many_requests_and_ends_with_the_server() {
    let running = start(Limits::default()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
        stream.write_all(b"{}").await.unwrap();
        let answer = until(&mut stream, "]}").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\ndate: "), "{answer}");
        assert!(answer.contains("\r\nx-amzn-requestid: "), "{answer}");
    }
    within(async {
        while !running.metrics.render().contains("outport_connections{kind=\"caller\"} 1\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop().await;
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_running_request_may_end_after_the_shutdown_began() {
    let running = start(Limits::default()).await;
    let mut stream = running.connect().await;
    stream.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
    stream.write_all(b"{").await.unwrap();
    // The request counts once its head has been read.
    let metrics = running.metrics.clone();
    within(async {
        while !metrics.render().contains("outport_requests_in_flight 1\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop.send(()).unwrap();
    stream.write_all(b"}").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    within(running.server).await.unwrap();
}

#[tokio::test]
async fn a_client_may_ask_before_it_sends_and_send_in_chunks() {
    let running = start(Limits::default()).await;
    let mut stream = running.connect().await;
    let expecting = head(&list_clusters(), "content-length: 2\r\nexpect: 100-continue\r\n");
    stream.write_all(&expecting).await.unwrap();
    until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"{}").await.unwrap();
    until(&mut stream, "HTTP/1.1 200 OK").await;

    let mut stream = running.connect().await;
    stream.write_all(&head(&list_clusters(), "transfer-encoding: chunked\r\n")).await.unwrap();
    stream.write_all(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await.unwrap();
    until(&mut stream, "HTTP/1.1 200 OK").await;

    // Nobody is told to go on with what is refused already.
    let mut stream = running.connect().await;
    let unsigned =
        head(&Sent::ecs("ListClusters", "{}"), "content-length: 2\r\nexpect: 100-continue\r\n");
    stream.write_all(&unsigned).await.unwrap();
    let answer = until(&mut stream, "MissingAuthenticationTokenException\"").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn slow_clients_are_given_up() {
    let short = Duration::from_millis(50);
    let running =
        start(Limits { first_byte_timeout: short, head_timeout: short, ..Limits::default() }).await;
    // Says nothing; says half a head.
    let mut silent = running.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut halting = running.connect().await;
    halting.write_all(b"POST / HTTP/1.1\r\nhost: a\r\nx-").await.unwrap();
    let answer = rest(&mut halting).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    running.stop().await;

    let running = start(Limits {
        body_pace: PaceLimit { grace: short, bytes_per_second_min: 1_000_000 },
        streamed_body_pace: PaceLimit { grace: short, bytes_per_second_min: 1_000_000 },
        discard_timeout: short,
        ..Limits::default()
    })
    .await;
    // Says half a body; says half a streamed body.
    let mut slow = running.connect().await;
    slow.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
    slow.write_all(b"{").await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains(r#""__type":"RequestTimeout""#), "{answer}");
    let mut streaming = running.connect().await;
    streaming
        .write_all(b"POST /_outport/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab")
        .await
        .unwrap();
    assert!(rest(&mut streaming).await.starts_with("HTTP/1.1 4"));
    running.stop().await;
}

#[tokio::test]
async fn greedy_clients_get_a_clear_answer() {
    let running = start(Limits::default()).await;
    // Sends all of a body that is too large before it reads.
    let sent = list_clusters();
    let body = vec![b' '; 3 * 1024 * 1024];
    let mut stream = running.connect().await;
    let length = format!("content-length: {}\r\nconnection: close\r\n", body.len());
    stream.write_all(&head(&sent, &length)).await.unwrap();
    within(stream.write_all(&body)).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("RequestEntityTooLargeException"), "{answer}");

    let mut stream = running.connect().await;
    let many = "x: y\r\n".repeat(200);
    stream.write_all(&head(&sent, &many)).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let mut stream = running.connect().await;
    let long = format!("x: {}\r\n", "y".repeat(1_000_000));
    let _ = stream.write_all(&head(&sent, &long)).await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    running.stop().await;
}

/// Bytes that are no request.
#[tokio::test]
async fn what_is_no_http_is_answered_once_and_cut() {
    let running = start(Limits::default()).await;
    let check = async |bytes: &[u8], expected: &str| {
        let mut stream = running.connect().await;
        let _ = stream.write_all(bytes).await;
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(expected), "{}\n{answer}", String::from_utf8_lossy(bytes));
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
    };
    let bad = "HTTP/1.1 400 Bad Request\r\n";
    check(b"hello\r\n\r\n", bad).await;
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bad).await;
    check(b"GET / HTTP/9.9\r\nhost: a\r\n\r\n", "HTTP/1.1 ").await;
    check(b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n", bad).await;
    check(b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", bad).await;
    check(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", bad).await;
    check(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", bad)
        .await;
    check(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", bad).await;
    check(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", bad).await;
    running.stop().await;
}

/// Whether the body was read by whoever answered, or by nobody, and whoever sent it.
#[tokio::test]
async fn after_an_early_answer_the_connection_goes_on_or_says_that_it_does_not() {
    let patient = Duration::from_secs(20);
    let running = start(Limits { stranger_discard_timeout: patient, ..Limits::default() }).await;
    let unsigned = Sent::ecs("ListClusters", "{}");
    let refused = |length: usize| {
        let length = format!("content-length: {length}\r\n");
        let nowhere = format!("POST /_outport/nowhere HTTP/1.1\r\nhost: a\r\n{length}\r\n");
        [nowhere.into_bytes(), head(&unsigned, &length)]
    };
    for length in [1, 200, 100_000, 1_000_000] {
        for head in refused(length) {
            let mut stream = running.connect().await;
            stream.write_all(&head).await.unwrap();
            // The answer could go out by now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.write_all(&vec![b' '; length]).await.unwrap();
            let answer = until(&mut stream, "\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            assert!(!answer.contains("\r\nconnection: close\r\n"), "{answer}");
            let length = answer.split("content-length: ").nth(1).unwrap().split('\r').next();
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            let read = answer.split("\r\n\r\n").nth(1).unwrap().len();
            within(stream.read_exact(&mut body[read..])).await.unwrap();
            stream.write_all(&head_of_a_good_one()).await.unwrap();
            until(&mut stream, "]}").await;
        }
    }
    for head in refused(3 << 20) {
        let mut stream = running.connect().await;
        stream.write_all(&head).await.unwrap();
        let _ = within(stream.write_all(&vec![b' '; 3 << 20])).await;
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    running.stop().await;
}

fn head_of_a_good_one() -> Vec<u8> {
    [head(&list_clusters(), "content-length: 2\r\n"), b"{}".to_vec()].concat()
}
