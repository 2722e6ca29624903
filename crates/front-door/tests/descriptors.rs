//! No descriptor is left: the listener goes on. Alone in its process, whose limit it lowers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use outport_front_door::Limits;
use support::listener::{head, list_clusters, start, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_listener_without_descriptors_lets_strangers_go_and_goes_on() {
    const DESCRIPTORS: u64 = 128;
    let running = start(Limits::default()).await;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // The client is made beforehand: it has no descriptor left either.
    let waiting = tokio::net::TcpSocket::new_v4().unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard).unwrap();
    let mut crowd = Vec::new();
    let begun = Instant::now();
    // Both ends of each connection are in this process.
    while let Ok(stream) = TcpStream::connect(running.address).await {
        crowd.push(stream);
        tokio::task::yield_now().await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", crowd.len());
    }
    let mut caller =
        tokio::time::timeout(Duration::from_secs(20), waiting.connect(running.address))
            .await
            .expect("in time")
            .unwrap();
    caller.write_all(&head(&list_clusters(), "content-length: 2\r\n")).await.unwrap();
    caller.write_all(b"{}").await.unwrap();
    until(&mut caller, "HTTP/1.1 200 OK").await;
    drop(crowd);
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    running.stop().await;
}
