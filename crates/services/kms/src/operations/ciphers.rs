//! What keys are for: encrypt, decrypt, and both at once.

use std::sync::Arc;

use outport_aws_kms as wire;
use outport_aws_kms::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, ReEncryptRequest,
    ReEncryptResponse,
};
use outport_aws_wire::Blob as Bytes;
use outport_identity::{Call, Subject};
use outport_kms_keys::{
    Blob, EncryptionContext, Reference, Unusable, Use, decrypt as open, encrypt as seal,
};
use outport_model::kms::KmsKey;
use outport_model::{AccountId, Scope};
use outport_store::{Row, Tables};

use crate::look::Named;
use crate::operations::grants::check_tokens;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, context, random, view};

/// The only algorithm that there is: no pair of keys encrypts.
const ALGORITHM: wire::EncryptionAlgorithmSpec = wire::EncryptionAlgorithmSpec::SymmetricDefault;

/// Refuses a key that cannot do this now. `operation`: as the text names it.
///
/// Source of the texts: answers of KMS, as public test suites have recorded them.
///
/// # Errors
/// `DisabledException`, `KMSInvalidStateException`, `InvalidKeyUsageException`.
pub fn check_encrypts(key: &KmsKey, operation: &str) -> Result<(), Rejection> {
    if !key.spec.encrypts() {
        return Err(wrong_usage(key, operation));
    }
    Ok(Unusable::check(key)?)
}

pub fn wrong_usage(key: &KmsKey, operation: &str) -> Rejection {
    let (arn, usage) = (key.arn(), key.spec.usage().as_str());
    let text = format!("{arn} key usage is {usage} which is not valid for {operation}.");
    Rejection::new(Reason::InvalidKeyUsage, text)
}

/// Ends a request that only asks whether it would succeed. Source of the text: the API reference's `DryRunOperationException`.
///
/// # Errors
/// `DryRunOperationException`.
pub fn stop_dry_run(dry_run: Option<bool>) -> Result<(), Rejection> {
    if dry_run == Some(true) {
        let text = "The request would have succeeded, but the DryRun option is set.";
        return Err(Rejection::new(Reason::DryRun, text));
    }
    Ok(())
}

/// The algorithm of a request is that of a symmetric key.
fn check_algorithm(given: Option<wire::EncryptionAlgorithmSpec>) -> Result<(), Rejection> {
    match given {
        None | Some(ALGORITHM) => Ok(()),
        Some(other) => Err(Rejection::new(
            Reason::InvalidKeyUsage,
            format!(
                "Algorithm {} is incompatible with key spec SYMMETRIC_DEFAULT.",
                other.as_str()
            ),
        )),
    }
}

fn check_modifiers(given: Option<&Vec<wire::DryRunModifierType>>) -> Result<(), Rejection> {
    match given.is_some_and(|modifiers| !modifiers.is_empty()) {
        true => Err(Rejection::not_built("A dry run without a ciphertext (DryRunModifiers)")),
        false => Ok(()),
    }
}

pub async fn encrypt(
    service: &KmsService,
    call: &Call,
    input: EncryptRequest,
) -> Result<EncryptResponse, Rejection> {
    let named = Named::parse(call, service.now(), input.key_id)?;
    let context = context::parse(input.encryption_context)?;
    check_algorithm(input.encryption_algorithm)?;
    check_tokens(input.grant_tokens.as_deref())?;
    let look = |tables: &Tables| {
        let wanted = Use::new("kms:Encrypt").with_context(&context);
        named.look(tables, wanted).with("kms:EncryptionAlgorithm", ALGORITHM.as_str())
    };
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    check_encrypts(&key, "Encrypt")?;
    stop_dry_run(input.dry_run)?;
    let Bytes(plaintext) = input.plaintext.unwrap_or_default();
    let blob = seal(&service.keyring, &key, &context, &plaintext, random::bytes()?)?;
    Ok(EncryptResponse {
        ciphertext_blob: Some(Bytes(blob)),
        key_id: view::arn(&key),
        encryption_algorithm: Some(ALGORITHM),
    })
}

/// A ciphertext on its way in, with the key that it names, and the one that the request names.
struct Sealed<'a> {
    blob: Blob,
    context: &'a EncryptionContext,
    /// The key of the blob.
    key: Named<'a>,
    /// `None`: the request names none.
    named: Option<Named<'a>>,
}

/// The key of a ciphertext, and the one that the request names, as far as they are there.
type Keys = (Option<Arc<KmsKey>>, Option<Arc<KmsKey>>);

impl<'a> Sealed<'a> {
    fn parse(
        service: &KmsService,
        call: &'a Call,
        bytes: Option<Bytes>,
        key_id: Option<String>,
        context: &'a EncryptionContext,
    ) -> Result<Self, Rejection> {
        let Bytes(bytes) = bytes.unwrap_or_default();
        let blob = Blob::read(&bytes).ok_or_else(Rejection::invalid_ciphertext)?;
        let now = service.now();
        let named = key_id.map(|id| Named::parse(call, now, Some(id))).transpose()?;
        let scope = Scope::new(AccountId::new(blob.account.as_str()), call.region.clone());
        let reference = Reference::Key { scope, id: blob.key_id.clone() };
        let key = Named::parse(call, now, Some(reference.arn().into_string()))?;
        Ok(Self { blob, context, key, named })
    }

    /// Asked about is the key that the request names, if it names one.
    fn look(&self, tables: &Tables, action: &'static str) -> Subject<Keys> {
        let wanted = Use::new(action).with_context(self.context);
        let subject = match &self.named {
            Some(named) => named.look(tables, wanted).map(|found| (self.key.find(tables), found)),
            None => self.key.look(tables, wanted).map(|found| (found.clone(), found)),
        };
        subject.with("kms:EncryptionAlgorithm", ALGORITHM.as_str())
    }

    fn denied(&self, refused: Rejection) -> Rejection {
        match &self.named {
            Some(named) => named.denied(refused),
            None => refused.about_ciphertext(),
        }
    }

    /// The key, if it is the one that the request names and can be used.
    fn key(&self, (of_blob, named): Keys, operation: &str) -> Result<Arc<KmsKey>, Rejection> {
        let key = match &self.named {
            Some(by) => by.there(named)?,
            None => named.ok_or_else(Rejection::ciphertext_of_nobody)?,
        };
        if of_blob.as_ref().is_none_or(|of| (&of.scope, &of.id) != (&key.scope, &key.id)) {
            let text = "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(Rejection::new(Reason::IncorrectKey, text));
        }
        check_encrypts(&key, operation)?;
        Ok(key)
    }
}

pub async fn decrypt(
    service: &KmsService,
    call: &Call,
    input: DecryptRequest,
) -> Result<DecryptResponse, Rejection> {
    if input.recipient.is_some() {
        return Err(Rejection::not_built("An answer for a Nitro enclave (Recipient)"));
    }
    check_modifiers(input.dry_run_modifiers.as_ref())?;
    check_algorithm(input.encryption_algorithm)?;
    check_tokens(input.grant_tokens.as_deref())?;
    let context = context::parse(input.encryption_context)?;
    let sealed = Sealed::parse(service, call, input.ciphertext_blob, input.key_id, &context)?;
    let look = |tables: &Tables| sealed.look(tables, "kms:Decrypt");
    let (_, keys) = service.store.read(call, look).map_err(|refused| sealed.denied(refused))?;
    let key = sealed.key(keys, "Decrypt")?;
    let plaintext = open(&service.keyring, &key, &context, &sealed.blob)?;
    stop_dry_run(input.dry_run)?;
    Ok(DecryptResponse {
        key_id: view::arn(&key),
        plaintext: Some(Bytes(plaintext)),
        encryption_algorithm: Some(ALGORITHM),
        ciphertext_for_recipient: None,
        key_material_id: Some(sealed.blob.material_id),
    })
}

/// What is decrypted does not leave.
pub async fn re_encrypt(
    service: &KmsService,
    call: &Call,
    input: ReEncryptRequest,
) -> Result<ReEncryptResponse, Rejection> {
    check_modifiers(input.dry_run_modifiers.as_ref())?;
    check_algorithm(input.source_encryption_algorithm)?;
    check_algorithm(input.destination_encryption_algorithm)?;
    check_tokens(input.grant_tokens.as_deref())?;
    let from = context::parse(input.source_encryption_context)?;
    let to = context::parse(input.destination_encryption_context)?;
    let destination = Named::parse(call, service.now(), input.destination_key_id)?;
    let sealed = Sealed::parse(service, call, input.ciphertext_blob, input.source_key_id, &from)?;
    let is_same = |tables: &Tables| {
        let row = |named: &Named<'_>| named.find(tables).map(|key| key.key());
        row(&sealed.key) == row(&destination)
    };
    let look_at_source = |tables: &Tables| {
        sealed.look(tables, "kms:ReEncryptFrom").with("kms:ReEncryptOnSameKey", is_same(tables))
    };
    let (_, keys) =
        service.store.read(call, look_at_source).map_err(|refused| sealed.denied(refused))?;
    let look = |tables: &Tables| {
        let wanted = Use::new("kms:ReEncryptTo").with_context(&to);
        destination
            .look(tables, wanted)
            .with("kms:EncryptionAlgorithm", ALGORITHM.as_str())
            .with("kms:ReEncryptOnSameKey", is_same(tables))
    };
    let (_, found) =
        service.store.read(call, look).map_err(|refused| destination.denied(refused))?;
    let source = sealed.key(keys, "ReEncrypt")?;
    let key = destination.there(found)?;
    check_encrypts(&key, "ReEncrypt")?;
    let plaintext = open(&service.keyring, &source, &from, &sealed.blob)?;
    stop_dry_run(input.dry_run)?;
    let blob = seal(&service.keyring, &key, &to, &plaintext, random::bytes()?)?;
    Ok(ReEncryptResponse {
        ciphertext_blob: Some(Bytes(blob)),
        source_key_id: view::arn(&source),
        key_id: view::arn(&key),
        source_encryption_algorithm: Some(ALGORITHM),
        destination_encryption_algorithm: Some(ALGORITHM),
        source_key_material_id: Some(sealed.blob.material_id),
        destination_key_material_id: view::material_id(&key),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn what_is_encrypted_is_decrypted_with_the_same_context() {
        let world = World::full().await;
        let (id, arn) = world.key("shop").await;
        for key in
            [id.as_str(), &arn, "alias/shop", "arn:aws:kms:us-east-1:000000000000:alias/shop"]
        {
            let encrypt =
                json!({"KeyId": key, "Plaintext": "c2VjcmV0", "EncryptionContext": {"a": "1"}});
            let sealed = world.call("Encrypt", encrypt).await;
            assert_eq!(
                (&sealed["KeyId"], &sealed["EncryptionAlgorithm"]),
                (&json!(arn), &json!("SYMMETRIC_DEFAULT"))
            );
            let decrypt = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": {"a": "1"}});
            let expected = json!({"Plaintext": "c2VjcmV0", "KeyId": arn});
            world.check("Decrypt", decrypt, expected).await;
            for context in [json!({}), json!({"a": "2"}), json!({"a": "1", "b": ""})] {
                let decrypt = json!({"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context});
                world.refuses("Decrypt", decrypt, "InvalidCiphertextException", "").await;
            }
        }
    }

    #[tokio::test]
    async fn the_key_that_is_named_has_to_be_the_right_one() {
        let world = World::full().await;
        let sealed = world.encrypt("alias/shop", "secret").await;
        let other = json!({"CiphertextBlob": sealed, "KeyId": "alias/other"});
        let text =
            "The key ID in the request does not identify a CMK that can perform this operation.";
        world.refuses("Decrypt", other, "IncorrectKeyException", text).await;
        world
            .refuses("Decrypt", json!({"CiphertextBlob": "AAAA"}), "InvalidCiphertextException", "")
            .await;
        let named = json!({"CiphertextBlob": sealed, "KeyId": "alias/shop", "DryRun": true});
        let text = "The request would have succeeded, but the DryRun option is set.";
        world.refuses("Decrypt", named, "DryRunOperationException", text).await;
    }

    #[tokio::test]
    async fn a_ciphertext_moves_to_another_key() {
        let world = World::full().await;
        let (_, arn) = world.key("other").await;
        let sealed = world.encrypt("alias/shop", "secret").await;
        let moved = json!({
            "CiphertextBlob": sealed, "DestinationKeyId": "alias/other",
            "DestinationEncryptionContext": {"a": "1"}
        });
        let moved = world.call("ReEncrypt", moved).await;
        assert_eq!(moved["KeyId"], arn.as_str());
        let decrypt =
            json!({"CiphertextBlob": moved["CiphertextBlob"], "EncryptionContext": {"a": "1"}});
        let opened = world.call("Decrypt", decrypt).await;
        assert_eq!(World::text_of(&opened["Plaintext"]), "secret");
        assert_eq!(opened["KeyId"], arn.as_str());
    }
}
