//! A process that lives only for a namespace to be made in it.
//!
//! Nobody can make a user namespace for another one, and who has threads cannot enter one. So a child does: it
//! shares this process's memory, since a copy of the memory of a control plane would take tens of milliseconds.
//!
//! ```text
//! this process                     child
//! clone, memory in common ───────→ its limits lifted, its owner's ids, the namespace made
//! opens what it has made   ←ready─
//!                          ──go──→ ends
//! ```
//!
//! Another child that is born meanwhile has copies of both pipes, and neither would see the other's end if this process
//! were killed: so the kernel ends a child with the thread that bore it.
//!
//! **Invariant:** the child has a stack of its own and makes system calls by `rustix`, without the C library:
//! whatever it would write to in there is the calling thread's. No signal handler runs in it. This function does
//! not return before it has ended.

#![allow(unsafe_code, reason = "a child that shares our memory has no safe form")]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, dumpable_behavior, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitiesSecureBits, LinkNameSpaceType, UnshareFlags, move_into_link_name_space,
    set_capabilities_secure_bits, set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};

const STACK_BYTES: usize = 64 << 10;

/// What the kernel counts by user and would not let a namespace have more of than its maker.
const LIMITS: [Resource; 4] =
    [Resource::Nproc, Resource::Msgqueue, Resource::Sigpending, Resource::Memlock];

/// What is made.
#[derive(Debug, Clone, Copy)]
pub enum Birth<'a> {
    /// A user namespace of this owner.
    User { owner: u32 },
    /// A network namespace of that user namespace.
    Network { of: BorrowedFd<'a> },
}

struct Orders<'a> {
    birth: Birth<'a>,
    ready: RawFd,
    go: RawFd,
    /// The other end of `go`, of which the child has a copy: with it, it would wait for itself.
    foreign: RawFd,
    /// This process.
    parent: Pid,
}

/// Calls `with` while a process with what was made lives.
///
/// # Errors
/// Those of the kernel, and those of `with`.
pub fn bear<T>(birth: Birth<'_>, with: impl FnOnce(Pid) -> io::Result<T>) -> io::Result<T> {
    let _dumpable = Dumpable::keep()?;
    let (ready, ready_write) = pipe2(OFlag::O_CLOEXEC)?;
    let (go, go_write) = pipe2(OFlag::O_CLOEXEC)?;
    let orders = Orders {
        birth,
        ready: ready_write.as_raw_fd(),
        go: go.as_raw_fd(),
        foreign: go_write.as_raw_fd(),
        parent: Pid::this(),
    };
    let mut stack = vec![0_u8; STACK_BYTES];
    // After the orders and the stack, so that it ends before they go, also when `with` panics.
    let mut child = Child { id: clone(&orders, &mut stack)?, go: Some(go_write) };
    drop((ready_write, go));
    let made = match File::from(ready).read(&mut [0]) {
        Ok(1) => Some(with(child.id)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    };
    match (made, child.end()?) {
        (Some(made), _) => made,
        (None, 0) => Err(io::Error::other("the process ended unexpectedly")),
        (None, errno) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// A child that has not ended.
struct Child {
    id: Pid,
    /// Its word to end; `None` once it was given.
    go: Option<OwnedFd>,
}

impl Child {
    /// Gives its status.
    fn end(&mut self) -> io::Result<i32> {
        if let Some(go) = self.go.take() {
            // One that is gone takes no word.
            let _ = File::from(go).write_all(&[1]);
        }
        loop {
            match waitpid(self.id, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(_, status)) => return Ok(status),
                Ok(WaitStatus::Signaled(..)) => return Ok(libc::EINTR),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // After a word that was given it is gone already.
        if self.go.is_some() {
            let _ = self.end();
        }
    }
}

/// `orders` and `stack` must live until the child has ended.
fn clone(orders: &Orders<'_>, stack: &mut [u8]) -> io::Result<Pid> {
    let mut before = SigSet::empty();
    // The child keeps what is blocked now, for its whole life.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let range = stack.as_mut_ptr_range();
    let top = range.end.wrapping_sub(range.end as usize % 16);
    let argument = std::ptr::from_ref(orders).cast_mut().cast::<c_void>();
    // No signal tells of its end: it is nobody's child but ours.
    // SAFETY: the child runs `live` on a stack that is nobody else's, and both that and the orders outlive it, as
    // the caller promises.
    let child = unsafe { libc::clone(live, top.cast(), libc::CLONE_VM, argument) };
    let failed = (child < 0).then(io::Error::last_os_error);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    failed.map_or(Ok(Pid::from_raw(child)), Err)
}

/// The child's whole life.
extern "C" fn live(argument: *mut c_void) -> c_int {
    // SAFETY: see `clone`.
    let orders = unsafe { &*argument.cast::<Orders<'_>>() };
    match be_born(orders) {
        Ok(()) => 0,
        Err(errno) => errno.raw_os_error(),
    }
}

fn be_born(orders: &Orders<'_>) -> Result<(), Errno> {
    // SAFETY: copies of the parent's descriptors, open until this process ends; the closed one is not used again.
    let (ready, go) = unsafe {
        rustix::io::close(orders.foreign);
        (BorrowedFd::borrow_raw(orders.ready), BorrowedFd::borrow_raw(orders.go))
    };
    match orders.birth {
        Birth::User { owner } => {
            for limit in LIMITS {
                let lifted = Rlimit { current: None, maximum: None };
                match rustix::process::setrlimit(limit, lifted) {
                    // In a container without the right to it; then this process's limits are the tasks' own.
                    Ok(()) | Err(Errno::PERM) => {}
                    Err(errno) => return Err(errno),
                }
            }
            // Capabilities are kept, in case that not everybody may make namespaces.
            set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
            let (user, group) =
                (rustix::thread::Uid::from_raw(owner), rustix::thread::Gid::from_raw(owner));
            set_thread_res_gid(group, group, group)?;
            set_thread_res_uid(user, user, user)?;
            // SAFETY: no descriptor changes its table.
            unsafe { unshare_unsafe(UnshareFlags::NEWUSER)? };
        }
        Birth::Network { of } => {
            move_into_link_name_space(of, Some(LinkNameSpaceType::User))?;
            // SAFETY: as above.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
        }
    }
    // Only now: a change of ids would have undone it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid().map(|id| id.as_raw_pid()) != Some(orders.parent.as_raw()) {
        return Err(Errno::SRCH);
    }
    rustix::io::write(ready, &[1])?;
    // At its end the parent is gone.
    rustix::io::read(go, &mut [0])?;
    Ok(())
}

/// A change of ids makes the memory, which is also ours, one that cannot be dumped or traced: as the last child
/// ends that becomes what it was.
struct Dumpable;

/// How many children there are, and what it was before the first.
static CHILDREN: Mutex<(u32, Option<DumpableBehavior>)> = Mutex::new((0, None));

impl Dumpable {
    fn keep() -> io::Result<Self> {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        if children.0 == 0 {
            children.1 = Some(dumpable_behavior()?);
        }
        children.0 += 1;
        Ok(Self)
    }
}

impl Drop for Dumpable {
    fn drop(&mut self) {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        children.0 -= 1;
        if children.0 == 0
            && let Some(before) = children.1.take()
        {
            // What the kernel does not take (only root may dump) is how it is now.
            let _ = set_dumpable_behavior(before);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

    use super::*;

    /// Without it the memory that it runs on would be freed under it.
    #[test]
    fn the_child_of_one_that_panics_has_ended() {
        let (tell, told) = std::sync::mpsc::channel();
        let panicked = std::panic::catch_unwind(move || {
            bear(Birth::User { owner: 3_000_000_000 }, |child| -> io::Result<()> {
                tell.send(child).unwrap();
                panic!("a step after it was born");
            })
        });
        assert!(panicked.is_err());
        let waited = waitpid(told.recv().unwrap(), Some(WaitPidFlag::__WALL));
        assert_eq!(waited, Err(nix::errno::Errno::ECHILD));
    }

    const MANY: usize = 16;

    /// Not a test: what the next one kills.
    #[test]
    #[ignore = "the next test runs it, in a process of its own"]
    fn bears_many_and_holds_them() {
        let begin = std::sync::Barrier::new(MANY);
        std::thread::scope(|scope| {
            for _ in 0..MANY {
                scope.spawn(|| {
                    begin.wait();
                    bear(Birth::User { owner: 3_000_000_000 }, |child| -> io::Result<()> {
                        println!("child {child}");
                        loop {
                            std::thread::park();
                        }
                    })
                });
            }
        });
    }

    #[test]
    fn the_children_of_one_that_is_killed_end() {
        let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "bearer::tests::bears_many_and_holds_them"])
            .args(["--nocapture", "--test-threads=1"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = io::BufReader::new(holder.stdout.take().unwrap());
        let lines = io::BufRead::lines(output).map(Result::unwrap);
        let named = lines.filter_map(|line| Some(line.split_once("child ")?.1.parse().unwrap()));
        let children: Vec<i32> = named.take(MANY).collect();
        holder.kill().unwrap();
        holder.wait().unwrap();
        // Whoever takes them over reaps them, or does not.
        let lives = |child: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while children.iter().any(lives) {
            assert!(std::time::Instant::now() < deadline, "{children:?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
