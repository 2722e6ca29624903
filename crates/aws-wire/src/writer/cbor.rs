//! Smithy RPC v2 CBOR.

use super::{Collection, Place, Scalar, Writer};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;

const BEGIN_LIST: u8 = 0x9f;
const BEGIN_MAP: u8 = 0xbf;
const BREAK: u8 = 0xff;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const DOUBLE: u8 = 0xfb;
const TAG_EPOCH_SECONDS: u8 = 0xc1;

/// Writes containers of indefinite length, doubles for every float and timestamps as tagged doubles, as AWS does.
#[derive(Default)]
pub struct CborWriter {
    bytes: Vec<u8>,
}

impl CborWriter {
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Opens the map of an error, with its `__type` before the members.
    pub fn begin_error(&mut self, shape_id: &str) {
        self.bytes.push(BEGIN_MAP);
        self.member("__type", shape_id);
    }

    /// Writes one string member.
    pub fn member(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    pub fn end_error(&mut self) {
        self.bytes.push(BREAK);
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        match value {
            0..=23 => self.bytes.push(major | bytes[7]),
            24..=0xff => self.bytes.extend_from_slice(&[major | 24, bytes[7]]),
            0x100..=0xffff => {
                self.bytes.push(major | 25);
                self.bytes.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.bytes.push(major | 26);
                self.bytes.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn double(&mut self, value: f64) {
        self.bytes.push(DOUBLE);
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn key(&mut self, place: Place<'_>) {
        match place {
            Place::Root | Place::Item(_) => {}
            Place::Member(member) => self.text(member.wire_name()),
            Place::Entry(_, key) => self.text(key),
        }
    }
}

impl Writer for CborWriter {
    fn begin(&mut self, place: Place<'_>, collection: Collection) {
        self.key(place);
        self.bytes.push(if collection == Collection::List { BEGIN_LIST } else { BEGIN_MAP });
    }

    fn end(&mut self, _: Place<'_>, _: Collection) {
        self.bytes.push(BREAK);
    }

    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>) {
        self.key(place);
        match scalar {
            Scalar::Null => self.bytes.push(NULL),
            Scalar::Boolean(value) => self.bytes.push(if value { TRUE } else { FALSE }),
            Scalar::Integer(value) => match u64::try_from(value) {
                Ok(value) => self.head(UNSIGNED, value),
                // -1 - value, without overflow at the least integer.
                Err(_) => self.head(NEGATIVE, !value as u64),
            },
            Scalar::Number(value) => self.double(value),
            Scalar::String(text) => self.text(text),
            Scalar::Blob(bytes) => {
                self.head(BYTES, bytes.len() as u64);
                self.bytes.extend_from_slice(bytes);
            }
            // The format of the model does not apply to CBOR.
            Scalar::Timestamp(at, _) => {
                self.bytes.push(TAG_EPOCH_SECONDS);
                self.double(at.epoch_seconds());
            }
        }
    }
}
