//! Takes namespaces and links apart behind the caller's back: the kernel needs tens of milliseconds for each.

use crate::error::NetworkError;
use crate::namespace;
use crate::route::{self, RouteSocket};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const ENODEV: i32 = 19;
/// Most namespaces that are taken apart at once.
const BATCH_MAX: usize = 64;
/// First wait before what stayed, for want of descriptors, say, is tried again; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// The device group of links to be deleted is this and the process id: nobody else's.
const DOOMED_GROUP: u32 = 0x6f00_0000;

/// What is left of a detached namespace.
#[derive(Debug)]
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
            tracing::error!(
                event = "network_reaper_gone",
                "the thread that removes networks has ended; the next start cleans up"
            );
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                event = "network_reaper_panicked",
                "the thread that removes networks panicked"
            );
        }
    }
}

fn run(received: &Receiver<Work>) {
    let mut left = Vec::new();
    let mut retry = RETRY_FIRST;
    loop {
        let first = match left.is_empty() {
            true => received.recv().map_err(RecvTimeoutError::from),
            false => received.recv_timeout(retry),
        };
        let is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
        let mut batch = std::mem::take(&mut left);
        let mut waiting = Vec::new();
        let more = std::iter::from_fn(|| received.try_recv().ok()).take(BATCH_MAX);
        for work in first.into_iter().chain(more) {
            match work {
                Work::Reap(remains) => batch.push(remains),
                Work::Settle(done) => waiting.push(done),
            }
        }
        match reap(batch) {
            Ok(()) => retry = RETRY_FIRST,
            Err(stayed) => {
                let then = if is_last { "the next start cleans up" } else { "it is tried again" };
                tracing::warn!(
                    event = "network_not_removed",
                    error = %stayed.error,
                    "cannot remove a task's network now; {then}"
                );
                left = stayed.remains;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
        for done in waiting {
            // Nobody waits any more: fine.
            let _ = done.send(());
        }
        if is_last {
            return;
        }
    }
}

/// What could not be taken apart, and the first reason.
#[derive(Debug)]
pub struct Stayed {
    pub remains: Vec<Remains>,
    pub error: NetworkError,
}

/// Takes several apart at once. All are tried, each for itself.
pub fn reap(batch: Vec<Remains>) -> Result<(), Stayed> {
    let unpinned: Vec<_> =
        batch.iter().map(|remains| namespace::remove(&remains.directory.join("net"))).collect();
    let links: Vec<u32> = batch.iter().filter_map(|remains| remains.link_index).collect();
    let deleted = delete_links(&links).map_err(NetworkError::kernel("delete links"));
    let links_stay = deleted.is_err();
    let mut first = deleted.err();
    let remove = |directory: &PathBuf, unpinned: Result<(), NetworkError>| {
        unpinned?;
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::file(directory)(error))
            }
            _ => Ok(()),
        }
    };
    let mut stayed = Vec::new();
    for (remains, unpinned) in batch.into_iter().zip(unpinned) {
        let removed = remove(&remains.directory, unpinned);
        if removed.is_err() || links_stay && remains.link_index.is_some() {
            stayed.push(remains);
        }
        first = first.or(removed.err());
    }
    match first {
        None => Ok(()),
        Some(error) => Err(Stayed { remains: stayed, error }),
    }
}

/// Deletes links of this namespace; those that are gone already are fine. As a group: the kernel waits for all of its
/// readers once, not once for each link.
pub fn delete_links(links: &[u32]) -> io::Result<()> {
    if links.is_empty() {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory without what could be taken apart, and one whose pin is no file.
    #[test]
    fn one_that_stays_keeps_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = |name: &str| {
            let directory = scratch.path().join(name);
            fs::create_dir(&directory).unwrap();
            Remains { directory, link_index: None }
        };
        let batch = ["a", "stays", "b"].map(directory);
        let in_the_way = batch[1].directory.join("net");
        fs::create_dir(&in_the_way).unwrap();
        let directories = [0, 1, 2].map(|number: usize| batch[number].directory.clone());
        let stayed = reap(Vec::from(batch)).unwrap_err();
        assert_eq!(stayed.remains.len(), 1, "{stayed:?}");
        assert_eq!(directories.map(|directory| directory.exists()), [false, true, false]);
        fs::remove_dir(&in_the_way).unwrap();
        reap(stayed.remains).unwrap();
    }

    /// Also when nothing else comes to be taken apart.
    #[test]
    fn what_stayed_is_tried_again() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("stays");
        fs::create_dir_all(directory.join("net")).unwrap();
        let reaper = Reaper::start().unwrap();
        reaper.reap(Remains { directory: directory.clone(), link_index: None });
        reaper.settle();
        assert!(directory.exists());
        fs::remove_dir(directory.join("net")).unwrap();
        let begun = std::time::Instant::now();
        while directory.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not tried again");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
