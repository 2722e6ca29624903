//! What the listener shows: a configuration for each handshake, always with a certificate that is good.
//!
//! ```text
//! <directory>/authority-key.pem   the authority's key and certificate    0600
//! <directory>/authority.pem       its certificate, for clients           0644
//! <directory>/server.pem          the server's key and chain             0600
//! ```
//!
//! | the client asks for | it is shown | it is asked for |
//! |---|---|---|
//! | [`NODE_LINK_NAME`] | the own certificate | a node's certificate, if it has one |
//! | any other name, or none | the operator's certificate if there is one, else the own | nothing |
//!
//! Nothing runs by itself: a handshake looks, at most once a minute, whether the names of this host or
//! the operator's files changed, and at once whether the certificate is due. So a clock that stepped
//! costs one renewal, and an idle server nothing.
//!
//! **Invariant:** a certificate that cannot be renewed stays in use and is complained about; the
//! authority is made once and never replaced.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use outport_model::TimestampMs;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::CertificateError;
use crate::authority::Authority;
use crate::facts::{self, Validity};
use crate::files::{self, PRIVATE, PUBLIC};
use crate::moment::spoken;
use crate::names::{NODE_LINK_NAME, ServerNames};
use crate::verifier::{NodeVerifier, provider};

/// How often names and files are looked at, at most; also between two tries of a renewal that fails.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// What the listener speaks inside of TLS, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the host goes by now.
pub type NamesNow = Arc<dyn Fn() -> ServerNames + Send + Sync>;

/// Where keys are and what the certificate is for.
pub struct ServerTlsOptions {
    pub directory: PathBuf,
    /// Tells the authority from those of other installations.
    pub authority_name: String,
    pub names: NamesNow,
    /// The operator's certificate, for everybody but nodes.
    pub own: Option<OwnCertificate>,
}

/// Files in PEM; they are read again when they change.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The TLS of the listener.
pub struct ServerTls {
    options: ServerTlsOptions,
    authority: Authority,
    shown: RwLock<Arc<Shown>>,
    /// Held by the one handshake that looks.
    looked: Mutex<Instant>,
}

#[derive(Clone)]
struct Shown {
    node_link: Arc<ServerConfig>,
    public: Arc<ServerConfig>,
    validity: Validity,
    names: ServerNames,
    /// Of the operator's files.
    versions: Option<[FileVersion; 2]>,
}

/// Changes whenever a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileVersion(u64, i64, i64, u64);

struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ServerTls {
    /// Makes what is missing.
    ///
    /// # Errors
    /// Files that cannot be read or written, a clock that cannot be right, and an operator's certificate that does
    /// not fit its key.
    pub fn open(options: ServerTlsOptions, now_ms: TimestampMs) -> Result<Self, CertificateError> {
        files::make_directory(&options.directory)?;
        let authority = open_authority(&options, now_ms)?;
        let shown = show(&options, &authority, None, now_ms)?;
        Ok(Self {
            options,
            authority,
            shown: RwLock::new(Arc::new(shown)),
            looked: Mutex::new(Instant::now()),
        })
    }

    /// The configuration for a handshake that asks for `server_name`.
    pub fn config(&self, server_name: Option<&str>, now_ms: TimestampMs) -> Arc<ServerConfig> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner).clone();
        let shown = if self.may_look(is_due(shown.validity, now_ms)) {
            self.look(shown, now_ms)
        } else {
            shown
        };
        Arc::clone(if Self::is_node_link(server_name) { &shown.node_link } else { &shown.public })
    }

    /// Names (a leading `*.` stands for one label) and addresses that the own certificate is good for.
    pub fn names(&self) -> Vec<String> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).names.texts()
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether a client that asks for this name comes as a node does.
    pub fn is_node_link(server_name: Option<&str>) -> bool {
        server_name.is_some_and(|name| name.eq_ignore_ascii_case(NODE_LINK_NAME))
    }

    /// The file that clients are given.
    pub fn authority_file(&self) -> PathBuf {
        authority_file(&self.options.directory)
    }

    /// One handshake at a time, and not all the time. What is due gets a second chance soon.
    fn may_look(&self, due: bool) -> bool {
        let Ok(mut looked) = self.looked.try_lock() else { return false };
        let interval = if due { LOOK_INTERVAL / 30 } else { LOOK_INTERVAL };
        let may = looked.elapsed() >= interval;
        if may {
            *looked = Instant::now();
        }
        may
    }

    fn look(&self, old: Arc<Shown>, now_ms: TimestampMs) -> Arc<Shown> {
        match show(&self.options, &self.authority, Some(&old), now_ms) {
            Ok(new) => {
                let new = Arc::new(new);
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
                new
            }
            Err(error) => {
                tracing::error!(
                    event = "server_certificate_not_renewed",
                    %error,
                    "cannot renew the server's certificate: it stays as it is"
                );
                old
            }
        }
    }
}

/// Where the certificate of the authority is, for clients.
pub fn authority_file(directory: &Path) -> PathBuf {
    directory.join("authority.pem")
}

fn open_authority(
    options: &ServerTlsOptions,
    now_ms: TimestampMs,
) -> Result<Authority, CertificateError> {
    let path = options.directory.join("authority-key.pem");
    let public = authority_file(&options.directory);
    let known = files::read(&public)?;
    let other = || CertificateError::OtherAuthority { key: path.clone(), public: public.clone() };
    let text = match files::read(&path)? {
        Some(text) => text,
        // Nodes and clients believe the one that was here.
        None if known.is_some() => return Err(other()),
        None => {
            let made = Authority::make(&options.authority_name, now_ms)?;
            files::write(&path, &made, PRIVATE)?;
            made
        }
    };
    let authority = Authority::read(&text).map_err(|_| other())?;
    let validity = authority.validity();
    if !validity.contains(now_ms) {
        return Err(CertificateError::AuthorityOutOfTime {
            path: options.directory.clone(),
            not_before: spoken(validity.not_before_ms),
            not_after: spoken(validity.not_after_ms),
            now: spoken(now_ms),
        });
    }
    match known {
        Some(known) if known != authority.pem() => return Err(other()),
        Some(_) => {}
        None => files::write(&public, authority.pem(), PUBLIC)?,
    }
    Ok(authority)
}

/// What is to be shown now; what has not changed since `old` is taken over from it.
fn show(
    options: &ServerTlsOptions,
    authority: &Authority,
    old: Option<&Shown>,
    now_ms: TimestampMs,
) -> Result<Shown, CertificateError> {
    let wanted = (options.names)();
    let versions = options.own.as_ref().map(versions).transpose()?;
    if let Some(old) = old
        && !is_due(old.validity, now_ms)
        && wanted.missing_in(&old.names).is_none()
        && old.versions == versions
    {
        return Ok(old.clone());
    }
    let (pair, validity, names) = server_pair(options, authority, &wanted, now_ms)?;
    let public = match &options.own {
        Some(own) if old.is_some_and(|old| old.versions == versions) => {
            tracing::debug!(certificate = %own.certificate.display(), "is as it was");
            old.map(|old| Arc::clone(&old.public)).map_or_else(|| public_of(own), Ok)?
        }
        Some(own) => public_of(own)?,
        None => Arc::new(public_config(pair.clone()).map_err(unfit)?),
    };
    let node_link = Arc::new(node_link_config(authority, pair).map_err(unfit)?);
    Ok(Shown { node_link, public, validity, names, versions })
}

fn public_of(own: &OwnCertificate) -> Result<Arc<ServerConfig>, CertificateError> {
    let config = public_config(read_own(own)?).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::OtherKey {
            certificate: own.certificate.clone(),
            key: own.key.clone(),
        },
        error => unfit(error),
    })?;
    Ok(Arc::new(config))
}

/// The own certificate: the one on disk as long as it will do.
fn server_pair(
    options: &ServerTlsOptions,
    authority: &Authority,
    wanted: &ServerNames,
    now_ms: TimestampMs,
) -> Result<(Pair, Validity, ServerNames), CertificateError> {
    let path = options.directory.join("server.pem");
    if let Some(text) = files::read(&path)? {
        match read_pair(&text).and_then(|pair| {
            let (validity, names) = look_at(&pair, authority)?;
            Ok((pair, validity, names))
        }) {
            Ok((pair, validity, names))
                if !is_due(validity, now_ms) && wanted.missing_in(&names).is_none() =>
            {
                return Ok((pair, validity, names));
            }
            Ok((_, validity, names)) => tracing::info!(
                event = "server_certificate_renewed",
                good_until = spoken(validity.not_after_ms),
                new_name = wanted.missing_in(&names),
                "the server's certificate is renewed"
            ),
            Err(error) => tracing::warn!(
                event = "server_certificate_unreadable",
                %error,
                "cannot read the server's certificate: it is made again"
            ),
        }
    }
    let made = authority.issue_server(wanted, now_ms)?;
    // On a full disk it is as good from memory: nothing but the next start needs the file.
    if let Err(error) = files::write(&path, &made, PRIVATE) {
        tracing::warn!(
            event = "server_certificate_not_written",
            %error,
            "cannot write the server's certificate: the next start makes another"
        );
    }
    let pair = read_pair(&made)?;
    let (validity, names) = look_at(&pair, authority)?;
    Ok((pair, validity, names))
}

fn look_at(
    pair: &Pair,
    authority: &Authority,
) -> Result<(Validity, ServerNames), CertificateError> {
    let what = "the server's certificate";
    if pair.chain.last() != Some(authority.certificate()) {
        return Err(CertificateError::malformed(what, "it is of another authority"));
    }
    let leaf =
        pair.chain.first().ok_or_else(|| CertificateError::malformed(what, "it is empty"))?;
    let parsed = facts::parse(leaf)?;
    Ok((facts::validity(&parsed), facts::server_names(&parsed)))
}

/// From two thirds of its life on, and before it has begun.
fn is_due(validity: Validity, now_ms: TimestampMs) -> bool {
    let life_ms = validity.not_after_ms.saturating_sub(validity.not_before_ms);
    let renew_at_ms = validity.not_before_ms.saturating_add(life_ms / 3 * 2);
    !(validity.not_before_ms..renew_at_ms).contains(&now_ms)
}

fn read_pair(text: &str) -> Result<Pair, CertificateError> {
    let malformed = |error| CertificateError::malformed("the server's certificate", error);
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(malformed)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed)?;
    Ok(Pair { chain, key })
}

fn read_own(own: &OwnCertificate) -> Result<Pair, CertificateError> {
    let absent = |path: &Path| CertificateError::File {
        what: "cannot read",
        path: path.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    };
    let certificate = files::read(&own.certificate)?.ok_or_else(|| absent(&own.certificate))?;
    let key = files::read(&own.key)?.ok_or_else(|| absent(&own.key))?;
    let malformed = |what| move |error| CertificateError::malformed(what, error);
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(malformed("the operator's certificate"))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(malformed("the operator's key"))?;
    Ok(Pair { chain, key })
}

fn versions(own: &OwnCertificate) -> Result<[FileVersion; 2], CertificateError> {
    let version = |path: &Path| {
        let look = |found: Metadata| {
            FileVersion(found.ino(), found.mtime(), found.mtime_nsec(), found.len())
        };
        std::fs::metadata(path).map(look).map_err(|source| CertificateError::File {
            what: "cannot read",
            path: path.to_owned(),
            source,
        })
    };
    Ok([version(&own.certificate)?, version(&own.key)?])
}

fn unfit(error: rustls::Error) -> CertificateError {
    CertificateError::malformed("the server's certificate", error)
}

fn public_config(pair: Pair) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(pair.chain, pair.key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// Both ends are ours: the newest version only, and each connection proves itself anew.
fn node_link_config(authority: &Authority, pair: Pair) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(NodeVerifier::new(authority.certificate())?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(pair.chain, pair.key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

impl Clone for Pair {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}
