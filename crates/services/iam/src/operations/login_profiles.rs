//! The passwords of users.
//!
//! A password is checked and hashed between two looks at the user: the first asks for the permission, so that nobody makes the
//! server hash who may not, the second is in the transaction, which goes on only if the profile is the one that was seen.
//!
//! Source of the texts: answers as callers report them, but for that of a wrong old password, which is a guess.

use std::sync::Arc;

use outport_aws_iam as wire;
use outport_aws_iam::{
    ChangePasswordRequest, CreateLoginProfileRequest, CreateLoginProfileResponse,
    DeleteLoginProfileRequest, GetLoginProfileRequest, GetLoginProfileResponse,
    UpdateLoginProfileRequest,
};
use outport_identity::{Call, Question, Subject};
use outport_model::iam::{LoginProfile, User};
use outport_store::Tables;

use crate::entity::{look, there};
use crate::operations::users::named;
use crate::rejection::Rejection;
use crate::{IamService, account, password, view};

fn not_found(name: &str) -> Rejection {
    Rejection::NoSuchEntity(format!("Login Profile for User {name} cannot be found."))
}

fn profile_of<'a>(user: &'a User, name: &str) -> Result<&'a LoginProfile, Rejection> {
    user.login_profile.as_ref().ok_or_else(|| not_found(name))
}

/// # Errors
/// `PasswordPolicyViolation`.
fn check(tables: &Tables, call: &Call, new: &str) -> Result<(), Rejection> {
    let account = account::find(tables, call);
    let alias = account.and_then(|account| account.alias.as_deref()).unwrap_or_default();
    let policy = account.and_then(|account| account.password_policy.as_ref());
    password::check(policy, &[call.account.as_str(), alias], new)
}

/// Those that may not be used again: the one that is, and as many before as the policy says.
fn forbidden(tables: &Tables, call: &Call, profile: &LoginProfile) -> Vec<String> {
    let policy = account::find(tables, call).and_then(|account| account.password_policy.as_ref());
    let count = policy.and_then(|policy| policy.reuse_prevention).unwrap_or_default();
    let known = std::iter::once(&profile.password_hash).chain(&profile.earlier_hashes);
    known.take(count as usize).cloned().collect()
}

fn with_password(profile: &LoginProfile, hash: String, call: &Call) -> LoginProfile {
    let known = std::iter::once(&profile.password_hash).chain(&profile.earlier_hashes);
    LoginProfile {
        earlier_hashes: known.take(password::EARLIER_MAX).cloned().collect(),
        password_hash: hash,
        changed_at_ms: Some(call.now_ms),
        ..profile.clone()
    }
}

/// A password is needed: without one AWS makes a profile for its own console only.
pub async fn create_login_profile(
    service: &IamService,
    call: &Call,
    input: CreateLoginProfileRequest,
) -> Result<CreateLoginProfileResponse, Rejection> {
    let name = named(call, input.user_name.as_deref())?;
    let Some(new) = input.password else {
        let text = "1 validation error detected: Value null at 'password' failed to satisfy constraint: Member must not be null";
        return Err(Rejection::Validation(text.to_owned()));
    };
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:CreateLoginProfile");
    let (tables, found) = service.store.read(call, ask)?;
    check_none(&*there(found, name)?)?;
    check(&tables, call, &new)?;
    let profile = LoginProfile {
        created_at_ms: call.now_ms,
        password_hash: service.hashing.hash(new).await?,
        must_be_changed: input.password_reset_required == Some(true),
        changed_at_ms: None,
        earlier_hashes: Vec::new(),
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut user = User::clone(&*there(found, name)?);
            check_none(&user)?;
            let view = view_of(&user, &profile);
            user.login_profile = Some(profile);
            tx.put(user);
            Ok(CreateLoginProfileResponse { login_profile: Some(view) })
        })
        .await
}

/// # Errors
/// `EntityAlreadyExists`.
fn check_none(user: &User) -> Result<(), Rejection> {
    if user.login_profile.is_none() {
        return Ok(());
    }
    let text = format!("Login Profile for user {} already exists.", user.name);
    Err(Rejection::EntityAlreadyExists(text))
}

fn view_of(user: &User, profile: &LoginProfile) -> wire::LoginProfile {
    wire::LoginProfile {
        user_name: Some(user.name.clone()),
        create_date: view::time(profile.created_at_ms),
        password_reset_required: Some(profile.must_be_changed),
    }
}

pub async fn get_login_profile(
    service: &IamService,
    call: &Call,
    input: GetLoginProfileRequest,
) -> Result<GetLoginProfileResponse, Rejection> {
    let name = named(call, input.user_name.as_deref())?;
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:GetLoginProfile");
    let (_, found) = service.store.read(call, ask)?;
    let user = there(found, name)?;
    let view = view_of(&user, profile_of(&user, name)?);
    Ok(GetLoginProfileResponse { login_profile: Some(view) })
}

pub async fn update_login_profile(
    service: &IamService,
    call: &Call,
    input: UpdateLoginProfileRequest,
) -> Result<(), Rejection> {
    let name = input.user_name.as_deref().unwrap_or_default();
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:UpdateLoginProfile");
    let (tables, found) = service.store.read(call, ask)?;
    let user = there(found, name)?;
    let seen = profile_of(&user, name)?;
    let mut profile = match input.password {
        Some(new) => renewed(service, call, &tables, seen, new).await?,
        None => seen.clone(),
    };
    if let Some(must_be_changed) = input.password_reset_required {
        profile.must_be_changed = must_be_changed;
    }
    keep(service, call, ask, name, seen, profile).await
}

/// The profile with a new password that conforms and was not used lately.
async fn renewed(
    service: &IamService,
    call: &Call,
    tables: &Tables,
    profile: &LoginProfile,
    new: String,
) -> Result<LoginProfile, Rejection> {
    check(tables, call, &new)?;
    let forbidden = forbidden(tables, call, profile);
    if service.hashing.is_one_of(new.clone(), forbidden).await? {
        return Err(password::violation());
    }
    Ok(with_password(profile, service.hashing.hash(new).await?, call))
}

/// # Errors
/// `EntityTemporarilyUnmodifiable` when somebody else changed the profile meanwhile.
async fn keep(
    service: &IamService,
    call: &Call,
    ask: impl Fn(&Tables) -> Subject<Option<Arc<User>>>,
    name: &str,
    seen: &LoginProfile,
    profile: LoginProfile,
) -> Result<(), Rejection> {
    service
        .store
        .write(call, ask, |tx, found| {
            let mut user = User::clone(&*there(found, name)?);
            if profile_of(&user, name)? != seen {
                let text = format!("Login Profile for User {name} cannot be modified while it is being changed. Try again.");
                return Err(Rejection::EntityTemporarilyUnmodifiable(text));
            }
            user.login_profile = Some(profile);
            tx.put(user);
            Ok(())
        })
        .await
}

pub async fn delete_login_profile(
    service: &IamService,
    call: &Call,
    input: DeleteLoginProfileRequest,
) -> Result<(), Rejection> {
    let name = named(call, input.user_name.as_deref())?;
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, "iam:DeleteLoginProfile");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut user = User::clone(&*there(found, name)?);
            user.login_profile.take().ok_or_else(|| not_found(name))?;
            tx.put(user);
            Ok(())
        })
        .await
}

/// Users change their own, and need the permission for it, which the account's password policy may give to all of them.
pub async fn change_password(
    service: &IamService,
    call: &Call,
    input: ChangePasswordRequest,
) -> Result<(), Rejection> {
    let action = "iam:ChangePassword";
    let Some(name) = call.principal.user_name() else {
        service.store.read(call, |_| Subject::from(Question::new(action, call.principal.arn())))?;
        let text = "Only IAM Users can change their own password.";
        return Err(Rejection::InvalidUserType(text.to_owned()));
    };
    let ask = |tables: &Tables| look::<User>(tables, &call.account, name, action);
    let (tables, found) = service.store.read(call, ask)?;
    let user = there(found, name)?;
    let seen = profile_of(&user, name)?;
    let (old, new) =
        (input.old_password.unwrap_or_default(), input.new_password.unwrap_or_default());
    if !service.hashing.is_one_of(old, vec![seen.password_hash.clone()]).await? {
        return Err(Rejection::AccessDenied("The old password was incorrect.".to_owned()));
    }
    let mut profile = renewed(service, call, &tables, seen, new).await?;
    profile.must_be_changed = false;
    keep(service, call, ask, name, seen, profile).await
}

#[cfg(test)]
mod tests {
    use outport_identity::Principal;
    use outport_identity::testing::WatchedPermissions;
    use outport_model::iam::User;
    use outport_store::Row;

    use crate::testing::{World, texts_of, write_now};

    const ANN: (&str, &str) = ("UserName", "ann");
    const FIRST: (&str, &str) = ("Password", "Abcdef12");

    async fn with_ann() -> World {
        let world = World::new();
        world.call("CreateUser", &[ANN]).await;
        world.call("CreateLoginProfile", &[ANN, FIRST, ("PasswordResetRequired", "true")]).await;
        world
    }

    fn become_ann(world: &mut World) {
        let ann = world.store.snapshot().users.iter().next().unwrap().clone();
        world.become_caller(Principal::User {
            account: ann.account.clone(),
            path: ann.path.clone(),
            name: ann.name.clone(),
            id: ann.id.clone(),
        });
        world.ask(WatchedPermissions::allowing());
    }

    fn change<'a>(old: &'a str, new: &'a str) -> [(&'a str, &'a str); 2] {
        [("OldPassword", old), ("NewPassword", new)]
    }

    #[tokio::test]
    async fn a_profile_is_made_shown_and_deleted() {
        let world = with_ann().await;
        let shown = world.call("GetLoginProfile", &[ANN]).await;
        World::has(&shown, &[("UserName", &["ann"]), ("PasswordResetRequired", &["true"])]);
        let row = format!("{:?}", world.store.snapshot().users.iter().collect::<Vec<_>>());
        assert!(row.contains("$argon2id$") && !row.contains(FIRST.1), "{row}");
        let text = "Login Profile for user ann already exists.";
        world.refuses("CreateLoginProfile", &[ANN, FIRST], "EntityAlreadyExists", text).await;
        let text = "Cannot delete entity, must delete login profile first.";
        world.refuses("DeleteUser", &[ANN], "DeleteConflict", text).await;
        world.call("DeleteLoginProfile", &[ANN]).await;
        let text = "Login Profile for User ann cannot be found.";
        for operation in ["GetLoginProfile", "DeleteLoginProfile", "UpdateLoginProfile"] {
            world.refuses(operation, &[ANN], "NoSuchEntity", text).await;
        }
        let text = "1 validation error detected: Value null at 'password' failed to satisfy constraint: Member must not be null";
        world.refuses("CreateLoginProfile", &[ANN], "ValidationError", text).await;
    }

    #[tokio::test]
    async fn a_password_has_to_conform() {
        let world = with_ann().await;
        let text = "Password does not conform to the account password policy.";
        let violates = async |password: &str| {
            let input = [ANN, ("Password", password)];
            world.refuses("UpdateLoginProfile", &input, "PasswordPolicyViolation", text).await;
        };
        violates("abc").await;
        let strict = [("MinimumPasswordLength", "12"), ("PasswordReusePrevention", "2")];
        world.call("UpdateAccountPasswordPolicy", &strict).await;
        violates("Abcdef123").await;
        let passwords = ["first-password", "second-password", "third-password"];
        for password in passwords {
            world.call("UpdateLoginProfile", &[ANN, ("Password", password)]).await;
        }
        violates(passwords[2]).await;
        violates(passwords[1]).await;
        world.call("UpdateLoginProfile", &[ANN, ("Password", passwords[0])]).await;
    }

    #[tokio::test]
    async fn a_user_changes_its_own() {
        let mut world = with_ann().await;
        let text = "Only IAM Users can change their own password.";
        let second = change(FIRST.1, "Ghijkl34");
        world.refuses("ChangePassword", &second, "InvalidUserType", text).await;
        become_ann(&mut world);
        let text = "The old password was incorrect.";
        let wrong = change("Abcdef13", "Ghijkl34");
        world.refuses("ChangePassword", &wrong, "AccessDenied", text).await;
        world.call("ChangePassword", &second).await;
        let shown = world.call("GetLoginProfile", &[]).await;
        World::has(&shown, &[("PasswordResetRequired", &["false"])]);
        world.refuses("ChangePassword", &second, "AccessDenied", text).await;
        world.call("ChangePassword", &change("Ghijkl34", FIRST.1)).await;
    }

    /// The permission is asked twice: for the look before the hash, and for the write.
    #[tokio::test]
    async fn a_profile_that_changed_meanwhile_is_not_overwritten() {
        let mut world = with_ann().await;
        let (store, mut asked) = (world.store.clone(), 0);
        world.ask(WatchedPermissions::new(move |_| {
            asked += 1;
            if asked == 2 {
                let key = store.snapshot().users.iter().next().unwrap().key();
                write_now(&store, |tx| {
                    tx.update::<User>(&key, |user| {
                        user.login_profile.as_mut().unwrap().must_be_changed = false
                    });
                });
            }
            true
        }));
        let input = [ANN, ("Password", "Ghijkl34")];
        let text =
            "Login Profile for User ann cannot be modified while it is being changed. Try again.";
        let code = "EntityTemporarilyUnmodifiable";
        world.refuses("UpdateLoginProfile", &input, code, text).await;
        world.call("UpdateLoginProfile", &input).await;
    }

    #[tokio::test]
    async fn the_report_tells_when_a_password_was_set() {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let world = with_ann().await;
        world.call("UpdateAccountPasswordPolicy", &[("MaxPasswordAge", "10")]).await;
        world.clock.advance(24 * 60 * 60 * 1000);
        world.call("UpdateLoginProfile", &[ANN, ("Password", "Ghijkl34")]).await;
        world.call("GenerateCredentialReport", &[]).await;
        let report = world.call("GetCredentialReport", &[]).await;
        let report = STANDARD.decode(&texts_of(&report, "Content")[0]).unwrap();
        let report = String::from_utf8(report).unwrap();
        let expected =
            ",true,no_information,2026-01-02T00:00:00+00:00,2026-01-12T00:00:00+00:00,false,false,";
        assert!(report.lines().nth(2).unwrap().contains(expected), "{report}");
    }
}
