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
/// Most namespaces that are taken apart at once.
const BATCH_MAX: usize = 64;
/// The device group of links to be deleted is this and the process id: nobody else's.
const DOOMED_GROUP: u32 = 0x6f00_0000;

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

/// One thread, which takes together what has come meanwhile. It ends with the handle, after the work that was given to it.
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
    while let Ok(first) = received.recv() {
        let mut batch = Vec::new();
        let mut waiting = Vec::new();
        let more = std::iter::from_fn(|| received.try_recv().ok()).take(BATCH_MAX);
        for work in std::iter::once(first).chain(more) {
            match work {
                Work::Reap(remains) => batch.push(remains),
                Work::Settle(done) => waiting.push(done),
            }
        }
        if let Err(error) = reap(&batch) {
            tracing::warn!(%error, "a network is not reaped; the next start cleans up");
        }
        for done in waiting {
            // Nobody waits any more: fine.
            let _ = done.send(());
        }
    }
}

/// Takes several apart at once. All are tried; the first failure is returned.
pub fn reap(batch: &[Remains]) -> Result<(), NetworkError> {
    let unpinned: Vec<_> =
        batch.iter().map(|remains| namespace::remove(&remains.directory.join("net"))).collect();
    let links: Vec<u32> = batch.iter().filter_map(|remains| remains.link_index).collect();
    let deleted = delete_links(&links);
    unpinned.into_iter().collect::<Result<(), _>>()?;
    deleted.map_err(NetworkError::kernel("delete links"))?;
    for Remains { directory, .. } in batch {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(NetworkError::file(directory)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Deletes links of this namespace; those that are gone already are fine. As a group: the kernel waits for all of its
/// readers once, not once for each link.
pub fn delete_links(links: &[u32]) -> io::Result<()> {
    let mut socket = RouteSocket::open()?;
    let group = DOOMED_GROUP | std::process::id();
    let mut any = false;
    for index in links {
        match socket.change(vec![route::set_group(*index, group)]) {
            Ok(()) => any = true,
            Err(error) if error.raw_os_error() == Some(ENODEV) => {}
            Err(error) => return Err(error),
        }
    }
    if !any {
        return Ok(());
    }
    match socket.change(vec![route::delete_group(group)]) {
        // Gone with their namespaces meanwhile.
        Err(error) if error.raw_os_error() == Some(ENODEV) => Ok(()),
        result => result,
    }
}
