//! Connections that mean no good, many at once, without a thread for each.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::random::Random;

/// How long one waits before it comes back when it has been put out.
const COMES_BACK_AFTER: Duration = Duration::from_secs(10);

/// What a stranger does on its connection.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Said at once.
    pub begin: Vec<u8>,
    /// Said after that, over and over, as fast as it is taken; nothing when empty.
    pub go_on: Vec<u8>,
    /// One byte of `go_on` a look, instead of as fast as it is taken.
    pub drips: bool,
    /// Reads what is answered.
    pub reads: bool,
}

impl Manner {
    pub fn saying(begin: impl Into<Vec<u8>>) -> Self {
        Manner { begin: begin.into(), go_on: Vec::new(), drips: false, reads: false }
    }
}

struct Stranger {
    manner: usize,
    /// `None` until its time comes again.
    stream: Option<TcpStream>,
    at: Instant,
    said: usize,
}

/// Strangers and what they do.
pub struct Crowd {
    address: SocketAddr,
    manners: Vec<Manner>,
    strangers: Vec<Stranger>,
    pub connected: u64,
    pub put_out: u64,
}

impl Crowd {
    /// None is connected yet.
    pub fn new(
        address: SocketAddr,
        manners: Vec<Manner>,
        count: usize,
        random: &mut Random,
    ) -> Self {
        let at = Instant::now();
        let mut some = || random.below(manners.len() as u64) as usize;
        let strangers =
            (0..count).map(|_| Stranger { manner: some(), stream: None, at, said: 0 }).collect();
        Self { address, manners, strangers, connected: 0, put_out: 0 }
    }

    /// Looks at each once: connects those whose time has come, `connections_max` at most, and goes on with the others.
    pub fn look(&mut self, connections_max: usize) -> Result<()> {
        let now = Instant::now();
        let mut left = connections_max;
        for stranger in &mut self.strangers {
            let manner = &self.manners[stranger.manner];
            if stranger.stream.is_none() && now >= stranger.at && left > 0 {
                left -= 1;
                let stream = TcpStream::connect(self.address).context("a stranger connects")?;
                stream.set_nonblocking(true)?;
                (stranger.stream, stranger.said) = (Some(stream), 0);
                self.connected += 1;
            }
            if let Some(stream) = &mut stranger.stream
                && !goes_on(stream, manner, &mut stranger.said)
            {
                stranger.stream = None;
                stranger.at = now + COMES_BACK_AFTER;
                self.put_out += 1;
            }
        }
        Ok(())
    }

    pub fn open(&self) -> usize {
        self.strangers.iter().filter(|stranger| stranger.stream.is_some()).count()
    }
}

/// False when the connection is over.
fn goes_on(stream: &mut TcpStream, manner: &Manner, said: &mut usize) -> bool {
    const PIECES_MAX: usize = 4;
    let passing = |kind: ErrorKind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
    for _ in 0..PIECES_MAX {
        let rest = match manner.begin.get(*said..) {
            Some(rest) if !rest.is_empty() => rest,
            _ if manner.go_on.is_empty() => break,
            _ if manner.drips => &manner.go_on[..1],
            _ => &manner.go_on,
        };
        match stream.write(rest) {
            Ok(count) => *said += count,
            Err(error) if passing(error.kind()) => break,
            Err(_) => return false,
        }
        if manner.drips && *said > manner.begin.len() {
            break;
        }
    }
    let mut piece = [0; 4096];
    let looked = if manner.reads { stream.read(&mut piece) } else { stream.peek(&mut piece[..1]) };
    match looked {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => passing(error.kind()),
    }
}

/// So many connections need a descriptor each.
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}
