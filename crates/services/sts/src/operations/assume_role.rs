//! `AssumeRole`: temporary credentials of a role, for whom its trust policy names.

use std::sync::Arc;

use outport_aws_sts::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser};
use outport_identity::{Call, Principal, Question, ResourcePolicy, Session, Subject};
use outport_model::iam::Role;
use outport_model::{AccountId, Arn, Tags};
use outport_store::Tables;
use outport_store::keys::RoleKey;

use crate::StsService;
use crate::rejection::Rejection;
use crate::session::{self, Limits};

/// Source: API reference, AssumeRole, DurationSeconds.
const DURATION_DEFAULT_SECONDS: u32 = 3_600;
/// Source: IAM user guide, "Role chaining": "limits … to a maximum of one hour".
const CHAINED_DURATION_MAX_SECONDS: u32 = 3_600;

pub fn assume_role(
    service: &StsService,
    call: &Call,
    input: AssumeRoleRequest,
) -> Result<AssumeRoleResponse, Rejection> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(Rejection::not_built("SerialNumber"));
    }
    if input.provided_contexts.as_ref().is_some_and(|given| !given.is_empty()) {
        return Err(Rejection::not_built("ProvidedContexts"));
    }
    if matches!(call.principal, Principal::Root { .. }) {
        return Err(Rejection::AccessDenied(
            "Roles may not be assumed by root accounts.".to_owned(),
        ));
    }
    let request = Request::parse(call, &input)?;
    // Source: API reference, GetFederationToken: "You cannot call any AWS STS operations except GetCallerIdentity".
    if matches!(call.principal, Principal::FederatedUser { .. }) {
        return Err(request.denied(call));
    }
    let tables = service.store.snapshot();
    let role = role(&tables, &request.arn);
    // A role that there is not trusts nobody, and the text is the same.
    let asked = role.as_ref().map(|role| call.open(request.subject(&input, role)));
    let Some((role, Ok(()))) = role.zip(asked) else { return Err(request.denied(call)) };
    let duration = duration(call, &role, input.duration_seconds)?;
    let limits = Limits::parse(&tables, input.policy, input.policy_arns)?;
    let packed = limits.packed_size(&request.tags)?;
    let principal = Principal::AssumedRole {
        account: role.account.clone(),
        path: role.path.clone(),
        role: role.name.clone(),
        role_id: role.id.clone(),
        session_name: request.session_name,
    };
    let user =
        AssumedRoleUser { assumed_role_id: Some(principal.user_id()), arn: Some(principal.arn()) };
    let session = Session {
        issued_at_ms: call.now_ms,
        expires_at_ms: call.now_ms + i64::from(duration) * 1000,
        policy: limits.policy,
        policy_arns: limits.policy_arns,
        tags: request.tags,
        transitive_tag_keys: request.transitive,
        source_identity: request.source_identity.clone(),
        federated_provider: None,
    };
    Ok(AssumeRoleResponse {
        credentials: Some(service.issue(principal, session)?),
        assumed_role_user: Some(user),
        packed_policy_size: Some(packed),
        source_identity: request.source_identity,
        ..Default::default()
    })
}

struct Request {
    arn: Arn,
    session_name: String,
    /// With those that came from the session before.
    tags: Tags,
    /// Those that the request brings.
    own_tags: Tags,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl Request {
    fn parse(call: &Call, input: &AssumeRoleRequest) -> Result<Self, Rejection> {
        let arn = role_arn(input.role_arn.as_deref())?;
        let own_tags = session::tags(input.tags.clone())?;
        let before = call.session.as_deref();
        let mut tags = inherited(before);
        // Source: IAM user guide, "Chaining roles with session tags": transitive tags cannot be overridden.
        if let Some(key) = own_tags.keys().find(|key| has(&tags, key)) {
            return Err(Rejection::validation(format!(
                "The session tag {key} is transitive and cannot be overridden."
            )));
        }
        let mut transitive: Vec<String> = tags.keys().cloned().collect();
        tags.extend(own_tags.clone());
        for key in input.transitive_tag_keys.iter().flatten() {
            if !has(&own_tags, key) {
                return Err(Rejection::validation(format!(
                    "The transitive tag key {key} is not among the session tags."
                )));
            }
            transitive.push(key.clone());
        }
        Ok(Self {
            arn,
            session_name: input.role_session_name.clone().unwrap_or_default(),
            tags,
            own_tags,
            transitive,
            source_identity: source_identity(before, input.source_identity.as_ref())?,
        })
    }

    /// Source: "Actions, resources, and condition keys for AWS Security Token Service".
    fn subject(&self, input: &AssumeRoleRequest, role: &Role) -> Subject<()> {
        let question = |action: &'static str| {
            let mut question = Question::new(action, self.arn.as_str())
                .with("sts:RoleSessionName", self.session_name.as_str())
                .with_optional("sts:ExternalId", input.external_id.clone())
                .with_optional("sts:SourceIdentity", self.source_identity.clone())
                .with_request_tags(&self.own_tags)
                .with_resource_tags_of("iam", &role.tags)
                .with_resource_policy(Some(ResourcePolicy::RoleTrust(role.trust_policy.clone())));
            let transitive = input.transitive_tag_keys.clone().filter(|keys| !keys.is_empty());
            question = question.with_optional("sts:TransitiveTagKeys", transitive);
            question
        };
        let mut subject = Subject::from(question("sts:AssumeRole"));
        // Each role of a chain has to allow what the session before brings along. Source: IAM user guide, "Passing session tags in
        // AWS STS" and "Monitor and control actions taken with assumed roles".
        if !self.tags.is_empty() {
            subject = subject.and(question("sts:TagSession"));
        }
        if self.source_identity.is_some() {
            subject = subject.and(question("sts:SetSourceIdentity"));
        }
        subject
    }

    /// Source: answers as callers report them: of AssumeRole, AWS does not say why.
    fn denied(&self, call: &Call) -> Rejection {
        Rejection::AccessDenied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            call.principal.arn(),
            self.arn.as_str()
        ))
    }
}

/// # Errors
/// `ValidationError` for what is not a role's.
pub(super) fn role_arn(text: Option<&str>) -> Result<Arn, Rejection> {
    let text = text.unwrap_or_default();
    let arn = Arn::parse(text)
        .filter(|arn| arn.service() == "iam" && arn.resource().starts_with("role/"));
    arn.ok_or_else(|| Rejection::validation(format!("{text} is invalid")))
}

/// The role with this very ARN.
pub(super) fn role(tables: &Tables, arn: &Arn) -> Option<Arc<Role>> {
    let name = arn.resource().rsplit('/').next()?;
    let role = tables.roles.get(&RoleKey::new(&AccountId::new(arn.account()), name))?;
    (role.arn() == arn.as_str()).then(|| Arc::clone(role))
}

fn inherited(before: Option<&Session>) -> Tags {
    let Some(before) = before else { return Tags::new() };
    let is_transitive = |key: &String| before.transitive_tag_keys.contains(key);
    let tags = before.tags.iter().filter(|(key, _)| is_transitive(key));
    tags.map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(super) fn has(tags: &Tags, key: &str) -> bool {
    tags.keys().any(|tag| tag.eq_ignore_ascii_case(key))
}

/// It stays for the whole chain. Source: IAM user guide, "Monitor and control actions taken with assumed roles".
fn source_identity(
    before: Option<&Session>,
    given: Option<&String>,
) -> Result<Option<String>, Rejection> {
    let before = before.and_then(|session| session.source_identity.as_ref());
    match (before, given) {
        (Some(before), Some(given)) if before != given => Err(Rejection::AccessDenied(
            "The source identity of a session cannot be changed.".to_owned(),
        )),
        (before, given) => Ok(before.or(given).cloned()),
    }
}

/// # Errors
/// `ValidationError` for more than the role or a chain of roles allows.
pub(super) fn duration(call: &Call, role: &Role, given: Option<i32>) -> Result<u32, Rejection> {
    let seconds = given.and_then(|seconds| u32::try_from(seconds).ok());
    let is_chained = matches!(call.principal, Principal::AssumedRole { .. });
    let seconds = seconds.unwrap_or(DURATION_DEFAULT_SECONDS);
    if is_chained && seconds > CHAINED_DURATION_MAX_SECONDS {
        return Err(Rejection::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > role.max_session_duration {
        return Err(Rejection::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use outport_identity::{AccessKeyId, Credential, Principal, SecretAccessKey};

    use crate::testing::{ADMIN, NOW_MS, World, account, ann, text_of};

    const APP: (&str, &str) = ("RoleArn", "arn:aws:iam::000000000000:role/app");
    const NAME: (&str, &str) = ("RoleSessionName", "build");
    const ANN: &str = r#"{"AWS":"arn:aws:iam::000000000000:user/ann"}"#;
    const DENIED: &str = "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::000000000000:role/app";

    #[tokio::test]
    async fn who_is_trusted_becomes_the_role() {
        let world = World::new(&[]).await;
        world.refuses(&ann(), "AssumeRole", &[APP, NAME], "AccessDenied", DENIED).await;
        world.role("app", r#"{"Service":"ecs-tasks.amazonaws.com"}"#, "").await;
        world.refuses(&ann(), "AssumeRole", &[APP, NAME], "AccessDenied", DENIED).await;
        world.role("app", ANN, "").await;
        let answer = world.call(&ann(), "AssumeRole", &[APP, NAME]).await;
        assert_eq!(text_of(&answer, "AssumedRoleId"), "AROAapp:build");
        assert_eq!(text_of(&answer, "Expiration"), "2026-01-01T01:00:00Z");
        let session = world.credential(&answer);
        let who = world.call(&session, "GetCallerIdentity", &[]).await;
        assert_eq!(text_of(&who, "Arn"), "arn:aws:sts::000000000000:assumed-role/app/build");
        assert_eq!(text_of(&who, "UserId"), "AROAapp:build");
        assert_eq!(session.session.unwrap().issued_at_ms, NOW_MS);
    }

    #[tokio::test]
    async fn a_condition_of_the_trust_policy_counts() {
        let world = World::new(&[ADMIN]).await;
        let id = r#","Condition":{"StringEquals":{"sts:ExternalId":"x-1"}}"#;
        world.role("app", r#"{"AWS":"000000000000"}"#, id).await;
        world.refuses(&ann(), "AssumeRole", &[APP, NAME], "AccessDenied", DENIED).await;
        let wrong = [APP, NAME, ("ExternalId", "x-2")];
        world.refuses(&ann(), "AssumeRole", &wrong, "AccessDenied", DENIED).await;
        world.call(&ann(), "AssumeRole", &[APP, NAME, ("ExternalId", "x-1")]).await;
    }

    #[tokio::test]
    async fn a_session_may_no_more_than_its_policies_say() {
        let world = World::new(&[]).await;
        world.role("app", ANN, "").await;
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetAccessKeyInfo","Resource":"*"}]}"#;
        let key = ("AccessKeyId", "AKIA0000000000000001");
        let whole = world.credential(&world.call(&ann(), "AssumeRole", &[APP, NAME]).await);
        world
            .refuses(&whole, "GetAccessKeyInfo", &[key], "ValidationError", "AKIA0000000000000001")
            .await;
        let limited = [APP, NAME, ("Policy", policy)];
        let answer = world.call(&ann(), "AssumeRole", &limited).await;
        assert!(text_of(&answer, "PackedPolicySize").parse::<i32>().unwrap() > 0);
        let limited = world.credential(&answer);
        world
            .refuses(
                &limited,
                "GetAccessKeyInfo",
                &[key],
                "ValidationError",
                "AKIA0000000000000001",
            )
            .await;
        let next = [("RoleArn", "arn:aws:iam::000000000000:role/next"), NAME];
        world.role("next", r#"{"AWS":"000000000000"}"#, "").await;
        world.refuses(&limited, "AssumeRole", &next, "AccessDenied", "role/next").await;
        world.call(&whole, "AssumeRole", &next).await;
        let unknown = ("PolicyArns.member.1.arn", "arn:aws:iam::000000000000:policy/none");
        let code = "MalformedPolicyDocument";
        world.refuses(&ann(), "AssumeRole", &[APP, NAME, unknown], code, "policy/none").await;
        let broken = [APP, NAME, ("Policy", "{")];
        world.refuses(&ann(), "AssumeRole", &broken, code, "Syntax errors in policy.").await;
    }

    #[tokio::test]
    async fn a_session_lasts_as_long_as_the_role_allows() {
        let world = World::new(&[]).await;
        world
            .role("app", r#"{"AWS":["arn:aws:iam::000000000000:user/ann","000000000000"]}"#, "")
            .await;
        let two_hours = [APP, NAME, ("DurationSeconds", "7200")];
        let answer = world.call(&ann(), "AssumeRole", &two_hours).await;
        assert_eq!(text_of(&answer, "Expiration"), "2026-01-01T02:00:00Z");
        let longer = [APP, NAME, ("DurationSeconds", "7201")];
        let text =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        world.refuses(&ann(), "AssumeRole", &longer, "ValidationError", text).await;
        let session = world.credential(&answer);
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        world.refuses(&session, "AssumeRole", &two_hours, "ValidationError", text).await;
        world.call(&session, "AssumeRole", &[APP, NAME]).await;
    }

    #[tokio::test]
    async fn tags_and_the_source_identity_go_along_a_chain() {
        let world = World::new(&[]).await;
        world
            .role("app", r#"{"AWS":["arn:aws:iam::000000000000:user/ann","000000000000"]}"#, "")
            .await;
        let tagged = [
            APP,
            NAME,
            ("SourceIdentity", "ann@example.com"),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "blue"),
            ("Tags.member.2.Key", "task"),
            ("Tags.member.2.Value", "build"),
            ("TransitiveTagKeys.member.1", "team"),
        ];
        let first = world.credential(&world.call(&ann(), "AssumeRole", &tagged).await);
        assert_eq!(first.session.as_ref().unwrap().tags.len(), 2);
        let second = world.credential(&world.call(&first, "AssumeRole", &[APP, NAME]).await);
        let session = second.session.as_ref().unwrap();
        assert_eq!(
            session.tags.iter().collect::<Vec<_>>(),
            [(&"team".to_owned(), &"blue".to_owned())]
        );
        assert_eq!(session.source_identity.as_deref(), Some("ann@example.com"));
        let other = [APP, NAME, ("Tags.member.1.Key", "TEAM"), ("Tags.member.1.Value", "red")];
        world.refuses(&second, "AssumeRole", &other, "ValidationError", "transitive").await;
        let other = [APP, NAME, ("SourceIdentity", "bob@example.com")];
        world.refuses(&second, "AssumeRole", &other, "AccessDenied", "source identity").await;
        let absent = [APP, NAME, ("TransitiveTagKeys.member.1", "team")];
        world.refuses(&ann(), "AssumeRole", &absent, "ValidationError", "team").await;
    }

    #[tokio::test]
    async fn root_assumes_no_role() {
        let world = World::new(&[]).await;
        world.role("app", r#"{"AWS":"*"}"#, "").await;
        let root = Credential::long_term(
            AccessKeyId::new("AKIAROOT"),
            SecretAccessKey::new("root"),
            Principal::root(account()),
        );
        let text = "Roles may not be assumed by root accounts.";
        world.refuses(&root, "AssumeRole", &[APP, NAME], "AccessDenied", text).await;
    }
}
