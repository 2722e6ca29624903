//! All that this process prints, and the one place that does it.
//!
//! | who | how | when it cannot be written |
//! |---|---|---|
//! | the log, and what a running Outport says | [`subscriber`], [`say`], [`complain`], [`fail`]: a queue and a thread for each stream | dropped and counted; how many is said when it can be written again |
//! | a command's answer | [`answer`]: written at once | an error; a reader that has gone away is none |
//! | a panic | the log | as the log |
//!
//! **Invariant:** nothing here panics or makes its caller wait for a reader: a log on a full disk, a
//! pipe that nobody reads and a terminal that was closed cost log lines and nothing else. `println!`
//! and `eprintln!` panic, and so are denied in the product's crates.

mod format;
mod lane;

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::PanicHookInfo;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub use format::set as set_format;
use format::{lost, said};
use lane::Lane;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;

use crate::command_line::LogFormat;

/// How long the end of the process waits for what is not written yet.
const FINISH_PATIENCE: Duration = Duration::from_secs(1);

static STDOUT: LazyLock<Lane> = LazyLock::new(|| Lane::new("stdout", || Stream(Standard::Output)));
static STDERR: LazyLock<Lane> = LazyLock::new(|| Lane::new("stderr", || Stream(Standard::Error)));

/// What writes the log, to standard error.
pub fn subscriber(format: LogFormat, filter: EnvFilter) -> Box<dyn Subscriber + Send + Sync> {
    format::subscriber(format, filter, io::stderr().is_terminal(), STDERR.line())
}

/// Says a line on standard output, for whoever started this.
pub fn say(line: impl Display) {
    STDOUT.put(format!("{line}\n").into_bytes());
}

/// Says a line on standard error.
pub fn complain(line: impl Display) {
    STDERR.put(said("INFO", "outport_says", line).into_bytes());
}

/// Says a line on standard error to a program that reads it there, as it is.
pub fn aside(line: &str) {
    STDERR.put(line.as_bytes().to_vec());
}

/// Says on standard error why the program ends without success.
pub fn fail(error: impl Display) {
    STDERR.put(said("ERROR", "outport_failed", error).into_bytes());
}

/// Prints a command's answer.
///
/// # Errors
/// When standard output takes it not: a full disk. A reader that has seen enough, as in
/// `outport env | head -1`, is no error.
pub fn answer(text: &str) -> io::Result<()> {
    match part_of_answer(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a part of an answer that goes on.
///
/// # Errors
/// As of [`answer`], and when the reader has gone: there is nobody to go on for.
pub fn part_of_answer(text: &str) -> io::Result<()> {
    Stream(Standard::Output).write_all(text.as_bytes())
}

/// Gives what is not written yet a moment more, before the process ends.
pub fn finish() {
    let deadline = Instant::now() + FINISH_PATIENCE;
    STDOUT.finish(deadline);
    STDERR.finish(deadline);
}

/// Panics go to the log. The hook of the standard library writes to standard error itself, and waits
/// for its reader.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(
            event = "thread_panicked",
            thread,
            location,
            %backtrace,
            "a panic, which is a fault of Outport: {message}"
        );
    }));
}

/// A standard stream as the kernel has it: without the standard library's lock, which a writer that
/// waits for a reader would hold, and without its buffer.
struct Stream(Standard);

enum Standard {
    Output,
    Error,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (output, error);
        let descriptor = match self.0 {
            Standard::Output => {
                output = io::stdout();
                output.as_fd()
            }
            Standard::Error => {
                error = io::stderr();
                error.as_fd()
            }
        };
        loop {
            match nix::unistd::write(descriptor, bytes) {
                // Somebody who shares the pipe made it so.
                Err(nix::Error::EAGAIN) => wait_until_writable(descriptor)?,
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_until_writable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut wanted = [PollFd::new(descriptor, PollFlags::POLLOUT)];
    match poll(&mut wanted, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
