//! Names inside a layer, as bytes: Linux file names are not text.

use super::limits::UnpackLimits;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const COMPONENT_BYTES_MAX: usize = 255;

/// A path below the layer's root: no empty, `.` or `..` component, not absolute, within the limits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerPath(Vec<u8>);

/// Why a name is not a path below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("path with .. above the root")]
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
    /// Reads an entry's name. The root itself is an empty path.
    ///
    /// As Docker and containerd do: the name counts from the layer's root, also with slashes at its front (kaniko
    /// names the root `/`), and is cleaned as text: `./`, doubled and trailing slashes go, `a/..` is nothing. A `..`
    /// above the root is Docker's breakout, and refused.
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
        let mut components: Vec<&[u8]> = Vec::new();
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    components.pop().ok_or(InvalidPath::Parent)?;
                }
                long if long.len() > COMPONENT_BYTES_MAX => return Err(InvalidPath::TooLong),
                named => components.push(named),
            }
        }
        if components.len() > limits.depth_max {
            return Err(InvalidPath::TooDeep);
        }
        Ok(LayerPath(components.join(b"/".as_slice())))
    }

    /// The path of `name` in the directory `parent`, both of which the kernel has accepted.
    pub fn joined(parent: &[u8], name: &[u8]) -> LayerPath {
        let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
        path.extend_from_slice(parent);
        if !parent.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        LayerPath(path)
    }

    /// A real path, made of components that the kernel has accepted.
    pub fn real(path: Vec<u8>) -> LayerPath {
        LayerPath(path)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory part (empty for the root) and the last component.
    pub fn split(&self) -> (&[u8], &OsStr) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], OsStr::from_bytes(&self.0[slash + 1..])),
            None => (&[], OsStr::from_bytes(&self.0)),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

/// As hexadecimal digits: JSON has no bytes.
impl Serialize for LayerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for LayerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LayerPath, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        if bytes.is_empty() {
            return Ok(LayerPath(bytes));
        }
        let path = LayerPath::parse(&bytes, &UnpackLimits::default()).map_err(D::Error::custom)?;
        if path.0 == bytes { Ok(path) } else { Err(D::Error::custom("not a clean path")) }
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
        check("/", Ok(""));
        check("//./", Ok(""));
        check("/etc", Ok("etc"));
        check("//etc/passwd", Ok("etc/passwd"));
        check("..a/b..", Ok("..a/b.."));
        check("a/../b", Ok("b"));
        check("a/..", Ok(""));
        check("a/b/../../c/", Ok("c"));
        check("", Err(InvalidPath::Empty));
        check("..", Err(InvalidPath::Parent));
        check("/..", Err(InvalidPath::Parent));
        check("a/../../b", Err(InvalidPath::Parent));
        check("a\0b", Err(InvalidPath::Nul));
        check(&"a".repeat(256), Err(InvalidPath::TooLong));
        check(&"a/".repeat(201), Err(InvalidPath::TooDeep));
        check(&"a".repeat(5000), Err(InvalidPath::TooLong));
    }

    #[test]
    fn a_told_path_is_read_as_it_was_and_no_other() {
        let path = LayerPath(b"a/\xff b".to_vec());
        let told = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<LayerPath>(&told).unwrap(), path);
        for bad in ["../etc", "/etc", "a//b", "a/..", "a\0"] {
            let told = format!("{:?}", hex::encode(bad));
            assert!(serde_json::from_str::<LayerPath>(&told).is_err(), "{bad:?}");
        }
    }
}
