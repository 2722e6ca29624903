//! Keys and certificates: the installation's own authority, what the server shows, and who a node is.
//!
//! | module | |
//! |---|---|
//! | `authority` | signs for the server and for nodes |
//! | `names` | which names the server's certificate is for |
//! | `server` | a configuration for each handshake, with a certificate that is good |
//! | `join_token` | the secret that lets a machine join, and the pin that says whom it joins |
//! | `node_key` | the node's key and its certificate |
//! | `client` | how a node connects |
//! | `verifier` | who is believed in a handshake |
//! | `trouble` | why a handshake came to nothing |
//! | `facts` | what is read of a certificate |
//! | `files` | the edge |
//!
//! **Invariant:** a private key is made here, lies in a file that its owner alone may read, and never
//! travels; nothing prints one.
//!
//! What keeps faults out. *A stand-in for the control plane*: a node believes only the authority whose
//! SHA-256 is in its join token, for the one name that only that authority signs. *A stand-in for a
//! node*: the control plane believes only certificates that it signed, for keys that are in the node's
//! row. *A listener or a replay at joining*: the secret is not sent, and a proof is bound to a key.
//! *Clocks*: certificates are good from a day before they are made, the server renews at the next
//! handshake, a node whose certificate has run out joins again with its token and its key, and a node does not
//! judge the server's certificate by its own clock: a step of either clock cuts nobody off.

mod authority;
mod client;
mod error;
mod facts;
mod files;
mod join_token;
mod moment;
mod names;
mod node_key;
mod server;
mod trouble;
mod verifier;

pub use authority::{Authority, NODE_LIFE_MS, NodeRequest, SERVER_LIFE_MS, VerifiedRequest};
pub use client::{IdentitySlot, node_client};
pub use error::CertificateError;
pub use facts::{NodeCertificate, Validity, node_id};
pub use join_token::{InvalidJoinToken, JoinToken, Pin};
pub use moment::spoken;
pub use names::{
    InvalidServerName, NODE_LINK_NAME, OWN_DOMAIN, OWN_LOCAL_DOMAIN, ServerName, ServerNames,
};
pub use node_key::{NodeIdentity, NodeKey, is_due};
pub use server::{NamesNow, OwnCertificate, ServerTls, ServerTlsOptions, authority_file};
pub use trouble::{HandshakeTrouble, handshake_trouble};
pub use verifier::OtherAuthority;
