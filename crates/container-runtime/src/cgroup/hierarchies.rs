//! Where the kernel's cgroup hierarchies are mounted, and which controller lives in which.
//!
//! ```text
//! version 1   one mount per controller (or per co-mounted group of them)
//! hybrid      the same, and a version 2 mount without controllers beside it
//! version 2   one mount that has them all
//! ```
//!
//! **Invariant:** each hierarchy is listed once, however often it is mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Controllers that limits and accounting use. The rest of a version 1 host's hierarchies are only
/// joined.
pub(crate) const CONTROLLERS_V2: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// All cgroup hierarchies of this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    pub(crate) mounts: Vec<Hierarchy>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub path: PathBuf,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Version 1 with these controllers.
    V1(Vec<String>),
    /// Version 1 without controllers, such as systemd's.
    Named,
    /// Version 2 with these controllers, none of them on a hybrid host.
    V2(Vec<String>),
}

impl Hierarchies {
    /// # Errors
    /// When `/proc/self/mountinfo` cannot be read.
    pub fn read() -> io::Result<Hierarchies> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Hierarchies::parse(&mountinfo, |mount| {
            fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
        }))
    }

    /// `controllers_of` tells what a version 2 mount has.
    fn parse(mountinfo: &str, controllers_of: impl Fn(&Path) -> String) -> Hierarchies {
        let mut mounts: Vec<Hierarchy> = Vec::new();
        for line in mountinfo.lines() {
            let Some((place, kind)) = line.split_once(" - ") else { continue };
            let (Some(root), Some(path)) = (place.split(' ').nth(3), place.split(' ').nth(4))
            else {
                continue;
            };
            let mut kind = kind.split(' ');
            let (fs_type, options) = (kind.next(), kind.nth(1).unwrap_or_default());
            let path = PathBuf::from(path);
            let kind = match fs_type {
                Some("cgroup") => v1_kind(options),
                Some("cgroup2") => {
                    let all = controllers_of(&path);
                    Kind::V2(all.split_ascii_whitespace().map(str::to_owned).collect())
                }
                _ => continue,
            };
            // A bind mount of a part of a hierarchy is not its root.
            if root != "/" && !root.starts_with("/..") || mounts.iter().any(|seen| seen.same(&kind))
            {
                continue;
            }
            mounts.push(Hierarchy { path, kind });
        }
        Hierarchies { mounts }
    }

    /// The mount that has `controller`, and whether it is of version 2.
    pub(crate) fn of(&self, controller: &str) -> Option<(&Path, bool)> {
        self.mounts.iter().find_map(|mount| match &mount.kind {
            Kind::V1(all) if all.iter().any(|one| one == controller) => {
                Some((mount.path.as_path(), false))
            }
            Kind::V2(all) if all.iter().any(|one| one == controller) => {
                Some((mount.path.as_path(), true))
            }
            _ => None,
        })
    }

    /// Where version 2 is mounted, if containers have groups there: also on hybrid hosts where it has some controller.
    pub(crate) fn version_2_of_containers(&self) -> Option<&Path> {
        let is_it =
            |mount: &&Hierarchy| matches!(mount.kind, Kind::V2(_)) && mount.holds_containers();
        self.mounts.iter().find(is_it).map(|mount| mount.path.as_path())
    }

    /// Where version 2 is mounted, whether containers have groups there or not.
    pub(crate) fn version_2(&self) -> Option<&Path> {
        let mount = self.mounts.iter().find(|mount| matches!(mount.kind, Kind::V2(_)))?;
        Some(mount.path.as_path())
    }

    /// Whether everything is in one version 2 hierarchy.
    pub fn is_unified(&self) -> bool {
        matches!(self.mounts.as_slice(), [Hierarchy { kind: Kind::V2(_), .. }])
    }

    /// The controllers that limits need and this host does not have.
    pub fn missing(&self) -> Vec<&'static str> {
        ["cpu", "memory", "pids"].into_iter().filter(|name| self.of(name).is_none()).collect()
    }
}

impl Hierarchy {
    fn same(&self, kind: &Kind) -> bool {
        match (&self.kind, kind) {
            (Kind::V2(_), Kind::V2(_)) => true,
            (Kind::V1(mine), Kind::V1(other)) => mine == other,
            _ => false,
        }
    }

    /// Whether a process with these `/proc/<pid>/cgroup` is in the root of this version 1 hierarchy.
    pub fn has_in_root(&self, places: &str) -> bool {
        let mut paths = places.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_this = match &self.kind {
                Kind::V1(all) => controllers.split(',').eq(all.iter().map(String::as_str)),
                // Their names are not kept: none of them may be elsewhere.
                Kind::Named => controllers.starts_with("name="),
                Kind::V2(_) => false,
            };
            is_this.then_some(path)
        });
        paths.next().is_some_and(|first| first == "/") && paths.all(|path| path == "/")
    }

    /// Whether containers get a cgroup of their own in this hierarchy.
    pub fn holds_containers(&self) -> bool {
        match &self.kind {
            Kind::V1(_) => true,
            Kind::Named => false,
            Kind::V2(controllers) => !controllers.is_empty(),
        }
    }
}

fn v1_kind(options: &str) -> Kind {
    const MOUNT_OPTIONS: [&str; 5] = ["rw", "ro", "xattr", "clone_children", "noprefix"];
    let controllers: Vec<String> = options
        .split(',')
        .filter(|option| !MOUNT_OPTIONS.contains(option) && !option.contains('='))
        .map(str::to_owned)
        .collect();
    if controllers.is_empty() { Kind::Named } else { Kind::V1(controllers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mountinfo: &str, v2_controllers: &str, memory: Option<(&str, bool)>, unified: bool) {
        let found = Hierarchies::parse(mountinfo, |_| v2_controllers.to_owned());
        let of = found.of("memory").map(|(path, v2)| (path.to_str().unwrap(), v2));
        assert_eq!((of, found.is_unified()), (memory, unified), "{found:?}");
    }

    const V1: &str = "\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup systemd rw,xattr,name=systemd
34 30 0:28 / /mnt/again rw,relatime - cgroup cgroup rw,memory
35 30 0:28 /sub /mnt/part rw,relatime - cgroup cgroup rw,pids
";

    #[test]
    fn who_is_in_the_root_of_a_hierarchy() {
        let found = Hierarchies::parse(V1, |_| String::new());
        let in_root = |places: &str| -> Vec<bool> {
            found.mounts.iter().map(|mount| mount.has_in_root(places)).collect()
        };
        let bare = "3:cpu,cpuacct:/\n2:memory:/\n1:name=systemd:/\n0::/\n";
        assert_eq!(in_root(bare), [true; 3]);
        let service = "/system.slice/outport.service";
        let of_systemd = format!("3:cpu,cpuacct:/\n2:memory:{service}\n1:name=systemd:{service}\n");
        assert_eq!(in_root(&of_systemd), [true, false, false]);
        assert_eq!(in_root(&format!("1:name=a:/\n2:name=b:{service}\n")), [false; 3]);
        assert_eq!(in_root("0::/\n"), [false; 3]);
    }

    #[test]
    fn hosts_of_every_kind() {
        check(V1, "", Some(("/sys/fs/cgroup/memory", false)), false);
        let hybrid = format!("{V1}36 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        check(&hybrid, "", Some(("/sys/fs/cgroup/memory", false)), false);
        let v2 = "40 25 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        check(v2, "cpuset cpu io memory pids", Some(("/sys/fs/cgroup", true)), true);
        check("", "", None, false);
        assert_eq!(Hierarchies::parse(V1, |_| String::new()).missing(), ["pids"]);
    }
}
