//! Message authentication codes.

use std::sync::Arc;

use outport_aws_kms as wire;
use outport_aws_kms::{
    GenerateMacRequest, GenerateMacResponse, VerifyMacRequest, VerifyMacResponse,
};
use outport_aws_wire::Blob as Bytes;
use outport_identity::Call;
use outport_kms_keys::{Unusable, Use, is_mac, mac};
use outport_model::kms::KmsKey;
use outport_store::Tables;

use crate::look::Named;
use crate::operations::ciphers::{stop_dry_run, wrong_usage};
use crate::operations::grants::check_tokens;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, view};

/// The key, if the caller may do `action` with it, and it can.
fn key(
    service: &KmsService,
    call: &Call,
    (action, operation): (&'static str, &str),
    key_id: Option<String>,
    algorithm: Option<wire::MacAlgorithmSpec>,
) -> Result<Arc<KmsKey>, Rejection> {
    let named = Named::parse(call, service.now(), key_id)?;
    let name = algorithm.map_or("", wire::MacAlgorithmSpec::as_str);
    let look =
        |tables: &Tables| named.look(tables, Use::new(action)).with("kms:MacAlgorithm", name);
    let (_, found) = service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    let Some(own) = view::mac_algorithm(key.spec) else { return Err(wrong_usage(&key, operation)) };
    if algorithm != Some(own) {
        let spec = view::spec(key.spec).as_str();
        let text = format!("Algorithm {name} is incompatible with key spec {spec}.");
        return Err(Rejection::new(Reason::InvalidKeyUsage, text));
    }
    Unusable::check(&key)?;
    Ok(key)
}

pub async fn generate_mac(
    service: &KmsService,
    call: &Call,
    input: GenerateMacRequest,
) -> Result<GenerateMacResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let asked = ("kms:GenerateMac", "GenerateMac");
    let key = key(service, call, asked, input.key_id, input.mac_algorithm)?;
    stop_dry_run(input.dry_run)?;
    let Bytes(message) = input.message.unwrap_or_default();
    Ok(GenerateMacResponse {
        mac: Some(Bytes(mac(&service.keyring, &key, &message)?)),
        mac_algorithm: input.mac_algorithm,
        key_id: view::arn(&key),
    })
}

pub async fn verify_mac(
    service: &KmsService,
    call: &Call,
    input: VerifyMacRequest,
) -> Result<VerifyMacResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let asked = ("kms:VerifyMac", "VerifyMac");
    let key = key(service, call, asked, input.key_id, input.mac_algorithm)?;
    let (Bytes(message), Bytes(code)) =
        (input.message.unwrap_or_default(), input.mac.unwrap_or_default());
    if !is_mac(&service.keyring, &key, &message, &code)? {
        return Err(Rejection::new(Reason::InvalidMac, ""));
    }
    stop_dry_run(input.dry_run)?;
    Ok(VerifyMacResponse {
        key_id: view::arn(&key),
        mac_valid: Some(true),
        mac_algorithm: input.mac_algorithm,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::World;

    #[tokio::test]
    async fn a_code_is_good_for_its_message_and_key_only() {
        let world = World::full().await;
        let (_, arn) = world.key("codes").await;
        let made =
            json!({"KeyId": "alias/codes", "Message": "c2VjcmV0", "MacAlgorithm": "HMAC_SHA_256"});
        let made = world.call("GenerateMac", made).await;
        assert_eq!((&made["KeyId"], made["Mac"].as_str().unwrap().len()), (&json!(arn), 44));
        let verify = |message: &str, algorithm: &str, key: &str| json!({"KeyId": key, "Message": message, "MacAlgorithm": algorithm, "Mac": made["Mac"]});
        let good = verify("c2VjcmV0", "HMAC_SHA_256", "alias/codes");
        world.check("VerifyMac", good, json!({"MacValid": true})).await;
        let other = verify("b3RoZXI=", "HMAC_SHA_256", "alias/codes");
        world.refuses("VerifyMac", other, "KMSInvalidMacException", "").await;
        let text = "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256.";
        let longer = verify("c2VjcmV0", "HMAC_SHA_512", "alias/codes");
        world.refuses("VerifyMac", longer, "InvalidKeyUsageException", text).await;
        let (_, shop) = world.key("shop").await;
        let text = format!("{shop} key usage is ENCRYPT_DECRYPT which is not valid for VerifyMac.");
        let wrong = verify("c2VjcmV0", "HMAC_SHA_256", "alias/shop");
        world.refuses("VerifyMac", wrong, "InvalidKeyUsageException", &text).await;
        let text =
            format!("{arn} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.");
        let encrypt = json!({"KeyId": "alias/codes", "Plaintext": "c2VjcmV0"});
        world.refuses("Encrypt", encrypt, "InvalidKeyUsageException", &text).await;
    }
}
