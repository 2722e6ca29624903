//! Signed requests, and what a forger may make of them. Also for the campaign `signatures` of xtask.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use outport_identity::sigv4::{
    PresentedSignature, RequestHead, SKEW_MAX_MS, SignatureExpectation, SignatureStyle, Signer,
    SigningKey, sha256_hex,
};
use outport_identity::{AccessKeyId, SecretAccessKey, SignatureError};

pub const NOW_MS: i64 = 1_440_938_160_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn plain() -> Request {
        let headers = [
            ("host", "127.0.0.1:4566"),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask"),
        ];
        Request {
            method: "POST".into(),
            path: "/a/b".into(),
            query: "x=1&y=2".into(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .to_vec(),
            body: br#"{"taskDefinition":"app"}"#.to_vec(),
        }
    }

    pub fn with_head<R>(&self, look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        look(&RequestHead {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        })
    }

    pub fn signed(signer: &Signer) -> Request {
        Request::plain().sign(signer)
    }

    fn sign(mut self, signer: &Signer) -> Request {
        let added = self.with_head(|head| signer.sign(head, &self.body, NOW_MS)).unwrap();
        for (name, value) in added {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
        self
    }

    pub fn presigned(signer: &Signer, expires_seconds: u32) -> Request {
        let mut request = Request::plain();
        request.query = request
            .with_head(|head| signer.presign(head, &request.body, NOW_MS, expires_seconds))
            .unwrap();
        request
    }

    pub fn verify_at(&self, now_ms: i64) -> Result<(), SignatureError> {
        self.with_head(|head| {
            let presented = PresentedSignature::parse(head)?
                .ok_or(SignatureError::MissingAuthenticationToken)?;
            if presented.access_key_id.as_str() != "AKIDEXAMPLE"
                || presented.session_token.is_some()
            {
                return Err(SignatureError::UnknownAccessKey);
            }
            let checked = presented.check(
                head,
                &SignatureExpectation {
                    now_ms,
                    skew_max_ms: SKEW_MAX_MS,
                    service: "ecs",
                    regions: &["us-east-1"],
                    style: SignatureStyle::STANDARD,
                },
            )?;
            let key = SigningKey::derive(&SecretAccessKey::new(SECRET), checked.scope());
            checked.verify(head, &sha256_hex(&self.body), &key)
        })
    }

    pub fn header_mut(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.headers.iter_mut().find(|(each, _)| each == name).unwrap().1
    }

    pub fn edit_authorization(&mut self, from: &str, to: &str) {
        let value = self.header_mut("authorization");
        let text = String::from_utf8(value.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        *value = text.replace(from, to).into_bytes();
    }
}

pub fn signer() -> Signer {
    Signer {
        access_key_id: AccessKeyId::new("AKIDEXAMPLE"),
        secret_access_key: SecretAccessKey::new(SECRET),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "ecs".to_owned(),
        style: SignatureStyle::STANDARD,
    }
}

/// What is one and the same request to every reader, and so may be signed alike.
pub fn means_the_same(one: &Request, other: &Request) -> bool {
    fn reading(request: &Request) -> Request {
        let collapse = |value: &[u8]| {
            let words = value.split(|byte| byte.is_ascii_whitespace());
            words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
        };
        let mut reading = request.clone();
        reading.headers = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), collapse(value)))
            .collect();
        // Segments that are empty or "." lead nowhere, ".." leads up, and at the top nowhere (RFC 3986, 5.2.4).
        let mut segments: Vec<&str> = Vec::new();
        for part in request.path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => drop(segments.pop()),
                part => segments.push(part),
            }
        }
        let last = if request.path.ends_with('/') { "/" } else { "" };
        reading.path = format!("{}{last}", segments.join("/"));
        let mut parameters: Vec<String> = request
            .query
            .split('&')
            .filter(|text| !text.is_empty())
            .map(|text| text.to_ascii_lowercase().replace("%2d", "-"))
            .map(|text| if text.contains('=') { text } else { format!("{text}=") })
            .collect();
        parameters.sort();
        reading.query = parameters.join("&");
        reading
    }
    let (one, other) = (reading(one), reading(other));
    let authorization = |request: &Request| {
        request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| {
            let text = String::from_utf8_lossy(value);
            let mut parts: Vec<String> = text
                .split([',', ' '])
                .filter(|part| !part.is_empty())
                .map(|part| match part.strip_prefix("SignedHeaders=") {
                    Some(names) => names.to_ascii_lowercase(),
                    None => part.to_owned(),
                })
                .collect();
            parts.sort();
            parts
        })
    };
    let others = |request: &Request| {
        let mut request = request.clone();
        request.headers.retain(|(name, _)| name != "authorization");
        request
    };
    others(&one) == others(&other) && authorization(&one) == authorization(&other)
}

/// What stands in for a byte: one of each class that a reader may treat in its own way.
pub const CLASSES: [u8; 14] = *b"aZ07 ,;=&%/+.\x7f";

/// Headers that decide something, to be added behind the signer's back.
const ADDED: [(&str, &str); 8] = [
    ("x-amz-target", "AmazonEC2ContainerServiceV20141113.DeleteCluster"),
    ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ("x-amz-security-token", "token"),
    ("x-amz-date", "20150830T123601Z"),
    ("x-amz-anything", ""),
    ("host", "other"),
    ("content-type", "application/cbor"),
    ("authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0"),
];

fn mutate_bytes(bytes: &mut Vec<u8>, below: &mut dyn FnMut(usize) -> usize) {
    let at = below(bytes.len().max(1));
    match below(7) {
        0 if !bytes.is_empty() => bytes[at] = CLASSES[below(CLASSES.len())],
        1 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
        2 if !bytes.is_empty() => drop(bytes.remove(at)),
        3 if !bytes.is_empty() => bytes.insert(at, bytes[at]),
        4 => bytes.truncate(at),
        5 if !bytes.is_empty() => bytes[at] ^= 0x20,
        _ => bytes.insert(at, CLASSES[below(CLASSES.len())]),
    }
}

fn mutate_text(text: &mut String, below: &mut dyn FnMut(usize) -> usize) {
    let mut bytes = std::mem::take(text).into_bytes();
    mutate_bytes(&mut bytes, below);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// Changes something. `below` draws a number below another.
pub fn mutate(request: &mut Request, below: &mut dyn FnMut(usize) -> usize) {
    let at = below(request.headers.len().max(1));
    let has_headers = !request.headers.is_empty();
    match below(12) {
        0 => mutate_text(&mut request.method, below),
        1 => mutate_text(&mut request.path, below),
        2 | 3 => mutate_text(&mut request.query, below),
        4 => mutate_bytes(&mut request.body, below),
        5..=7 if has_headers => mutate_bytes(&mut request.headers[at].1, below),
        8 if has_headers => mutate_text(&mut request.headers[at].0, below),
        9 if has_headers => drop(request.headers.remove(at)),
        10 if has_headers => request.headers.push(request.headers[at].clone()),
        _ => {
            let (name, value) = ADDED[below(ADDED.len())];
            request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
}

/// One of the good requests, changed in one to three ways. `None` when nothing came of it, or the same request to every
/// reader.
pub fn forged(good: &[Request], below: &mut dyn FnMut(usize) -> usize) -> Option<Request> {
    let original = &good[below(good.len())];
    let mut request = original.clone();
    for _ in 0..=below(3) {
        mutate(&mut request, below);
    }
    (!is_the_same_but_for_unsigned(original, &request)).then_some(request)
}

/// Also with headers that nobody has to sign and that decide nothing: a name that the original does not have and that
/// does not begin with `x-amz-`; and a session token in a header beside a signature in the query, which is read there.
fn is_the_same_but_for_unsigned(original: &Request, request: &Request) -> bool {
    let in_query = !original.headers.iter().any(|(name, _)| name == "authorization");
    let decides = |name: &str| {
        let name = name.to_ascii_lowercase();
        let is_known = original.headers.iter().any(|(known, _)| *known == name);
        let is_amazons = name.starts_with("x-amz-");
        is_known || is_amazons && !(in_query && name == "x-amz-security-token")
    };
    let what_decides = |request: &Request| {
        let mut request = request.clone();
        request.headers.retain(|(name, _)| decides(name));
        // The order of headers of different names means nothing.
        request.headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        request
    };
    means_the_same(&what_decides(original), &what_decides(request))
}

/// Requests of every form, each with a good signature.
pub fn good() -> Vec<Request> {
    let announcing = {
        let mut request = Request::plain();
        let sha256 = sha256_hex(&request.body).into_bytes();
        request.headers.push(("x-amz-content-sha256".to_owned(), sha256));
        request.sign(&signer())
    };
    vec![Request::signed(&signer()), announcing, Request::presigned(&signer(), 60)]
}
