//! Names inside a layer, as bytes: Linux file names are not text.

use super::limits::UnpackLimits;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const COMPONENT_BYTES_MAX: usize = 255;

/// A path below the layer's root: no empty, `.` or `..` component, not absolute, within the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPath(Vec<u8>);

/// Why a name is not a path below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("absolute path")]
    Absolute,
    #[error("path with ..")]
    Parent,
    #[error("path with a NUL byte")]
    Nul,
    #[error("empty path")]
    Empty,
    #[error("path too long")]
    TooLong,
    #[error("path too deep")]
    TooDeep,
}

impl LayerPath {
    /// Reads an entry's name. `./` and doubled or trailing slashes are dropped; the root itself is an empty path.
    pub fn parse(name: &[u8], limits: &UnpackLimits) -> Result<LayerPath, InvalidPath> {
        if name.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if name.len() > limits.path_bytes_max {
            return Err(InvalidPath::TooLong);
        }
        if name.contains(&0) {
            return Err(InvalidPath::Nul);
        }
        if name[0] == b'/' {
            return Err(InvalidPath::Absolute);
        }
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(InvalidPath::Parent),
                long if long.len() > COMPONENT_BYTES_MAX => return Err(InvalidPath::TooLong),
                _ => {}
            }
            depth += 1;
            if depth > limits.depth_max {
                return Err(InvalidPath::TooDeep);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Ok(LayerPath(path))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len_bytes(&self) -> usize {
        self.0.len()
    }

    /// The directory part (empty for the root) and the last component.
    pub fn split(&self) -> (&[u8], &OsStr) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], OsStr::from_bytes(&self.0[slash + 1..])),
            None => (&[], OsStr::from_bytes(&self.0)),
        }
    }

    /// Below `/dev`, where a container sees its own device files instead of the image's.
    pub fn is_below_dev(&self) -> bool {
        self.0.starts_with(b"dev/")
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<&str, InvalidPath>) {
        let parsed = LayerPath::parse(name.as_bytes(), &UnpackLimits::default());
        assert_eq!(parsed, expected.map(|path| LayerPath(path.as_bytes().to_vec())), "{name:?}");
    }

    #[test]
    fn names_become_paths_below_the_root_or_nothing() {
        check("a", Ok("a"));
        check("./a//b/./c/", Ok("a/b/c"));
        check("./", Ok(""));
        check("..a/b..", Ok("..a/b.."));
        check("", Err(InvalidPath::Empty));
        check("/etc", Err(InvalidPath::Absolute));
        check("//etc", Err(InvalidPath::Absolute));
        check("..", Err(InvalidPath::Parent));
        check("a/../../b", Err(InvalidPath::Parent));
        check("a/..", Err(InvalidPath::Parent));
        check("a\0b", Err(InvalidPath::Nul));
        check(&"a".repeat(256), Err(InvalidPath::TooLong));
        check(&"a/".repeat(201), Err(InvalidPath::TooDeep));
        check(&"a".repeat(5000), Err(InvalidPath::TooLong));
    }
}
