//! Tags of secrets.

use outport_aws_secretsmanager::{TagResourceRequest, UntagResourceRequest};
use outport_identity::Call;
use outport_model::secret::Secret;
use outport_store::Tables;

use crate::look::{Named, usable};
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::{SecretsManagerService, tags};

pub async fn tag_resource(
    service: &SecretsManagerService,
    call: &Call,
    input: TagResourceRequest,
) -> Result<(), Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let given = tags::parse(input.tags)?;
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| {
        named.look(tables, "secretsmanager:TagResource").with_request_tags(&given)
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            tags::add(&mut secret.tags, given.clone())?;
            put_changed(tx, secret);
            Ok(())
        })
        .await
}

pub async fn untag_resource(
    service: &SecretsManagerService,
    call: &Call,
    input: UntagResourceRequest,
) -> Result<(), Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let keys = input.tag_keys.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let ask = |tables: &Tables| {
        named.look(tables, "secretsmanager:UntagResource").with("aws:TagKeys", keys.clone())
    };
    service
        .write_always(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            secret.tags.retain(|key, _| !keys.contains(key));
            put_changed(tx, secret);
            Ok(())
        })
        .await
}
