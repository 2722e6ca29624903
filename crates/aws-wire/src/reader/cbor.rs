//! Smithy RPC v2 CBOR bodies (RFC 8949).
//!
//! **Invariant:** nothing is allocated on the word of a length: every length is checked against the bytes that are
//! left, and containers grow as their items are read.

use std::borrow::Cow;

use crate::error::WireError;
use crate::limits;
use crate::node::Node;
use crate::timestamp::Timestamp;

const TAG_EPOCH_SECONDS: u64 = 1;
const BREAK: u8 = 0xff;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Reads one map that fills the body. An empty body counts as an empty map: inputs without members have none.
pub fn read_cbor(body: &[u8]) -> Result<Node<'_>, WireError> {
    if body.is_empty() {
        return Ok(Node::empty());
    }
    let mut reader = Reader { rest: body, values_left: limits::VALUES_MAX };
    let node = reader.value(0)?;
    if !reader.rest.is_empty() {
        return Err(malformed("bytes after the end"));
    }
    match node {
        Node::Map(_) => Ok(node),
        _ => Err(malformed("not a map")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    values_left: usize,
}

/// The first bytes of a value.
struct Head {
    major: u8,
    /// The low five bits: which kind of simple value, or how wide the argument is.
    minor: u8,
    /// `None` for an indefinite length.
    argument: Option<u64>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, WireError> {
        if depth > limits::NESTING_MAX {
            return Err(malformed("nested too deeply"));
        }
        self.values_left =
            self.values_left.checked_sub(1).ok_or_else(|| malformed("too many values"))?;
        let head = self.head()?;
        match (head.major, head.argument) {
            (UNSIGNED, Some(value)) => Ok(unsigned(value)),
            (NEGATIVE, Some(value)) => Ok(negative(value)),
            (BYTES, length) => Ok(Node::Bytes(self.string(BYTES, length)?)),
            (TEXT, length) => Ok(Node::String(self.text(length)?)),
            (LIST, length) => self.list(length, depth),
            (MAP, length) => self.map(length, depth),
            (TAG, Some(tag)) => {
                let value = self.value(depth + 1)?;
                if tag == TAG_EPOCH_SECONDS { timestamp(&value) } else { Ok(value) }
            }
            (7, Some(argument)) => simple(head.minor, argument),
            _ => Err(malformed("unexpected break or length")),
        }
    }

    fn head(&mut self) -> Result<Head, WireError> {
        let first = self.take(1)?[0];
        let (major, minor) = (first >> 5, first & 0x1f);
        let width = match minor {
            0..=23 => return Ok(Head { major, minor, argument: Some(u64::from(minor)) }),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 => return Ok(Head { major, minor, argument: None }),
            _ => return Err(malformed("reserved length")),
        };
        let argument =
            self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        Ok(Head { major, minor, argument: Some(argument) })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| malformed("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes the end of an indefinite length if it is next.
    fn at_break(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&BREAK, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The bytes of a byte or text string; one of indefinite length is a row of definite ones.
    fn string(&mut self, major: u8, length: Option<u64>) -> Result<Cow<'a, [u8]>, WireError> {
        if let Some(length) = length {
            let length = usize::try_from(length).map_err(|_| malformed("it ends too early"))?;
            return Ok(Cow::Borrowed(self.take(length)?));
        }
        let mut bytes = Vec::new();
        while !self.at_break() {
            let head = self.head()?;
            let length = head.argument.filter(|_| head.major == major);
            let length = length.and_then(|length| usize::try_from(length).ok());
            let length = length.ok_or_else(|| malformed("a string has a part that is none"))?;
            bytes.extend_from_slice(self.take(length)?);
        }
        Ok(Cow::Owned(bytes))
    }

    fn text(&mut self, length: Option<u64>) -> Result<Cow<'a, str>, WireError> {
        let not_utf8 = || malformed("a string is not valid UTF-8");
        match self.string(TEXT, length)? {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8())
            }
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8()),
        }
    }

    /// Whether a container of this length has one more entry after `read` ones.
    fn has_more(&mut self, length: Option<u64>, read: u64) -> bool {
        match length {
            Some(length) => read < length,
            None => !self.at_break(),
        }
    }

    fn list(&mut self, length: Option<u64>, depth: usize) -> Result<Node<'a>, WireError> {
        self.check_count(length)?;
        let mut items = Vec::new();
        while self.has_more(length, items.len() as u64) {
            items.push(self.value(depth + 1)?);
        }
        Ok(Node::List(items))
    }

    fn map(&mut self, length: Option<u64>, depth: usize) -> Result<Node<'a>, WireError> {
        self.check_count(length)?;
        let mut entries = Vec::new();
        while self.has_more(length, entries.len() as u64) {
            let head = self.head()?;
            if head.major != TEXT {
                return Err(malformed("a map has a key that is no string"));
            }
            let key = self.text(head.argument)?;
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Node::Map(entries))
    }

    /// Every entry takes at least one byte.
    fn check_count(&self, length: Option<u64>) -> Result<(), WireError> {
        match length {
            Some(length) if length > self.rest.len() as u64 => Err(malformed("it ends too early")),
            _ => Ok(()),
        }
    }
}

fn unsigned(value: u64) -> Node<'static> {
    i64::try_from(value).map_or(Node::Number(value as f64), Node::Integer)
}

fn negative(value: u64) -> Node<'static> {
    i64::try_from(value)
        .map_or(Node::Number(-1.0 - value as f64), |value| Node::Integer(-1 - value))
}

fn simple(minor: u8, argument: u64) -> Result<Node<'static>, WireError> {
    match minor {
        20 => Ok(Node::Boolean(false)),
        21 => Ok(Node::Boolean(true)),
        // null and undefined
        22 | 23 => Ok(Node::Null),
        25 => Ok(Node::Number(half_float(argument as u16))),
        26 => Ok(Node::Number(f64::from(f32::from_bits(argument as u32)))),
        27 => Ok(Node::Number(f64::from_bits(argument))),
        _ => Err(malformed("unknown simple value")),
    }
}

/// RFC 8949, appendix D.
fn half_float(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

fn timestamp(seconds: &Node<'_>) -> Result<Node<'static>, WireError> {
    let at = match seconds {
        Node::Integer(seconds) => Timestamp::from_epoch_seconds(*seconds as f64),
        Node::Number(seconds) => Timestamp::from_epoch_seconds(*seconds),
        _ => None,
    };
    at.map(Node::Timestamp).ok_or_else(|| malformed("a timestamp is no number of seconds"))
}

fn malformed(problem: &str) -> WireError {
    WireError::malformed(format!("The request body is not valid CBOR: {problem}"))
}
