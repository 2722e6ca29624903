//! What the passwords of an account's users must be like.

use outport_aws_iam as wire;
use outport_aws_iam::{GetAccountPasswordPolicyResponse, UpdateAccountPasswordPolicyRequest};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::PasswordPolicy;
use outport_store::Tables;

use crate::rejection::Rejection;
use crate::{IamService, account};

/// Source: API reference, UpdateAccountPasswordPolicy, MinimumPasswordLength: "If you do not specify a value for this
/// parameter, then the operation uses the default value of 6."
const LENGTH_DEFAULT: u32 = 6;

fn ask(action: &'static str) -> impl Fn(&Tables) -> Subject<()> {
    move |_| Subject::from(Question::without_resource(action))
}

/// Source of this text and the next: LocalStack's recordings of AWS.
fn not_found(call: &Call) -> Rejection {
    let account = &call.account;
    let text = format!("The Password Policy with domain name {account} cannot be found.");
    Rejection::NoSuchEntity(text)
}

fn nothing_to_delete() -> Rejection {
    let text = "The account policy with name PasswordPolicy cannot be found.";
    Rejection::NoSuchEntity(text.to_owned())
}

pub async fn get_account_password_policy(
    service: &IamService,
    call: &Call,
    (): (),
) -> Result<GetAccountPasswordPolicyResponse, Rejection> {
    let (tables, ()) = service.store.read(call, ask("iam:GetAccountPasswordPolicy"))?;
    let policy = account::find(&tables, call).and_then(|account| account.password_policy.as_ref());
    let policy = policy.ok_or_else(|| not_found(call))?;
    Ok(GetAccountPasswordPolicyResponse { password_policy: Some(view(policy)) })
}

fn view(policy: &PasswordPolicy) -> wire::PasswordPolicy {
    let number = |number: u32| i32::try_from(number).ok();
    wire::PasswordPolicy {
        minimum_password_length: number(policy.minimum_length),
        require_symbols: Some(policy.require_symbols),
        require_numbers: Some(policy.require_numbers),
        require_uppercase_characters: Some(policy.require_uppercase),
        require_lowercase_characters: Some(policy.require_lowercase),
        allow_users_to_change_password: Some(policy.allow_users_to_change),
        expire_passwords: Some(policy.max_age_days.is_some()),
        max_password_age: policy.max_age_days.and_then(number),
        password_reuse_prevention: policy.reuse_prevention.and_then(number),
        hard_expiry: policy.hard_expiry.then_some(true),
    }
}

/// What is not given is set back to its default.
/// Source: API reference, UpdateAccountPasswordPolicy: "This operation does not support partial updates."
pub async fn update_account_password_policy(
    service: &IamService,
    call: &Call,
    input: UpdateAccountPasswordPolicyRequest,
) -> Result<(), Rejection> {
    // The model holds them above zero.
    let number = |given: Option<i32>| given.and_then(|number| u32::try_from(number).ok());
    let policy = PasswordPolicy {
        minimum_length: number(input.minimum_password_length).unwrap_or(LENGTH_DEFAULT),
        require_symbols: input.require_symbols == Some(true),
        require_numbers: input.require_numbers == Some(true),
        require_uppercase: input.require_uppercase_characters == Some(true),
        require_lowercase: input.require_lowercase_characters == Some(true),
        allow_users_to_change: input.allow_users_to_change_password == Some(true),
        max_age_days: number(input.max_password_age),
        reuse_prevention: number(input.password_reuse_prevention),
        hard_expiry: input.hard_expiry == Some(true),
    };
    service
        .store
        .write(call, ask("iam:UpdateAccountPasswordPolicy"), |tx, ()| {
            let mut account = account::find_or_new(tx, call);
            account.password_policy = Some(policy);
            tx.put(account);
            Ok(())
        })
        .await
}

pub async fn delete_account_password_policy(
    service: &IamService,
    call: &Call,
    (): (),
) -> Result<(), Rejection> {
    service
        .store
        .write_always(call, ask("iam:DeleteAccountPasswordPolicy"), |tx, ()| {
            let mut account = account::find_or_new(tx, call);
            account.password_policy.take().ok_or_else(nothing_to_delete)?;
            tx.put(account);
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn what_is_not_given_has_its_default() {
        let world = World::new();
        let text = "The Password Policy with domain name 000000000000 cannot be found.";
        world.refuses("GetAccountPasswordPolicy", &[], "NoSuchEntity", text).await;
        let nothing = "The account policy with name PasswordPolicy cannot be found.";
        world.refuses("DeleteAccountPasswordPolicy", &[], "NoSuchEntity", nothing).await;
        let strict = [("MinimumPasswordLength", "14"), ("MaxPasswordAge", "90")];
        world.call("UpdateAccountPasswordPolicy", &strict).await;
        let policy = world.call("GetAccountPasswordPolicy", &[]).await;
        World::has(
            &policy,
            &[
                ("MinimumPasswordLength", &["14"]),
                ("ExpirePasswords", &["true"]),
                ("MaxPasswordAge", &["90"]),
                ("RequireSymbols", &["false"]),
                ("PasswordReusePrevention", &[]),
                ("HardExpiry", &[]),
            ],
        );
        world.call("UpdateAccountPasswordPolicy", &[("RequireSymbols", "true")]).await;
        let policy = world.call("GetAccountPasswordPolicy", &[]).await;
        World::has(
            &policy,
            &[
                ("MinimumPasswordLength", &["6"]),
                ("ExpirePasswords", &["false"]),
                ("RequireSymbols", &["true"]),
                ("MaxPasswordAge", &[]),
            ],
        );
        world.call("DeleteAccountPasswordPolicy", &[]).await;
        world.refuses("GetAccountPasswordPolicy", &[], "NoSuchEntity", text).await;
    }
}
