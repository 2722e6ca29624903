//! Who the container's process runs as: names of the image's own `/etc/passwd` and `/etc/group`.
//!
//! **Invariant:** the files are opened inside the root, whatever links the image has put there, are
//! regular, and are read up to a limit.

use std::io::Read;
use std::path::Path;

use nix::sys::stat::{SFlag, fstat};

use crate::error::{FailureKind, StartFailure};

/// Bytes of an account file that are looked at.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// A line of `passwd` has seven; more of them are no reason to take more memory.
const FIELDS_MAX: usize = 8;
/// The kernel takes 65536; a container that needs more than this is an attack.
const GROUPS_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    /// The primary group first.
    pub gids: Vec<u32>,
    pub home: String,
}

/// Resolves `user` (`""`, `name`, `uid`, either with `:group` or `:gid`) as Docker does.
pub(super) fn resolve(rootfs: &Path, user: &str, more_gids: &[u32]) -> Result<User, StartFailure> {
    let passwd = read(rootfs, "/etc/passwd")?;
    let group = read(rootfs, "/etc/group")?;
    resolve_in(&passwd, &group, user, more_gids)
}

fn resolve_in(
    passwd: &str,
    group: &str,
    user: &str,
    more_gids: &[u32],
) -> Result<User, StartFailure> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name).filter(|name| !name.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = account_number(name);
    let found = fields(passwd).find(|entry| {
        entry.first() == Some(&name)
            || number.is_some() && entry.get(2).and_then(|uid| uid.parse().ok()) == number
    });
    let (account, uid, gid, home) = match (&found, number) {
        (Some(entry), _) => {
            let id = |at: usize| entry.get(at).and_then(|id| account_number(id));
            let (Some(uid), Some(gid)) = (id(2), id(3)) else {
                return Err(no_user(name, "its entry in passwd file is malformed"));
            };
            let home = entry.get(5).copied().filter(|home| !home.is_empty()).unwrap_or("/");
            (entry.first().copied(), uid, gid, home)
        }
        (None, Some(uid)) => (None, uid, 0, "/"),
        (None, None) => return Err(no_user(name, "no matching entries in passwd file")),
    };
    let mut gids = Vec::new();
    let gid = match group_name {
        Some(wanted) => group_id(group, wanted)?,
        None => {
            // Only without an explicit group do the user's other groups count.
            if let Some(account) = account {
                gids.extend(groups_of(group, account));
            }
            gid
        }
    };
    gids.extend_from_slice(more_gids);
    gids.retain(|other| *other != gid);
    gids.sort_unstable();
    gids.dedup();
    gids.insert(0, gid);
    gids.truncate(GROUPS_MAX);
    Ok(User { uid, gid, gids, home: home.to_owned() })
}

fn group_id(group: &str, wanted: &str) -> Result<u32, StartFailure> {
    let number = account_number(wanted);
    let found = fields(group).find(|entry| entry.first() == Some(&wanted));
    let id = found.and_then(|entry| account_number(entry.get(2)?));
    id.or(number).ok_or_else(|| {
        let message = format!("unable to find group {wanted}: no matching entries in group file");
        StartFailure::new(FailureKind::NoSuchGroup, message)
    })
}

fn groups_of<'a>(group: &'a str, account: &'a str) -> impl Iterator<Item = u32> + 'a {
    fields(group)
        .filter(move |entry| {
            entry.get(3).is_some_and(|members| members.split(',').any(|one| one == account))
        })
        .filter_map(|entry| account_number(entry.get(2)?))
}

fn fields(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.splitn(FIELDS_MAX, ':').collect())
}

/// Docker's range: beyond it the kernel's -1 would come near.
fn account_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= i32::MAX as u32)
}

fn no_user(name: &str, why: &str) -> StartFailure {
    StartFailure::new(FailureKind::NoSuchUser, format!("unable to find user {name}: {why}"))
}

/// The text of a file of the image; empty if there is none.
fn read(rootfs: &Path, path: &str) -> Result<String, StartFailure> {
    let failure = |detail: &dyn std::fmt::Display| {
        StartFailure::new(FailureKind::Rootfs, format!("open {path}: {detail}"))
    };
    let root = pathrs::Root::open(rootfs).map_err(|error| failure(&error))?;
    let Ok(handle) = root.resolve(path) else { return Ok(String::new()) };
    // Looking comes before opening: an image may put a fifo there, and opening a device does something.
    let status = fstat(&handle).map_err(|error| failure(&error))?;
    if status.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(failure(&"not a regular file"));
    }
    let flags = pathrs::flags::OpenFlags::O_RDONLY | pathrs::flags::OpenFlags::O_CLOEXEC;
    let file = handle.reopen(flags).map_err(|error| failure(&error))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| failure(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# note\napp:x:1000:1001:App:/home/app:/bin/sh\n\
        bad:x:many:1:::\n7:x:70:71::/seven:\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:app,other\nwheel:x:10:root,app\napp:x:1001:\n";

    #[track_caller]
    fn check(user: &str, more: &[u32], expected: Result<(u32, &[u32], &str), &str>) {
        let found = resolve_in(PASSWD, GROUP, user, more);
        let found = found.as_ref().map(|user| (user.uid, user.gids.as_slice(), user.home.as_str()));
        assert_eq!(found.map_err(|failure| failure.message.as_str()), expected, "{user:?}");
    }

    #[test]
    fn users_as_docker_resolves_them() {
        check("", &[], Ok((0, &[0, 10], "/root")));
        check("root", &[], Ok((0, &[0, 10], "/root")));
        check("app", &[], Ok((1000, &[1001, 10, 50], "/home/app")));
        check("1000", &[7], Ok((1000, &[1001, 7, 10, 50], "/home/app")));
        check("app:staff", &[], Ok((1000, &[50], "/home/app")));
        check("app:77", &[], Ok((1000, &[77], "/home/app")));
        check("4242", &[], Ok((4242, &[0], "/")));
        check("4242:4343", &[], Ok((4242, &[4343], "/")));
        check(":staff", &[], Ok((0, &[50], "/root")));
        check("7", &[], Ok((70, &[71], "/seven")));
        check("nope", &[], Err("unable to find user nope: no matching entries in passwd file"));
        check("-1", &[], Err("unable to find user -1: no matching entries in passwd file"));
        check(
            "4294967295",
            &[],
            Err("unable to find user 4294967295: no matching entries in passwd file"),
        );
        check("bad", &[], Err("unable to find user bad: its entry in passwd file is malformed"));
        check("app:no", &[], Err("unable to find group no: no matching entries in group file"));
    }
}
