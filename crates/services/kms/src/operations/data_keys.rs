//! Random bytes: data keys, which a key encrypts, and others.

use std::sync::Arc;

use outport_aws_kms as wire;
use outport_aws_kms::{
    GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextRequest,
    GenerateDataKeyWithoutPlaintextResponse, GenerateRandomRequest, GenerateRandomResponse,
};
use outport_aws_wire::Blob as Bytes;
use outport_identity::{Call, Question, Subject};
use outport_kms_keys::{EncryptionContext, Use, encrypt};
use outport_model::kms::KmsKey;
use outport_store::Tables;

use crate::look::Named;
use crate::operations::ciphers::{check_encrypts, stop_dry_run};
use crate::operations::grants::check_tokens;
use crate::rejection::Rejection;
use crate::{KmsService, context, random, view};

/// What both operations ask for.
struct Wanted {
    action: &'static str,
    operation: &'static str,
    key_id: Option<String>,
    context: Option<EncryptionContext>,
    key_spec: Option<wire::DataKeySpec>,
    number_of_bytes: Option<i32>,
    grant_tokens: Option<Vec<String>>,
    dry_run: Option<bool>,
}

/// A data key. It has no `Debug`, so that nobody prints it.
struct DataKey {
    key: Arc<KmsKey>,
    plaintext: Vec<u8>,
    blob: Vec<u8>,
}

impl Wanted {
    /// Source: API reference, GenerateDataKey: "You must specify either the KeySpec or the NumberOfBytes parameter (but not both)".
    fn bytes(&self) -> Result<usize, Rejection> {
        match (self.key_spec, self.number_of_bytes) {
            (Some(wire::DataKeySpec::Aes256), None) => Ok(32),
            (Some(wire::DataKeySpec::Aes128), None) => Ok(16),
            (None, Some(bytes)) => Ok(usize::try_from(bytes).unwrap_or(1)),
            _ => Err(Rejection::validation("Please specify either number of bytes or key spec.")),
        }
    }

    fn make(self, service: &KmsService, call: &Call) -> Result<DataKey, Rejection> {
        let bytes = self.bytes()?;
        let named = Named::parse(call, service.now(), self.key_id)?;
        let context = context::parse(self.context)?;
        check_tokens(self.grant_tokens.as_deref())?;
        let look = |tables: &Tables| {
            let wanted = Use::new(self.action).with_context(&context);
            named.look(tables, wanted).with("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
        };
        let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
        let key = named.there(found)?;
        check_encrypts(&key, self.operation)?;
        stop_dry_run(self.dry_run)?;
        let mut plaintext = vec![0; bytes];
        random::fill(&mut plaintext)?;
        let blob = encrypt(&service.keyring, &key, &context, &plaintext, random::bytes()?)?;
        Ok(DataKey { key, plaintext, blob })
    }
}

pub async fn generate_data_key(
    service: &KmsService,
    call: &Call,
    input: GenerateDataKeyRequest,
) -> Result<GenerateDataKeyResponse, Rejection> {
    if input.recipient.is_some() {
        return Err(Rejection::not_built("An answer for a Nitro enclave (Recipient)"));
    }
    let wanted = Wanted {
        action: "kms:GenerateDataKey",
        operation: "GenerateDataKey",
        key_id: input.key_id,
        context: input.encryption_context,
        key_spec: input.key_spec,
        number_of_bytes: input.number_of_bytes,
        grant_tokens: input.grant_tokens,
        dry_run: input.dry_run,
    };
    let DataKey { key, plaintext, blob } = wanted.make(service, call)?;
    Ok(GenerateDataKeyResponse {
        ciphertext_blob: Some(Bytes(blob)),
        plaintext: Some(Bytes(plaintext)),
        key_id: view::arn(&key),
        ciphertext_for_recipient: None,
        key_material_id: view::material_id(&key),
    })
}

pub async fn generate_data_key_without_plaintext(
    service: &KmsService,
    call: &Call,
    input: GenerateDataKeyWithoutPlaintextRequest,
) -> Result<GenerateDataKeyWithoutPlaintextResponse, Rejection> {
    let wanted = Wanted {
        action: "kms:GenerateDataKeyWithoutPlaintext",
        operation: "GenerateDataKeyWithoutPlaintext",
        key_id: input.key_id,
        context: input.encryption_context,
        key_spec: input.key_spec,
        number_of_bytes: input.number_of_bytes,
        grant_tokens: input.grant_tokens,
        dry_run: input.dry_run,
    };
    let DataKey { key, blob, .. } = wanted.make(service, call)?;
    Ok(GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: Some(Bytes(blob)),
        key_id: view::arn(&key),
        key_material_id: view::material_id(&key),
    })
}

/// Source of the text: the answer of GenerateRandom, as public test suites have recorded it.
pub async fn generate_random(
    service: &KmsService,
    call: &Call,
    input: GenerateRandomRequest,
) -> Result<GenerateRandomResponse, Rejection> {
    if input.recipient.is_some() {
        return Err(Rejection::not_built("An answer for a Nitro enclave (Recipient)"));
    }
    if input.custom_key_store_id.is_some() {
        return Err(Rejection::not_built("A custom key store (CustomKeyStoreId)"));
    }
    let bytes = input.number_of_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| Rejection::validation("NumberOfBytes is required."))?;
    let ask = |_: &Tables| Subject::from(Question::without_resource("kms:GenerateRandom"));
    service.store.read(call, ask)?;
    let mut plaintext = vec![0; bytes];
    random::fill(&mut plaintext)?;
    Ok(GenerateRandomResponse { plaintext: Some(Bytes(plaintext)), ciphertext_for_recipient: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_data_key_is_as_long_as_asked_for_and_opens() {
        let world = World::full().await;
        for (more, characters) in [
            (json!({"KeySpec": "AES_256"}), 44),
            (json!({"KeySpec": "AES_128"}), 24),
            (json!({"NumberOfBytes": 3}), 4),
        ] {
            let mut input = json!({"KeyId": "alias/shop", "EncryptionContext": {"a": "1"}});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let made = world.call("GenerateDataKey", input.clone()).await;
            assert_eq!(made["Plaintext"].as_str().unwrap().len(), characters, "{more}");
            let decrypt =
                json!({"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": {"a": "1"}});
            world.check("Decrypt", decrypt, json!({"Plaintext": made["Plaintext"]})).await;
            let hidden = world.call("GenerateDataKeyWithoutPlaintext", input).await;
            assert!(hidden["Plaintext"].is_null() && hidden["CiphertextBlob"].is_string());
        }
        let text = "Please specify either number of bytes or key spec.";
        for more in [json!({}), json!({"KeySpec": "AES_256", "NumberOfBytes": 3})] {
            let mut input = json!({"KeyId": "alias/shop"});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            world.refuses("GenerateDataKey", input, "ValidationException", text).await;
        }
        let random = world.call("GenerateRandom", json!({"NumberOfBytes": 3})).await;
        assert_eq!(random["Plaintext"].as_str().unwrap().len(), 4);
    }
}
