//! Takes namespaces and links apart behind the caller's back: the kernel needs tens of milliseconds for each.

use crate::error::NetworkError;
use crate::namespace;
use crate::route::{self, RouteSocket};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

const ENODEV: i32 = 19;

/// What is left of a detached namespace.
pub struct Remains {
    /// Its directory, already under a name that nothing looks for.
    pub directory: PathBuf,
    /// The host's end of its link pair.
    pub link_index: Option<u32>,
}

enum Work {
    Reap(Remains),
    /// Answered when everything before it is done.
    Settle(Sender<()>),
}

/// One thread, in order. It ends with the handle, after the work that was given to it.
pub struct Reaper {
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    pub fn start() -> io::Result<Reaper> {
        let (work, received) = channel();
        let thread = std::thread::Builder::new()
            .name("network-reaper".to_owned())
            .spawn(move || run(&received))?;
        Ok(Reaper { work: Some(work), thread: Some(thread) })
    }

    pub fn reap(&self, remains: Remains) {
        self.send(Work::Reap(remains));
    }

    /// Waits until everything given so far is gone.
    pub fn settle(&self) {
        let (done, wait) = channel();
        self.send(Work::Settle(done));
        // An error means that the thread is gone, and the work with it.
        let _ = wait.recv();
    }

    fn send(&self, work: Work) {
        let sent = self.work.as_ref().map(|sender| sender.send(work));
        if !matches!(sent, Some(Ok(()))) {
            tracing::error!("the network reaper is gone; the next start cleans up");
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the network reaper panicked");
        }
    }
}

fn run(received: &Receiver<Work>) {
    while let Ok(work) = received.recv() {
        match work {
            Work::Reap(remains) => {
                if let Err(error) = reap(&remains) {
                    tracing::warn!(%error, directory = %remains.directory.display(), "network not reaped");
                }
            }
            Work::Settle(done) => {
                // Nobody waits any more: fine.
                let _ = done.send(());
            }
        }
    }
}

/// Takes one apart, at once.
pub fn reap(remains: &Remains) -> Result<(), NetworkError> {
    namespace::remove(&remains.directory.join("net"))?;
    if let Some(index) = remains.link_index {
        let deleted = RouteSocket::open()
            .and_then(|mut socket| socket.change(vec![route::delete_link(index)]));
        match deleted {
            Err(error) if error.raw_os_error() != Some(ENODEV) => {
                return Err(NetworkError::kernel("delete a link")(error));
            }
            _ => {}
        }
    }
    match fs::remove_dir_all(&remains.directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file(&remains.directory)(error))
        }
        _ => Ok(()),
    }
}
