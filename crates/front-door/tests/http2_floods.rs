//! HTTP/2 used against the server: streams that are reset at once, heads that never end.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use outport_front_door::Limits;
use support::listener::{Running, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Source: RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET /_outport/nothing`, in HPACK without a table. Source: RFC 7541, 6.2.2 and appendix A.
fn request_head() -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(4_u8, "/_outport/nothing"), (1, "localhost")] {
        head.push(name);
        head.push(u8::try_from(value.len()).unwrap());
        head.extend_from_slice(value.as_bytes());
    }
    head
}

async fn opened(running: &Running) -> TcpStream {
    let mut stream = running.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Sends piece after piece until the server ends the connection. How many it took.
async fn until_cut(stream: TcpStream, mut next: impl FnMut(usize) -> Vec<u8>, max: usize) -> usize {
    let (mut reader, mut writer) = stream.into_split();
    let mut reading = tokio::spawn(async move {
        let mut piece = [0; 16 * 1024];
        // A reset is an end as well.
        while let Ok(1..) = reader.read(&mut piece).await {}
    });
    for count in 0..max {
        tokio::select! {
            sent = within(writer.write_all_owned(next(count))) => if sent.is_err() { return count },
            _ = &mut reading => return count,
        }
    }
    max
}

trait WriteAllOwned {
    async fn write_all_owned(&mut self, bytes: Vec<u8>) -> std::io::Result<()>;
}

impl WriteAllOwned for tokio::net::tcp::OwnedWriteHalf {
    async fn write_all_owned(&mut self, bytes: Vec<u8>) -> std::io::Result<()> {
        self.write_all(&bytes).await
    }
}

async fn still_answers(running: &Running) {
    let mut stream = running.connect().await;
    let request = b"GET /_outport/nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", String::from_utf8_lossy(&answer));
}

/// A million at most, which no server may do.
#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let running = start(Limits::default()).await;
    let stream = opened(&running).await;
    let opened_and_reset = |count: usize| {
        let stream = u32::try_from(2 * count + 1).unwrap();
        let mut both = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request_head());
        // CANCEL
        both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    };
    let count = until_cut(stream, opened_and_reset, 1_000_000).await;
    assert!(count < 1_000_000, "{count}");
    still_answers(&running).await;
    running.stop().await;
}

/// 64 KiB at a time; a gigabyte at most.
#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let running = start(Limits::default()).await;
    let mut stream = opened(&running).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &request_head())).await.unwrap();
    // One header of 8 KiB, not to be kept in the table, over and over.
    let mut header = vec![0x00, 1, b'x', 0x7f];
    // 8192 - 127, in pieces of seven bits. Source: RFC 7541, 5.1.
    header.extend_from_slice(&[0x81, 0x3f]);
    header.extend(vec![b'y'; 8192]);
    let count = until_cut(stream, |_| frame(CONTINUATION, 0, 1, &header), 100_000).await;
    assert!(count < 100_000, "{count}");
    still_answers(&running).await;
    running.stop().await;
}

/// Bytes of a body that nobody reads are held back by the window.
#[tokio::test]
async fn who_ignores_the_window_is_cut() {
    let running = start(Limits::default()).await;
    let mut stream = opened(&running).await;
    let mut head = request_head();
    // POST instead of GET.
    head[0] = 0x83;
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &head)).await.unwrap();
    let count = until_cut(stream, |_| frame(DATA, 0, 1, &[0; 16_000]), 100_000).await;
    assert!(count < 100_000, "{count}");
    still_answers(&running).await;
    running.stop().await;
}
