//! The ids of a container: the host's own, or a range of the host's in a user namespace of its task.
//!
//! All of a container is made by root of the host, as without a user namespace, and what is made gets the owner that
//! it has in the namespace: by [`Ids::make_as_root`], which is what new files take theirs from. The process enters the
//! namespace last, when nothing is left to be made: from then on it is root of nothing but that.
//!
//! | | is mapped by |
//! |---|---|
//! | layers | an idmapped mount of the directory that they lie in, see `mapped_mount`: nothing is written to them |
//! | what the container writes, its mount points, files, devices, memory file systems | its owner: the host's ids are on the disk |
//! | a file or directory of the host | an idmapped mount, or refused by a file system that has none |
//! | its network | the namespace, which belongs to the user namespace |
//! | its processes and outputs | the namespace |
//!
//! **Invariant:** no id of a container in a user namespace is one of the host's below 65,536.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use outport_user_namespace::{IDS_PER_TASK, IdRange};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

use super::io_failure;
use super::user::User;
use crate::error::{FailureKind, StartFailure};
use crate::spec::{ContainerSpec, Driver, Namespace, Rootfs};

pub(super) struct Ids {
    mapped: Option<Mapped>,
}

struct Mapped {
    namespace: OwnedFd,
    range: IdRange,
}

impl Ids {
    /// Those of a container of `spec`.
    pub fn of(spec: &ContainerSpec) -> Result<Ids, StartFailure> {
        let Some(wanted) = &spec.user_namespace else { return Ok(Ids { mapped: None }) };
        let invalid = |what: &str| {
            let message = format!("{what} and a user namespace exclude each other");
            StartFailure::new(FailureKind::InvalidSpec, message)
        };
        if spec.privileged {
            return Err(invalid("privileged"));
        }
        if spec.driver != Driver::BuiltIn {
            return Err(invalid("another OCI runtime"));
        }
        if let Rootfs::Directory(_) = spec.rootfs {
            return Err(invalid("a root file system that is used as it is"));
        }
        let namespaces = &spec.namespaces;
        for namespace in [&namespaces.network, &namespaces.ipc, &namespaces.pid, &namespaces.uts] {
            if *namespace == Namespace::Host {
                return Err(invalid("a namespace of the host"));
            }
        }
        let range = IdRange::beginning(wanted.first_id);
        let range = range.ok_or_else(|| invalid("ids of the host's accounts"))?;
        let namespace = File::open(&wanted.path).map_err(io_failure("open a user namespace"))?;
        Ok(Ids { mapped: Some(Mapped { namespace: namespace.into(), range }) })
    }

    pub fn try_clone(&self) -> io::Result<Ids> {
        let mapped = self.mapped.as_ref().map(|Mapped { namespace, range }| {
            Ok::<_, io::Error>(Mapped { namespace: namespace.try_clone()?, range: *range })
        });
        Ok(Ids { mapped: mapped.transpose()? })
    }

    pub fn namespace(&self) -> Option<BorrowedFd<'_>> {
        self.mapped.as_ref().map(|mapped| mapped.namespace.as_fd())
    }

    /// The host's id of the container's root.
    pub fn root(&self) -> u32 {
        self.mapped.as_ref().map_or(0, |mapped| mapped.range.first())
    }

    /// The host's id of one of the container's, which was checked.
    pub fn on_the_host(&self, id: u32) -> u32 {
        let mapped = self.mapped.as_ref();
        mapped.map_or(id, |mapped| mapped.range.on_the_host(id).unwrap_or(u32::MAX))
    }

    /// Refuses a user that the namespace does not have.
    pub fn check(&self, user: &User) -> Result<(), StartFailure> {
        let beyond = |id: &u32| self.mapped.is_some() && *id >= IDS_PER_TASK;
        let failure = |kind, what: &str, id: u32| {
            let why = format!("its id is not below {IDS_PER_TASK}, as all of a user namespace are");
            Err(StartFailure::new(kind, format!("unable to use {what} {id}: {why}")))
        };
        if beyond(&user.uid) {
            return failure(FailureKind::NoSuchUser, "user", user.uid);
        }
        match user.gids.iter().find(|id| beyond(id)) {
            Some(gid) => failure(FailureKind::NoSuchGroup, "group", *gid),
            None => Ok(()),
        }
    }

    /// From here until what is given is dropped, what this thread makes belongs to the container's root. Its
    /// capabilities stay.
    pub fn make_as_root(&self) -> io::Result<AsRoot> {
        if self.mapped.is_none() {
            return Ok(AsRoot { is_changed: false });
        }
        // Otherwise a change of the id takes those that a file system looks for.
        set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        let (uid, gid) = (Uid::from_raw(self.root()), Gid::from_raw(self.root()));
        setfsgid(gid);
        setfsuid(uid);
        // The calls tell only what was before.
        let made = (setfsuid(uid), setfsgid(gid)) == (uid, gid);
        let as_root = AsRoot { is_changed: true };
        if made { Ok(as_root) } else { Err(Errno::EPERM.into()) }
    }

    /// Enters the namespace: the process holds every capability in it, and none of the host's.
    pub fn enter(&self) -> Result<(), Errno> {
        match &self.mapped {
            Some(mapped) => setns(&mapped.namespace, CloneFlags::CLONE_NEWUSER),
            None => Ok(()),
        }
    }
}

/// See [`Ids::make_as_root`].
#[must_use = "what is made belongs to the container's root as long as this lives"]
pub(super) struct AsRoot {
    is_changed: bool,
}

impl Drop for AsRoot {
    fn drop(&mut self) {
        if self.is_changed {
            setfsuid(Uid::from_raw(0));
            setfsgid(Gid::from_raw(0));
            // It was allowed a moment ago; where it is not any more, the bits hold for this process alone.
            let _ = set_capabilities_secure_bits(CapabilitiesSecureBits::empty());
        }
    }
}
