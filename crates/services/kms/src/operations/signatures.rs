//! Signatures, and the public keys that verify them elsewhere.

use std::sync::Arc;

use outport_aws_kms as wire;
use outport_aws_kms::{
    GetPublicKeyRequest, GetPublicKeyResponse, SignRequest, SignResponse, VerifyRequest,
    VerifyResponse,
};
use outport_aws_wire::Blob as Bytes;
use outport_identity::Call;
use outport_kms_keys::{Unusable, Use, is_signature, public_key, sign as signed, signed_digest};
use outport_model::kms::{KmsKey, KmsKeyUsage};
use outport_store::Tables;

use crate::look::Named;
use crate::operations::ciphers::{stop_dry_run, wrong_usage};
use crate::operations::grants::check_tokens;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, view};

/// The public key of a pair: for whoever may ask for it, in a state in which it signs.
///
/// Source: API reference, GetPublicKey, whose errors have `DisabledException`, `KMSInvalidStateException` and, for a key that is no pair,
/// `UnsupportedOperationException`; the text of that is ours.
pub async fn get_public_key(
    service: &KmsService,
    call: &Call,
    input: GetPublicKeyRequest,
) -> Result<GetPublicKeyResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let named = Named::parse(call, service.now(), input.key_id)?;
    let look = |tables: &Tables| named.look(tables, Use::new("kms:GetPublicKey"));
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    if key.spec.usage() != KmsKeyUsage::SignVerify {
        let (arn, spec) = (key.arn(), key.spec.as_str());
        let text = format!("{arn} key spec is {spec} which is not valid for GetPublicKey.");
        return Err(Rejection::unsupported(text));
    }
    Unusable::check(&key)?;
    let spec = view::spec(key.spec);
    Ok(GetPublicKeyResponse {
        key_id: view::arn(&key),
        public_key: Some(Bytes(public_key(&service.keyring, &key)?)),
        customer_master_key_spec: wire::CustomerMasterKeySpec::from_name(spec.as_str()),
        key_spec: Some(spec),
        key_usage: Some(view::usage(key.spec)),
        signing_algorithms: view::signing_algorithms(key.spec),
        ..GetPublicKeyResponse::default()
    })
}

/// What both other operations are told of a message.
struct Asked {
    action: &'static str,
    operation: &'static str,
    key_id: Option<String>,
    algorithm: Option<wire::SigningAlgorithmSpec>,
    message: Option<Bytes>,
    message_type: Option<wire::MessageType>,
}

impl Asked {
    /// The key, if the caller may do this with it and it can, and the digest that is signed.
    ///
    /// Source of the condition keys: Service Authorization Reference, AWS KMS, Sign. That a request without MessageType is asked about as
    /// `RAW`, which it means, is a guess.
    fn look(self, service: &KmsService, call: &Call) -> Result<(Arc<KmsKey>, Vec<u8>), Rejection> {
        let named = Named::parse(call, service.now(), self.key_id)?;
        let name = self.algorithm.map_or("", wire::SigningAlgorithmSpec::as_str);
        let message_type = self.message_type.unwrap_or(wire::MessageType::Raw);
        let look = |tables: &Tables| {
            named
                .look(tables, Use::new(self.action))
                .with("kms:SigningAlgorithm", name)
                .with("kms:MessageType", message_type.as_str())
        };
        let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
        let key = named.there(found)?;
        if key.spec.usage() != KmsKeyUsage::SignVerify {
            return Err(wrong_usage(&key, self.operation));
        }
        if self.algorithm != view::signing_algorithm(key.spec) {
            let spec = key.spec.as_str();
            let text = format!("Algorithm {name} is incompatible with key spec {spec}.");
            return Err(Rejection::new(Reason::InvalidKeyUsage, text));
        }
        Unusable::check(&key)?;
        let Bytes(message) = self.message.unwrap_or_default();
        let digest = digest(&key, name, message_type, message)?;
        Ok((key, digest))
    }
}

/// Source of the text about a length: answers of Sign, as public test suites have recorded them; of that about a type: the same, for keys of
/// another spec.
fn digest(
    key: &KmsKey,
    algorithm: &str,
    message_type: wire::MessageType,
    message: Vec<u8>,
) -> Result<Vec<u8>, Rejection> {
    let of_message = signed_digest(key.spec, &message).unwrap_or_default();
    match message_type {
        wire::MessageType::Raw => Ok(of_message),
        wire::MessageType::Digest if message.len() == of_message.len() => Ok(message),
        wire::MessageType::Digest => Err(Rejection::validation(format!(
            "Digest is invalid length for algorithm {algorithm}."
        ))),
        other => Err(Rejection::validation(format!(
            "Message type {} is incompatible with key spec {}.",
            other.as_str(),
            key.spec.as_str()
        ))),
    }
}

pub async fn sign(
    service: &KmsService,
    call: &Call,
    input: SignRequest,
) -> Result<SignResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let asked = Asked {
        action: "kms:Sign",
        operation: "Sign",
        key_id: input.key_id,
        algorithm: input.signing_algorithm,
        message: input.message,
        message_type: input.message_type,
    };
    let (key, digest) = asked.look(service, call)?;
    stop_dry_run(input.dry_run)?;
    Ok(SignResponse {
        key_id: view::arn(&key),
        signature: Some(Bytes(signed(&service.keyring, &key, &digest)?)),
        signing_algorithm: input.signing_algorithm,
    })
}

/// A signature that is not the key's is an error. Source: API reference, Verify; its empty text: answers of Verify, as public test suites
/// have recorded them.
pub async fn verify(
    service: &KmsService,
    call: &Call,
    input: VerifyRequest,
) -> Result<VerifyResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let asked = Asked {
        action: "kms:Verify",
        operation: "Verify",
        key_id: input.key_id,
        algorithm: input.signing_algorithm,
        message: input.message,
        message_type: input.message_type,
    };
    let (key, digest) = asked.look(service, call)?;
    let Bytes(signature) = input.signature.unwrap_or_default();
    if !is_signature(&service.keyring, &key, &digest, &signature)? {
        return Err(Rejection::new(Reason::InvalidSignature, ""));
    }
    stop_dry_run(input.dry_run)?;
    Ok(VerifyResponse {
        key_id: view::arn(&key),
        signature_valid: Some(true),
        signing_algorithm: input.signing_algorithm,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use outport_identity::testing::WatchedPermissions;
    use outport_kms_keys::signed_digest;
    use outport_model::kms::KmsKeySpec;
    use serde_json::{Value, json};

    use crate::testing::World;

    const SIGNING: [(&str, &str, KmsKeySpec); 4] = [
        ("ECC_NIST_P256", "ECDSA_SHA_256", KmsKeySpec::EccNistP256),
        ("ECC_NIST_P384", "ECDSA_SHA_384", KmsKeySpec::EccNistP384),
        ("ECC_NIST_P521", "ECDSA_SHA_512", KmsKeySpec::EccNistP521),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256", KmsKeySpec::EccSecgP256k1),
    ];
    const MESSAGE: &str = "c2VjcmV0";

    fn with(input: &Value, more: Value) -> Value {
        let mut input = input.clone();
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        input
    }

    #[tokio::test]
    async fn a_signature_is_verified_by_the_key_and_by_whoever_has_its_public_one() {
        let world = World::new();
        for (spec, algorithm, row) in SIGNING {
            let made =
                world.call("CreateKey", json!({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"})).await;
            let shown = &made["KeyMetadata"];
            for (member, expected) in [
                ("KeySpec", json!(spec)),
                ("CustomerMasterKeySpec", json!(spec)),
                ("KeyUsage", json!("SIGN_VERIFY")),
                ("SigningAlgorithms", json!([algorithm])),
                ("EncryptionAlgorithms", Value::Null),
                ("MacAlgorithms", Value::Null),
                ("CurrentKeyMaterialId", Value::Null),
            ] {
                assert_eq!(shown[member], expected, "{member} of {spec}");
            }
            let (id, arn) = (&shown["KeyId"], &shown["Arn"]);
            let public = json!({
                "KeyId": arn, "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": "SIGN_VERIFY",
                "SigningAlgorithms": [algorithm],
            });
            world.check("GetPublicKey", json!({"KeyId": id}), public).await;

            let raw = json!({"KeyId": id, "Message": MESSAGE, "SigningAlgorithm": algorithm});
            let signed = world.call("Sign", raw.clone()).await;
            assert_eq!((&signed["KeyId"], &signed["SigningAlgorithm"]), (arn, &json!(algorithm)));
            let digest = STANDARD.encode(signed_digest(row, b"secret").unwrap());
            let digested = with(&raw, json!({"Message": digest, "MessageType": "DIGEST"}));
            let signature = json!({"Signature": signed["Signature"]});
            let valid =
                json!({"KeyId": arn, "SignatureValid": true, "SigningAlgorithm": algorithm});
            for input in [&raw, &with(&raw, json!({"MessageType": "RAW"})), &digested] {
                world.check("Sign", input.clone(), signature.clone()).await;
                world.check("Verify", with(input, signature.clone()), valid.clone()).await;
            }
            for wrong in [
                with(&raw, json!({"Message": digest, "Signature": signed["Signature"]})),
                with(&raw, json!({"Message": "b3RoZXI=", "Signature": signed["Signature"]})),
                with(&raw, json!({"Signature": MESSAGE})),
            ] {
                world.refuses("Verify", wrong, "KMSInvalidSignatureException", "").await;
            }
            let text = format!("Digest is invalid length for algorithm {algorithm}.");
            for operation in ["Sign", "Verify"] {
                let short = with(&digested, with(&signature, json!({"Message": MESSAGE})));
                world.refuses(operation, short, "ValidationException", &text).await;
                let text =
                    format!("Message type EXTERNAL_MU is incompatible with key spec {spec}.");
                let other = with(&raw, with(&signature, json!({"MessageType": "EXTERNAL_MU"})));
                world.refuses(operation, other, "ValidationException", &text).await;
            }
        }
    }

    #[tokio::test]
    async fn a_key_does_what_it_is_for() {
        let world = World::full().await;
        let (id, arn) = world.key("signer").await;
        let sign = json!({"KeyId": id, "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_384"});
        let text = "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256.";
        world.refuses("Sign", sign.clone(), "InvalidKeyUsageException", text).await;
        for (operation, input) in [
            ("Encrypt", json!({"KeyId": id, "Plaintext": MESSAGE})),
            ("GenerateDataKey", json!({"KeyId": id, "KeySpec": "AES_256"})),
            (
                "GenerateMac",
                json!({"KeyId": id, "Message": MESSAGE, "MacAlgorithm": "HMAC_SHA_256"}),
            ),
        ] {
            let text =
                format!("{arn} key usage is SIGN_VERIFY which is not valid for {operation}.");
            world.refuses(operation, input, "InvalidKeyUsageException", &text).await;
        }
        let text = format!("{arn} key usage is SIGN_VERIFY which does not support rotation.");
        for operation in ["EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"] {
            let input = json!({"KeyId": id});
            world.refuses(operation, input, "UnsupportedOperationException", &text).await;
        }
        let status = json!({"KeyRotationEnabled": false});
        world.check("GetKeyRotationStatus", json!({"KeyId": id}), status).await;
        for (name, usage, spec) in [
            ("shop", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"),
            ("codes", "GENERATE_VERIFY_MAC", "HMAC_256"),
        ] {
            let (other, arn) = world.key(name).await;
            let text = format!("{arn} key usage is {usage} which is not valid for Sign.");
            let input = with(&sign, json!({"KeyId": other}));
            world.refuses("Sign", input, "InvalidKeyUsageException", &text).await;
            let text = format!("{arn} key spec is {spec} which is not valid for GetPublicKey.");
            let input = json!({"KeyId": other});
            world.refuses("GetPublicKey", input, "UnsupportedOperationException", &text).await;
        }
    }

    #[tokio::test]
    async fn a_key_that_is_off_or_going_does_nothing() {
        let world = World::full().await;
        let (id, arn) = world.key("signer").await;
        let sign = json!({
            "KeyId": id, "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256",
            "Signature": world.names["signature"],
        });
        let all = async |exception: &str, text: &str| {
            for operation in ["Sign", "Verify", "GetPublicKey"] {
                world.refuses(operation, sign.clone(), exception, text).await;
            }
        };
        world.call("DisableKey", json!({"KeyId": id})).await;
        all("DisabledException", &format!("{arn} is disabled.")).await;
        world.call("ScheduleKeyDeletion", json!({"KeyId": id})).await;
        all("KMSInvalidStateException", &format!("{arn} is pending deletion.")).await;
    }

    #[tokio::test]
    async fn a_dry_run_signs_nothing_and_says_what_is_wrong() {
        let world = World::full().await;
        let input = json!({
            "KeyId": "alias/signer", "Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256", "DryRun": true,
            "Signature": world.names["signature"],
        });
        let text = "The request would have succeeded, but the DryRun option is set.";
        for operation in ["Sign", "Verify"] {
            world.refuses(operation, input.clone(), "DryRunOperationException", text).await;
        }
        let wrong = with(&input, json!({"Message": "b3RoZXI="}));
        world.refuses("Verify", wrong, "KMSInvalidSignatureException", "").await;
    }

    #[tokio::test]
    async fn a_message_has_4096_bytes_at_most() {
        let world = World::full().await;
        let input = |bytes: usize| {
            let message = STANDARD.encode(vec![7; bytes]);
            json!({"KeyId": "alias/signer", "Message": message, "SigningAlgorithm": "ECDSA_SHA_256"})
        };
        world.call("Sign", input(4096)).await;
        let text = "1 validation error detected: Value '[bytes]' at 'message' failed to satisfy constraint: Member must have length less than \
                    or equal to 4096";
        world.refuses("Sign", input(4097), "ValidationException", text).await;
    }

    #[tokio::test]
    async fn algorithm_and_message_type_are_asked_about() {
        let mut world = World::full().await;
        let permissions = WatchedPermissions::new(|_| true);
        world.ask(permissions.clone());
        let digest = STANDARD.encode([7; 32]);
        let input = |message: &str| json!({"KeyId": "alias/signer", "Message": message, "SigningAlgorithm": "ECDSA_SHA_256"});
        world.call("Sign", input(MESSAGE)).await;
        world.call("Sign", with(&input(&digest), json!({"MessageType": "DIGEST"}))).await;
        let asked = permissions.asked();
        let of = |at: usize, key: &str| asked[at].context.get(key).cloned();
        for (at, message_type) in [(0, "RAW"), (1, "DIGEST")] {
            assert_eq!(of(at, "kms:MessageType"), Some(message_type.into()));
            assert_eq!(of(at, "kms:SigningAlgorithm"), Some("ECDSA_SHA_256".into()));
            assert_eq!(of(at, "kms:KeyUsage"), Some("SIGN_VERIFY".into()));
            assert_eq!(of(at, "kms:KeySpec"), Some("ECC_NIST_P256".into()));
        }
    }
}
