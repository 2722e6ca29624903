//! Execution roles: who pulls, reads secrets and writes logs for a task.
//!
//! What AWS's agent does with the credentials of an execution role, the control plane does as that role: the same operations
//! of the same services, with the same questions to the same policies, each time anew.
//!
//! **Invariant:** the value of a secret is in an answer to the task's own node, and nowhere else: in no log, no error.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use outport_aws_secretsmanager::{
    GetSecretValueRequest, GetSecretValueResponse, SecretsManagerHandler,
};
use outport_aws_ssm::{GetParametersRequest, SsmHandler};
use outport_aws_wire::{Protocol, WireError};
use outport_controllers::node_link::{SecretSource, SinkError};
use outport_identity::{
    AccessKeyId, Answered, Arrival, Call, Caller, PermissionSource, Principal, Question, RequestId,
    Session, Subject,
};
use outport_model::Arn;
use outport_model::task::Task;
use outport_model::task_definition::{ContainerDefinition, SecretReference};
use outport_node_protocol::{ContainerSecrets, RegistryUser, TaskSecrets};
use outport_service_secretsmanager::SecretsManagerService;
use outport_service_ssm::SsmService;
use outport_service_sts::{NotAssumed, ServiceSession, StsService};
use outport_store::RandomIds;
use outport_store::identifiers::uuid;
use serde_json::{Value, json};

use crate::audit::Trail;
use crate::task_roles::TASKS_SERVICE;

/// A session lives as long as what is done in it.
const LIFETIME_MS: i64 = 15 * 60_000;
/// As AWS's agent calls itself.
const USER_AGENT: &str = "amazon-ecs-agent";
/// The code of a denial.
pub const DENIED: &str = "AccessDeniedException";
/// Source: API reference, GetParameters: "Names: … Maximum number of 10 items".
const PARAMETERS_PER_CALL_MAX: usize = 10;

/// Who acts as a role.
pub struct Actor {
    pub principal: Principal,
    /// `None`: the account itself, for who asked for `--permissive`.
    pub session: Option<Box<Session>>,
}

/// Makes calls as execution roles. A clone is another handle.
#[derive(Clone)]
pub struct ExecutionRoles {
    sts: StsService,
    permissions: Arc<dyn PermissionSource>,
    /// Whether a role that cannot be assumed is only said.
    is_permissive: bool,
    /// Where what they do is written down.
    trail: Option<Trail>,
}

impl ExecutionRoles {
    pub fn new(
        sts: StsService,
        permissions: Arc<dyn PermissionSource>,
        is_permissive: bool,
    ) -> Self {
        Self { sts, permissions, is_permissive, trail: None }
    }

    #[must_use]
    pub fn with_trail(mut self, trail: Trail) -> Self {
        self.trail = Some(trail);
        self
    }

    /// Writes a call down that was made as a role. `what`: service, operation, and whether it changes nothing.
    pub fn record(
        &self,
        call: &Call,
        answers: Vec<Answered>,
        what: (&'static str, &'static str, bool),
        parameters: &Value,
        error: Option<(String, String)>,
    ) {
        if let Some(trail) = &self.trail {
            trail.record_call(call.clone(), answers, what, parameters, error);
        }
    }

    /// Who acts for the task as the role, which is looked at each time.
    ///
    /// # Errors
    /// A refusal with the text of tasks that do not start.
    pub fn session(&self, task: &Task, role_arn: &str) -> Result<Actor, SinkError> {
        let source_arn = Arn::task(&task.scope, &task.cluster, &task.id);
        let asked = ServiceSession {
            service: TASKS_SERVICE,
            role_arn,
            session_name: task.id.as_str(),
            account: &task.scope.account,
            region: &task.scope.region,
            source_arn: source_arn.as_str(),
            now_ms: crate::control_plane::now_ms(),
            lifetime_ms: LIFETIME_MS,
        };
        let why = match self.sts.session_for_service(&asked) {
            Ok((principal, session)) => {
                return Ok(Actor { principal, session: Some(Box::new(session)) });
            }
            Err(why) => why,
        };
        if self.is_permissive && !matches!(why, NotAssumed::Fault(_)) {
            tracing::warn!(
                event = "execution_role_not_assumed",
                task = %task.id,
                family = %task.family,
                reason = %why,
                "a task's execution role cannot be assumed: it is allowed, as --permissive says"
            );
            let principal = Principal::root(task.scope.account.clone());
            return Ok(Actor { principal, session: None });
        }
        Err(match why {
            NotAssumed::Fault(detail) => SinkError::Fault(detail),
            // Source: the text that ECS shows for a role that does not trust it.
            reason => SinkError::Refused(format!(
                "ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the \
                 role being passed has the proper trust relationship and permissions and that your IAM user has \
                 permissions to pass this role. ({reason})"
            )),
        })
    }

    /// A call in the name of the role. Where it comes from is the task's own address where it has one, as on Fargate;
    /// of others the loopback address, a guess: on AWS it is the container instance's.
    pub fn call(&self, task: &Task, role_arn: &str) -> Result<Call, SinkError> {
        let Actor { principal, session } = self.session(task, role_arn)?;
        let address = task.attachment.as_ref().map(|attached| attached.private_ip);
        let arrival = Arrival {
            request_id: RequestId::new(uuid(&RandomIds)),
            now_ms: crate::control_plane::now_ms(),
            source_ip: IpAddr::V4(address.unwrap_or(Ipv4Addr::LOCALHOST)),
            user_agent: Some(USER_AGENT.to_owned()),
            secure_transport: true,
            host: None,
        };
        let caller = Caller {
            principal,
            access_key_id: AccessKeyId::new(format!("task/{}", task.id)),
            session,
        };
        let (region, permissions) = (task.scope.region.clone(), Arc::clone(&self.permissions));
        let call = Call::new(arrival, caller, region, permissions);
        Ok(if self.trail.is_some() { call.keeping_answers() } else { call })
    }

    /// Whether the role may do this for the task: a call of that operation, which is written down.
    ///
    /// # Errors
    /// AWS's text of a denial, `AccessDeniedException: …`, as a refusal.
    pub fn ask(
        &self,
        task: &Task,
        role_arn: &str,
        question: Question,
        what: (&'static str, &'static str, bool),
    ) -> Result<(), SinkError> {
        let call = self.call(task, role_arn)?;
        let asked = call.open(Subject::from(question));
        let error = asked.as_ref().err().map(|denied| (DENIED.to_owned(), denied.message.clone()));
        self.record(&call, call.take_answers(), what, &Value::Null, error);
        asked.map_err(|denied| SinkError::Refused(format!("{DENIED}: {}", denied.message)))
    }
}

/// Reads secrets for tasks.
pub struct TaskSecretReader {
    roles: ExecutionRoles,
    secrets: SecretsManagerService,
    parameters: SsmService,
}

impl TaskSecretReader {
    pub fn new(
        roles: ExecutionRoles,
        secrets: SecretsManagerService,
        parameters: SsmService,
    ) -> Self {
        Self { roles, secrets, parameters }
    }

    /// Each secret once, however many variables are made of it. The texts are those of AWS's agent, as users report them.
    async fn secret(
        &self,
        call: &Call,
        at: &SecretPlace,
    ) -> Result<GetSecretValueResponse, String> {
        let request = GetSecretValueRequest {
            secret_id: Some(at.id.clone()),
            version_id: at.version_id.clone(),
            version_stage: at.stage.clone(),
        };
        let read = self.secrets.get_secret_value(call, request).await.map_err(WireError::from);
        let mut parameters = json!({ "secretId": at.id });
        for (name, given) in [("versionId", &at.version_id), ("versionStage", &at.stage)] {
            if let Some(given) = given {
                parameters[name] = given.as_str().into();
            }
        }
        let what = ("secretsmanager", "GetSecretValue", true);
        self.record(call, what, &parameters, read.as_ref().err());
        read.map_err(|error| error.to_string())
    }

    fn record(
        &self,
        call: &Call,
        what: (&'static str, &'static str, bool),
        parameters: &Value,
        error: Option<&WireError>,
    ) {
        let error = error.map(|it| (it.code_in(Protocol::Json11).to_owned(), it.message.clone()));
        self.roles.record(call, call.take_answers(), what, parameters, error);
    }

    async fn container(
        &self,
        call: &Call,
        container: &ContainerDefinition,
        parameters: &[(String, String)],
    ) -> Result<ContainerSecrets, String> {
        let mut environment = Vec::new();
        for SecretReference { name, value_from } in &container.secrets {
            let value = match Source::parse(value_from) {
                Source::Secret(at) => {
                    let read = self.secret(call, &at).await;
                    let read = read.map_err(|error| not_fetched(&at.id, &error))?;
                    value_of(&at, read)?
                }
                Source::Parameter(id) => {
                    let found = parameters.iter().find(|(known, _)| *known == id);
                    found.map(|(_, value)| value.clone()).ok_or_else(|| {
                        format!("unable to retrieve secrets from ssm: invalid parameters: {id}")
                    })?
                }
            };
            environment.push((name.clone(), value));
        }
        let registry = match &container.repository_credentials {
            Some(id) => Some(self.registry_user(call, id).await?),
            None => None,
        };
        Ok(ContainerSecrets { container: container.name.clone(), environment, registry })
    }

    /// Source: ECS developer guide, "Using non-AWS container images in Amazon ECS": `{"username": …, "password": …}`.
    async fn registry_user(&self, call: &Call, id: &str) -> Result<RegistryUser, String> {
        const WHAT: &str = "unable to get registry auth from asm: service call has been retried 1 time(s): asm fetching \
                            secret from the service for";
        let at = SecretPlace { id: id.to_owned(), ..SecretPlace::default() };
        let read = self.secret(call, &at).await.map_err(|error| format!("{WHAT} {id}: {error}"))?;
        let document: Option<Value> =
            read.secret_string.and_then(|text| serde_json::from_str(&text).ok());
        let text = |name: &str| {
            let found = document.as_ref().and_then(|document| document.get(name)?.as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| {
                format!("{WHAT} {id}: the secret is no JSON object with the text \"{name}\"")
            })
        };
        Ok(RegistryUser { user: text("username")?, password: text("password")? })
    }

    /// All parameters that the containers name, as AWS's agent gets them: ten a call.
    async fn parameters(
        &self,
        call: &Call,
        containers: &[ContainerDefinition],
    ) -> Result<Vec<(String, String)>, String> {
        let sources = containers.iter().flat_map(|container| &container.secrets);
        let mut ids: Vec<String> = sources
            .filter_map(|secret| match Source::parse(&secret.value_from) {
                Source::Parameter(id) => Some(id),
                Source::Secret(_) => None,
            })
            .collect();
        ids.sort();
        ids.dedup();
        let mut values = Vec::new();
        for ids in ids.chunks(PARAMETERS_PER_CALL_MAX) {
            let names = Some(ids.to_vec());
            let request = GetParametersRequest { names, with_decryption: Some(true) };
            let read = self.parameters.get_parameters(call, request).await.map_err(WireError::from);
            let parameters = json!({ "names": ids, "withDecryption": true });
            self.record(call, ("ssm", "GetParameters", true), &parameters, read.as_ref().err());
            let read = read.map_err(|error| {
                format!(
                    "unable to retrieve secrets from ssm: service call has been retried 1 time(s): {error}"
                )
            })?;
            let invalid = read.invalid_parameters.unwrap_or_default();
            if !invalid.is_empty() {
                return Err(format!(
                    "unable to retrieve secrets from ssm: invalid parameters: {}",
                    invalid.join(",")
                ));
            }
            // Answered in the order of the request.
            let found = read.parameters.unwrap_or_default().into_iter();
            let found = found.filter_map(|parameter| parameter.value);
            values.extend(ids.iter().cloned().zip(found));
        }
        Ok(values)
    }
}

#[async_trait]
impl SecretSource for TaskSecretReader {
    async fn read(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        containers: &[ContainerDefinition],
    ) -> Result<TaskSecrets, SinkError> {
        // Registered without one only for a private registry on EC2, where AWS's agent has the instance's role.
        let Some(role) = execution_role else {
            let why = "the task has no execution role to read its secrets with";
            return Err(SinkError::Refused(why.to_owned()));
        };
        let call = self.roles.call(task, role)?;
        let refused =
            |why: String| SinkError::Refused(format!("execution resource retrieval failed: {why}"));
        let parameters = self.parameters(&call, containers).await.map_err(refused)?;
        let mut secrets = TaskSecrets::default();
        for container in containers.iter().filter(|container| container.needs_secrets()) {
            let read = self.container(&call, container, &parameters).await;
            secrets.containers.push(read.map_err(refused)?);
        }
        Ok(secrets)
    }
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Secret(SecretPlace),
    /// What `GetParameters` takes.
    Parameter(String),
}

/// A value in Secrets Manager.
#[derive(Debug, Default, PartialEq, Eq)]
struct SecretPlace {
    /// The ARN, as far as it names the secret.
    id: String,
    /// A member of the JSON object that the value is; absent: the whole value.
    json_key: Option<String>,
    stage: Option<String>,
    version_id: Option<String>,
}

impl Source {
    /// `arn:aws:secretsmanager:region:account:secret:name-XXXXXX:json-key:version-stage:version-id`, of which each of the last
    /// three may be empty or missing; everything else is a parameter. Source: ECS developer guide, "Pass Secrets Manager secrets
    /// through Amazon ECS environment variables".
    fn parse(value_from: &str) -> Self {
        let is_secret = Arn::parse(value_from).is_some_and(|arn| arn.service() == "secretsmanager");
        if !is_secret {
            return Self::Parameter(value_from.to_owned());
        }
        let mut parts = value_from.splitn(10, ':');
        let id: Vec<&str> = parts.by_ref().take(7).collect();
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (json_key, stage, version_id) = (next(), next(), next());
        Self::Secret(SecretPlace { id: id.join(":"), json_key, stage, version_id })
    }
}

fn not_fetched(id: &str, error: &str) -> String {
    format!(
        "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {id} from \
         secrets manager: {error}"
    )
}

/// Source: as [`Source::parse`]; a member that is no text is given as its JSON: a guess, from the agent's
/// `fmt.Sprintf("%v")` for numbers and booleans.
fn value_of(at: &SecretPlace, read: GetSecretValueResponse) -> Result<String, String> {
    // The agent knows texts only.
    let text = read.secret_string.ok_or_else(|| {
        not_fetched(&at.id, "the secret has no SecretString; a binary value fits into no variable")
    })?;
    let Some(key) = &at.json_key else { return Ok(text) };
    let missing = || {
        format!(
            "unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json key {key}"
        )
    };
    let document: Value = serde_json::from_str(&text).map_err(|_| missing())?;
    match document.get(key).ok_or_else(missing)? {
        Value::String(value) => Ok(value.clone()),
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:team/db-AbCdEf";

    #[track_caller]
    fn check(value_from: &str, json_key: &str, stage: &str, version_id: &str) {
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (json_key, stage, version_id) = (named(json_key), named(stage), named(version_id));
        let expected = SecretPlace { id: ARN.to_owned(), json_key, stage, version_id };
        assert_eq!(Source::parse(value_from), Source::Secret(expected), "{value_from}");
    }

    #[test]
    fn an_arn_says_which_part_of_which_version_of_a_secret() {
        check(ARN, "", "", "");
        check(&format!("{ARN}:password::"), "password", "", "");
        check(&format!("{ARN}:password"), "password", "", "");
        check(&format!("{ARN}::AWSPREVIOUS:"), "", "AWSPREVIOUS", "");
        check(&format!("{ARN}:::9d4cb84b"), "", "", "9d4cb84b");
        check(&format!("{ARN}:a:b:c"), "a", "b", "c");
        for parameter in ["/team/db", "db", "arn:aws:ssm:us-east-1:000000000000:parameter/db"] {
            assert_eq!(Source::parse(parameter), Source::Parameter(parameter.to_owned()));
        }
    }

    #[test]
    fn a_value_is_the_text_or_a_member_of_its_json() {
        let value = |text: Option<&str>, key: Option<&str>| {
            let (id, json_key) = (ARN.to_owned(), key.map(str::to_owned));
            let at = SecretPlace { id, json_key, ..SecretPlace::default() };
            let secret_string = text.map(str::to_owned);
            value_of(&at, GetSecretValueResponse { secret_string, ..Default::default() })
        };
        assert_eq!(value(Some("plain"), None).as_deref(), Ok("plain"));
        let document = Some(r#"{"user": "app", "port": 5432, "tls": true, "of": {"a": 1}}"#);
        assert_eq!(value(document, Some("user")).as_deref(), Ok("app"));
        assert_eq!(value(document, Some("port")).as_deref(), Ok("5432"));
        assert_eq!(value(document, Some("tls")).as_deref(), Ok("true"));
        assert_eq!(value(document, Some("of")).as_deref(), Ok(r#"{"a":1}"#));
        let missing = "did not contain json key password";
        assert!(value(document, Some("password")).unwrap_err().contains(missing));
        assert!(value(Some("plain"), Some("password")).unwrap_err().contains(missing));
        assert!(value(None, None).unwrap_err().contains("binary"));
    }
}
