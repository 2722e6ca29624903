//! Simulations through the API.

use crate::testing::{TRUSTS_TASKS, World, texts_of};

const ANN: (&str, &str) = ("UserName", "ann");
const OF_ANN: (&str, &str) = ("PolicySourceArn", "arn:aws:iam::000000000000:user/team/ann");
const LIST: (&str, &str) = ("ActionNames.member.1", "ecs:ListClusters");
const STOP: (&str, &str) = ("ActionNames.member.2", "ecs:StopTask");

const ALLOWS: &str = "{\"Version\": \"2012-10-17\", \"Statement\": [\n  {\"Effect\": \"Allow\", \"Action\": \"ecs:*\", \"Resource\": \"*\"}\n]}";
const DENIES: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecs:StopTask","Resource":"*","Condition":{"StringNotEquals":{"ecs:cluster":"arn:aws:ecs:us-east-1:000000000000:cluster/mine"}}}]}"#;
const OWN_NAME: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}]}"#;

#[tokio::test]
async fn documents_are_simulated() {
    let world = World::new();
    let input = [
        ("PolicyInputList.member.1", ALLOWS),
        ("PolicyInputList.member.2", DENIES),
        LIST,
        STOP,
        ("ActionNames.member.3", "s3:GetObject"),
    ];
    let answer = world.call("SimulateCustomPolicy", &input).await;
    World::has(
        &answer,
        &[
            ("EvalActionName", &["ecs:ListClusters", "ecs:StopTask", "s3:GetObject"]),
            ("EvalDecision", &["allowed", "explicitDeny", "implicitDeny"]),
            ("EvalResourceName", &["*", "*", "*"]),
            ("SourcePolicyId", &["PolicyInputList.1", "PolicyInputList.2"]),
            ("Line", &["2", "2", "1", "1"]),
        ],
    );
    let missing = texts_of(&answer, "MissingContextValues").len();
    assert_eq!(missing, 3, "{answer}");
    assert!(answer.contains("<MissingContextValues><member>ecs:cluster</member>"), "{answer}");
    let context = [
        ("ContextEntries.member.1.ContextKeyName", "ECS:cluster"),
        ("ContextEntries.member.1.ContextKeyType", "string"),
        (
            "ContextEntries.member.1.ContextKeyValues.member.1",
            "arn:aws:ecs:us-east-1:000000000000:cluster/mine",
        ),
    ];
    let answer = world.call("SimulateCustomPolicy", &[&input[..], &context].concat()).await;
    World::has(&answer, &[("EvalDecision", &["allowed", "allowed", "implicitDeny"])]);
}

#[tokio::test]
async fn a_simulation_comes_in_pages() {
    let world = World::new();
    let input = [
        ("PolicyInputList.member.1", ALLOWS),
        LIST,
        STOP,
        ("ResourceArns.member.1", "arn:aws:ecs:us-east-1:000000000000:cluster/a"),
        ("ResourceArns.member.2", "arn:aws:ecs:us-east-1:000000000000:cluster/b"),
        ("MaxItems", "3"),
    ];
    let page = world.call("SimulateCustomPolicy", &input).await;
    World::has(
        &page,
        &[
            ("EvalActionName", &["ecs:ListClusters", "ecs:ListClusters", "ecs:StopTask"]),
            ("EvalResourceDecision", &["allowed"; 3]),
            ("IsTruncated", &["true"]),
        ],
    );
    let marker = texts_of(&page, "Marker").remove(0);
    let rest = [&input[..], &[("Marker", marker.as_str())]].concat();
    let rest = world.call("SimulateCustomPolicy", &rest).await;
    World::has(&rest, &[("EvalActionName", &["ecs:StopTask"]), ("IsTruncated", &["false"])]);
}

async fn with_ann() -> World {
    let world = World::new();
    world.call("CreateUser", &[ANN, ("Path", "/team/")]).await;
    world.call("CreateGroup", &[("GroupName", "developers")]).await;
    world.call("AddUserToGroup", &[("GroupName", "developers"), ANN]).await;
    let of_group = [("GroupName", "developers"), ("PolicyName", "all"), ("PolicyDocument", ALLOWS)];
    world.call("PutGroupPolicy", &of_group).await;
    world.call("PutUserPolicy", &[ANN, ("PolicyName", "own"), ("PolicyDocument", OWN_NAME)]).await;
    world
}

#[tokio::test]
async fn the_policies_of_a_user_are_simulated() {
    let world = with_ann().await;
    let answer = world.call("SimulatePrincipalPolicy", &[OF_ANN, LIST, STOP]).await;
    World::has(
        &answer,
        &[
            ("EvalDecision", &["allowed", "allowed"]),
            ("SourcePolicyId", &["all", "all"]),
            ("SourcePolicyType", &["group", "group"]),
        ],
    );
    let own = [
        OF_ANN,
        ("ActionNames.member.1", "iam:CreateAccessKey"),
        ("ResourceArns.member.1", "arn:aws:iam::000000000000:user/ann"),
        ("ResourceArns.member.2", "arn:aws:iam::000000000000:user/bob"),
    ];
    let answer = world.call("SimulatePrincipalPolicy", &own).await;
    World::has(&answer, &[("EvalDecision", &["allowed", "implicitDeny"])]);
    let without = [
        OF_ANN,
        LIST,
        ("PolicyExclusionList.member.1.InlinePolicyIdentifier.PolicyName", "all"),
        ("PolicyExclusionList.member.1.InlinePolicyIdentifier.AttachmentType", "group"),
        ("PolicyExclusionList.member.1.InlinePolicyIdentifier.AttachmentName", "developers"),
    ];
    let answer = world.call("SimulatePrincipalPolicy", &without).await;
    World::has(&answer, &[("EvalDecision", &["implicitDeny"])]);
    let keys = world.call("GetContextKeysForPrincipalPolicy", &[OF_ANN]).await;
    World::has(&keys, &[("member", &["aws:username"])]);
    let more = [OF_ANN, ("PolicyInputList.member.1", DENIES)];
    let keys = world.call("GetContextKeysForPrincipalPolicy", &more).await;
    World::has(&keys, &[("member", &["aws:username", "ecs:cluster"])]);
}

#[tokio::test]
async fn a_boundary_limits_and_another_may_take_its_place() {
    let world = with_ann().await;
    let boundary = [ANN, ("PermissionsBoundary", "arn:aws:iam::aws:policy/IAMReadOnlyAccess")];
    world.call("PutUserPermissionsBoundary", &boundary).await;
    let answer = world.call("SimulatePrincipalPolicy", &[OF_ANN, LIST]).await;
    World::has(
        &answer,
        &[("EvalDecision", &["implicitDeny"]), ("AllowedByPermissionsBoundary", &["false"])],
    );
    let instead = ("PermissionsBoundaryPolicyInputList.member.1", ALLOWS);
    let answer = world.call("SimulatePrincipalPolicy", &[OF_ANN, LIST, instead]).await;
    World::has(
        &answer,
        &[("EvalDecision", &["allowed"]), ("AllowedByPermissionsBoundary", &["true"])],
    );
}

#[tokio::test]
async fn another_account_has_to_allow_too() {
    let world = with_ann().await;
    let elsewhere = ("ResourceArns.member.1", "arn:aws:ecs:us-east-1:111111111111:cluster/a");
    let answer = world.call("SimulatePrincipalPolicy", &[OF_ANN, LIST, elsewhere]).await;
    World::has(
        &answer,
        &[
            ("EvalDecision", &["implicitDeny"]),
            ("key", &["IAM Policy", "Resource Policy", "IAM Policy", "Resource Policy"]),
        ],
    );
    let granting = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/team/ann"},"Action":"ecs:ListClusters","Resource":"*"}]}"#;
    let granted = [OF_ANN, LIST, elsewhere, ("ResourcePolicy", granting)];
    let answer = world.call("SimulatePrincipalPolicy", &granted).await;
    World::has(&answer, &[("EvalDecision", &["allowed"])]);
}

#[tokio::test]
async fn what_cannot_be_simulated_is_refused() {
    let world = World::new();
    world
        .call("CreateRole", &[("RoleName", "app"), ("AssumeRolePolicyDocument", TRUSTS_TASKS)])
        .await;
    let root = "arn:aws:iam::000000000000:root";
    let text = format!("Invalid Entity Arn: {root} does not clearly define entity type and name.");
    let of_root = [("PolicySourceArn", root), LIST];
    world.refuses("SimulatePrincipalPolicy", &of_root, "InvalidInput", &text).await;
    let text = "The user with name ann cannot be found.";
    world.refuses("SimulatePrincipalPolicy", &[OF_ANN, LIST], "NoSuchEntity", text).await;
    let text = "PolicyInputList.1: Syntax errors in policy.";
    let broken = [("PolicyInputList.member.1", "{"), LIST];
    world.refuses("SimulateCustomPolicy", &broken, "InvalidInput", text).await;
    world.refuses("GetContextKeysForCustomPolicy", &broken[..1], "InvalidInput", text).await;
    let granting = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}"#;
    let of_role = ("PolicySourceArn", "arn:aws:iam::000000000000:role/app");
    let text = "CallerArn is required with ResourcePolicy, unless the policy source is a user.";
    let input = [of_role, LIST, ("ResourcePolicy", granting)];
    world.refuses("SimulatePrincipalPolicy", &input, "InvalidInput", text).await;
}
