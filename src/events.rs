//! Where EventBridge's rules deliver to: log groups, and tasks of ECS that run as what the role of a target may do.
//!
//! **Invariant:** a task is run by the operation RunTask, as the role of the target, with the questions that it asks of anybody; what is
//! tried again has the same client token, so that it is run once.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use outport_aws_wire::{Exchange, Protocol, Request, WireError};
use outport_controllers::events::{Delivery, EventEdge, Undelivered};
use outport_identity::{
    AccessKeyId, Arrival, Call, Caller, PermissionSource, Principal, RequestId,
};
use outport_log_store::{InputLogEvent, LogGroupName, LogStore, LogStoreError, LogStreamName};
use outport_model::event::{EcsChange, EcsTarget, EventRule};
use outport_model::{Arn, Scope, TimestampMs};
use outport_service_ecs::task_definition::Workloads;
use outport_service_ecs::{EcsService, change_events};
use outport_service_sts::{NotAssumed, ServiceSession, StsService};
use outport_store::identifiers::uuid;
use outport_store::{RandomIds, Tables};
use serde_json::{Map, Value, json};

use crate::audit::Trail;

/// Whom the role of a target has to trust. Source: EventBridge user guide, "Using service roles for EventBridge".
const EVENTS_SERVICE: &str = "events.amazonaws.com";
/// A session lives as long as what is done in it.
const LIFETIME_MS: i64 = 15 * 60_000;
/// Source: ECS developer guide, "Using Amazon EventBridge Scheduler": `startedBy` of a rule's task.
const STARTED_BY: &str = "events-rule/";

/// The edge of the control plane's event controller.
pub struct EventTargets {
    pub logs: Arc<LogStore>,
    pub ecs: EcsService,
    pub workloads: Workloads,
    pub sts: StsService,
    pub permissions: Arc<dyn PermissionSource>,
    /// Whether a role that cannot be assumed is only said.
    pub is_permissive: bool,
    pub trail: Trail,
}

#[async_trait]
impl EventEdge for EventTargets {
    fn render(
        &self,
        tables: &Tables,
        change: &EcsChange,
        id_and_time: (&str, TimestampMs),
    ) -> Option<Value> {
        change_events::event(tables, &self.workloads, change, id_and_time)
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<(), Undelivered> {
        match &delivery.target.ecs {
            Some(ecs) => self.run_task(delivery, ecs).await,
            None => {
                let (rule, text) = (delivery.rule, delivery.payload.to_owned());
                self.write(&rule.scope, &delivery.target.arn, &rule.name, text).await
            }
        }
    }

    async fn bury(
        &self,
        rule: &EventRule,
        log_group_arn: &str,
        text: String,
    ) -> Result<(), String> {
        let written = self.write(&rule.scope, log_group_arn, &rule.name, text).await;
        written.map_err(|error| error.text)
    }
}

impl EventTargets {
    /// One event of a log group, in the stream of the rule. AWS names its streams otherwise, by no rule that it says.
    async fn write(
        &self,
        scope: &Scope,
        group_arn: &str,
        stream: &str,
        message: String,
    ) -> Result<(), Undelivered> {
        let arn = Arn::parse(group_arn);
        let group = arn.as_ref().and_then(|arn| arn.resource().strip_prefix("log-group:"));
        let group = group.map(|name| name.strip_suffix(":*").unwrap_or(name));
        let group = LogGroupName::parse(group.unwrap_or_default()).map_err(final_error)?;
        let stream = LogStreamName::parse(stream).map_err(final_error)?;
        let (logs, scope) = (Arc::clone(&self.logs), scope.clone());
        let append = move || {
            logs.ensure_stream(&scope, &group, &stream, false)?;
            let timestamp_ms = crate::control_plane::now_ms();
            logs.put_events(&scope, &group, &stream, &[InputLogEvent { timestamp_ms, message }])
        };
        let appended = tokio::task::spawn_blocking(append).await;
        match appended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(log_error(error)),
            Err(error) => Err(Undelivered {
                code: "InternalException".to_owned(),
                text: error.to_string(),
                is_final: false,
            }),
        }
    }

    async fn run_task(&self, delivery: &Delivery<'_>, ecs: &EcsTarget) -> Result<(), Undelivered> {
        let call = self.call(delivery)?;
        let body = run_task_input(delivery, ecs)?;
        let text = body.to_string().into_bytes();
        let request = Request {
            service: &outport_aws_ecs::MODEL,
            protocol: Protocol::Json11,
            operation: "RunTask",
            body: &text,
            request_id: call.request_id.as_str(),
        };
        let outcome = match Exchange::new(request) {
            Ok(mut exchange) => {
                let ran =
                    outport_aws_ecs::dispatch(&self.ecs, &call, "RunTask", &mut exchange).await;
                ran.map(|()| exchange.into_reply().body)
            }
            Err(error) => Err(error),
        };
        let error = outcome.as_ref().err();
        let error = error.map(|it| (it.code_in(Protocol::Json11).to_owned(), it.message.clone()));
        let answers = call.take_answers();
        self.trail.record_call(call, answers, ("ecs", "RunTask", false), &body, error);
        let answer = outcome.map_err(|error| not_run(&error))?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        match answer["failures"].as_array().and_then(|failures| failures.first()) {
            // Room comes and goes.
            Some(failure) if answer["tasks"].as_array().is_none_or(Vec::is_empty) => {
                Err(Undelivered {
                    code: failure["reason"].as_str().unwrap_or("FAILED").to_owned(),
                    text: failure.to_string(),
                    is_final: false,
                })
            }
            _ => Ok(()),
        }
    }

    /// A call in the name of the target's role.
    fn call(&self, delivery: &Delivery<'_>) -> Result<Call, Undelivered> {
        let scope = &delivery.rule.scope;
        let source_arn = delivery.rule.arn();
        let role_arn = delivery.target.role_arn.as_deref().unwrap_or_default();
        let now_ms = crate::control_plane::now_ms();
        let asked = ServiceSession {
            service: EVENTS_SERVICE,
            role_arn,
            session_name: delivery.token,
            account: &scope.account,
            region: &scope.region,
            source_arn: source_arn.as_str(),
            now_ms,
            lifetime_ms: LIFETIME_MS,
        };
        let (principal, session) = match self.sts.session_for_service(&asked) {
            Ok((principal, session)) => (principal, Some(Box::new(session))),
            Err(why) if self.is_permissive && !matches!(why, NotAssumed::Fault(_)) => {
                (Principal::root(scope.account.clone()), None)
            }
            Err(why) => {
                return Err(Undelivered {
                    code: "NO_PERMISSIONS".to_owned(),
                    text: why.to_string(),
                    is_final: !matches!(why, NotAssumed::Fault(_)),
                });
            }
        };
        let arrival = Arrival {
            request_id: RequestId::new(uuid(&RandomIds)),
            now_ms,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: Some(EVENTS_SERVICE.to_owned()),
            secure_transport: true,
            host: None,
        };
        let access_key_id = AccessKeyId::new(EVENTS_SERVICE);
        let caller = Caller { principal, access_key_id, session };
        let permissions = Arc::clone(&self.permissions);
        Ok(Call::new(arrival, caller, scope.region.clone(), permissions).keeping_answers())
    }
}

/// What a target says, in the words of RunTask.
fn run_task_input(delivery: &Delivery<'_>, ecs: &EcsTarget) -> Result<Value, Undelivered> {
    let mut input = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            input.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    set("cluster", Some(delivery.target.arn.as_str().into()));
    set("taskDefinition", Some(ecs.task_definition_arn.as_str().into()));
    set("count", ecs.task_count.map(Value::from));
    set("launchType", text(&ecs.launch_type));
    set("platformVersion", text(&ecs.platform_version));
    set("group", text(&ecs.group));
    set("enableECSManagedTags", ecs.enable_ecs_managed_tags.map(Value::from));
    set("propagateTags", text(&ecs.propagate_tags));
    let network = (!ecs.subnets.is_empty()).then(|| {
        let mut vpc = json!({ "subnets": ecs.subnets });
        if !ecs.security_groups.is_empty() {
            vpc["securityGroups"] = json!(ecs.security_groups);
        }
        if let Some(assigns) = &ecs.assign_public_ip {
            vpc["assignPublicIp"] = assigns.as_str().into();
        }
        json!({ "awsvpcConfiguration": vpc })
    });
    set("networkConfiguration", network);
    let tags = ecs.tags.as_ref().map(|tags| {
        tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect::<Value>()
    });
    set("tags", tags);
    set("overrides", overrides(delivery)?);
    set("startedBy", Some(format!("{STARTED_BY}{}", delivery.rule.name).into()));
    set("clientToken", Some(delivery.token.into()));
    Ok(Value::Object(input))
}

/// What a target of ECS is handed are overrides, if it says what it is handed; the event itself is none.
/// Source: EventBridge user guide, "Amazon ECS tasks as targets": `containerOverrides` in the input.
fn overrides(delivery: &Delivery<'_>) -> Result<Option<Value>, Undelivered> {
    if delivery.target.input == outport_model::event::TargetInput::Event {
        return Ok(None);
    }
    match serde_json::from_str::<Value>(delivery.payload) {
        Ok(Value::Object(given)) if given.is_empty() => Ok(None),
        Ok(given @ Value::Object(_)) => Ok(Some(given)),
        _ => Err(final_error("the input of a task is not a JSON object with overrides")),
    }
}

fn final_error(error: impl std::fmt::Display) -> Undelivered {
    Undelivered {
        code: "InvalidParameterException".to_owned(),
        text: error.to_string(),
        is_final: true,
    }
}

fn log_error(error: LogStoreError) -> Undelivered {
    let is_missing = matches!(error, LogStoreError::GroupNotFound | LogStoreError::StreamNotFound);
    let code = if is_missing { "ResourceNotFoundException" } else { "InternalException" };
    Undelivered { code: code.to_owned(), is_final: is_missing, text: error.to_string() }
}

/// What is wrong with the request stays wrong; a fault goes away.
fn not_run(error: &WireError) -> Undelivered {
    let code = error.code_in(Protocol::Json11).to_owned();
    let is_final = !matches!(
        code.as_str(),
        "ServerException" | "ServiceUnavailable" | "InternalFailure" | "ThrottlingException"
    );
    Undelivered { code, text: error.message.clone(), is_final }
}
