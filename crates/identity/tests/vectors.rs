//! AWS's own signature vectors, both ways: what they sign must verify, and we must sign the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "the vectors are files")]

use std::fs;
use std::path::{Path, PathBuf};

use outport_identity::sigv4::{
    AmzTimestamp, PresentedSignature, RequestHead, SKEW_MAX_MS, SignatureExpectation,
    SignatureStyle, Signer, SigningKey, sha256_hex,
};
use outport_identity::{AccessKeyId, SecretAccessKey, SignatureError};
use serde_json::Value;

/// A request of a vector file, which may hold what HTTP forbids (spaces in the path, folded lines).
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn read(path: &Path) -> Request {
        let text = fs::read_to_string(path).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
        let target = rest.strip_suffix(" HTTP/1.1").unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for line in lines {
            if line.starts_with(' ') {
                let folded = &mut headers.last_mut().unwrap().1;
                folded.push(b'\n');
                folded.extend_from_slice(line.as_bytes());
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        }
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn with_head<R>(&self, look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        look(&RequestHead {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        })
    }

    fn verify(&self, setting: &Setting) -> Result<(), SignatureError> {
        self.with_head(|head| {
            let presented = PresentedSignature::parse(head)?.expect("vectors are signed");
            assert_eq!(presented.access_key_id.as_str(), "AKIDEXAMPLE");
            let checked = presented.check(
                head,
                &SignatureExpectation {
                    now_ms: setting.now_ms,
                    skew_max_ms: SKEW_MAX_MS,
                    service: "service",
                    regions: &["us-east-1"],
                    style: setting.style,
                },
            )?;
            let key = SigningKey::derive(&secret(), checked.scope());
            checked.verify(head, &sha256_hex(&self.body), &key)
        })
    }
}

struct Setting {
    now_ms: i64,
    style: SignatureStyle,
    session_token: Option<String>,
    expires_seconds: u32,
}

fn secret() -> SecretAccessKey {
    SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn signer(setting: &Setting) -> Signer {
    Signer {
        access_key_id: AccessKeyId::new("AKIDEXAMPLE"),
        secret_access_key: secret(),
        session_token: setting.session_token.clone(),
        region: "us-east-1".to_owned(),
        service: "service".to_owned(),
        style: setting.style,
    }
}

fn vectors(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder)
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs one vector of the newer suite: verify and sign, in header and query form.
fn check(folder: &Path) {
    let name = folder.display();
    let context: Value = serde_json::from_str(&read(folder.join("context.json"))).unwrap();
    let normalize = context["normalize"].as_bool().unwrap();
    let token = context["credentials"]["token"].as_str().map(str::to_owned);
    let token_added_later = context["omit_session_token"].as_bool().unwrap_or(false);
    let timestamp = context["timestamp"].as_str().unwrap().replace(['-', ':'], "");
    let setting = Setting {
        now_ms: AmzTimestamp::parse_basic(&timestamp).unwrap().unix_ms(),
        style: SignatureStyle { normalize_path: normalize, ..SignatureStyle::STANDARD },
        session_token: token.filter(|_| !token_added_later),
        expires_seconds: u32::try_from(context["expiration_in_seconds"].as_u64().unwrap()).unwrap(),
    };

    let in_header = Request::read(&folder.join("header-signed-request.txt"));
    assert_eq!(in_header.verify(&setting), Ok(()), "{name}: header form");

    let mut in_query = Request::read(&folder.join("query-signed-request.txt"));
    if token_added_later {
        // The token of this form is not covered by the signature, so we do not take it. Without it
        // the signature is right.
        assert_eq!(in_query.verify(&setting), Err(SignatureError::Mismatch), "{name}");
        let parameters = in_query.query.split('&');
        let kept: Vec<&str> =
            parameters.filter(|text| !text.starts_with("X-Amz-Security-Token=")).collect();
        in_query.query = kept.join("&");
    }
    assert_eq!(in_query.verify(&setting), Ok(()), "{name}: query form");

    let request = Request::read(&folder.join("request.txt"));
    let presigned = request
        .with_head(|head| {
            signer(&setting).presign(head, &request.body, setting.now_ms, setting.expires_seconds)
        })
        .unwrap();
    let signature = read(folder.join("query-signature.txt"));
    assert!(presigned.ends_with(signature.trim()), "{name}: presigned {presigned}");

    let mut request = request;
    if context["sign_body"].as_bool().unwrap() {
        let hash = sha256_hex(&request.body).into_bytes();
        request.headers.push(("x-amz-content-sha256".to_owned(), hash));
    }
    let added = request
        .with_head(|head| signer(&setting).sign(head, &request.body, setting.now_ms))
        .unwrap();
    let signature = read(folder.join("header-signature.txt"));
    let (name_of_last, authorization) = added.last().unwrap();
    assert_eq!(*name_of_last, "authorization");
    assert!(authorization.ends_with(signature.trim()), "{name}: signed {authorization}");
}

#[test]
fn the_suite_of_aws_c_auth() {
    let mut count = 0;
    for entry in fs::read_dir(vectors("aws-c-auth")).unwrap() {
        check(&entry.unwrap().path());
        count += 1;
    }
    assert_eq!(count, 38);
}

#[test]
fn the_first_public_suite() {
    let setting = Setting {
        now_ms: AmzTimestamp::parse_basic("20150830T123600Z").unwrap().unix_ms(),
        style: SignatureStyle::STANDARD,
        session_token: None,
        expires_seconds: 1,
    };
    let mut folders = Vec::new();
    for parent in ["", "normalize-path", "post-sts-token"] {
        for entry in fs::read_dir(vectors("aws4-testsuite").join(parent)).unwrap() {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            if folder.join(format!("{name}.sreq")).exists() {
                folders.push((folder, name));
            }
        }
    }
    assert_eq!(folders.len(), 34);
    for (folder, name) in folders {
        let mut request = Request::read(&folder.join(format!("{name}.sreq")));
        // One .sreq carries a made-up signature; the .authz beside it has the real one.
        let authorization = read(folder.join(format!("{name}.authz")));
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        request.headers.push(("Authorization".to_owned(), authorization.into_bytes()));
        assert_eq!(request.verify(&setting), Ok(()), "{name}");
    }
}
