//! The key pair with which a node signs what it says to the control plane.

use outport_model::NodeId;

use crate::sigv4::{SignatureStyle, Signer};
use crate::{AccessKeyId, SecretAccessKey};

/// The signing name of the node link.
pub const NODE_SERVICE: &str = "outport-node";

/// A node's secret: `HMAC-SHA256(join token, "outport-node:" + node id)` in hex.
///
/// Who holds the join token can be any node; who holds a node's secret can be that node only. The
/// derivation is a promise between versions: a node and its control plane are upgraded apart.
pub fn node_secret(join_token: &str, node: &NodeId) -> SecretAccessKey {
    let message = format!("{NODE_SERVICE}:{node}");
    let secret = crate::sigv4::hmac_sha256(join_token.as_bytes(), message.as_bytes());
    SecretAccessKey::new(hex::encode(secret))
}

/// The signer of a node: its access key id is its node id.
pub fn node_signer(join_token: &str, node: &NodeId, region: &str) -> Signer {
    Signer {
        access_key_id: AccessKeyId::new(node.as_str()),
        secret_access_key: node_secret(join_token, node),
        session_token: None,
        region: region.to_owned(),
        service: NODE_SERVICE.to_owned(),
        style: SignatureStyle::STANDARD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivation_does_not_change() {
        let secret = node_secret("join", &NodeId::new("0123"));
        // printf 'outport-node:0123' | openssl dgst -sha256 -hmac join
        assert_eq!(
            secret.expose(),
            "5e443c5ec6716d6f26bc76519542c4480462b1bd41bd7e3f2d3b30e82d16ee08"
        );
    }

    #[test]
    fn nodes_have_different_secrets() {
        let secrets = [("a", "b"), ("a", "c"), ("d", "b")]
            .map(|(token, node)| node_secret(token, &NodeId::new(node)).expose().to_owned());
        assert_ne!(secrets[0], secrets[1]);
        assert_ne!(secrets[0], secrets[2]);
    }
}
