//! PAX records: what an extended header says about the member behind it.
//!
//! **Invariant:** a record is as long as it says and no longer than its header; nothing here knows of files.

use super::archive::{ArchiveError, malformed};

/// The records of one PAX header: `<length> <key>=<value>\n`, the length of the whole record.
pub fn pax_records(mut bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    let broken = || malformed("a malformed pax extension");
    let mut records = Vec::new();
    // GNU tar and others fill up with zeros.
    while !bytes.is_empty() && bytes[0] != 0 {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|text| text.parse().ok());
        let length: usize = length.ok_or_else(broken)?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(broken());
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let key = String::from_utf8(record[..equals].to_vec()).map_err(|_| broken())?;
        records.push((key, record[equals + 1..].to_vec()));
        bytes = &bytes[length..];
    }
    Ok(records)
}

pub struct Records(pub Vec<(String, Vec<u8>)>);

impl Records {
    /// The last value of a key; an empty one is as none.
    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(name, _)| name == key)?;
        (!found.1.is_empty()).then_some(&found.1)
    }

    pub fn number(&self, key: &str) -> Result<Option<u64>, ArchiveError> {
        let Some(value) = self.bytes(key) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(ArchiveError::Malformed(format!("the record {key} is no number"))),
        }
    }

    /// Whole seconds of a time (`1700000000.123456789`, may be negative).
    pub fn seconds(&self, key: &str) -> Option<i64> {
        let text = std::str::from_utf8(self.bytes(key)?).ok()?;
        text.split('.').next()?.parse().ok()
    }

    pub fn xattrs(&self) -> Vec<(String, Vec<u8>)> {
        let named = self.0.iter().filter_map(|(key, value)| {
            Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value.clone()))
        });
        named.collect()
    }

    /// Form 0.1 has the map in one record, form 0.0 each of its numbers in one.
    pub fn sparse_map(&self) -> Result<Option<Vec<(u64, u64)>>, ArchiveError> {
        let broken = || malformed("a sparse map that is none");
        let number =
            |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
        let mut numbers = Vec::new();
        if let Some(map) = self.bytes("GNU.sparse.map") {
            for text in map.split(|byte| *byte == b',') {
                numbers.push(number(text).ok_or_else(broken)?);
            }
        } else {
            let keys = ["GNU.sparse.offset", "GNU.sparse.numbytes"];
            for (key, value) in self.0.iter().filter(|(key, _)| keys.contains(&key.as_str())) {
                if *key != keys[numbers.len() % 2] {
                    return Err(broken());
                }
                numbers.push(number(value).ok_or_else(broken)?);
            }
            if numbers.is_empty() && self.bytes("GNU.sparse.numblocks").is_none() {
                return Ok(None);
            }
        }
        if numbers.len() % 2 != 0 {
            return Err(broken());
        }
        Ok(Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_long_as_they_say() {
        let check = |bytes: &[u8], expected: Option<&[(&str, &[u8])]>| {
            let expected = expected.map(|list| {
                list.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
            });
            assert_eq!(pax_records(bytes).ok(), expected, "{bytes:?}");
        };
        check(b"", Some(&[]));
        check(b"8 a=b=c\n", Some(&[("a", b"b=c")]));
        check(b"6 a=b\n9 path=x\n", Some(&[("a", b"b"), ("path", b"x")]));
        check(b"5 a=\n\0\0\0", Some(&[("a", b"")]));
        check(b"7 a=b\n", None);
        check(b"5 a=b\n", None);
        check(b"99 a=b\n", None);
        check(b"0 a=b\n", None);
        check(b"2 ", None);
        check(b"5 ab\n\n", None);
        check(b"x a=b\n", None);
        check(b"99999999999999999999 a=b\n", None);
    }
}
