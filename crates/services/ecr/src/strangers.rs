//! Every operation of the model is called by somebody who may not call it.
//!
//! Each is called as `calls.json` says. What is then not as it is with every other operation stands, with its reason, in
//! `strangers.json`; a row that is not needed any more fails the test, too.

use std::collections::BTreeMap;

use outport_aws_ecr::MODEL;
use outport_identity::Principal;
use outport_identity::testing::{Oddities, WatchedPermissions, check_oddities};
use outport_model::AccountId;
use serde_json::{Value, json};

use crate::testing::Fixture;

const NAMED: &str = "is asked for under another name";
const REFUSED_TO_ROOT: &str = "is refused to root";
const LETS_IN: &str = "lets a stranger in";
const CHANGES: &str = "changes something for a stranger";
const TELLS: &str = "tells what is there";
const OUTDATED: &str = "goes on with what was authorized before";

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}}"#;
const REGISTRY_POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:ReplicateImage","Resource":"*"}}"#;
const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}"#;

/// The repository `app` with the tag `team`, the image `1`, an upload that has five bytes, both policies and a preview; a registry
/// policy, a pull-through cache rule and a template.
struct Full {
    fixture: Fixture,
    calls: BTreeMap<String, Value>,
}

impl Full {
    async fn new() -> Self {
        let fixture = Fixture::new();
        fixture.create("app").await;
        fixture.tag("app", "team", "red");
        let manifest = fixture.manifest("app", b"layer");
        fixture.push("app", "1", b"layer").await;
        for (operation, input) in [
            ("SetRepositoryPolicy", json!({"repositoryName": "app", "policyText": POLICY})),
            (
                "PutLifecyclePolicy",
                json!({"repositoryName": "app", "lifecyclePolicyText": LIFECYCLE}),
            ),
            ("StartLifecyclePolicyPreview", json!({"repositoryName": "app"})),
            ("PutRegistryPolicy", json!({"policyText": REGISTRY_POLICY})),
            (
                "CreatePullThroughCacheRule",
                json!({"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}),
            ),
            (
                "CreateRepositoryCreationTemplate",
                json!({"prefix": "quay", "appliedFor": ["PULL_THROUGH_CACHE"]}),
            ),
        ] {
            let (status, answer) = fixture.reply_to_root(operation, &input).await;
            assert_eq!(status, 200, "{operation}: {answer}");
        }
        let text = include_str!("calls.json")
            .replace("{upload}", &fixture.upload_of("app", b"other").to_string())
            .replace("{uploaded}", &fixture.digest_of(b"other"))
            .replace("{digest}", &fixture.digest_of(b"layer"))
            .replace("{config}", &fixture.digest_of(b"{}"))
            .replace("\"{manifest}\"", &json!(manifest).to_string());
        Self { fixture, calls: serde_json::from_str(&text).expect("calls.json") }
    }

    async fn reply(&self, operation: &str) -> (u16, Value) {
        let call = self.calls.get(operation);
        let call = call.unwrap_or_else(|| panic!("calls.json has no call of {operation}"));
        self.fixture.reply(operation, call).await
    }

    /// All that can be seen of it.
    async fn state(&self) -> String {
        let app = json!({"repositoryName": "app"});
        let arn = json!({"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app"});
        let mut state = String::new();
        for (operation, input) in [
            ("DescribeRepositories", json!({})),
            ("DescribeImages", app.clone()),
            ("ListImages", app.clone()),
            ("GetRepositoryPolicy", app.clone()),
            ("GetLifecyclePolicy", app.clone()),
            ("GetLifecyclePolicyPreview", app),
            ("GetRegistryPolicy", json!({})),
            ("DescribePullThroughCacheRules", json!({})),
            ("DescribeRepositoryCreationTemplates", json!({})),
            ("GetRegistryScanningConfiguration", json!({})),
            ("ListTagsForResource", arn),
        ] {
            state += &self.fixture.reply_to_root(operation, &input).await.1.to_string();
        }
        state + &self.fixture.uploads("app")
    }
}

fn is_denied(reply: &(u16, Value)) -> bool {
    reply.0 == 400 && reply.1["__type"] == "AccessDeniedException"
}

async fn look(operation: &str, found: &mut Oddities) {
    let mut odd = |what: &str| {
        found.insert((operation.to_owned(), what.to_owned()));
    };
    let mut full = Full::new().await;
    let refusing = WatchedPermissions::refusing();
    full.fixture.ask(refusing.clone());
    let before = full.state().await;
    let refusal = full.reply(operation).await;
    if !is_denied(&refusal) {
        odd(LETS_IN);
    }
    let first = refusing.asked().first().map(|asked| asked.action.clone());
    if first != Some(format!("ecr:{operation}")) {
        odd(NAMED);
    }
    if full.state().await != before {
        odd(CHANGES);
    }
    let mut bare = Fixture::new();
    bare.ask(WatchedPermissions::refusing());
    if bare.reply(operation, &full.calls[operation]).await != refusal {
        odd(TELLS);
    }

    let mut full = Full::new().await;
    let stranger = Principal::root(AccountId::new("999999999999"));
    full.fixture.call = full.fixture.call.clone().by(stranger);
    if !is_denied(&full.reply(operation).await) {
        odd(LETS_IN);
    }

    if Full::new().await.reply(operation).await.0 != 200 {
        odd(REFUSED_TO_ROOT);
    }
    if !notices_other_tags(operation).await {
        odd(OUTDATED);
    }
}

/// The repository gets other tags between the authorization and what it was for.
async fn notices_other_tags(operation: &str) -> bool {
    let mut full = Full::new().await;
    let tagging = full.fixture.tagging("app", "team", "blue");
    let watched = WatchedPermissions::new(move |asked| {
        if asked.resource.ends_with(":repository/app") {
            tagging();
        }
        true
    });
    full.fixture.ask(watched.clone());
    let (status, answer) = full.reply(operation).await;
    let is_about_it = watched.asked().iter().any(|one| one.resource.ends_with(":repository/app"));
    let full_state = full.state().await;
    let untouched = Full::new().await;
    untouched.fixture.tag("app", "team", "blue");
    !is_about_it
        || (status == 500
            && answer["__type"] == "ServerException"
            && full_state.replace("blue", "") == untouched.state().await.replace("blue", ""))
}

#[tokio::test]
async fn no_operation_is_open_to_strangers() {
    let mut found = Oddities::new();
    for operation in MODEL.operations.iter().filter(|operation| operation.is_implemented) {
        look(operation.name, &mut found).await;
    }
    check_oddities(&found, include_str!("strangers.json"));
}
