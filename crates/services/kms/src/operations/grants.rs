//! Grants: what one principal may do with one key.
//!
//! A grant counts from the moment when it was made, so that its token changes nothing; a token that is no token is refused all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outport_aws_kms as wire;
use outport_aws_kms::{
    CreateGrantRequest, CreateGrantResponse, ListGrantsRequest, ListGrantsResponse,
    ListRetirableGrantsRequest, RetireGrantRequest, RevokeGrantRequest,
};
use outport_identity::{Call, Principal, Question, Subject};
use outport_kms_keys::{EncryptionContext, Unusable, Use, is_grantee};
use outport_model::Arn;
use outport_model::kms::{KmsGrant, KmsKey, KmsKeyUsage};
use outport_store::keys::{KmsGrantKey, KmsKeyKey};
use outport_store::{NamedPrincipal, Row, Tables, Transaction};

use crate::look::{Named, scope};
use crate::operations::ciphers::stop_dry_run;
use crate::page::PageRequest;
use crate::rejection::{Reason, Rejection};
use crate::{KmsService, quotas, random, view};

/// Source: API reference, ListGrants, Limit.
const GRANTS_PER_PAGE: usize = 50;
/// What a token begins with. It names the grant and proves nothing.
const TOKEN: &str = "outport-grant-1 ";

/// A request that was understood.
struct Asked {
    name: Option<String>,
    grantee: String,
    retiring: Option<String>,
    operations: BTreeSet<String>,
    subset: Option<EncryptionContext>,
    equals: Option<EncryptionContext>,
}

fn token(grant: &KmsGrant) -> String {
    STANDARD.encode(format!("{TOKEN}{} {}", Arn::kms_key(&grant.scope, &grant.key_id), grant.id))
}

/// The ARN of the key and the id of the grant that a token names.
fn read_token(token: &str) -> Result<(String, String), Rejection> {
    let bytes = STANDARD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let named = text.as_deref().and_then(|text| text.strip_prefix(TOKEN)?.split_once(' '));
    let named = named.map(|(key, grant)| (key.to_owned(), grant.to_owned()));
    named.ok_or_else(|| Rejection::new(Reason::InvalidGrantToken, "The grant token is invalid."))
}

/// Refuses tokens that no grant has given.
///
/// # Errors
/// `InvalidGrantTokenException`.
pub fn check_tokens(tokens: Option<&[String]>) -> Result<(), Rejection> {
    tokens.unwrap_or_default().iter().try_for_each(|token| read_token(token).map(drop))
}

impl Asked {
    fn parse(input: &CreateGrantRequest) -> Result<Self, Rejection> {
        let is_for_service =
            input.grantee_service_principal.is_some() || input.retiring_service_principal.is_some();
        if is_for_service {
            return Err(Rejection::not_built(
                "A grant for a service (GranteeServicePrincipal, RetiringServicePrincipal)",
            ));
        }
        let grantee = input.grantee_principal.clone().ok_or_else(|| {
            Rejection::validation("GranteePrincipal or GranteeServicePrincipal must be specified")
        })?;
        let constraints = input.constraints.clone().unwrap_or_default();
        if constraints.source_arn.is_some() {
            return Err(Rejection::not_built("A grant for one resource of a service (SourceArn)"));
        }
        let operations = input.operations.iter().flatten();
        Ok(Self {
            name: input.name.clone(),
            grantee,
            retiring: input.retiring_principal.clone(),
            operations: operations.map(|operation| operation.as_str().to_owned()).collect(),
            subset: constraints.encryption_context_subset,
            equals: constraints.encryption_context_equals,
        })
    }

    /// Whether a grant lets its grantee make this one: it gives no more, and is bound no less.
    ///
    /// Source: KMS developer guide, "Granting CreateGrant permission".
    fn is_within(&self, parent: &KmsGrant) -> bool {
        let is_as_strict = match (&parent.context_equals, &parent.context_subset) {
            (Some(equals), _) => self.equals.as_ref() == Some(equals),
            (None, Some(subset)) => {
                let given = self.equals.as_ref().or(self.subset.as_ref());
                given.is_some_and(|given| {
                    subset.iter().all(|(key, value)| given.get(key) == Some(value))
                })
            }
            (None, None) => true,
        };
        self.operations.is_subset(&parent.operations) && is_as_strict
    }

    fn is_same_as(&self, grant: &KmsGrant, (grantee, retiring): (&str, Option<&str>)) -> bool {
        self.name == grant.name
            && grantee == grant.grantee
            && retiring == grant.retiring.as_deref()
            && self.operations == grant.operations
            && self.subset == grant.context_subset
            && self.equals == grant.context_equals
    }

    /// Source of the condition keys: KMS developer guide, "AWS KMS condition keys".
    fn question_keys<T>(&self, mut subject: Subject<T>) -> Subject<T> {
        let kind = match (&self.equals, &self.subset) {
            (Some(_), _) => Some("EncryptionContextEquals"),
            (None, Some(_)) => Some("EncryptionContextSubset"),
            (None, None) => None,
        };
        subject = subject
            .with("kms:GranteePrincipal", self.grantee.as_str())
            .with("kms:GrantOperations", self.operations.iter().cloned().collect::<Vec<_>>())
            .with("kms:GrantIsForAWSResource", false);
        for (key, value) in
            [("kms:RetiringPrincipal", self.retiring.as_deref()), ("kms:GrantConstraintType", kind)]
        {
            if let Some(value) = value {
                subject = subject.with(key, value);
            }
        }
        subject
    }

    fn check(&self, key: &KmsKey) -> Result<(), Rejection> {
        if self.operations.is_empty() {
            return Err(Rejection::validation("Operations must not be empty"));
        }
        let usage = key.spec.usage();
        if let Some(operation) = self.operations.iter().find(|name| !is_for(usage, name)) {
            return Err(Rejection::validation(format!(
                "Operation {operation} is not supported on a key whose usage is {}.",
                usage.as_str()
            )));
        }
        if !key.spec.encrypts() && (self.subset.is_some() || self.equals.is_some()) {
            let text =
                "Encryption context grant constraints are for symmetric encryption keys only.";
            return Err(Rejection::validation(text));
        }
        Ok(())
    }

    /// `parties`: the grantee and who may retire it, as they are kept.
    fn grant(
        &self,
        call: &Call,
        key: &KmsKey,
        id: String,
        (grantee, retiring): (String, Option<String>),
        tx: &Transaction<'_>,
    ) -> KmsGrant {
        KmsGrant {
            scope: key.scope.clone(),
            key_id: key.id.clone(),
            id,
            name: self.name.clone(),
            grantee,
            retiring,
            operations: self.operations.clone(),
            context_subset: self.subset.clone(),
            context_equals: self.equals.clone(),
            issuing_account: call.principal.account().as_str().to_owned(),
            created_at_ms: tx.now_ms(),
        }
    }
}

/// Whether a grant of a key with this usage may name an operation. Source: KMS developer guide, "Grant operations"; API reference,
/// CreateGrant, Operations, which has a `ValidationException` for one that the key does not support. The text of that is ours.
fn is_for(usage: KmsKeyUsage, operation: &str) -> bool {
    match operation {
        "CreateGrant" | "DescribeKey" | "RetireGrant" => true,
        "Decrypt"
        | "Encrypt"
        | "GenerateDataKey"
        | "GenerateDataKeyPair"
        | "GenerateDataKeyPairWithoutPlaintext"
        | "GenerateDataKeyWithoutPlaintext"
        | "ReEncryptFrom"
        | "ReEncryptTo" => usage == KmsKeyUsage::EncryptDecrypt,
        "GenerateMac" | "VerifyMac" => usage == KmsKeyUsage::GenerateVerifyMac,
        "GetPublicKey" | "Sign" | "Verify" => usage == KmsKeyUsage::SignVerify,
        // What keys do that there are none of.
        _ => false,
    }
}

/// A principal as a grant keeps it: about this very user or role.
///
/// # Errors
/// `InvalidArnException`. Source: answers of CreateGrant, as callers report them.
fn kept(tables: &Tables, key: &KmsKey, name: &str) -> Result<String, Rejection> {
    match tables.principal(name, &key.scope.account) {
        NamedPrincipal::Id(id) => Ok(id),
        NamedPrincipal::Unknown if is_principal(name) => Ok(name.to_owned()),
        NamedPrincipal::Absent | NamedPrincipal::Unknown => {
            let text = format!("ARN does not refer to a valid principal: {name}");
            Err(Rejection::new(Reason::InvalidArn, text))
        }
    }
}

/// A principal as it is shown: who is gone stays a unique id. Source: API reference, GrantListEntry, GranteePrincipal.
fn shown_principal(tables: &Tables, kept: &str) -> String {
    tables.principal_arn(kept).unwrap_or_else(|| kept.to_owned())
}

/// An account, or what IAM or STS name.
fn is_principal(text: &str) -> bool {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let kind = |arn: &Arn| arn.resource().split('/').next().unwrap_or_default().to_owned();
    is_account
        || Arn::parse(text).is_some_and(|arn| match arn.service() {
            "iam" => matches!(kind(&arn).as_str(), "root" | "user" | "role"),
            "sts" => matches!(kind(&arn).as_str(), "assumed-role" | "federated-user"),
            _ => false,
        })
}

/// With a name, the same request again gives the same grant. Source: API reference, CreateGrant, Name.
pub async fn create_grant(
    service: &KmsService,
    call: &Call,
    input: CreateGrantRequest,
) -> Result<CreateGrantResponse, Rejection> {
    check_tokens(input.grant_tokens.as_deref())?;
    let asked = Asked::parse(&input)?;
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let (id, dry_run) = (random::grant_id()?, input.dry_run);
    let look = |tables: &Tables| {
        let counts = |parent: &KmsGrant| asked.is_within(parent);
        let wanted = Use { grants: Some(&counts), ..Use::new("kms:CreateGrant") };
        asked.question_keys(named.look(tables, wanted))
    };
    let made = service
        .store
        .write(call, look, |tx, found| {
            let key = named.there(found)?;
            Unusable::check(&key)?;
            asked.check(&key)?;
            let grantee = kept(tx, &key, &asked.grantee)?;
            let retiring = asked.retiring.as_ref().map(|name| kept(tx, &key, name)).transpose()?;
            let parties = (grantee.as_str(), retiring.as_deref());
            let row = key.key();
            let again = tx
                .kms_grants
                .of_key(&row)
                .find(|grant| asked.name.is_some() && asked.is_same_as(grant, parties));
            if let Some(grant) = again {
                return Ok(created(grant));
            }
            if tx.kms_grants.of_key(&row).count() >= quotas::GRANTS_PER_KEY {
                let text = format!("A key has {} grants at most.", quotas::GRANTS_PER_KEY);
                return Err(Rejection::new(Reason::LimitExceeded, text));
            }
            stop_dry_run(dry_run)?;
            let grant = asked.grant(call, &key, id, (grantee, retiring), tx);
            let answer = created(&grant);
            tx.put(grant);
            Ok(answer)
        })
        .await;
    made.map_err(|refused| named.denied(refused))
}

fn created(grant: &KmsGrant) -> CreateGrantResponse {
    CreateGrantResponse { grant_token: Some(token(grant)), grant_id: Some(grant.id.clone()) }
}

/// The grants of a key.
pub async fn list_grants(
    service: &KmsService,
    call: &Call,
    input: ListGrantsRequest,
) -> Result<ListGrantsResponse, Rejection> {
    if input.grantee_service_principal.is_some() {
        return Err(Rejection::not_built("A grant for a service (GranteeServicePrincipal)"));
    }
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let page = PageRequest::parse(input.limit, GRANTS_PER_PAGE, input.marker.as_deref())?;
    let look = |tables: &Tables| named.look(tables, Use::new("kms:ListGrants"));
    let (tables, found) =
        service.store.read(call, look).map_err(|refused| named.denied(refused))?;
    let key = named.there(found)?;
    let row = key.key();
    if let Some(id) = &input.grant_id {
        find(&tables, &row, id)?;
    }
    let is_shown = |grant: &&Arc<KmsGrant>| {
        input.grant_id.as_ref().is_none_or(|id| grant.id == *id)
            && input
                .grantee_principal
                .as_ref()
                .is_none_or(|grantee| shown_principal(&tables, &grant.grantee) == *grantee)
    };
    let shown = tables.kms_grants.of_key(&row).filter(is_shown);
    let arn = key.arn().into_string();
    Ok(listed(
        page,
        shown.map(|grant| {
            (
                grant.id.clone(),
                view::grant(grant, arn.clone(), |name| shown_principal(&tables, name)),
            )
        }),
    ))
}

fn listed(
    page: PageRequest,
    items: impl Iterator<Item = (String, wire::GrantListEntry)>,
) -> ListGrantsResponse {
    let page = page.take(items);
    ListGrantsResponse {
        truncated: page.truncated(),
        next_marker: page.next_marker,
        grants: Some(page.items),
    }
}

fn find<'a>(tables: &'a Tables, key: &KmsKeyKey, id: &str) -> Result<&'a Arc<KmsGrant>, Rejection> {
    let grant = tables.kms_grants.get(&KmsGrantKey::new(&key.scope, key.id.as_str(), id));
    grant.ok_or_else(|| Rejection::new(Reason::InvalidGrantId, format!("Invalid grant ID {id}")))
}

/// The grants of the account's keys in the region that a principal may retire.
///
/// Source: API reference, ListRetirableGrants: the retiring principal has to be in the caller's account, which may be another one than
/// the grant's; here only the caller's own keys are looked at.
pub async fn list_retirable_grants(
    service: &KmsService,
    call: &Call,
    input: ListRetirableGrantsRequest,
) -> Result<ListGrantsResponse, Rejection> {
    if input.retiring_service_principal.is_some() {
        return Err(Rejection::not_built("A grant for a service (RetiringServicePrincipal)"));
    }
    let page = PageRequest::parse(input.limit, GRANTS_PER_PAGE, input.marker.as_deref())?;
    let principal = input.retiring_principal.ok_or_else(|| {
        Rejection::validation("RetiringPrincipal or RetiringServicePrincipal must be specified")
    })?;
    let ask = |_: &Tables| Subject::from(Question::without_resource("kms:ListRetirableGrants"));
    let (tables, ()) = service.store.read(call, ask)?;
    let (scope, now) = (scope(call), service.now());
    let shown = tables.kms_grants.of_scope(&scope).filter(|grant| {
        let key = tables.kms_keys.get(&KmsKeyKey::new(&scope, grant.key_id.as_str()));
        grant.retiring.as_deref().is_some_and(|kept| shown_principal(&tables, kept) == principal)
            && key.is_some_and(|key| !key.is_gone(&now))
    });
    let entry = |grant: &Arc<KmsGrant>| {
        let place = format!("{} {}", grant.key_id, grant.id);
        let key = Arn::kms_key(&scope, &grant.key_id).into_string();
        (place, view::grant(grant, key, |name| shown_principal(&tables, name)))
    };
    Ok(listed(page, shown.map(entry)))
}

/// Takes a grant away: for those who administer the key, whatever its state.
pub async fn revoke_grant(
    service: &KmsService,
    call: &Call,
    input: RevokeGrantRequest,
) -> Result<(), Rejection> {
    let named = Named::parse_id(call, service.now(), input.key_id)?;
    let id = input.grant_id.unwrap_or_default();
    let look = |tables: &Tables| {
        named.look(tables, Use::new("kms:RevokeGrant")).with("kms:GrantIsForAWSResource", false)
    };
    let revoked = service
        .store
        .write_always(call, look, |tx, found| {
            let grant = find(tx, &named.there(found)?.key(), &id)?.key();
            stop_dry_run(input.dry_run)?;
            tx.remove::<KmsGrant>(&grant);
            Ok(())
        })
        .await;
    revoked.map_err(|refused| named.denied(refused))
}

/// Whom a grant itself lets give it back. Source: API reference, RetireGrant: the root of the account that made it, the retiring
/// principal, and the grantee if that is one of the operations.
fn may_retire(call: &Call, grant: &KmsGrant) -> bool {
    let is_maker = matches!(&call.principal, Principal::Root { account } if account.as_str() == grant.issuing_account);
    let is_retiring = grant.retiring.as_deref().is_some_and(|name| is_grantee(call, name));
    let gives_back = grant.operations.contains("RetireGrant") && is_grantee(call, &grant.grantee);
    is_maker || is_retiring || gives_back
}

/// Gives a grant back: for who [`may_retire`] it, unless a policy denies that. A policy alone allows it to nobody.
///
/// Source: KMS developer guide, "AWS KMS permissions", kms:RetireGrant: "A policy alone cannot allow access to this operation".
pub async fn retire_grant(
    service: &KmsService,
    call: &Call,
    input: RetireGrantRequest,
) -> Result<(), Rejection> {
    let (key_id, id) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => read_token(&token)?,
        (None, Some(key), Some(id)) => (key, id),
        _ => {
            return Err(Rejection::validation(
                "You must specify either a grant token or a key ARN and a grant ID.",
            ));
        }
    };
    let named = Named::parse_id(call, service.now(), Some(key_id))?;
    let look = |tables: &Tables| {
        let is_this = |grant: &KmsGrant| grant.id == id;
        let key = named.find(tables).map(|key| key.key());
        let grant = key.and_then(|key| find(tables, &key, &id).ok());
        let retiring = grant.and_then(|grant| grant.retiring.as_deref());
        named.look(tables, Use { grants: Some(&is_this), retiring, ..Use::new("kms:RetireGrant") })
    };
    let retired = service
        .store
        .write_always(call, look, |tx, found| {
            let grant = find(tx, &named.there(found)?.key(), &id)?;
            if !may_retire(call, grant) {
                let text = format!(
                    "User: {} is not authorized to perform: kms:RetireGrant on resource: {} because no resource-based policy allows \
                     the kms:RetireGrant action",
                    call.principal.arn(),
                    named.reference.arn()
                );
                return Err(Rejection::new(Reason::AccessDenied, text));
            }
            let grant = grant.key();
            stop_dry_run(input.dry_run)?;
            tx.remove::<KmsGrant>(&grant);
            Ok(())
        })
        .await;
    retired.map_err(|refused| named.denied(refused))
}
