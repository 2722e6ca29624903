//! Who somebody is by the word of an OpenID Connect provider: its tokens, and the keys that they are verified with.
//!
//! ```text
//! token ──► WebToken::parse ──► claims that nobody has vouched for yet
//!                                 │ Issuers::verify: the keys of the issuer, from where the operator says, else by discovery
//!                                 ▼
//!                               claims of the issuer
//! ```
//!
//! What the claims let somebody do is for STS to say; which issuers are asked about at all, too: those that are providers of the
//! account that is called.
//!
//! **Invariant:** nothing is fetched but over a connection to an address that was looked at: what an issuer says never leads to
//! this host, to what is beside it only, or, from a public issuer, into its network. Redirects are not followed. The operator's
//! own word is not doubted. See design note 0032.

mod fetch;
mod issuers;
mod key_set;
mod token;

pub use fetch::{Fetch, Fetched, HttpFetch};
pub use issuers::{Issuers, KeySource, NotVerified};
pub use key_set::{KeySet, NotSigned};
pub use token::{MalformedToken, WebToken};
