//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use outport_aws_iam::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::AccountId;

use crate::testing::{ALLOWS, Pair, TRUSTS_TASKS, World, texts_of};

type Calls = BTreeMap<String, BTreeMap<String, String>>;

/// A world where every call finds what it is about.
async fn full_world() -> World {
    let world = World::new();
    let policy = "arn:aws:iam::000000000000:policy/bare";
    let attached = "arn:aws:iam::000000000000:policy/attached";
    for (operation, input) in [
        (
            "CreateUser",
            &[("UserName", "ann"), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")][..],
        ),
        ("CreateUser", &[("UserName", "bare")]),
        ("CreateGroup", &[("GroupName", "developers")]),
        ("CreateGroup", &[("GroupName", "bare")]),
        ("CreateRole", &[("RoleName", "app"), ("AssumeRolePolicyDocument", TRUSTS_TASKS)]),
        ("CreateRole", &[("RoleName", "bare"), ("AssumeRolePolicyDocument", TRUSTS_TASKS)]),
        ("CreatePolicy", &[("PolicyName", "bare"), ("PolicyDocument", ALLOWS)]),
        ("CreatePolicy", &[("PolicyName", "attached"), ("PolicyDocument", ALLOWS)]),
        ("CreatePolicyVersion", &[("PolicyArn", attached), ("PolicyDocument", ALLOWS)]),
        ("CreateInstanceProfile", &[("InstanceProfileName", "nodes")]),
        ("CreateInstanceProfile", &[("InstanceProfileName", "bare")]),
        ("AddRoleToInstanceProfile", &[("InstanceProfileName", "nodes"), ("RoleName", "app")]),
        ("AddUserToGroup", &[("GroupName", "developers"), ("UserName", "ann")]),
        ("AttachUserPolicy", &[("UserName", "ann"), ("PolicyArn", attached)]),
        ("AttachGroupPolicy", &[("GroupName", "developers"), ("PolicyArn", attached)]),
        ("AttachRolePolicy", &[("RoleName", "app"), ("PolicyArn", attached)]),
        ("PutUserPolicy", &[("UserName", "ann"), ("PolicyName", "p"), ("PolicyDocument", ALLOWS)]),
        (
            "PutGroupPolicy",
            &[("GroupName", "developers"), ("PolicyName", "p"), ("PolicyDocument", ALLOWS)],
        ),
        ("PutRolePolicy", &[("RoleName", "app"), ("PolicyName", "p"), ("PolicyDocument", ALLOWS)]),
        ("PutUserPermissionsBoundary", &[("UserName", "ann"), ("PermissionsBoundary", attached)]),
        ("PutRolePermissionsBoundary", &[("RoleName", "app"), ("PermissionsBoundary", attached)]),
        ("CreateServiceLinkedRole", &[("AWSServiceName", "ecs.amazonaws.com")]),
        (
            "CreateOpenIDConnectProvider",
            &[
                ("Url", "https://token.example.com"),
                ("Tags.member.1.Key", "team"),
                ("Tags.member.1.Value", "red"),
            ],
        ),
        ("CreateLoginProfile", &[("UserName", "ann"), ("Password", "Abcdef12")]),
        ("CreateAccountAlias", &[("AccountAlias", "full-world")]),
        ("UpdateAccountPasswordPolicy", &[]),
        ("GenerateCredentialReport", &[]),
        ("CreateServiceLinkedRole", &[("AWSServiceName", "spot.amazonaws.com")]),
        (
            "TagPolicy",
            &[("PolicyArn", policy), ("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "red")],
        ),
    ] {
        world.call(operation, input).await;
    }
    let certificate = [
        ("ServerCertificateName", "web"),
        ("CertificateBody", &PAIR.certificate),
        ("PrivateKey", &PAIR.key),
    ];
    world.call("UploadServerCertificate", &certificate).await;
    world
}

static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new("web.example.com"));

/// The calls, about the things of `world`.
async fn calls(world: &World) -> Calls {
    let made = world.call("CreateAccessKey", &[("UserName", "ann")]).await;
    let spot = [("RoleName", "AWSServiceRoleForEC2Spot")];
    let deleted = world.call("DeleteServiceLinkedRole", &spot).await;
    let text = include_str!("calls.json")
        .replace("{key}", &texts_of(&made, "AccessKeyId")[0])
        .replace("{certificate}", &PAIR.certificate.replace(['\r', '\n'], "\\n"))
        .replace("{private key}", &PAIR.key.replace(['\r', '\n'], "\\n"))
        .replace("{task}", &texts_of(&deleted, "DeletionTaskId")[0])
        .replace("{allows}", &ALLOWS.replace('"', "\\\""))
        .replace("{trusts}", &TRUSTS_TASKS.replace('"', "\\\""));
    serde_json::from_str(&text).unwrap()
}

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";

/// All that the account has.
fn rows(world: &World) -> String {
    let (tables, account) = (world.store.snapshot(), AccountId::new("000000000000"));
    let keys: Vec<_> = tables.access_keys.iter().filter(|key| key.account == account).collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {keys:?}",
        tables.accounts.get(&account),
        tables.oidc_providers.of_account(&account).collect::<Vec<_>>(),
        tables.server_certificates.of_account(&account).collect::<Vec<_>>(),
        tables.users.of_account(&account).collect::<Vec<_>>(),
        tables.groups.of_account(&account).collect::<Vec<_>>(),
        tables.roles.of_account(&account).collect::<Vec<_>>(),
        tables.managed_policies.of_account(&account).collect::<Vec<_>>(),
        tables.instance_profiles.of_account(&account).collect::<Vec<_>>(),
    )
}

async fn look(operation: &str, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut world = full_world().await;
    let calls = calls(&world).await;
    let input: Vec<(&str, &str)> = calls
        .get(operation)
        .unwrap_or_else(|| panic!("calls.json has no call of {operation}"))
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();

    let refusing = WatchedPermissions::refusing();
    world.ask(refusing.clone());
    let version = world.store.snapshot().version();
    let (status, refusal) = world.reply(operation, &input).await;
    if (status, texts_of(&refusal, "Code")) != (403, vec!["AccessDenied".to_owned()]) {
        odd(LETS_IN);
    }
    if refusing.asked().first().map(|asked| asked.action.clone())
        != Some(format!("iam:{operation}"))
    {
        odd(NAMED);
    }
    let mut bare = World::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, &input).await != (status, refusal) {
        odd(TELLS);
    }

    if world.store.snapshot().version() != version {
        odd(CHANGES);
    }

    // A root that has nothing to do with the account: names mean its own account, and ARNs are refused.
    let mut world = full_world().await;
    let before = rows(&world);
    world.become_caller(Principal::root(AccountId::new("999999999999")));
    let (_, answer) = world.reply(operation, &input).await;
    if texts_of(&answer, "Arn").iter().any(|arn| arn.contains("000000000000")) {
        odd(LETS_IN);
    }
    if rows(&world) != before {
        odd(CHANGES);
    }

    let mut world = full_world().await;
    world.call("CreateAccessKey", &[("UserName", "bare")]).await;
    let made = world.store.snapshot().access_keys.iter().next().map(|key| key.id.clone());
    let input: Vec<_> = input
        .iter()
        .map(|(name, value)| {
            (*name, if value.starts_with("AKIA") { made.as_deref().unwrap() } else { value })
        })
        .map(|(name, value)| {
            let of_key = operation.ends_with("AccessKey") && name == "UserName";
            (name, if of_key { "bare" } else { value })
        })
        .collect();
    if operation == "DeleteUser" {
        world = full_world().await;
    }
    if world.reply(operation, &input).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let mut found = Oddities::new();
    let implemented = MODEL.operations.iter().filter(|operation| operation.is_implemented);
    for operation in implemented {
        // A store in memory writes at the first poll, as long as the task has budget left.
        tokio::task::yield_now().await;
        look(operation.name, &mut found).await;
    }
    check_oddities(&found, include_str!("strangers.json"));
    let implemented = |name: &str| MODEL.operation(name).is_some_and(|found| found.is_implemented);
    let calls = calls(&full_world().await).await;
    let unknown: Vec<_> = calls.keys().filter(|name| !implemented(name)).collect();
    assert!(unknown.is_empty(), "calls.json calls what is not there: {unknown:?}");
}
