//! Access keys.

use outport_aws_iam as wire;
use outport_aws_iam::{
    CreateAccessKeyRequest, CreateAccessKeyResponse, DeleteAccessKeyRequest,
    GetAccessKeyLastUsedRequest, GetAccessKeyLastUsedResponse, ListAccessKeysRequest,
    ListAccessKeysResponse, UpdateAccessKeyRequest,
};
use outport_identity::{Call, Principal, Question, Subject};
use outport_model::iam::{AccessKey, AccessKeyStatus, NameKey, User};
use outport_permissions::secret_place;
use outport_store::keys::UserKey;
use outport_store::{Tables, Transaction};

use crate::entity::{arn_without_path, find, look, there};
use crate::operations::users::named;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, ids, quotas, view};

/// Whose keys an operation is about: a user's, or the root's that calls for itself.
enum Owner<'a> {
    Root,
    User(&'a str),
}

impl<'a> Owner<'a> {
    fn of(call: &'a Call, name: Option<&'a str>) -> Result<Self, Rejection> {
        match (name, &call.principal) {
            (None, Principal::Root { .. }) => Ok(Self::Root),
            _ => named(call, name).map(Self::User),
        }
    }

    fn name(&self) -> Option<&'a str> {
        match self {
            Self::Root => None,
            Self::User(name) => Some(name),
        }
    }

    fn key(&self) -> Option<NameKey> {
        self.name().map(NameKey::of)
    }

    fn ask(&self, call: &Call, tables: &Tables, action: &'static str) -> Subject<()> {
        match self {
            Self::Root => Subject::from(Question::new(action, call.principal.arn())),
            Self::User(name) => {
                let (found, question) = (
                    find::<User>(tables, &call.account, name),
                    arn_without_path(&call.account, "user", name),
                );
                let question = match found {
                    Some(user) => {
                        Question::new(action, user.arn()).with_resource_tags_of("iam", &user.tags)
                    }
                    None => Question::new(action, question),
                };
                Subject::from(question.shown_as(format!("user {name}")))
            }
        }
    }

    fn check(&self, call: &Call, tables: &Tables) -> Result<(), Rejection> {
        match self {
            Self::Root => Ok(()),
            Self::User(name) => there(find::<User>(tables, &call.account, name), name).map(drop),
        }
    }
}

/// The only answer that ever shows the secret.
pub async fn create_access_key(
    service: &IamService,
    call: &Call,
    input: CreateAccessKeyRequest,
) -> Result<CreateAccessKeyResponse, Rejection> {
    let owner = Owner::of(call, input.user_name.as_deref())?;
    let (id, secret) = ids::access_key()?;
    let (id, secret) = (id.as_str().to_owned(), secret.expose().to_owned());
    let sealed_secret = service.keyring.seal(&secret_place(&id), secret.as_bytes(), ids::bytes()?);
    let key = AccessKey {
        id,
        account: call.account.clone(),
        user: owner.key(),
        status: AccessKeyStatus::Active,
        created_at_ms: call.now_ms,
        sealed_secret,
        last_use: None,
    };
    service
        .store
        .write(
            call,
            |tables| owner.ask(call, tables, "iam:CreateAccessKey"),
            |tx, ()| {
                owner.check(call, tx)?;
                let keys = tx.access_keys.of_owner(&call.account, key.user.as_ref());
                if keys.len() >= quotas::ACCESS_KEYS_PER_USER {
                    let max = quotas::ACCESS_KEYS_PER_USER;
                    return Err(Rejection::quota("AccessKeysPerUser", max));
                }
                tx.put(key.clone());
                Ok(CreateAccessKeyResponse {
                    access_key: Some(wire::AccessKey {
                        user_name: owner.name().map(str::to_owned),
                        access_key_id: Some(key.id.clone()),
                        status: Some(wire::StatusType::Active),
                        secret_access_key: Some(secret.clone()),
                        create_date: view::time(key.created_at_ms),
                    }),
                })
            },
        )
        .await
}

pub async fn list_access_keys(
    service: &IamService,
    call: &Call,
    input: ListAccessKeysRequest,
) -> Result<ListAccessKeysResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let owner = Owner::of(call, input.user_name.as_deref())?;
    let (tables, ()) =
        service.store.read(call, |tables| owner.ask(call, tables, "iam:ListAccessKeys"))?;
    owner.check(call, &tables)?;
    let keys = tables.access_keys.of_owner(&call.account, owner.key().as_ref());
    let keys = keys.iter().filter_map(|id| tables.access_keys.get(id)).map(|key| {
        let view = wire::AccessKeyMetadata {
            user_name: owner.name().map(str::to_owned),
            access_key_id: Some(key.id.clone()),
            status: Some(view::key_status(key.status)),
            create_date: view::time(key.created_at_ms),
        };
        (key.id.clone(), view)
    });
    let page = page.take(keys);
    Ok(ListAccessKeysResponse {
        is_truncated: page.is_truncated(),
        access_key_metadata: Some(page.items),
        marker: page.marker,
    })
}

pub async fn update_access_key(
    service: &IamService,
    call: &Call,
    input: UpdateAccessKeyRequest,
) -> Result<(), Rejection> {
    let status = match input.status {
        Some(wire::StatusType::Active) => AccessKeyStatus::Active,
        Some(wire::StatusType::Inactive) => AccessKeyStatus::Inactive,
        _ => {
            // Source: API reference, UpdateAccessKey: "Active" and "Inactive" only.
            let text = "The status of an access key is Active or Inactive.";
            return Err(Rejection::Validation(text.to_owned()));
        }
    };
    let owner = Owner::of(call, input.user_name.as_deref())?;
    let id = input.access_key_id.unwrap_or_default();
    service
        .store
        .write(
            call,
            |tables| owner.ask(call, tables, "iam:UpdateAccessKey"),
            |tx, ()| {
                let mut key = own_key(tx, call, &owner, &id)?;
                key.status = status;
                tx.put(key);
                Ok(())
            },
        )
        .await
}

pub async fn delete_access_key(
    service: &IamService,
    call: &Call,
    input: DeleteAccessKeyRequest,
) -> Result<(), Rejection> {
    let owner = Owner::of(call, input.user_name.as_deref())?;
    let id = input.access_key_id.unwrap_or_default();
    service
        .store
        .write_always(
            call,
            |tables| owner.ask(call, tables, "iam:DeleteAccessKey"),
            |tx, ()| {
                own_key(tx, call, &owner, &id)?;
                tx.remove::<AccessKey>(&id);
                Ok(())
            },
        )
        .await
}

fn own_key(
    tx: &Transaction<'_>,
    call: &Call,
    owner: &Owner<'_>,
    id: &String,
) -> Result<AccessKey, Rejection> {
    owner.check(call, tx)?;
    let key = tx.access_keys.get(id);
    let key = key.filter(|key| key.account == call.account && key.user == owner.key());
    key.map(|key| AccessKey::clone(key)).ok_or_else(|| {
        Rejection::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
    })
}

/// Asked about the user whose key it is; about every user, where there is no such key.
/// Source of the texts: API reference, GetAccessKeyLastUsed: `N/A` for a key that was never used.
pub async fn get_access_key_last_used(
    service: &IamService,
    call: &Call,
    input: GetAccessKeyLastUsedRequest,
) -> Result<GetAccessKeyLastUsedResponse, Rejection> {
    let id = input.access_key_id.unwrap_or_default();
    let action = "iam:GetAccessKeyLastUsed";
    let ask = |tables: &Tables| {
        let key = tables.access_keys.get(&id).filter(|key| key.account == call.account).cloned();
        let subject = match key.as_ref().and_then(|key| key.user.as_ref()) {
            Some(user) => look::<User>(tables, &call.account, user.as_str(), action).beside(key),
            None => {
                let everyone = arn_without_path(&call.account, "user", "*");
                Subject::new(None, Question::new(action, everyone)).beside(key)
            }
        };
        subject.shown_as(&format!("access key {id}"))
    };
    let (tables, (_, key)) = service.store.read(call, ask)?;
    let key = key.ok_or_else(|| {
        Rejection::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
    })?;
    let user =
        key.user.as_ref().and_then(|user| tables.users.get(&UserKey::new(&call.account, user)));
    let never = || "N/A".to_owned();
    let last = key.last_use.as_ref();
    Ok(GetAccessKeyLastUsedResponse {
        user_name: user.map(|user| user.name.clone()),
        access_key_last_used: Some(wire::AccessKeyLastUsed {
            last_used_date: last.and_then(|last| view::time(last.at_ms)),
            service_name: Some(last.map_or_else(never, |last| last.service.clone())),
            region: Some(last.map_or_else(never, |last| last.region.to_string())),
        }),
    })
}

#[cfg(test)]
mod tests {
    use outport_permissions::secret_place;

    use crate::testing::{World, texts_of};

    const ANN: (&str, &str) = ("UserName", "ann");

    #[tokio::test]
    async fn a_secret_is_shown_once_and_kept_sealed() {
        let world = World::new();
        world.call("CreateUser", &[ANN]).await;
        let made = world.call("CreateAccessKey", &[ANN]).await;
        let (id, secret) =
            (&texts_of(&made, "AccessKeyId")[0], &texts_of(&made, "SecretAccessKey")[0]);
        let tables = world.store.snapshot();
        let row = tables.access_keys.get(id).unwrap();
        assert!(!format!("{row:?}").contains(secret.as_str()));
        let opened = world.keyring.open(&secret_place(id), &row.sealed_secret).unwrap();
        assert_eq!(opened, secret.as_bytes());
        let list = world.call("ListAccessKeys", &[ANN]).await;
        World::has(&list, &[("AccessKeyId", &[id]), ("SecretAccessKey", &[])]);
        let used = world.call("GetAccessKeyLastUsed", &[("AccessKeyId", id)]).await;
        World::has(
            &used,
            &[("UserName", &["ann"]), ("ServiceName", &["N/A"]), ("LastUsedDate", &[])],
        );
    }

    #[tokio::test]
    async fn a_user_has_two_keys_that_can_be_switched_off() {
        let world = World::new();
        world.call("CreateUser", &[ANN]).await;
        let made = world.call("CreateAccessKey", &[ANN]).await;
        let id = &texts_of(&made, "AccessKeyId")[0];
        world.call("CreateAccessKey", &[ANN]).await;
        let text = "Cannot exceed quota for AccessKeysPerUser: 2";
        world.refuses("CreateAccessKey", &[ANN], "LimitExceeded", text).await;
        let off = [ANN, ("AccessKeyId", id), ("Status", "Inactive")];
        world.call("UpdateAccessKey", &off).await;
        let list = world.call("ListAccessKeys", &[ANN]).await;
        let mut states = texts_of(&list, "Status");
        states.sort();
        assert_eq!(states, ["Active", "Inactive"]);
        world.call("DeleteAccessKey", &[ANN, ("AccessKeyId", id)]).await;
        let text = format!("The Access Key with id {id} cannot be found.");
        world.refuses("DeleteAccessKey", &[ANN, ("AccessKeyId", id)], "NoSuchEntity", &text).await;
    }

    /// A key is its user's: another name does not reach it.
    #[tokio::test]
    async fn a_key_is_reached_by_its_owner_only() {
        let world = World::new();
        for user in ["ann", "bob"] {
            world.call("CreateUser", &[("UserName", user)]).await;
        }
        let id = texts_of(&world.call("CreateAccessKey", &[ANN]).await, "AccessKeyId").remove(0);
        let text = format!("The Access Key with id {id} cannot be found.");
        let others = [("UserName", "bob"), ("AccessKeyId", id.as_str())];
        world.refuses("DeleteAccessKey", &others, "NoSuchEntity", &text).await;
        // Without a name, it is the root's own keys that are meant.
        world.refuses("DeleteAccessKey", &others[1..], "NoSuchEntity", &text).await;
        world.call("CreateAccessKey", &[]).await;
    }
}
