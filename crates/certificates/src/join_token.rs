//! What lets a machine join: a secret that proves that it may, and a pin that proves whom it joins.
//!
//! ```text
//! outport1.<64 hexadecimal digits: the secret>.<64 hexadecimal digits: SHA-256 of the authority's certificate>
//! ```
//!
//! **Invariant:** the secret never travels. A node sends an HMAC under it over its id and its
//! certificate request, which the request's own signature binds to a key: who listens or stands in
//! learns nothing, and who repeats it gets a certificate for a key that he does not have.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, Mac};
use outport_model::NodeId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const VERSION: &str = "outport1";
const SECRET_CHARS: usize = 64;
/// Bound into every proof: one for another purpose is worth nothing here.
const PURPOSE: &str = "outport node join 1";

/// SHA-256 of a certificate authority's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// What every node of an installation is given, once. `Debug` hides it. A clone is the same token, and changes with it.
#[derive(Clone)]
pub struct JoinToken {
    secret: Arc<RwLock<String>>,
    pin: Pin,
}

/// Why a text is no join token; the sentences say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    #[error(
        "it is a join token of an older Outport, which does not say whom to trust: copy the file join-token from the \
         server's data directory again (the server writes the new form when it starts)"
    )]
    WithoutPin,
    #[error("it is a join token of a newer Outport: upgrade this node")]
    Newer,
    #[error("it is no join token: copy the file join-token from the server's data directory")]
    Other,
}

impl JoinToken {
    /// `secret`: 64 hexadecimal digits.
    pub fn new(secret: &str, pin: Pin) -> Result<Self, InvalidJoinToken> {
        if is_hex(secret) {
            Ok(Self { secret: Arc::new(RwLock::new(secret.to_ascii_lowercase())), pin })
        } else {
            Err(InvalidJoinToken::Other)
        }
    }

    /// The token in a file of any version, with its secret and this pin: an older one had none, and a new
    /// authority has another.
    pub fn with_pin(text: &str, pin: Pin) -> Result<Self, InvalidJoinToken> {
        match text.parse::<Self>() {
            Ok(token) => Ok(Self { pin, ..token }),
            Err(InvalidJoinToken::WithoutPin) => Self::new(text.trim(), pin),
            Err(error) => Err(error),
        }
    }

    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Takes the secret of `other`, of the same authority: what was given out proves nothing from now on.
    pub fn replace(&self, other: &Self) {
        let secret = other.secret();
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    fn secret(&self) -> String {
        self.secret.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As it stands in the file.
    pub fn expose(&self) -> String {
        format!("{VERSION}.{}.{}", self.secret(), self.pin)
    }

    /// What a node sends with its certificate request (in DER).
    pub fn proof(&self, node: &NodeId, request: &[u8]) -> String {
        hex::encode(self.mac(node, request).finalize().into_bytes())
    }

    /// Whether somebody who has the token made the proof for this node and this request.
    pub fn proves(&self, proof: &str, node: &NodeId, request: &[u8]) -> bool {
        let Ok(claimed) = hex::decode(proof) else { return false };
        let expected = self.mac(node, request).finalize().into_bytes();
        bool::from(claimed.ct_eq(&expected))
    }

    fn mac(&self, node: &NodeId, request: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.secret().as_bytes())
            .expect("a key of any length is taken");
        mac.update(PURPOSE.as_bytes());
        mac.update(&[0]);
        // An id has no zero byte, so the parts cannot be shifted against each other.
        mac.update(node.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(&Sha256::digest(request));
        mac
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let text = text.trim();
        if is_hex(text) {
            return Err(InvalidJoinToken::WithoutPin);
        }
        let mut parts = text.split('.');
        let (version, secret, pin) = (parts.next(), parts.next(), parts.next());
        match (version, secret, pin, parts.next()) {
            (Some(VERSION), Some(secret), Some(pin), None) if is_hex(pin) => {
                let pin = hex::decode(pin).ok().and_then(|bytes| bytes.try_into().ok());
                Self::new(secret, Pin(pin.ok_or(InvalidJoinToken::Other)?))
            }
            (Some(version), ..)
                if version != VERSION
                    && version
                        .strip_prefix("outport")
                        .is_some_and(|n| n.parse::<u32>().is_ok()) =>
            {
                Err(InvalidJoinToken::Newer)
            }
            _ => Err(InvalidJoinToken::Other),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.len() == SECRET_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn token() -> JoinToken {
        JoinToken::new(SECRET, Pin::of(b"authority")).unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: InvalidJoinToken) {
        assert_eq!(text.parse::<JoinToken>().unwrap_err(), expected, "{text}");
    }

    #[test]
    fn a_token_survives_its_file() {
        let text = format!("{}\n", token().expose());
        let read: JoinToken = text.parse().unwrap();
        assert_eq!(read.expose(), token().expose());
        assert_eq!(read.pin(), Pin::of(b"authority"));
        assert!(!format!("{read:?}").contains(SECRET));
    }

    #[test]
    fn the_secret_of_an_older_token_gets_a_pin() {
        let upgraded = JoinToken::with_pin(SECRET, Pin::of(b"authority")).unwrap();
        assert_eq!(upgraded.expose(), token().expose());
        let moved = JoinToken::with_pin(&token().expose(), Pin::of(b"another")).unwrap();
        assert_eq!((&*moved.secret(), moved.pin()), (SECRET, Pin::of(b"another")));
        assert!(JoinToken::with_pin("deadbeef", Pin::of(b"authority")).is_err());
    }

    #[test]
    fn other_texts_say_what_to_do() {
        check(SECRET, InvalidJoinToken::WithoutPin);
        check("", InvalidJoinToken::Other);
        check("deadbeef", InvalidJoinToken::Other);
        check(&format!("outport2.{SECRET}.{SECRET}"), InvalidJoinToken::Newer);
        check(&format!("outport1.{SECRET}"), InvalidJoinToken::Other);
        check(&format!("outport1.{SECRET}.{SECRET}.x"), InvalidJoinToken::Other);
        check(&format!("outport1.short.{SECRET}"), InvalidJoinToken::Other);
    }

    #[test]
    fn a_proof_is_for_one_node_one_request_and_one_secret() {
        let (node, other) = (NodeId::new("a"), NodeId::new("b"));
        let proof = token().proof(&node, b"request");
        assert!(token().proves(&proof, &node, b"request"));
        assert!(!token().proves(&proof, &other, b"request"));
        assert!(!token().proves(&proof, &node, b"another request"));
        let stranger = JoinToken::new(&SECRET.replace('0', "1"), Pin::of(b"authority")).unwrap();
        assert!(!stranger.proves(&proof, &node, b"request"));
        for text in ["", "zz", &proof[1..], &format!("{proof}00")] {
            assert!(!token().proves(text, &node, b"request"), "{text}");
        }
    }

    /// A node and its control plane are upgraded apart.
    #[test]
    fn the_proof_does_not_change() {
        assert_eq!(
            token().proof(&NodeId::new("0123"), b"request"),
            "fbb10d3b06a3c65eb7f663dc8e2ad98c2674139ee3135d674cc81393a0bf6dfb"
        );
    }
}
