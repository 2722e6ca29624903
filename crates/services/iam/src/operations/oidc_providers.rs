//! Identity providers that speak OpenID Connect, found by their ARNs.
//!
//! Source of the texts: answers as callers report them.

use std::sync::Arc;

use outport_aws_iam::{
    AddClientIDToOpenIDConnectProviderRequest, CreateOpenIDConnectProviderRequest,
    CreateOpenIDConnectProviderResponse, DeleteOpenIDConnectProviderRequest,
    GetOpenIDConnectProviderRequest, GetOpenIDConnectProviderResponse,
    ListOpenIDConnectProvidersRequest, ListOpenIDConnectProvidersResponse,
    OpenIDConnectProviderListEntry, RemoveClientIDFromOpenIDConnectProviderRequest,
    UpdateOpenIDConnectProviderThumbprintRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::OidcProvider;
use outport_model::{AccountId, Arn};
use outport_store::keys::OidcProviderKey;
use outport_store::{Row, Tables};

use crate::entity::arn_without_path;
use crate::rejection::Rejection;
use crate::{IamService, quotas, tags, view};

const KIND: &str = "oidc-provider";

/// What there may be under an ARN, and the question about it. Another account's is not this one's to see, whatever it says.
pub(super) fn look_at(
    tables: &Tables,
    account: &AccountId,
    arn: &str,
    action: &'static str,
) -> Subject<Option<Arc<OidcProvider>>> {
    let parsed = Arn::parse(arn).filter(|arn| arn.account() == account.as_str());
    let issuer = parsed.as_ref().and_then(|arn| arn.resource().strip_prefix("oidc-provider/"));
    let key = issuer.map(|issuer| OidcProviderKey::new(account, issuer));
    let found = key.and_then(|key| tables.oidc_providers.get(&key)).cloned();
    let question = Question::new(action, arn);
    let question = match &found {
        Some(provider) => question.with_resource_tags_of("iam", &provider.tags),
        None => question,
    };
    Subject::new(found, question)
}

/// # Errors
/// `NoSuchEntity`.
pub(super) fn existing(
    found: Option<Arc<OidcProvider>>,
    arn: &str,
) -> Result<Arc<OidcProvider>, Rejection> {
    found.ok_or_else(|| {
        Rejection::NoSuchEntity(format!("OpenIDConnect Provider not found for arn {arn}"))
    })
}

/// Host and path of an issuer.
///
/// # Errors
/// `ValidationError` for what is no URL, `InvalidInput` for one that is not of HTTPS.
fn issuer(url: &str) -> Result<String, Rejection> {
    let host = |rest: &str| rest.split('/').next().is_some_and(|host| !host.is_empty());
    match url.split_once("://") {
        Some(("https", rest)) if host(rest) && !rest.contains(['?', '#', ' ']) => {
            Ok(rest.to_owned())
        }
        Some(("http", rest)) if host(rest) => Err(Rejection::InvalidInput(
            "Invalid Open ID Connect Provider URL. The URL must begin with https://.".to_owned(),
        )),
        _ => Err(Rejection::Validation("Invalid Open ID Connect Provider URL".to_owned())),
    }
}

/// # Errors
/// `LimitExceeded`.
fn check_client_ids(ids: &[String]) -> Result<(), Rejection> {
    if ids.len() > quotas::CLIENT_IDS {
        let name = "ClientIdsPerOpenIdConnectProvider";
        return Err(Rejection::quota(name, quotas::CLIENT_IDS));
    }
    Ok(())
}

/// # Errors
/// `InvalidInput`.
fn check_thumbprints(thumbprints: &[String]) -> Result<(), Rejection> {
    if thumbprints.len() > quotas::THUMBPRINTS {
        let text = "Thumbprint list must contain fewer than 5 entries.";
        return Err(Rejection::InvalidInput(text.to_owned()));
    }
    Ok(())
}

/// AWS fetches the thumbprint of an issuer that comes without: here the list stays empty, since nobody looks at thumbprints. Keys of
/// issuers come from where the operator says, or from servers whose certificates this host trusts.
pub async fn create_open_id_connect_provider(
    service: &IamService,
    call: &Call,
    input: CreateOpenIDConnectProviderRequest,
) -> Result<CreateOpenIDConnectProviderResponse, Rejection> {
    let tags = tags::parse(input.tags)?;
    let url = input.url.unwrap_or_default();
    let mut provider = OidcProvider {
        account: call.account.clone(),
        issuer: issuer(&url)?,
        client_ids: Vec::new(),
        thumbprints: input.thumbprint_list.unwrap_or_default(),
        created_at_ms: call.now_ms,
        tags,
    };
    for id in input.client_id_list.unwrap_or_default() {
        if !provider.client_ids.contains(&id) {
            provider.client_ids.push(id);
        }
    }
    check_client_ids(&provider.client_ids)?;
    check_thumbprints(&provider.thumbprints)?;
    let question = Question::new("iam:CreateOpenIDConnectProvider", provider.arn())
        .with_request_tags(&provider.tags);
    service
        .store
        .write(
            call,
            |_| Subject::from(question.clone()),
            |tx, ()| {
                if tx.oidc_providers.contains(&provider.key()) {
                    let text = format!("Provider with url {url} already exists.");
                    return Err(Rejection::EntityAlreadyExists(text));
                }
                let count = tx.oidc_providers.of_account(&provider.account).count();
                if count >= quotas::OIDC_PROVIDERS_PER_ACCOUNT {
                    let max = quotas::OIDC_PROVIDERS_PER_ACCOUNT;
                    return Err(Rejection::quota("OpenIdConnectProvidersPerAccount", max));
                }
                tx.put(provider.clone());
                Ok(CreateOpenIDConnectProviderResponse {
                    open_id_connect_provider_arn: Some(provider.arn()),
                    tags: tags::view_if_any(&provider.tags),
                })
            },
        )
        .await
}

pub async fn get_open_id_connect_provider(
    service: &IamService,
    call: &Call,
    input: GetOpenIDConnectProviderRequest,
) -> Result<GetOpenIDConnectProviderResponse, Rejection> {
    let arn = input.open_id_connect_provider_arn.unwrap_or_default();
    let action = "iam:GetOpenIDConnectProvider";
    let (_, found) =
        service.store.read(call, |tables| look_at(tables, &call.account, &arn, action))?;
    let provider = existing(found, &arn)?;
    Ok(GetOpenIDConnectProviderResponse {
        url: Some(provider.issuer.clone()),
        client_id_list: Some(provider.client_ids.clone()),
        thumbprint_list: Some(provider.thumbprints.clone()),
        create_date: view::time(provider.created_at_ms),
        tags: Some(tags::view(&provider.tags)),
    })
}

/// All at once: the operation has no pages.
pub async fn list_open_id_connect_providers(
    service: &IamService,
    call: &Call,
    _input: ListOpenIDConnectProvidersRequest,
) -> Result<ListOpenIDConnectProvidersResponse, Rejection> {
    let ask = |_: &Tables| {
        let resource = arn_without_path(&call.account, KIND, "");
        Subject::from(Question::new("iam:ListOpenIDConnectProviders", resource))
    };
    let (tables, ()) = service.store.read(call, ask)?;
    let providers = tables.oidc_providers.of_account(&call.account);
    let entries =
        providers.map(|provider| OpenIDConnectProviderListEntry { arn: Some(provider.arn()) });
    Ok(ListOpenIDConnectProvidersResponse {
        open_id_connect_provider_list: Some(entries.collect()),
    })
}

/// One that is gone already is an error, although the API reference calls the operation idempotent. Source: LocalStack's
/// recordings of AWS.
pub async fn delete_open_id_connect_provider(
    service: &IamService,
    call: &Call,
    input: DeleteOpenIDConnectProviderRequest,
) -> Result<(), Rejection> {
    let arn = input.open_id_connect_provider_arn.unwrap_or_default();
    let ask =
        |tables: &Tables| look_at(tables, &call.account, &arn, "iam:DeleteOpenIDConnectProvider");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let Some(provider) = found else {
                let text = format!("OpenId connect Provider {arn} cannot be found.");
                return Err(Rejection::NoSuchEntity(text));
            };
            tx.remove::<OidcProvider>(&provider.key());
            Ok(())
        })
        .await
}

/// One that is there already is no error.
pub async fn add_client_id_to_open_id_connect_provider(
    service: &IamService,
    call: &Call,
    input: AddClientIDToOpenIDConnectProviderRequest,
) -> Result<(), Rejection> {
    let action = "iam:AddClientIDToOpenIDConnectProvider";
    let id = input.client_id.unwrap_or_default();
    change(service, call, action, input.open_id_connect_provider_arn, |provider| {
        if !provider.client_ids.contains(&id) {
            provider.client_ids.push(id);
        }
        check_client_ids(&provider.client_ids)
    })
    .await
}

/// One that is not there is no error.
pub async fn remove_client_id_from_open_id_connect_provider(
    service: &IamService,
    call: &Call,
    input: RemoveClientIDFromOpenIDConnectProviderRequest,
) -> Result<(), Rejection> {
    let action = "iam:RemoveClientIDFromOpenIDConnectProvider";
    let id = input.client_id.unwrap_or_default();
    change(service, call, action, input.open_id_connect_provider_arn, |provider| {
        provider.client_ids.retain(|known| *known != id);
        Ok(())
    })
    .await
}

pub async fn update_open_id_connect_provider_thumbprint(
    service: &IamService,
    call: &Call,
    input: UpdateOpenIDConnectProviderThumbprintRequest,
) -> Result<(), Rejection> {
    let action = "iam:UpdateOpenIDConnectProviderThumbprint";
    let thumbprints = input.thumbprint_list.unwrap_or_default();
    change(service, call, action, input.open_id_connect_provider_arn, |provider| {
        provider.thumbprints = thumbprints;
        check_thumbprints(&provider.thumbprints)
    })
    .await
}

async fn change(
    service: &IamService,
    call: &Call,
    action: &'static str,
    arn: Option<String>,
    change: impl FnOnce(&mut OidcProvider) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let arn = arn.unwrap_or_default();
    let ask = |tables: &Tables| look_at(tables, &call.account, &arn, action);
    service
        .store
        .write(call, ask, |tx, found| {
            let mut provider = OidcProvider::clone(&*existing(found, &arn)?);
            change(&mut provider)?;
            tx.put(provider);
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    const URL: (&str, &str) = ("Url", "https://token.example.com/id");
    const ARN: (&str, &str) = (
        "OpenIDConnectProviderArn",
        "arn:aws:iam::000000000000:oidc-provider/token.example.com/id",
    );
    const PRINT: &str = "0123456789012345678901234567890123456789";

    #[tokio::test]
    async fn a_provider_is_made_shown_changed_and_deleted() {
        let world = World::new();
        let new = [
            URL,
            ("ClientIDList.member.1", "sts.amazonaws.com"),
            ("ThumbprintList.member.1", PRINT),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "blue"),
        ];
        let made = world.call("CreateOpenIDConnectProvider", &new).await;
        World::has(&made, &[("OpenIDConnectProviderArn", &[ARN.1]), ("Value", &["blue"])]);
        let text = "Provider with url https://token.example.com/id already exists.";
        let again = world.refuses("CreateOpenIDConnectProvider", &new, "EntityAlreadyExists", text);
        again.await;
        let app = ("ClientID", "app");
        for _ in 0..2 {
            world.call("AddClientIDToOpenIDConnectProvider", &[ARN, app]).await;
        }
        let old = ("ClientID", "sts.amazonaws.com");
        for _ in 0..2 {
            world.call("RemoveClientIDFromOpenIDConnectProvider", &[ARN, old]).await;
        }
        let other = ("ThumbprintList.member.1", "9876543210987654321098765432109876543210");
        world.call("UpdateOpenIDConnectProviderThumbprint", &[ARN, other]).await;
        let shown = world.call("GetOpenIDConnectProvider", &[ARN]).await;
        World::has(&shown, &[("Url", &["token.example.com/id"]), ("Key", &["team"])]);
        assert!(shown.contains("<ClientIDList><member>app</member></ClientIDList>"), "{shown}");
        assert!(shown.contains(other.1), "{shown}");
        let list = world.call("ListOpenIDConnectProviders", &[]).await;
        World::has(&list, &[("Arn", &[ARN.1])]);
        let tag = [ARN, ("Tags.member.1.Key", "stage"), ("Tags.member.1.Value", "prod")];
        world.call("TagOpenIDConnectProvider", &tag).await;
        let untag = [ARN, ("TagKeys.member.1", "team")];
        world.call("UntagOpenIDConnectProvider", &untag).await;
        let tags = world.call("ListOpenIDConnectProviderTags", &[ARN]).await;
        World::has(&tags, &[("Key", &["stage"]), ("Value", &["prod"])]);
        world.call("DeleteOpenIDConnectProvider", &[ARN]).await;
        let text = format!("OpenId connect Provider {} cannot be found.", ARN.1);
        world.refuses("DeleteOpenIDConnectProvider", &[ARN], "NoSuchEntity", &text).await;
        let text = format!("OpenIDConnect Provider not found for arn {}", ARN.1);
        world.refuses("GetOpenIDConnectProvider", &[ARN], "NoSuchEntity", &text).await;
    }

    #[tokio::test]
    async fn what_is_no_issuer_is_refused() {
        let world = World::new();
        let text = "Invalid Open ID Connect Provider URL";
        for url in ["example.com", "https://", "https:///path", "ftp://example.com"] {
            let input = [("Url", url)];
            world.refuses("CreateOpenIDConnectProvider", &input, "ValidationError", text).await;
        }
        let text = "Invalid Open ID Connect Provider URL. The URL must begin with https://.";
        let plain = [("Url", "http://example.com")];
        world.refuses("CreateOpenIDConnectProvider", &plain, "InvalidInput", text).await;
        let prints: Vec<_> = (1..=6).map(|at| format!("ThumbprintList.member.{at}")).collect();
        let mut input: Vec<_> = prints.iter().map(|name| (name.as_str(), PRINT)).collect();
        input.push(URL);
        let text = "Thumbprint list must contain fewer than 5 entries.";
        world.refuses("CreateOpenIDConnectProvider", &input, "InvalidInput", text).await;
        let ids: Vec<_> = (1..=101).map(|at| format!("ClientIDList.member.{at}")).collect();
        let mut input: Vec<_> = ids.iter().map(|name| (name.as_str(), name.as_str())).collect();
        input.push(URL);
        let text = "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100";
        world.refuses("CreateOpenIDConnectProvider", &input, "LimitExceeded", text).await;
    }
}
