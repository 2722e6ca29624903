//! Under which key a service keeps a value, and who may make it and read it.
//!
//! ```text
//! KeyId of a request, or none ──► Protection ── questions ──► permission ── key ──► Envelope::seal
//! data key of a row ──────────────────► Kept ── question ───► permission ── open ─► the value
//! ```

use std::sync::Arc;

use outport_identity::{Call, Question};
use outport_keyring::Keyring;
use outport_model::kms::{KmsKey, KmsKeyUsage};
use outport_model::{AccountId, NewIds, Now, Region, Scope};
use outport_store::{Tables, Transaction};

use crate::blob::{Blob, EncryptionContext};
use crate::cipher::{DecryptError, FreshMaterial};
use crate::envelope::Envelope;
use crate::managed::{alias_for, managed_key, new_managed_key};
use crate::question::Use;
use crate::reference::{Reference, Unreadable};
use crate::state::Unusable;

/// The key that new values are kept under.
#[derive(Clone, Debug)]
pub struct Protection {
    service: &'static str,
    /// Of what is kept.
    scope: Scope,
    reference: Reference,
    /// The service's own key, which is made when it is first needed.
    is_default: bool,
}

/// A value that is kept under a key.
pub struct Kept<'a> {
    pub service: &'static str,
    pub region: &'a Region,
    /// As [`Envelope`] has it.
    pub data_key: &'a str,
    pub context: &'a EncryptionContext,
}

/// Why a key protects nothing, or what it protects does not open. The texts are KMS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprotected {
    /// There is no such key.
    #[error("{0}")]
    NotFound(String),
    #[error("{}", .0.message())]
    Unusable(Unusable),
    /// It does not encrypt.
    #[error("{arn} key usage is {} which is not valid for GenerateDataKey.", .usage.as_str())]
    WrongUsage { arn: String, usage: KmsKeyUsage },
    #[error(transparent)]
    Decrypt(DecryptError),
}

impl Unprotected {
    /// The name of KMS's error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "NotFoundException",
            Self::Unusable(unusable) => unusable.code(),
            Self::WrongUsage { .. } => "InvalidKeyUsageException",
            Self::Decrypt(DecryptError::Invalid) => "InvalidCiphertextException",
            Self::Decrypt(DecryptError::Fault(_)) => "KMSInternalException",
        }
    }
}

impl Protection {
    /// `key_id`: what the request names; without one it is the service's own key.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn new(
        service: &'static str,
        scope: &Scope,
        key_id: Option<&str>,
    ) -> Result<Self, Unreadable> {
        let own = alias_for(service);
        let reference = Reference::parse(scope, key_id.unwrap_or(&own))?;
        let is_default = reference == Reference::Alias { scope: scope.clone(), name: own };
        Ok(Self { service, scope: scope.clone(), reference, is_default })
    }

    /// What is asked about the key before a value is made: each action. A service's own key that is not made yet is everyone's who may use
    /// the service in its account.
    pub fn questions(
        &self,
        tables: &Tables,
        now: &Now,
        call: &Call,
        actions: &[&'static str],
        context: &EncryptionContext,
    ) -> Vec<Question> {
        let found = self.reference.find(tables, now);
        if found.is_none() && self.is_default && *call.principal.account() == self.scope.account {
            return Vec::new();
        }
        let ask = |action: &'static str| {
            let wanted =
                Use::new(action).with_context(context).via(self.service).named(&self.reference);
            match &found {
                Some(key) => wanted.question(tables, call, key),
                None => wanted.question_of_absent(call, &self.reference),
            }
        };
        actions.iter().copied().map(ask).collect()
    }

    /// The key, if it can encrypt now. The service's own is made from `fresh`, if it is not there.
    ///
    /// # Errors
    /// [`Unprotected`].
    pub fn key(
        &self,
        tx: &mut Transaction<'_>,
        keyring: &Keyring,
        fresh: &FreshMaterial,
    ) -> Result<Arc<KmsKey>, Unprotected> {
        if self.is_default {
            return Ok(self.own_key(tx, keyring, fresh));
        }
        let found = self.reference.find(tx, &tx.now());
        let key = found.ok_or_else(|| Unprotected::NotFound(self.reference.not_found()))?;
        Unusable::check(&key).map_err(Unprotected::Unusable)?;
        if !key.spec.encrypts() {
            let (arn, usage) = (key.arn().into_string(), key.spec.usage());
            return Err(Unprotected::WrongUsage { arn, usage });
        }
        Ok(key)
    }

    fn own_key(
        &self,
        tx: &mut Transaction<'_>,
        keyring: &Keyring,
        fresh: &FreshMaterial,
    ) -> Arc<KmsKey> {
        if let Some(key) = managed_key(tx, &self.scope, self.service) {
            return Arc::clone(key);
        }
        let (id, now_ms) = (tx.uuid(), tx.now_ms());
        let (key, alias) = new_managed_key(keyring, &self.scope, self.service, id, fresh, now_ms);
        tx.put(alias);
        tx.put(key.clone());
        Arc::new(key)
    }
}

impl Kept<'_> {
    fn key(&self, tables: &Tables) -> Option<Arc<KmsKey>> {
        let reference = self.reference()?;
        let Reference::Key { scope, id } = &reference else { return None };
        let key = outport_store::keys::KmsKeyKey::new(scope, id.as_str());
        tables.kms_keys.get(&key).cloned()
    }

    fn reference(&self) -> Option<Reference> {
        let Blob { account, key_id, .. } = Envelope::blob(self.data_key)?;
        let scope = Scope::new(AccountId::new(account.as_str()), self.region.clone());
        Some(Reference::Key { scope, id: key_id })
    }

    /// What is asked before it is read; nothing about a key that is gone: it opens for nobody.
    pub fn question(&self, tables: &Tables, call: &Call, action: &'static str) -> Option<Question> {
        let key = self.key(tables)?;
        let wanted = Use::new(action).with_context(self.context).via(self.service);
        Some(wanted.question(tables, call, &key))
    }

    /// The value, which is sealed for `place`.
    ///
    /// # Errors
    /// [`Unprotected`].
    pub fn open(
        &self,
        tables: &Tables,
        keyring: &Keyring,
        place: &str,
        sealed: &str,
    ) -> Result<Vec<u8>, Unprotected> {
        let gone = || {
            let named = self.reference().map(|reference| reference.not_found());
            Unprotected::NotFound(named.unwrap_or_else(|| "The data key is damaged.".to_owned()))
        };
        let key = self.key(tables).ok_or_else(gone)?;
        Unusable::check(&key).map_err(Unprotected::Unusable)?;
        Envelope::open(keyring, &key, self.context, place, (self.data_key, sealed))
            .map_err(Unprotected::Decrypt)
    }
}
