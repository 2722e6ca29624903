//! No operation of any service, built or not, is reached by who has not proven a key.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outport_aws_wire::{Protocol, ServiceModel};
use outport_front_door::FrontDoor;
use outport_identity::{AccessKeyId, SecretAccessKey};
use outport_model::Region;
use support::{MadeUpService, NOW_MS, Sent, credential, signer};
use tokio::sync::Semaphore;

const MODELS: [&ServiceModel; 11] = [
    &outport_aws_cloudtrail::MODEL,
    &outport_aws_ec2::MODEL,
    &outport_aws_ecr::MODEL,
    &outport_aws_ecs::MODEL,
    &outport_aws_events::MODEL,
    &outport_aws_iam::MODEL,
    &outport_aws_kms::MODEL,
    &outport_aws_logs::MODEL,
    &outport_aws_secretsmanager::MODEL,
    &outport_aws_ssm::MODEL,
    &outport_aws_sts::MODEL,
];

/// A call as the clients of the service make it.
fn call(model: &ServiceModel, operation: &str) -> Sent {
    match model.protocols[0] {
        Protocol::Query | Protocol::Ec2 => {
            Sent::form(&format!("Action={operation}&Version={}", model.api_version))
        }
        _ => Sent::new("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &format!("{}.{operation}", model.target_prefix))
            .body(b"{}"),
    }
}

/// What AWS says in the words of the service's protocol: not signed, an unknown key, another key's signature.
fn refusals(model: &ServiceModel) -> [&'static str; 3] {
    match model.protocols[0] {
        Protocol::Ec2 => ["MissingParameter", "AuthFailure", "AuthFailure"],
        Protocol::Query => {
            ["MissingAuthenticationToken", "InvalidClientTokenId", "SignatureDoesNotMatch"]
        }
        _ => [
            "MissingAuthenticationTokenException",
            "UnrecognizedClientException",
            "InvalidSignatureException",
        ],
    }
}

fn door() -> (FrontDoor, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut builder = FrontDoor::builder(Region::new("us-east-1"), Arc::new(credential()))
        .clock(Arc::new(|| NOW_MS));
    for model in MODELS {
        let (calls, held) = (Arc::clone(&calls), Arc::new(Semaphore::new(0)));
        builder = builder.service(Arc::new(MadeUpService { model, calls, held }));
    }
    (builder.build().unwrap(), calls)
}

#[tokio::test]
async fn no_operation_is_reached_without_a_key() {
    let (door, calls) = door();
    let mut asked = 0;
    for model in MODELS {
        let mut stranger = signer(model.signing_name);
        stranger.access_key_id = AccessKeyId::new("AKIASTRANGER");
        let mut forger = signer(model.signing_name);
        forger.secret_access_key = SecretAccessKey::new("guess");
        for operation in model.operations {
            let sent = || call(model, operation.name);
            let [unsigned, unknown, forged] = refusals(model);
            // It is for those who have no key yet.
            if operation.is_anonymous && operation.is_implemented {
                continue;
            }
            let unsigned = if operation.is_anonymous { "NotImplemented" } else { unsigned };
            for (sent, expected) in [
                (sent(), unsigned),
                (sent().signed_by(&stranger, NOW_MS), unknown),
                (sent().signed_by(&forger, NOW_MS), forged),
            ] {
                let code = sent.answer(&door).await.code();
                assert_eq!(code.as_deref(), Some(expected), "{} {}", model.name, operation.name);
                asked += 1;
            }
        }
    }
    assert!(asked > 3_000, "all of EC2, ECS and IAM are among them: {asked}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let own = call(&outport_aws_ecs::MODEL, "ListClusters").signed("ecs").answer(&door).await;
    assert_eq!((own.status, calls.load(Ordering::SeqCst)), (200, 1), "who has the key is let in");
}
