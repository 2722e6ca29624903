//! The alias of an account.

use outport_aws_iam::{
    CreateAccountAliasRequest, DeleteAccountAliasRequest, ListAccountAliasesRequest,
    ListAccountAliasesResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_store::Tables;

use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{IamService, account};

fn ask(action: &'static str) -> impl Fn(&Tables) -> Subject<()> {
    move |_| Subject::from(Question::without_resource(action))
}

/// An account has one: a new one takes the place of the old one.
///
/// Source: API reference, CreateAccountAlias, and IAM user guide, "Your AWS account ID and its alias": unique among all accounts.
/// The texts of aliases are answers as callers report them.
pub async fn create_account_alias(
    service: &IamService,
    call: &Call,
    input: CreateAccountAliasRequest,
) -> Result<(), Rejection> {
    let alias = input.account_alias.unwrap_or_default();
    service
        .store
        .write(call, ask("iam:CreateAccountAlias"), |tx, ()| {
            if tx.accounts.iter().any(|account| account.alias.as_ref() == Some(&alias)) {
                let text = format!("The account alias {alias} already exists.");
                return Err(Rejection::EntityAlreadyExists(text));
            }
            let mut account = account::find_or_new(tx, call);
            account.alias = Some(alias.clone());
            tx.put(account);
            Ok(())
        })
        .await
}

pub async fn delete_account_alias(
    service: &IamService,
    call: &Call,
    input: DeleteAccountAliasRequest,
) -> Result<(), Rejection> {
    let alias = input.account_alias.unwrap_or_default();
    service
        .store
        .write_always(call, ask("iam:DeleteAccountAlias"), |tx, ()| {
            let mut account = account::find_or_new(tx, call);
            if account.alias.as_ref() != Some(&alias) {
                let text = format!("The account alias {alias} cannot be found.");
                return Err(Rejection::NoSuchEntity(text));
            }
            account.alias = None;
            tx.put(account);
            Ok(())
        })
        .await
}

pub async fn list_account_aliases(
    service: &IamService,
    call: &Call,
    input: ListAccountAliasesRequest,
) -> Result<ListAccountAliasesResponse, Rejection> {
    let page = PageRequest::parse(input.max_items, input.marker.as_deref())?;
    let (tables, ()) = service.store.read(call, ask("iam:ListAccountAliases"))?;
    let alias = account::find(&tables, call).and_then(|account| account.alias.clone());
    let page = page.take(alias.map(|alias| (alias.clone(), alias)));
    Ok(ListAccountAliasesResponse {
        is_truncated: page.is_truncated(),
        account_aliases: Some(page.items),
        marker: page.marker,
    })
}

#[cfg(test)]
mod tests {
    use outport_identity::Principal;
    use outport_model::AccountId;

    use crate::testing::World;

    const BLUE: (&str, &str) = ("AccountAlias", "blue");

    #[tokio::test]
    async fn an_account_has_one_alias_that_no_other_has() {
        let mut world = World::new();
        World::has(&world.call("ListAccountAliases", &[]).await, &[("member", &[])]);
        world.call("CreateAccountAlias", &[BLUE]).await;
        let other = Principal::root(AccountId::new("111111111111"));
        world.become_caller(other);
        let text = "The account alias blue already exists.";
        world.refuses("CreateAccountAlias", &[BLUE], "EntityAlreadyExists", text).await;
        let text = "The account alias blue cannot be found.";
        world.refuses("DeleteAccountAlias", &[BLUE], "NoSuchEntity", text).await;
        world.become_caller(Principal::root(AccountId::new("000000000000")));
        world.call("CreateAccountAlias", &[("AccountAlias", "green")]).await;
        World::has(&world.call("ListAccountAliases", &[]).await, &[("member", &["green"])]);
        world.call("DeleteAccountAlias", &[("AccountAlias", "green")]).await;
        World::has(&world.call("ListAccountAliases", &[]).await, &[("member", &[])]);
    }

    #[tokio::test]
    async fn an_alias_has_a_form() {
        let world = World::new();
        for alias in ["-blue", "Blue", "a--b", "ab"] {
            let (status, _) = world.reply("CreateAccountAlias", &[("AccountAlias", alias)]).await;
            assert_eq!(status, 400, "{alias}");
        }
    }
}
