//! Server certificates that were uploaded. Their keys are kept sealed and are never shown.

use std::sync::Arc;

use outport_aws_iam as wire;
use outport_aws_iam::{
    DeleteServerCertificateRequest, GetServerCertificateRequest, GetServerCertificateResponse,
    ListServerCertificatesRequest, ListServerCertificatesResponse, ServerCertificateMetadata,
    UpdateServerCertificateRequest, UploadServerCertificateRequest,
    UploadServerCertificateResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::AccountId;
use outport_model::iam::ServerCertificate;
use outport_store::keys::ServerCertificateKey;
use outport_store::{Row, Tables};

use crate::entity::arn_without_path;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, certificate, ids, quotas, tags, view};

const KIND: &str = "server-certificate";

pub(super) fn look_at(
    tables: &Tables,
    account: &AccountId,
    name: &str,
    action: &'static str,
) -> Subject<Option<Arc<ServerCertificate>>> {
    let key = ServerCertificateKey::new(account, name);
    let found = tables.server_certificates.get(&key).cloned();
    let question = match &found {
        Some(certificate) => {
            Question::new(action, certificate.arn()).with_resource_tags_of("iam", &certificate.tags)
        }
        None => Question::new(action, arn_without_path(account, KIND, name)),
    };
    // As the others, which is a guess.
    Subject::new(found, question.shown_as(format!("server certificate {name}")))
}

/// # Errors
/// `NoSuchEntity`. Source of the text: answers as callers report them.
pub(super) fn existing(
    found: Option<Arc<ServerCertificate>>,
    name: &str,
) -> Result<Arc<ServerCertificate>, Rejection> {
    found.ok_or_else(|| {
        Rejection::NoSuchEntity(format!("The Server Certificate with name {name} cannot be found."))
    })
}

fn exists(name: &str) -> Rejection {
    let text = format!("The Server Certificate with name {name} already exists.");
    Rejection::EntityAlreadyExists(text)
}

pub async fn upload_server_certificate(
    service: &IamService,
    call: &Call,
    input: UploadServerCertificateRequest,
) -> Result<UploadServerCertificateResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let body = input.certificate_body.unwrap_or_default();
    let key = input.private_key.unwrap_or_default();
    let expires_at_ms = certificate::check(&body, &key, input.certificate_chain.as_deref())?;
    let id = ids::unique("ASCA")?;
    let place = ServerCertificate::key_place(&id);
    let certificate = ServerCertificate {
        account: call.account.clone(),
        name: input.server_certificate_name.unwrap_or_default(),
        path: input.path.unwrap_or_else(|| "/".to_owned()),
        sealed_key: service.keyring.seal(&place, key.as_bytes(), ids::bytes()?),
        id,
        uploaded_at_ms: call.now_ms,
        expires_at_ms,
        certificate: body,
        chain: input.certificate_chain,
        tags,
    };
    let question = Question::new("iam:UploadServerCertificate", certificate.arn())
        .with_request_tags(&certificate.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if tx.server_certificates.contains(&certificate.key()) {
                    return Err(exists(&certificate.name));
                }
                let count = tx.server_certificates.of_account(&certificate.account).count();
                if count >= quotas::SERVER_CERTIFICATES_PER_ACCOUNT {
                    let max = quotas::SERVER_CERTIFICATES_PER_ACCOUNT;
                    return Err(Rejection::quota("ServerCertificatesPerAccount", max));
                }
                tx.put(certificate.clone());
                Ok(UploadServerCertificateResponse {
                    server_certificate_metadata: Some(metadata(&certificate)),
                    tags: tags::view_if_any(&certificate.tags),
                })
            },
        )
        .await
}

fn metadata(certificate: &ServerCertificate) -> ServerCertificateMetadata {
    ServerCertificateMetadata {
        path: Some(certificate.path.clone()),
        server_certificate_name: Some(certificate.name.clone()),
        server_certificate_id: Some(certificate.id.clone()),
        arn: Some(certificate.arn()),
        upload_date: view::time(certificate.uploaded_at_ms),
        expiration: view::time(certificate.expires_at_ms),
    }
}

pub async fn get_server_certificate(
    service: &IamService,
    call: &Call,
    input: GetServerCertificateRequest,
) -> Result<GetServerCertificateResponse, Rejection> {
    let name = input.server_certificate_name.as_deref().unwrap_or_default();
    let action = "iam:GetServerCertificate";
    let (_, found) =
        service.store.read(call, |tables| look_at(tables, &call.account, name, action))?;
    let certificate = existing(found, name)?;
    Ok(GetServerCertificateResponse {
        server_certificate: Some(wire::ServerCertificate {
            server_certificate_metadata: Some(metadata(&certificate)),
            certificate_body: Some(certificate.certificate.clone()),
            certificate_chain: certificate.chain.clone(),
            tags: Some(tags::view(&certificate.tags)),
        }),
    })
}

pub async fn list_server_certificates(
    service: &IamService,
    call: &Call,
    input: ListServerCertificatesRequest,
) -> Result<ListServerCertificatesResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, KIND, "");
        Subject::from(Question::new("iam:ListServerCertificates", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let certificates = tables.server_certificates.of_account(&call.account);
    let certificates = certificates
        .filter(|certificate| certificate.path.starts_with(prefix))
        .map(|certificate| (certificate.key().name.to_string(), metadata(certificate)));
    let page = page.take(certificates);
    Ok(ListServerCertificatesResponse {
        is_truncated: page.is_truncated(),
        server_certificate_metadata_list: Some(page.items),
        marker: page.marker,
    })
}

/// One that is named anew keeps its id. Source: API reference, UpdateServerCertificate: the permission is needed on both
/// names.
pub async fn update_server_certificate(
    service: &IamService,
    call: &Call,
    input: UpdateServerCertificateRequest,
) -> Result<(), Rejection> {
    let action = "iam:UpdateServerCertificate";
    let name = input.server_certificate_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| {
        let target = input.new_server_certificate_name.as_deref().unwrap_or(name);
        let path = input.new_path.as_deref().unwrap_or("/");
        let target = format!("arn:aws:iam::{}:{KIND}{path}{target}", call.account);
        look_at(tables, &call.account, name, action).and(Question::new(action, target))
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let old = existing(found, name)?;
            let mut new = ServerCertificate::clone(&old);
            if let Some(path) = &input.new_path {
                new.path.clone_from(path);
            }
            if let Some(name) = &input.new_server_certificate_name {
                new.name.clone_from(name);
            }
            if new.key() != old.key() {
                if tx.server_certificates.contains(&new.key()) {
                    return Err(exists(&new.name));
                }
                tx.remove::<ServerCertificate>(&old.key());
            }
            tx.put(new);
            Ok(())
        })
        .await
}

/// No load balancer here uses one yet, so that nothing keeps one from being deleted.
pub async fn delete_server_certificate(
    service: &IamService,
    call: &Call,
    input: DeleteServerCertificateRequest,
) -> Result<(), Rejection> {
    let name = input.server_certificate_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look_at(tables, &call.account, name, "iam:DeleteServerCertificate");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let certificate = existing(found, name)?;
            tx.remove::<ServerCertificate>(&certificate.key());
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use outport_model::iam::ServerCertificate;

    use crate::testing::{Pair, World};

    const NAME: (&str, &str) = ("ServerCertificateName", "web");

    fn upload<'a>(certificate: &'a str, key: &'a str) -> [(&'a str, &'a str); 3] {
        [NAME, ("CertificateBody", certificate), ("PrivateKey", key)]
    }

    #[tokio::test]
    async fn a_certificate_is_uploaded_shown_named_anew_and_deleted() {
        let world = World::new();
        let pair = Pair::new("web.example.com");
        let path = [("Path", "/team/")];
        let input = [&upload(&pair.certificate, &pair.key)[..], &path].concat();
        let made = world.call("UploadServerCertificate", &input).await;
        let arn = "arn:aws:iam::000000000000:server-certificate/team/web";
        World::has(&made, &[("Arn", &[arn]), ("Expiration", &["2030-01-01T00:00:00Z"])]);
        let text = "The Server Certificate with name web already exists.";
        world.refuses("UploadServerCertificate", &input, "EntityAlreadyExists", text).await;
        let shown = world.call("GetServerCertificate", &[NAME]).await;
        assert!(shown.contains("BEGIN CERTIFICATE") && !shown.contains("PRIVATE KEY"), "{shown}");
        let list = world.call("ListServerCertificates", &[("PathPrefix", "/team/")]).await;
        World::has(&list, &[("ServerCertificateName", &["web"])]);
        world.call("UpdateServerCertificate", &[NAME, ("NewServerCertificateName", "Web2")]).await;
        let renamed = [("ServerCertificateName", "web2")];
        let text = "The Server Certificate with name web cannot be found.";
        world.refuses("GetServerCertificate", &[NAME], "NoSuchEntity", text).await;

        // The key opens with the row that it is in now, and stands nowhere as it is.
        let row = world.store.snapshot().server_certificates.iter().next().unwrap().clone();
        let opened = world.keyring.open(&ServerCertificate::key_place(&row.id), &row.sealed_key);
        assert_eq!(opened.unwrap(), pair.key.as_bytes());
        assert!(!format!("{row:?}").contains("PRIVATE"), "{row:?}");

        let tag = [renamed[0], ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
        world.call("TagServerCertificate", &tag).await;
        let tags = world.call("ListServerCertificateTags", &renamed).await;
        World::has(&tags, &[("Key", &["k"]), ("Value", &["v"])]);
        world.call("UntagServerCertificate", &[renamed[0], ("TagKeys.member.1", "k")]).await;
        World::has(&world.call("ListServerCertificateTags", &renamed).await, &[("Key", &[])]);
        world.call("DeleteServerCertificate", &renamed).await;
        World::has(&world.call("ListServerCertificates", &[]).await, &[("Arn", &[])]);
    }

    #[tokio::test]
    async fn what_does_not_fit_together_is_refused() {
        let world = World::new();
        let (pair, other) = (Pair::new("web.example.com"), Pair::new("other.example.com"));
        let refuses = async |input: &[(&str, &str)], code, text| {
            world.refuses("UploadServerCertificate", input, code, text).await;
        };
        let malformed = "MalformedCertificate";
        let text = "Unable to parse certificate. Please ensure the certificate is in PEM format.";
        refuses(&upload("certificate", &pair.key), malformed, text).await;
        let broken = pair.certificate.replacen("MII", "AAA", 1);
        refuses(&upload(&broken, &pair.key), malformed, text).await;
        let two = format!("{}{}", pair.certificate, other.certificate);
        let text = "The certificate body must contain one certificate.";
        refuses(&upload(&two, &pair.key), malformed, text).await;
        let text = "Unable to parse private key. Please ensure the private key is in PEM format and not encrypted.";
        refuses(&upload(&pair.certificate, "key"), malformed, text).await;
        let text = "The private key does not match the public key in the certificate.";
        refuses(&upload(&pair.certificate, &other.key), "KeyPairMismatch", text).await;
        let chain = [("CertificateChain", other.certificate.as_str())];
        let input = [&upload(&pair.certificate, &pair.key)[..], &chain].concat();
        let text = "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order. The index within the chain of the invalid certificate is: 0";
        refuses(&input, malformed, text).await;
        let chain = [("CertificateChain", pair.certificate.as_str())];
        let own = [&upload(&pair.certificate, &pair.key)[..], &chain].concat();
        world.call("UploadServerCertificate", &own).await;
    }
}
