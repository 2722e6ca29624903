//! The canonical form of a request, which client and server must arrive at alike.

use sha2::{Digest, Sha256};

use super::{ALGORITHM, AmzTimestamp, CredentialScope, RequestHead, SignatureError};

/// The places where services differ in what they sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureStyle {
    /// Dot segments and double slashes of the path are resolved first.
    pub normalize_path: bool,
    /// The path is percent-encoded once more, as it was sent; else it is decoded first.
    pub double_encode_path: bool,
    /// `UNSIGNED-PAYLOAD` may stand where the hash of the body stands.
    pub unsigned_payload_allowed: bool,
}

impl SignatureStyle {
    /// Every AWS service but S3.
    pub const STANDARD: SignatureStyle = SignatureStyle {
        normalize_path: true,
        double_encode_path: true,
        unsigned_payload_allowed: false,
    };

    /// S3: keys are taken as they are, and a body may go unsigned.
    pub const S3: SignatureStyle = SignatureStyle {
        normalize_path: false,
        double_encode_path: false,
        unsigned_payload_allowed: true,
    };
}

/// SHA-256 in lower-case hex, as it stands in `x-amz-content-sha256`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// [`sha256_hex`] of a body that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct PayloadHash(Sha256);

impl PayloadHash {
    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Of all pieces.
    pub fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// The canonical request as bytes: a header value need not be UTF-8.
///
/// `signed_headers` are lower-case and sorted, and all of them stand in the request.
pub(super) fn canonical_request(
    head: &RequestHead<'_>,
    style: SignatureStyle,
    signed_headers: &[String],
    payload_hash: &str,
) -> Result<Vec<u8>, SignatureError> {
    let mut text = Vec::with_capacity(512);
    text.extend_from_slice(head.method.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(canonical_path(head.path, style)?.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(canonical_query(head.query)?.as_bytes());
    text.push(b'\n');
    for name in signed_headers {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        for (position, value) in head.values(name).enumerate() {
            if position > 0 {
                text.push(b',');
            }
            push_header_value(&mut text, value);
        }
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed_headers.join(";").as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(text)
}

/// What the signing key signs.
pub(super) fn string_to_sign(
    time: AmzTimestamp,
    scope: &CredentialScope,
    canonical_request: &[u8],
) -> String {
    format!("{ALGORITHM}\n{}\n{scope}\n{}", time.basic(), sha256_hex(canonical_request))
}

fn canonical_path(path: &str, style: SignatureStyle) -> Result<String, SignatureError> {
    let path = if style.normalize_path { normalize_path(path) } else { path.to_owned() };
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let mut text = String::with_capacity(path.len());
    if style.double_encode_path {
        percent_encode(path.as_bytes(), true, &mut text);
    } else {
        percent_encode(&percent_decode(&path, false)?, true, &mut text);
    }
    Ok(text)
}

fn normalize_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let last = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{last}", segments.join("/"))
}

fn canonical_query(query: &str) -> Result<String, SignatureError> {
    let mut parameters = Vec::new();
    for (name, value) in decoded_parameters(query)? {
        if name == b"X-Amz-Signature" {
            continue;
        }
        let mut encoded = (String::new(), String::new());
        percent_encode(&name, false, &mut encoded.0);
        percent_encode(&value, false, &mut encoded.1);
        parameters.push(encoded);
    }
    parameters.sort();
    let pairs: Vec<String> =
        parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

/// A parameter's name and value, decoded. Values need not be UTF-8.
type Parameter = (Vec<u8>, Vec<u8>);

/// Names and values of a query string, decoded, in order.
///
/// A `+` is a space, as it is to everyone who reads the query as a form: two texts that sign alike
/// must mean the same.
pub(super) fn decoded_parameters(query: &str) -> Result<Vec<Parameter>, SignatureError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((percent_decode(name, true)?, percent_decode(value, true)?))
        })
        .collect()
}

fn percent_decode(text: &str, plus_is_space: bool) -> Result<Vec<u8>, SignatureError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()];
                let [Some(high), Some(low)] = digits.map(|digit| digit.and_then(hex_value)) else {
                    return Err(SignatureError::MalformedQueryString);
                };
                decoded.push(high << 4 | low);
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    Ok(decoded)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Encodes all but the unreserved characters of RFC 3986, and `/` in a path.
pub(super) fn percent_encode(bytes: &[u8], slash_stays: bool, text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            b'/' if slash_stays => text.push('/'),
            _ => {
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Trims, and writes every run of white space as one space (a folded line counts as one).
fn push_header_value(text: &mut Vec<u8>, value: &[u8]) {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let words = value.split(is_space).filter(|word| !word.is_empty());
    for (position, word) in words.enumerate() {
        if position > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_path(path: &str, standard: &str, s3: &str) {
        assert_eq!(canonical_path(path, SignatureStyle::STANDARD).unwrap(), standard);
        assert_eq!(canonical_path(path, SignatureStyle::S3).unwrap(), s3);
    }

    #[test]
    fn paths() {
        check_path("", "/", "/");
        check_path("/a%20b", "/a%2520b", "/a%20b");
        check_path("/a/../b/./c//", "/b/c/", "/a/../b/./c//");
        check_path("/../..", "/", "/../..");
        check_path("/%41:b", "/%2541%3Ab", "/A%3Ab");
    }

    fn check_query(query: &str, expected: &str) {
        assert_eq!(canonical_query(query).unwrap(), expected, "{query}");
    }

    #[test]
    fn queries() {
        check_query("", "");
        check_query("b=2&a=1&a=0", "a=0&a=1&b=2");
        check_query("a&b=", "a=&b=");
        check_query("a=b=c", "a=b%3Dc");
        check_query("a=x+y&b=x%2By&c=%7e", "a=x%20y&b=x%2By&c=~");
        check_query("&&a=1&&", "a=1");
        check_query("a=1&X-Amz-Signature=f00", "a=1");
        for malformed in ["a=%", "a=%4", "a=%zz", "%g0=1"] {
            assert!(matches!(
                canonical_query(malformed),
                Err(SignatureError::MalformedQueryString)
            ));
        }
    }
}
