//! Who an access key stands for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use outport_identity::{
    AccessKeyId, Credential, CredentialSource, Principal, Sealer, SecretAccessKey, SessionToken,
    SignatureError,
};
use outport_keyring::Keyring;
use outport_model::Region;
use outport_model::iam::{AccessKey, AccessKeyStatus, User};
use outport_store::keys::UserKey;
use outport_store::{Fault, Store, Tables};

use crate::principal::Entity;
use crate::uses::Uses;

/// Finds credentials: the root key of the installation, the access keys of IAM, and sessions by their tokens.
pub struct StoredCredentials {
    root: Credential,
    store: Store,
    sealer: Arc<Sealer>,
    keyring: Arc<Keyring>,
    opened: Opened,
    uses: Uses,
}

/// Keys whose secrets are kept open; with more, all are forgotten and opened again as they are used.
const OPENED_MAX: usize = 10_000;

/// Secrets as they were opened, by the id of the key: to open one takes longer than to look at a request. Each with the sealed text that
/// it was opened from: a key with another text has another secret.
#[derive(Default)]
struct Opened(Mutex<HashMap<String, (String, SecretAccessKey)>>);

impl Opened {
    fn find(&self, key: &AccessKey) -> Option<SecretAccessKey> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sealed, secret) = opened.get(&key.id)?;
        (*sealed == key.sealed_secret).then(|| secret.clone())
    }

    fn keep(&self, key: &AccessKey, secret: &SecretAccessKey) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert(key.id.clone(), (key.sealed_secret.clone(), secret.clone()));
    }
}

/// For what place the secret of an access key is sealed.
pub fn secret_place(access_key_id: &str) -> String {
    format!("iam access key {access_key_id}")
}

impl StoredCredentials {
    /// `root` is the key of the installation's first account, which stands in no row.
    pub fn new(root: Credential, store: Store, sealer: Arc<Sealer>, keyring: Arc<Keyring>) -> Self {
        Self { root, store, sealer, keyring, opened: Opened::default(), uses: Uses::default() }
    }

    /// Writes down when keys and roles were last used.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn write_uses(&self) -> Result<(), Fault> {
        self.uses.write(&self.store).await
    }

    fn long_term(&self, tables: &Tables, id: &AccessKeyId) -> Option<Credential> {
        let key = tables.access_keys.get(&id.as_str().to_owned())?;
        if key.status != AccessKeyStatus::Active {
            return None;
        }
        let principal = match &key.user {
            None => Principal::root(key.account.clone()),
            Some(user) => user_principal(tables.users.get(&UserKey::new(&key.account, user))?),
        };
        let secret = self.secret(key)?;
        Some(Credential::long_term(id.clone(), secret, principal))
    }

    fn secret(&self, key: &AccessKey) -> Option<SecretAccessKey> {
        if let Some(secret) = self.opened.find(key) {
            return Some(secret);
        }
        let opened = self.keyring.open(&secret_place(&key.id), &key.sealed_secret);
        let bytes = opened.inspect_err(|error| {
            tracing::error!(
                event = "access_key_unreadable",
                access_key_id = key.id,
                %error,
                "the secret of an access key cannot be read: whoever holds it is turned away"
            );
        });
        let secret = SecretAccessKey::new(String::from_utf8(bytes.ok()?).ok()?);
        self.opened.keep(key, &secret);
        Some(secret)
    }
}

fn user_principal(user: &Arc<User>) -> Principal {
    Principal::User {
        account: user.account.clone(),
        path: user.path.clone(),
        name: user.name.clone(),
        id: user.id.clone(),
    }
}

impl CredentialSource for StoredCredentials {
    fn find(
        &self,
        access_key_id: &AccessKeyId,
        session_token: Option<&str>,
        now_ms: i64,
    ) -> Result<Credential, SignatureError> {
        let tables = self.store.snapshot();
        let Some(token) = session_token else {
            if *access_key_id == self.root.access_key_id {
                return Ok(self.root.clone());
            }
            return self.long_term(&tables, access_key_id).ok_or_else(|| access_key_id.unknown());
        };
        let credential = SessionToken::open(&self.sealer, token, access_key_id, now_ms)?;
        match Entity::find(&tables, &credential.principal) {
            // Sessions die with their role or user.
            Entity::Gone => Err(SignatureError::UnknownAccessKey),
            _ => Ok(credential),
        }
    }

    fn note_use(&self, credential: &Credential, service: &str, region: &Region, now_ms: i64) {
        self.uses.note(credential, service, region, now_ms);
    }
}
