//! What the operator of this host asks of the control plane that runs on a data directory: a socket in it, beside the keys.
//!
//! ```text
//! ask: one JSON line (and the file to write to) --> answer: one JSON line
//! ```
//!
//! **Invariant:** it asks for no key: who can connect can read every key of the data directory already. What is done here is
//! what that one could do by stopping the Outport.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use outport_certificates::JoinToken;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::accounts::Accounts;
use crate::backup::{self, SyncFile};
use crate::data_dir;
use crate::parts::Parts;

/// Below the data directory.
const SOCKET: &str = "admin-socket";
/// Of a question and of an answer.
const LINE_BYTES_MAX: usize = 64 * 1024;
const ASKING_PATIENCE: Duration = Duration::from_secs(10);
/// Of those who ask at a time; a backup needs the disk for itself.
const ASKED_MAX: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// To write a backup to the file that comes with it.
    Backup,
    /// To make another join token.
    RotateJoinToken,
    /// To make an account, with a root key.
    CreateAccount {
        name: String,
        id: Option<String>,
    },
    /// To make another root key of an account.
    NewRootKey {
        account: String,
    },
    ListAccounts,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    Done(T),
    Refused(String),
}

/// The control plane, as far as it is asked here.
pub struct Asked {
    pub parts: Parts,
    pub join_token: JoinToken,
    pub accounts: Accounts,
    pub directory: PathBuf,
}

/// Listens until the handle is aborted. `None`: the socket cannot be made, as on a full disk; everything else goes on.
pub fn open(asked: Asked, stopped: watch::Receiver<bool>) -> Option<JoinHandle<()>> {
    listen(asked, stopped)
        .inspect_err(|error| {
            tracing::warn!(
                event = "admin_door_not_opened",
                %error,
                "cannot make the socket in the data directory: `outport backup` and `outport node-token` work only \
                 when this Outport is stopped, and `outport account` not at all"
            );
        })
        .ok()
}

fn listen(asked: Asked, stopped: watch::Receiver<bool>) -> io::Result<JoinHandle<()>> {
    let directory = File::open(&asked.directory)?;
    match fs::remove_file(asked.directory.join(SOCKET)) {
        // Of who had the directory before: its lock is ours.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(short_path(&directory))?;
    let (asked, slots) = (Arc::new(asked), Arc::new(Semaphore::new(ASKED_MAX)));
    Ok(tokio::spawn(async move {
        // Until here: the path of the socket is by this descriptor.
        drop(directory);
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(
                        event = "admin_door_failed",
                        %error,
                        "cannot take a question of this host's operator"
                    );
                    tokio::time::sleep(ASKING_PATIENCE).await;
                    continue;
                }
            };
            let (asked, stopped) = (Arc::clone(&asked), stopped.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) =
                    stream.into_std().and_then(|stream| serve(&asked, stream, &stopped))
                {
                    tracing::debug!(%error, "who asked at the admin door has gone");
                }
                drop(slot);
            });
        }
    }))
}

/// A path of a socket has 107 characters at most, and that of a data directory may have more.
fn short_path(directory: &File) -> String {
    format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())
}

fn serve(asked: &Asked, stream: UnixStream, stopped: &watch::Receiver<bool>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ASKING_PATIENCE))?;
    stream.set_write_timeout(Some(ASKING_PATIENCE))?;
    let (line, file) = receive(&stream)?;
    let mut answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => asked.answer(request, file.map(File::from), &stream, stopped),
        Err(error) => {
            text(&Answer::<()>::Refused(format!("the question is not understood: {error}")))
        }
    };
    answer.push('\n');
    (&stream).write_all(answer.as_bytes())
}

impl Asked {
    fn answer(
        &self,
        request: Request,
        file: Option<File>,
        stream: &UnixStream,
        stopped: &watch::Receiver<bool>,
    ) -> String {
        match request {
            Request::Backup => told(file.context("no file came with it").and_then(|file| {
                backup::write(&self.parts, &self.directory, Wanted { file: &file, stream, stopped })
            })),
            Request::RotateJoinToken => {
                told(data_dir::rotate_join_token(&self.directory, &self.join_token))
            }
            Request::CreateAccount { name, id } => {
                told(Handle::current().block_on(self.accounts.create(&name, id.as_deref())))
            }
            Request::NewRootKey { account } => {
                told(Handle::current().block_on(self.accounts.new_root_key(&account)))
            }
            Request::ListAccounts => told(Ok(self.accounts.list())),
        }
    }
}

fn told<T: Serialize>(outcome: Result<T>) -> String {
    match outcome {
        Ok(done) => text(&Answer::Done(done)),
        Err(error) => text(&Answer::<()>::Refused(format!("{error:#}"))),
    }
}

fn text(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

/// A file for as long as somebody waits for it and the Outport is to run.
struct Wanted<'w> {
    file: &'w File,
    stream: &'w UnixStream,
    stopped: &'w watch::Receiver<bool>,
}

impl Write for Wanted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.stopped.borrow() {
            return Err(io::Error::other("the Outport is being stopped"));
        }
        let mut nothing = [MaybeUninit::uninit(); 1];
        match recv(self.stream, &mut nothing, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::WOULDBLOCK) => self.file.write(bytes),
            _ => Err(io::Error::other("nobody waits for it any more")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SyncFile for Wanted<'_> {
    fn sync(&self) -> io::Result<()> {
        backup::sync(self.file)
    }
}

/// A line, without its end, and the descriptor that came with its first bytes.
fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; LINE_BYTES_MAX];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let read = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?.bytes;
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    bytes.truncate(read);
    if bytes.pop() != Some(b'\n') {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok((bytes, file))
}

/// A running control plane, to be asked one thing.
pub struct Door(UnixStream);

/// `None` where none runs, or one of a version that has no such door.
///
/// # Errors
/// When this user may not ask.
pub fn connect(directory: &Path) -> Result<Option<Door>> {
    let connect = || UnixStream::connect(short_path(&File::open(directory)?));
    match connect() {
        Ok(stream) => Ok(Some(Door(stream))),
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(error) => Err(error)
            .with_context(|| format!("cannot ask at {}", directory.join(SOCKET).display())),
    }
}

impl Door {
    /// Waits for as long as it takes.
    ///
    /// # Errors
    /// What the control plane says, in one line; that it has gone.
    pub fn ask<T: DeserializeOwned>(self, request: Request, file: Option<&File>) -> Result<T> {
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        send(&self.0, &line, file).context("cannot ask the Outport that runs")?;
        let mut answer = String::new();
        let reader = BufReader::new(&self.0);
        let read = reader.take(LINE_BYTES_MAX as u64).read_line(&mut answer);
        if read.context("cannot read what the Outport says")? == 0 {
            bail!("the Outport that was asked has ended");
        }
        match serde_json::from_str(&answer).context("cannot read what the Outport says")? {
            Answer::Done(done) => Ok(done),
            Answer::Refused(reason) => Err(anyhow!(reason)),
        }
    }
}

fn send(stream: &UnixStream, line: &[u8], file: Option<&File>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    sendmsg(stream, &[IoSlice::new(line)], &mut ancillary, SendFlags::empty())?;
    Ok(())
}
