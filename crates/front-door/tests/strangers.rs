//! Who has proven nothing, and who does not read: they keep nobody out and hold little.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use outport_front_door::{Limits, PaceLimit};
use outport_identity::sigv4::sha256_hex;
use support::Sent;
use support::listener::{Running, head, list_clusters, start, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const STRANGERS_MAX: usize = 8;

fn few() -> Limits {
    Limits { strangers_max: STRANGERS_MAX, ..Limits::default() }
}

/// A signed call on a connection; its whole answer.
async fn call(stream: &mut TcpStream) {
    stream.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
    stream.write_all(b"{}").await.unwrap();
    let answer = until(stream, "]}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

async fn calls_on_new_connections(running: &Running, count: usize) {
    for _ in 0..count {
        call(&mut running.connect().await).await;
    }
}

/// Many connections that have said `begin`, held open.
async fn crowd(running: &Running, count: usize, begin: &[u8]) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        let mut stream = running.connect().await;
        // Whoever is put out already has nothing to say.
        let _ = stream.write_all(begin).await;
        crowd.push(stream);
    }
    crowd
}

async fn until_open(running: &Running, at_most: usize) {
    let begun = Instant::now();
    while running.door.connections() > at_most {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", running.door.connections());
        tokio::task::yield_now().await;
    }
}

/// What a crowd may do to keep others out; the crowd has no more places than it has places.
async fn check_crowd(begin: &[u8]) {
    let running = start(few()).await;
    let mut proven = running.connect().await;
    call(&mut proven).await;
    let crowd = crowd(&running, 20 * STRANGERS_MAX, begin).await;
    calls_on_new_connections(&running, 20).await;
    // Who came before them and has proven itself is still there.
    call(&mut proven).await;
    until_open(&running, STRANGERS_MAX + 21).await;
    drop(crowd);
    running.stop().await;
}

#[tokio::test]
async fn a_crowd_of_strangers_keeps_nobody_out() {
    let half_body = head(&Sent::ecs("ListClusters", "{}").signed("ecs"), "content-length: 2\r\n");
    check_crowd(b"").await;
    check_crowd(b"P").await;
    check_crowd(b"POST / HTTP/1.1\r\nhost: a\r\n").await;
    check_crowd(b"\x16\x03\x01\x02\x00\x01").await;
    check_crowd(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    check_crowd(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    check_crowd(&half_body).await;
}

/// A thousand connections of one caller that has proven itself on each: the next caller is answered all the same.
#[tokio::test]
async fn a_crowd_of_callers_keeps_nobody_out() {
    let running = start(Limits { callers_max: 4, ..few() }).await;
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut stream = running.connect().await;
        call(&mut stream).await;
        // And begins another, which it does not end.
        let _ = stream.write_all(b"POST / HTTP/1.1\r\n").await;
        crowd.push(stream);
    }
    calls_on_new_connections(&running, 20).await;
    until_open(&running, STRANGERS_MAX + 4).await;
    running.stop().await;
}

/// The body is echoed, so that the answer is as large.
fn large_call(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let body = format!(r#"{{"nextToken":"{}"}}"#, "a".repeat(bytes));
    let sent = Sent::ecs("ListClusters", &body).signed("ecs");
    (head(&sent, &format!("content-length: {}\r\n", body.len())), body.into_bytes())
}

/// Has asked for much and reads nothing. A small window, so that the kernel takes little of it.
async fn never_reading(running: &Running, bytes: usize) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = within(socket.connect(running.address)).await.unwrap();
    let (head, body) = large_call(bytes);
    stream.write_all(&head).await.unwrap();
    within(stream.write_all(&body)).await.unwrap();
    stream
}

/// Asks for as much and reads it.
async fn check_reader(running: &Running, bytes: usize) {
    let mut stream = running.connect().await;
    let (head, body) = large_call(bytes);
    stream.write_all(&head).await.unwrap();
    within(stream.write_all(&body)).await.unwrap();
    let (mut piece, mut count) = (vec![0; 64 * 1024], 0);
    while count < bytes {
        let more = within(stream.read(&mut piece)).await.unwrap();
        assert_ne!(more, 0, "cut after {count} bytes");
        count += more;
    }
}

#[tokio::test]
async fn who_does_not_read_its_answer_is_cut() {
    let pace = PaceLimit { grace: Duration::from_secs(3), bytes_per_second_min: 50_000 };
    let running = start(Limits { answer_pace: pace, ..Limits::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(never_reading(&running, 1_000_000).await);
    }
    until_open(&running, 0).await;
    // Who reads gets all of it.
    check_reader(&running, 1_000_000).await;
    running.stop().await;
}

#[tokio::test]
async fn unread_answers_hold_little_together() {
    let running = start(Limits { answer_bytes_max: 3_000_000, ..Limits::default() }).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(never_reading(&running, 900_000).await);
        let mut first = [0; 12];
        within(streams.last_mut().unwrap().read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    until_open(&running, 4).await;
    check_reader(&running, 900_000).await;
    running.stop().await;
}

/// The memory for strangers' bodies is full of bodies that do not end. All they have is the id of a key.
#[tokio::test]
async fn bodies_of_strangers_do_not_starve_callers() {
    let running =
        start(Limits { stranger_bodies_bytes_max: 256 * 1024, ..Limits::default() }).await;
    let forged = Sent::ecs("ListClusters", "{}").signed("ecs");
    let head_of_much = head(&forged, "content-length: 1000000\r\n");
    let mut crowd = Vec::new();
    for _ in 0..40 {
        let mut stream = running.connect().await;
        stream.write_all(&head_of_much).await.unwrap();
        stream.write_all(&[b' '; 30_000]).await.unwrap();
        crowd.push(stream);
    }
    calls_on_new_connections(&running, 20).await;
    let mut told = 0;
    for stream in &mut crowd[..20] {
        let answer = until(stream, "Exception").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        told += 1;
    }
    assert_eq!(told, 20);
    running.stop().await;
}

/// A signature over a hash that is announced is refused before anything of the body has come, and no memory is taken
/// for it; and a body that has another hash is refused.
#[tokio::test]
async fn an_announced_hash_is_proven_before_the_body() {
    let running = start(Limits { stranger_bodies_bytes_max: 0, ..Limits::default() }).await;
    let announcing = |body: &str| {
        Sent::ecs("ListClusters", body).header("x-amz-content-sha256", &sha256_hex(body.as_bytes()))
    };
    let mut forged = announcing("{}").signed("ecs");
    let target = forged.headers.iter_mut().find(|(name, _)| name == "x-amz-target").unwrap();
    target.1 = b"AmazonEC2ContainerServiceV20141113.DescribeClusters".to_vec();
    let mut stream = running.connect().await;
    let expecting = "content-length: 2\r\nexpect: 100-continue\r\n";
    stream.write_all(&head(&forged, expecting)).await.unwrap();
    let answer = until(&mut stream, "InvalidSignatureException").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let good = announcing("{}").signed("ecs");
    for (body, expected) in
        [("{}", "HTTP/1.1 200 OK"), ("{ ", "The provided 'x-amz-content-sha256'")]
    {
        let mut stream = running.connect().await;
        stream.write_all(&head(&good, "content-length: 2\r\n")).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        until(&mut stream, expected).await;
    }
    // Without the announcement a body needs the strangers' memory, of which there is none here.
    let mut stream = running.connect().await;
    stream.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
    stream.write_all(b"{}").await.unwrap();
    until(&mut stream, "HTTP/1.1 503 ").await;
    running.stop().await;
}

#[tokio::test]
async fn half_heads_and_silence_end_in_time() {
    let short = Duration::from_secs(2);
    let running = start(Limits {
        first_byte_timeout: short,
        head_timeout: short,
        stranger_idle_timeout: short,
        ..Limits::default()
    })
    .await;
    let _silent = crowd(&running, 5, b"").await;
    let _half = crowd(&running, 5, b"POST / HTTP/1.1\r\nhost: a\r\n").await;
    let _idle = crowd(&running, 5, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // One that drips a byte of its head now and then.
    let mut dripping = running.connect().await;
    dripping.write_all(b"POST / HTTP/1.1\r\nx: ").await.unwrap();
    let mut proven = running.connect().await;
    call(&mut proven).await;
    until_open(&running, 2).await;
    let begun = Instant::now();
    while running.door.connections() > 1 {
        let _ = dripping.write_all(b"y").await;
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    call(&mut proven).await;
    running.stop().await;
}
