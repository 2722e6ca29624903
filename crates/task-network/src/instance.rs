//! Names: of the Outport instance, of a namespace, and the link names made of both.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const INSTANCE_BYTES_MAX: usize = 32;
const NAMESPACE_BYTES_MAX: usize = 200;
/// Hexadecimal digits behind `op` in the names of an instance's links.
pub(crate) const PREFIX_DIGITS: usize = 5;

/// An Outport on this host: 1 to 32 lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(String);

/// A network namespace of this instance: a task id, or `<task>.<container>` where each container has its own.
/// 1 to 200 letters, digits, `.`, `_` and `-`, not beginning with a dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceName(String);

/// The text is no name of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid name {0:?}")]
pub struct InvalidName(String);

impl FromStr for InstanceId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<InstanceId, InvalidName> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let valid = !text.is_empty() && text.len() <= INSTANCE_BYTES_MAX && text.bytes().all(known);
        if valid { Ok(InstanceId(text.to_owned())) } else { Err(invalid(text)) }
    }
}

impl FromStr for NamespaceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<NamespaceName, InvalidName> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let valid = !text.is_empty()
            && text.len() <= NAMESPACE_BYTES_MAX
            && !text.starts_with('.')
            && text.bytes().all(known);
        if valid { Ok(NamespaceName(text.to_owned())) } else { Err(invalid(text)) }
    }
}

pub(crate) fn invalid(text: &str) -> InvalidName {
    InvalidName(text.chars().take(80).collect())
}

impl InstanceId {
    /// The nftables table, in the family `inet`.
    pub fn table(&self) -> String {
        format!("outport_{}", self.0)
    }

    /// What the names of this instance's links begin with: `op` and five digits.
    pub fn link_prefix(&self) -> String {
        format!("op{:0PREFIX_DIGITS$x}", fnv1a(&[self.0.as_bytes()]) & 0xf_ffff)
    }

    /// The link that holds the router's addresses, and its unused other end.
    pub(crate) fn router_links(&self) -> (String, String) {
        (format!("{}router", self.link_prefix()), format!("{}routerp", self.link_prefix()))
    }

    /// A name for the host's end of a namespace's link pair: 15 bytes, the kernel's limit. Two namespaces may come
    /// to the same name: each `attempt` is another one.
    pub(crate) fn link(&self, name: &NamespaceName, attempt: u8) -> String {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        const LENGTH: usize = 8;
        let attempt = if attempt == 0 { String::new() } else { format!("/{attempt}") };
        let parts = [self.0.as_bytes(), b"/", name.0.as_bytes(), attempt.as_bytes()];
        let mut hash = fnv1a(&parts);
        let mut link = self.link_prefix();
        for _ in 0..LENGTH {
            let digit = usize::try_from(hash % 36).unwrap_or_default();
            link.push(char::from(DIGITS[digit]));
            hash /= 36;
        }
        link
    }

    /// The name that versions before the link was recorded gave.
    pub(crate) fn unrecorded_link(&self, name: &NamespaceName) -> String {
        let hash = fnv1a(&[self.0.as_bytes(), b"/", name.0.as_bytes()]);
        format!("{}{:08x}", self.link_prefix(), hash & 0xffff_ffff)
    }

    /// What a link of the namespace bears as its alias, so that nobody takes it for another's.
    pub(crate) fn link_alias(&self, name: &NamespaceName) -> String {
        format!("outport {}/{}", self.0, name.0)
    }
}

impl NamespaceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamespaceName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<NamespaceName, InvalidName> {
        text.parse()
    }
}

impl From<NamespaceName> for String {
    fn from(name: NamespaceName) -> String {
        name.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// FNV-1a, folded: link names must be the same in every version.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    let hash = parts.iter().copied().flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_are_stable_and_fit_the_kernel() {
        let instance: InstanceId = "a1b2".parse().unwrap();
        let name: NamespaceName = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let link = instance.link(&name, 0);
        assert_eq!(link.len(), 15);
        assert!(link.starts_with(&instance.link_prefix()));
        assert_eq!(link, "a1b2".parse::<InstanceId>().unwrap().link(&name, 0));
        assert_ne!(link, instance.link(&name, 1));
        assert_eq!(instance.unrecorded_link(&name).len(), 15);
        assert!(instance.router_links().1.len() <= 15);
        assert_ne!(instance.link_prefix(), "a1b3".parse::<InstanceId>().unwrap().link_prefix());
    }

    #[track_caller]
    fn check(text: &str, instance: bool, namespace: bool) {
        assert_eq!(text.parse::<InstanceId>().is_ok(), instance, "instance {text:?}");
        assert_eq!(text.parse::<NamespaceName>().is_ok(), namespace, "namespace {text:?}");
    }

    #[test]
    fn names_cannot_be_paths_or_rules() {
        check("a1", true, true);
        check("task.app-1_x", false, true);
        check("", false, false);
        check("..", false, false);
        check(".hidden", false, false);
        check("a/b", false, false);
        check("a b", false, false);
        check("a;flush ruleset", false, false);
        check(&"a".repeat(201), false, false);
    }
}
