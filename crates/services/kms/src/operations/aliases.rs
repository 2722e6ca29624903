//! Other names of keys.

use std::sync::Arc;

use outport_aws_kms::{
    CreateAliasRequest, DeleteAliasRequest, ListAliasesRequest, ListAliasesResponse,
    UpdateAliasRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_kms_keys::{ALIAS_OF_AWS, Reference, Unusable, Use};
use outport_model::Arn;
use outport_model::kms::{KmsAlias, KmsKey};
use outport_store::keys::{KmsAliasKey, KmsKeyKey};
use outport_store::{Row, Tables};

use crate::look::{Named, scope};
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, quotas, view};

/// Source: API reference, ListAliases, Limit.
const ALIASES_PER_PAGE: usize = 50;

/// The name of an alias that a caller may make or change.
///
/// # Errors
/// `ValidationException`, `NotAuthorizedException`. Source of the texts: answers of CreateAlias, as public test suites have them.
fn parse_name(name: Option<String>) -> Result<String, Rejection> {
    let name = name.unwrap_or_default();
    if name.starts_with(ALIAS_OF_AWS) {
        return Err(Rejection::new(Reason::NotAuthorized, ""));
    }
    match name.strip_prefix("alias/") {
        None => Err(Rejection::validation(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        )),
        Some("") => {
            Err(Rejection::validation("Alias must have a name behind the prefix \"alias/\"."))
        }
        Some(rest) if rest.contains(':') => {
            Err(Rejection::validation(format!("{name} contains invalid characters for an alias")))
        }
        Some(_) => Ok(name),
    }
}

fn find<'a>(tables: &'a Tables, call: &Call, name: &str) -> Option<&'a Arc<KmsAlias>> {
    tables.kms_aliases.get(&KmsAliasKey::new(&scope(call), name))
}

fn question_about_alias(call: &Call, action: &'static str, name: &str) -> Question {
    let arn = Arn::kms_alias(&scope(call), name).into_string();
    Question::new(action, arn).with("kms:CallerAccount", call.principal.account().as_str())
}

fn not_found(call: &Call, name: &str) -> Rejection {
    Rejection::not_found(&Reference::Alias { scope: scope(call), name: name.to_owned() })
}

/// The key of an alias; asked about if it is there.
fn key_of(tables: &Tables, alias: &KmsAlias) -> Option<Arc<KmsKey>> {
    tables.kms_keys.get(&KmsKeyKey::new(&alias.scope, alias.key_id.as_str())).cloned()
}

/// Refuses a key that an alias cannot be given to.
fn check_target(tables: &Tables, key: &KmsKey, alias: &str) -> Result<(), Rejection> {
    if let Err(pending @ Unusable::PendingDeletion { .. }) = Unusable::check(key) {
        return Err(pending.into());
    }
    let row = key.key();
    let others = tables.kms_aliases.of_key(&row).filter(|other| other.name != alias);
    if others.count() >= quotas::ALIASES_PER_KEY {
        let text = format!("A key has {} aliases at most.", quotas::ALIASES_PER_KEY);
        return Err(Rejection::new(Reason::LimitExceeded, text));
    }
    Ok(())
}

/// The alias and the key are asked about. Source: KMS developer guide, "Controlling access to aliases".
pub async fn create_alias(
    service: &KmsService,
    call: &Call,
    input: CreateAliasRequest,
) -> Result<(), Rejection> {
    let name = parse_name(input.alias_name)?;
    let target = Named::parse_id(call, service.now(), input.target_key_id)?;
    let look = |tables: &Tables| {
        let about_alias = question_about_alias(call, "kms:CreateAlias", &name);
        let taken = find(tables, call, &name).cloned();
        Subject::new(taken, about_alias).join(target.look_at_own(tables, "kms:CreateAlias"))
    };
    service
        .store
        .write(call, look, |tx, (taken, found)| {
            // One of a key whose waiting period is over may still be there.
            let alias = Reference::Alias { scope: scope(call), name: name.clone() };
            if let Some(taken) = taken
                && alias.find(tx, &tx.now()).is_some()
            {
                let text = format!("An alias with the name {} already exists", taken.arn());
                return Err(Rejection::new(Reason::AlreadyExists, text));
            }
            let key = target.there(found)?;
            check_target(tx, &key, &name)?;
            let now_ms = tx.now_ms();
            tx.put(KmsAlias {
                scope: key.scope.clone(),
                name: name.clone(),
                key_id: key.id.clone(),
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
            });
            Ok(())
        })
        .await
}

/// Both keys are asked about, and have to be of one kind. Source: API reference, UpdateAlias.
pub async fn update_alias(
    service: &KmsService,
    call: &Call,
    input: UpdateAliasRequest,
) -> Result<(), Rejection> {
    const ACTION: &str = "kms:UpdateAlias";
    let name = parse_name(input.alias_name)?;
    let target = Named::parse_id(call, service.now(), input.target_key_id)?;
    let look = |tables: &Tables| {
        let alias = find(tables, call, &name).cloned();
        let before = alias.as_deref().and_then(|alias| key_of(tables, alias));
        let about_before =
            before.as_deref().map(|key| Use::new(ACTION).question(tables, call, key));
        Subject::new(alias.zip(before), question_about_alias(call, ACTION, &name))
            .and_all(about_before)
            .join(target.look_at_own(tables, ACTION))
    };
    service
        .store
        .write(call, look, |tx, (alias, found)| {
            let (alias, before) = alias.ok_or_else(|| not_found(call, &name))?;
            let key = target.there(found)?;
            check_target(tx, &key, &name)?;
            if key.spec.usage() != before.spec.usage() {
                return Err(Rejection::validation(
                    "An alias cannot be moved between keys of different usages.",
                ));
            }
            let (key_id, updated_at_ms) = (key.id.clone(), tx.now_ms());
            tx.put(KmsAlias { key_id, updated_at_ms, ..KmsAlias::clone(&alias) });
            Ok(())
        })
        .await
}

/// Alias and key are asked about, whatever the state of the key.
pub async fn delete_alias(
    service: &KmsService,
    call: &Call,
    input: DeleteAliasRequest,
) -> Result<(), Rejection> {
    const ACTION: &str = "kms:DeleteAlias";
    let name = parse_name(input.alias_name)?;
    let look = |tables: &Tables| {
        let alias = find(tables, call, &name).cloned();
        let key = alias.as_deref().and_then(|alias| key_of(tables, alias));
        let about_key = key.as_deref().map(|key| Use::new(ACTION).question(tables, call, key));
        Subject::new(alias, question_about_alias(call, ACTION, &name)).and_all(about_key)
    };
    service
        .store
        .write_always(call, look, |tx, alias| {
            let alias = alias.ok_or_else(|| not_found(call, &name))?;
            tx.remove::<KmsAlias>(&alias.key());
            Ok(())
        })
        .await
}

/// Only those of a key, if one is named.
pub async fn list_aliases(
    service: &KmsService,
    call: &Call,
    input: ListAliasesRequest,
) -> Result<ListAliasesResponse, Rejection> {
    let page = PageRequest::parse(input.limit, ALIASES_PER_PAGE, input.marker.as_deref())?;
    let now = service.now();
    let named = input.key_id.map(|id| Named::parse_id(call, now, Some(id))).transpose()?;
    let ask = |_: &Tables| Subject::from(Question::without_resource("kms:ListAliases"));
    let (tables, ()) = service.store.read(call, ask)?;
    // A key of another account has no aliases here, and nobody learns of it.
    let own = |named: &Named<'_>| named.reference.scope().account == call.account;
    let key = named.map(|named| named.there(named.find(&tables).filter(|_| own(&named))));
    let key = key.transpose()?;
    let scope = scope(call);
    let is_shown = |alias: &&Arc<KmsAlias>| {
        let of = KmsKeyKey::new(&alias.scope, alias.key_id.as_str());
        let is_there = tables.kms_keys.get(&of).is_some_and(|key| !key.is_gone(&now));
        is_there
            && key.as_ref().is_none_or(|key| key.id == alias.key_id && key.scope == alias.scope)
    };
    let shown = tables.kms_aliases.of_scope(&scope).filter(is_shown);
    let page = page.take(shown.map(|alias| (alias.name.clone(), view::alias(alias))));
    Ok(ListAliasesResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        aliases: Some(page.items),
    })
}
