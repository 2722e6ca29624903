//! Names that callers give: log groups, log streams and sources of shipped events.

use std::fmt;

use crate::error::LogStoreError;
use crate::limits::SOURCE_ID_BYTES_MAX;

const NAME_CHARS_MAX: usize = 512;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// 1 to 512 of `A-Z a-z 0-9 . - _ / #` (AWS's pattern).
    LogGroupName
}
name! {
    /// 1 to 512 characters without `:` and `*` (AWS's pattern).
    LogStreamName
}
name! {
    /// One file of log lines on a node, such as `<task id>/<container>/<run>`: 1 to 512 bytes. Its
    /// cursor belongs to the stream that it is shipped to.
    SourceId
}

impl LogGroupName {
    /// A name that the store itself has kept, and checked when it came in.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn parse(text: &str) -> Result<Self, LogStoreError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#".contains(c);
        if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(allowed) {
            return Err(LogStoreError::InvalidName { kind: "logGroupName", name: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl LogStreamName {
    /// A name that the store itself has kept, and checked when it came in.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub fn parse(text: &str) -> Result<Self, LogStoreError> {
        let too_long = text.chars().count() > NAME_CHARS_MAX;
        if text.is_empty() || too_long || text.contains([':', '*']) {
            return Err(LogStoreError::InvalidName {
                kind: "logStreamName",
                name: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl SourceId {
    pub fn parse(text: &str) -> Result<Self, LogStoreError> {
        if text.is_empty() || text.len() > SOURCE_ID_BYTES_MAX {
            return Err(LogStoreError::InvalidName { kind: "source", name: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_patterns_of_aws() {
        for (text, group, stream) in [
            ("/ecs/app", true, true),
            ("a#b_c.d-e", true, true),
            ("", false, false),
            ("a b", false, true),
            ("a:b", false, false),
            ("a*b", false, false),
            ("größe", false, true),
        ] {
            assert_eq!(LogGroupName::parse(text).is_ok(), group, "group {text:?}");
            assert_eq!(LogStreamName::parse(text).is_ok(), stream, "stream {text:?}");
        }
        assert!(LogGroupName::parse(&"a".repeat(512)).is_ok());
        assert!(LogGroupName::parse(&"a".repeat(513)).is_err());
        assert!(LogStreamName::parse(&"ö".repeat(512)).is_ok());
        assert!(LogStreamName::parse(&"ö".repeat(513)).is_err());
    }
}
