//! The keys of issuers: from where the operator says, or from where the issuer does.
//!
//! ```text
//! named by the operator ── a file ───────────────────────────────────────────► keys
//!                      └── a URL ────────────────────────────────────────────► keys
//! else ── https://<issuer>/.well-known/openid-configuration ── `jwks_uri` ───► keys
//! ```
//!
//! Keys are kept for a while. A token that names a key which is not among them has them looked at again, not too often: issuers
//! change their keys.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use outport_model::TimestampMs;
use outport_model::nearness::Nearness;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::fetch::{Fetch, HttpFetch};
use crate::key_set::{KeySet, NotSigned};
use crate::token::WebToken;

/// How long keys are taken to be those that the issuer has.
const KEPT_MS: i64 = 15 * 60_000;
/// Between two looks because of a key that is not known, or after one that failed.
const LOOKS_APART_MS: i64 = 10_000;
/// Tokens whose issuers are being looked at, at one time: an issuer that does not answer must not hold up everybody.
const LOOKS_MAX: usize = 32;
/// Issuers whose keys are kept; with more, all are forgotten and come again.
const ISSUERS_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where an operator says that the keys of an issuer are: `ISSUER=FILE` or `ISSUER=URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// Host and path, without `https://`.
    issuer: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Url(String),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('=').filter(|(issuer, place)| !issuer.is_empty() && !place.is_empty());
        let Some((issuer, place)) = parts else {
            return Err(
                "it is ISSUER=FILE or ISSUER=URL, as https://id.example.com=/etc/keys.json"
                    .to_owned(),
            );
        };
        let is_url = place.starts_with("https://") || place.starts_with("http://");
        let place = if is_url { Place::Url(place.to_owned()) } else { Place::File(place.into()) };
        Ok(Self { issuer: issuer.strip_prefix("https://").unwrap_or(issuer).to_owned(), place })
    }
}

/// Why a token is not known to be its issuer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// Nobody answered, or too many are asking.
    #[error("the identity provider was not reached: {0}")]
    Unreachable(String),
    /// What there is has no such keys.
    #[error("the identity provider has no such keys: {0}")]
    NoKeys(String),
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
}

/// The issuers that were asked about.
pub struct Issuers {
    named: BTreeMap<String, Place>,
    fetch: Arc<dyn Fetch>,
    known: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Known>>>>,
    looks: Semaphore,
}

/// Of one issuer.
#[derive(Debug, Default)]
struct Known {
    keys: Option<KeySet>,
    /// What the last look failed with.
    failure: Option<NotVerified>,
    looked_at_ms: Option<TimestampMs>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Issuers").field("named", &self.named).finish_non_exhaustive()
    }
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new([], Arc::new(HttpFetch::default()))
    }
}

impl Issuers {
    /// The last word of an operator on an issuer counts.
    pub fn new(named: impl IntoIterator<Item = KeySource>, fetch: Arc<dyn Fetch>) -> Self {
        let named = named.into_iter().map(|source| (source.issuer, source.place)).collect();
        Self { named, fetch, known: Mutex::default(), looks: Semaphore::new(LOOKS_MAX) }
    }

    /// Whether the token is signed by this issuer: host and path, without `https://`.
    ///
    /// # Errors
    /// [`NotVerified`].
    pub async fn verify(
        &self,
        token: &WebToken,
        issuer: &str,
        now_ms: TimestampMs,
    ) -> Result<(), NotVerified> {
        let busy = |_| NotVerified::Unreachable("too many tokens are being verified".to_owned());
        let _look = self.looks.try_acquire().map_err(busy)?;
        let known = self.known(issuer);
        let mut known = known.lock().await;
        if known.is_older_than(KEPT_MS, now_ms) {
            self.look(issuer, &mut known, now_ms).await;
        }
        let mut found = known.verify(token);
        let is_unknown = matches!(
            found,
            Err(NotVerified::NotSigned(NotSigned::NoKey)
                | NotVerified::Unreachable(_)
                | NotVerified::NoKeys(_))
        );
        if is_unknown && known.is_older_than(LOOKS_APART_MS, now_ms) {
            self.look(issuer, &mut known, now_ms).await;
            found = known.verify(token);
        }
        found
    }

    fn known(&self, issuer: &str) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ISSUERS_MAX && !known.contains_key(issuer) {
            known.clear();
        }
        Arc::clone(known.entry(issuer.to_owned()).or_default())
    }

    /// Keys that cannot be had any more are not believed any longer.
    async fn look(&self, issuer: &str, known: &mut Known, now_ms: TimestampMs) {
        let found = match self.named.get(issuer) {
            Some(Place::File(path)) => read(path).await,
            Some(Place::Url(url)) => self.fetch_keys(url, None).await,
            None => self.discover(issuer).await,
        };
        known.looked_at_ms = Some(now_ms);
        (known.keys, known.failure) = match found {
            Ok(keys) => (Some(keys), None),
            Err(failure) => {
                tracing::warn!(
                    event = "issuer_keys_unavailable",
                    issuer,
                    reason = %failure,
                    "there are no keys to verify tokens of an identity provider with: they are refused"
                );
                (None, Some(failure))
            }
        };
    }

    /// Source: OpenID Connect Discovery 1.0, section 4.
    async fn discover(&self, issuer: &str) -> Result<KeySet, NotVerified> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
            jwks_uri: String,
        }
        let base = issuer.trim_end_matches('/');
        let url = format!("https://{base}/.well-known/openid-configuration");
        let unreachable = |reason| NotVerified::Unreachable(format!("{url}: {reason}"));
        let found = self.fetch.get(&url, Some(Nearness::Private)).await.map_err(unreachable)?;
        let none = |reason: &str| NotVerified::NoKeys(format!("{url}: {reason}"));
        let configuration: Configuration =
            serde_json::from_slice(&found.document).map_err(|error| none(&error.to_string()))?;
        if configuration.issuer.strip_prefix("https://") != Some(issuer) {
            return Err(none("it is of another issuer"));
        }
        if !configuration.jwks_uri.starts_with("https://") {
            return Err(none("its `jwks_uri` is not of https"));
        }
        // No further into a network than the issuer itself is.
        self.fetch_keys(&configuration.jwks_uri, Some(found.nearness)).await
    }

    async fn fetch_keys(&self, url: &str, reach: Option<Nearness>) -> Result<KeySet, NotVerified> {
        let unreachable = |reason| NotVerified::Unreachable(format!("{url}: {reason}"));
        let found = self.fetch.get(url, reach).await.map_err(unreachable)?;
        KeySet::parse(&found.document)
            .ok_or_else(|| NotVerified::NoKeys(format!("{url}: it is no key set")))
    }
}

async fn read(path: &Path) -> Result<KeySet, NotVerified> {
    let none = |reason: String| NotVerified::NoKeys(format!("{}: {reason}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(|error| none(error.to_string()))?;
    let mut document = Vec::new();
    let mut limited = file.take(FILE_BYTES_MAX);
    limited.read_to_end(&mut document).await.map_err(|error| none(error.to_string()))?;
    KeySet::parse(&document).ok_or_else(|| none("it is no key set".to_owned()))
}

impl Known {
    fn is_older_than(&self, age_ms: i64, now_ms: TimestampMs) -> bool {
        // A clock that was set back must not keep them for ever.
        self.looked_at_ms.is_none_or(|at_ms| !(at_ms..at_ms + age_ms).contains(&now_ms))
    }

    fn verify(&self, token: &WebToken) -> Result<(), NotVerified> {
        match (&self.keys, &self.failure) {
            (Some(keys), _) => Ok(keys.verify(token)?),
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => Err(NotVerified::NoKeys("nobody looked".to_owned())),
        }
    }
}

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
