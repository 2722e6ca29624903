//! Which devices a container may use: Docker's list, then what the task definition adds.

use std::fmt;

/// One kind of device and what may be done with it, as version 1 writes it: `c 1:3 rwm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// `b`, `c`, or `a` for all.
    pub kind: char,
    /// `None`: any.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    /// Some of `r`, `w`, `m`.
    pub access: String,
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |one| one.to_string());
        if self.kind == 'a' {
            return write!(out, "a");
        }
        write!(out, "{} {}:{} {}", self.kind, number(self.major), number(self.minor), self.access)
    }
}

/// Any device node may be made; null, zero, full, random, urandom, tty, console, ptmx and terminals
/// may be used.
pub(crate) fn default_rules() -> Vec<DeviceRule> {
    let rule = |kind, major, minor, access: &str| DeviceRule {
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let used = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    let mut rules = vec![rule('c', None, None, "m"), rule('b', None, None, "m")];
    rules.extend(used.map(|(major, minor)| rule('c', Some(major), Some(minor), "rwm")));
    rules.push(rule('c', Some(136), None, "rwm"));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_the_kernel_reads_them() {
        let lines: Vec<String> = default_rules().iter().map(DeviceRule::to_string).collect();
        assert_eq!(lines[0], "c *:* m");
        assert!(lines.contains(&"c 1:3 rwm".to_owned()));
        assert_eq!(lines.last().map(String::as_str), Some("c 136:* rwm"));
    }
}
