//! JSON Web Tokens: what they say, whoever says it.
//!
//! Source: RFC 7515, 7519; OpenID Connect Core 1.0, section 2.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token that can be read. Nobody has vouched for it.
#[derive(Clone, Debug)]
pub struct WebToken {
    pub(crate) algorithm: String,
    pub(crate) key_id: Option<String>,
    claims: Map<String, Value>,
    /// Header and claims as they were signed.
    pub(crate) signed: String,
    pub(crate) signature: Vec<u8>,
}

/// It is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Token")]
pub struct MalformedToken;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// What has to be understood and is not.
    crit: Option<Value>,
}

impl WebToken {
    /// # Errors
    /// [`MalformedToken`], also for one with critical extensions: none is known.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let (signed, signature) = text.rsplit_once('.').ok_or(MalformedToken)?;
        let (header, claims) = signed.split_once('.').ok_or(MalformedToken)?;
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| MalformedToken)?;
        if header.crit.is_some() {
            return Err(MalformedToken);
        }
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid,
            claims: serde_json::from_slice(&decoded(claims)?).map_err(|_| MalformedToken)?,
            signed: signed.to_owned(),
            signature: decoded(signature)?,
        })
    }

    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// Names and values.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.claims.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A claim that is a text, and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claim(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A claim that is one text or several.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.claim(name) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(texts)) => {
                texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A claim that is a time, unix seconds: parts of one are let go.
    pub fn time_s(&self, name: &str) -> Option<i64> {
        let value = self.claim(name)?;
        #[allow(clippy::cast_possible_truncation, reason = "a time that no i64 has is its end")]
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64))
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, MalformedToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| MalformedToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> Result<WebToken, MalformedToken> {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        WebToken::parse(&format!("{}.{}.{}", encode(header), encode(claims), encode("signature")))
    }

    #[test]
    fn a_token_says_who_it_is_about() {
        let claims = r#"{"iss":"https://id.example.com","aud":["a","b"],"sub":"ada","exp":12.5,"iat":1e3,"amr":"mfa","n":7}"#;
        let token = token(r#"{"alg":"RS256","kid":"1"}"#, claims).unwrap();
        assert_eq!((token.algorithm.as_str(), token.key_id.as_deref()), ("RS256", Some("1")));
        assert_eq!(token.text("iss"), Some("https://id.example.com"));
        assert_eq!(token.texts("aud"), ["a", "b"]);
        assert_eq!(token.texts("amr"), ["mfa"]);
        assert_eq!((token.time_s("exp"), token.time_s("iat")), (Some(12), Some(1000)));
        assert_eq!((token.text("n"), token.time_s("nbf")), (None, None));
        assert_eq!(token.signature, b"signature");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "a.b", "a.b.c", "....", "e30.e30.e30", "Atza|IQEBLjAsAhR"] {
            assert!(WebToken::parse(text).is_err(), "{text}");
        }
        assert!(token(r#"{"alg":"RS256"}"#, "[]").is_err());
        assert!(token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}").is_err());
        assert!(token(r#"{"alg":"RS256"}"#, "{}").is_ok());
    }
}
