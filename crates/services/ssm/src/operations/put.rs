//! Parameters made, and given other values.

use std::collections::BTreeMap;
use std::sync::Arc;

use outport_aws_ssm as wire;
use outport_aws_ssm::{PutParameterRequest, PutParameterResult};
use outport_identity::{Call, Question, Subject};
use outport_model::parameter::{Parameter, ParameterTier, ParameterValue, ParameterVersion};
use outport_model::{Now, Scope, Tags};
use outport_store::{Row, Tables, Transaction};

use crate::keys::{self, Fresh};
use crate::look::{find, look, version_of};
use crate::names::{Reference, parse_new, scope};
use crate::rejection::{Reason, Rejection};
use crate::{SsmService, quotas, tags, view};

/// Source: API reference, PutParameter, KeyId: "the default key associated with your account".
const DEFAULT_KEY: &str = "alias/aws/ssm";

/// A request that was understood.
struct Put {
    name: String,
    value: String,
    kind: Option<wire::ParameterType>,
    key_id: Option<String>,
    tier: Option<wire::ParameterTier>,
    description: Option<String>,
    allowed_pattern: Option<String>,
    tags: Tags,
    overwrites: bool,
}

/// That a description and a pattern do not pass on to the next version is a guess.
pub async fn put_parameter(
    service: &SsmService,
    call: &Call,
    input: PutParameterRequest,
) -> Result<PutParameterResult, Rejection> {
    let put = Put::parse(input)?;
    let (scope, fresh, now) = (scope(call), Fresh::new()?, service.now());
    let ask = |tables: &Tables| {
        put.question(tables, &scope).and_all(put.questions_about_key(tables, &scope, &now, call))
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut version = put.version(tx, &scope, found.as_deref(), call)?;
            keys::seal(service, tx, &mut version, &fresh)?;
            make_room(tx, found.as_deref())?;
            let parameter = match &found {
                Some(parameter) => {
                    Parameter { latest: version.version, ..Parameter::clone(parameter) }
                }
                None => Parameter {
                    scope: scope.clone(),
                    name: put.name.clone(),
                    tags: put.tags.clone(),
                    latest: version.version,
                    labels: BTreeMap::new(),
                },
            };
            let answer = PutParameterResult {
                version: i64::try_from(version.version).ok(),
                tier: Some(view::tier(version.tier)),
            };
            tx.put(version);
            tx.put(parameter);
            Ok(answer)
        })
        .await
}

impl Put {
    fn parse(input: PutParameterRequest) -> Result<Self, Rejection> {
        if input.policies.is_some_and(|policies| policies != "[]" && policies != "{}") {
            return Err(Rejection::not_built("A parameter policy (Policies)"));
        }
        if input.data_type.is_some_and(|kind| !kind.is_empty() && kind != view::DATA_TYPE) {
            return Err(Rejection::not_built("A DataType other than text"));
        }
        let put = Self {
            name: parse_new(input.name)?,
            value: input.value.unwrap_or_default(),
            kind: input.r#type,
            key_id: input.key_id,
            tier: input.tier,
            description: input.description,
            allowed_pattern: input.allowed_pattern.filter(|pattern| !pattern.is_empty()),
            tags: tags::parse(input.tags)?,
            overwrites: input.overwrite.unwrap_or(false),
        };
        if put.value.is_empty() {
            return Err(Rejection::validation(
                "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length \
                 greater than or equal to 1.",
            ));
        }
        if put.overwrites && !put.tags.is_empty() {
            return Err(Rejection::validation(
                "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove \
                 overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or \
                 RemoveTagsFromResource.",
            ));
        }
        check_pattern(put.allowed_pattern.as_deref(), &put.value)?;
        Ok(put)
    }

    /// Source of the second question: API reference, PutParameter, Tags, and the user guide's "Tagging parameters".
    fn question(&self, tables: &Tables, scope: &Scope) -> Subject<Option<Arc<Parameter>>> {
        let reference = Reference::to(&self.name);
        let subject = look(tables, scope, &reference, "ssm:PutParameter")
            .with("ssm:Overwrite", self.overwrites)
            .with_request_tags(&self.tags);
        if self.tags.is_empty() {
            return subject;
        }
        let tagging = look(tables, scope, &reference, "ssm:AddTagsToResource");
        subject.join(tagging.with_request_tags(&self.tags)).map(|(found, _)| found)
    }

    fn questions_about_key(
        &self,
        tables: &Tables,
        scope: &Scope,
        now: &Now,
        call: &Call,
    ) -> Vec<Question> {
        let found = find(tables, scope, &Reference::to(&self.name));
        let before = found.and_then(|it| version_of(tables, &it, it.latest).cloned());
        let of_before = before.as_deref().map(|version| view::kind(&version.value));
        if self.kind.or(of_before) != Some(wire::ParameterType::SecureString) {
            return Vec::new();
        }
        let key_id = self.settled_key(before.as_deref().map(|version| &version.value));
        let tier = self.settled_tier(before.as_deref().map(|version| version.tier));
        let tier = tier.unwrap_or(ParameterTier::Standard);
        keys::questions(tables, now, call, (scope, &self.name), (&key_id, tier))
    }

    fn settled_key(&self, before: Option<&ParameterValue>) -> String {
        let key_id = self.key_id.as_ref().or(before.and_then(view::key_id));
        key_id.map_or_else(|| DEFAULT_KEY.to_owned(), Clone::clone)
    }

    /// The version that it makes, with its value in clear.
    fn version(
        &self,
        tx: &Transaction<'_>,
        scope: &Scope,
        found: Option<&Parameter>,
        call: &Call,
    ) -> Result<ParameterVersion, Rejection> {
        let before = found.and_then(|parameter| version_of(tx, parameter, parameter.latest));
        if before.is_some() && !self.overwrites {
            let text = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
            return Err(Rejection::new(Reason::ParameterAlreadyExists, text));
        }
        if before.is_none() && tx.parameters.len() >= quotas::PARAMETERS_PER_REGION {
            let text = "You have exceeded the number of parameters for this AWS account.";
            return Err(Rejection::new(Reason::ParameterLimitExceeded, text));
        }
        Ok(ParameterVersion {
            scope: scope.clone(),
            parameter: self.name.clone(),
            version: found.map_or(0, |parameter| parameter.latest) + 1,
            value: self.typed_value(before.map(|version| &version.value))?,
            description: self.description.clone(),
            allowed_pattern: self.allowed_pattern.clone(),
            tier: self.settled_tier(before.map(|version| version.tier))?,
            modified_at_ms: tx.now_ms(),
            modified_by: call.principal.arn(),
        })
    }

    fn typed_value(&self, before: Option<&ParameterValue>) -> Result<ParameterValue, Rejection> {
        let of_before = before.map(view::kind);
        let Some(kind) = self.kind.or(of_before) else {
            return Err(Rejection::validation(
                "A parameter type is required when you create a parameter.",
            ));
        };
        if of_before.is_some_and(|before| before != kind) {
            // Source: API reference, PutParameter, HierarchyTypeMismatchException.
            let text = "Parameter Store does not support changing a parameter type in a hierarchy. For example, you can't change \
                        a parameter from a String type to a SecureString type. You must create a new, unique parameter.";
            return Err(Rejection::new(Reason::HierarchyTypeMismatch, text));
        }
        if self.key_id.is_some() && kind != wire::ParameterType::SecureString {
            return Err(Rejection::validation(
                "KeyId is required for SecureString type parameter only.",
            ));
        }
        let text = self.value.clone();
        Ok(match kind {
            wire::ParameterType::String => ParameterValue::String(text),
            wire::ParameterType::StringList => ParameterValue::StringList(text),
            wire::ParameterType::SecureString => {
                let key_id = self.settled_key(before);
                ParameterValue::SecureString { sealed: text, key_id, data_key: None }
            }
        })
    }

    /// Source: user guide, "Managing parameter tiers": intelligent tiering takes the advanced tier for what the standard one cannot
    /// hold, and an advanced parameter does not become a standard one again.
    fn settled_tier(&self, before: Option<ParameterTier>) -> Result<ParameterTier, Rejection> {
        let chars = self.value.chars().count();
        let is_advanced = before == Some(ParameterTier::Advanced);
        let tier = match self.tier {
            Some(wire::ParameterTier::Advanced) => ParameterTier::Advanced,
            Some(wire::ParameterTier::Standard) if is_advanced => {
                return Err(Rejection::validation(
                    "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the \
                     advanced-parameter tier to the standard-parameter tier.",
                ));
            }
            _ if is_advanced => ParameterTier::Advanced,
            Some(wire::ParameterTier::IntelligentTiering)
                if chars > quotas::value_chars(ParameterTier::Standard) =>
            {
                ParameterTier::Advanced
            }
            _ => ParameterTier::Standard,
        };
        let max = quotas::value_chars(tier);
        match tier {
            _ if chars <= max => Ok(tier),
            ParameterTier::Standard => Err(Rejection::validation(format!(
                "Standard tier parameters support a maximum parameter value of {max} characters. To create a larger parameter \
                 value, upgrade the parameter to use the advanced-parameter tier. For more information, see \
                 https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
            ))),
            ParameterTier::Advanced => Err(Rejection::validation(format!(
                "Advanced tier parameters support a maximum parameter value of {max} characters."
            ))),
        }
    }
}

/// The whole value has to match. AWS takes Java's patterns; those that look around are refused here.
fn check_pattern(pattern: Option<&str>, value: &str) -> Result<(), Rejection> {
    let Some(pattern) = pattern else { return Ok(()) };
    let whole = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        let text = "The request does not meet the regular expression requirement.";
        Rejection::new(Reason::InvalidAllowedPattern, text)
    })?;
    if whole.is_match(value) {
        return Ok(());
    }
    let text = format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
    Err(Rejection::new(Reason::ParameterPatternMismatch, text))
}

/// Source: API reference, PutParameter, ParameterMaxVersionLimitExceeded.
fn make_room(tx: &mut Transaction<'_>, parameter: Option<&Parameter>) -> Result<(), Rejection> {
    let Some(parameter) = parameter else { return Ok(()) };
    if tx.parameter_versions.of(parameter).count() < quotas::VERSIONS {
        return Ok(());
    }
    let Some(oldest) = tx.parameter_versions.of(parameter).next().cloned() else { return Ok(()) };
    if parameter.labels_of(oldest.version).next().is_some() {
        let text = format!(
            "You attempted to create a new version of {} by calling the PutParameter API with the overwrite flag. Version {}, the \
             oldest version, can't be deleted because it has a label associated with it. Move the label to another version of \
             the parameter, and try again.",
            parameter.name, oldest.version
        );
        return Err(Rejection::new(Reason::ParameterMaxVersionLimitExceeded, text));
    }
    tx.remove::<ParameterVersion>(&oldest.key());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::World;

    /// A parameter of type String, with other members.
    fn put(name: &str, more: Value) -> Value {
        let mut input = json!({"Name": name, "Value": "v", "Type": "String"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    }

    async fn refuses(world: &World, input: Value, code: &str, text: &str) {
        let (status, answer) = world.reply("PutParameter", &input).await;
        let found = (crate::testing::code(&answer), crate::testing::text(&answer));
        assert!(status >= 400 && found.0 == code && found.1.contains(text), "{input}: {answer}");
    }

    #[tokio::test]
    async fn a_parameter_is_overwritten_when_asked_for_only() {
        let world = World::new();
        let first = json!({"Version": 1, "Tier": "Standard"});
        world.check("PutParameter", put("a", json!({})), first).await;
        let text = "The parameter already exists.";
        refuses(&world, put("a", json!({})), "ParameterAlreadyExists", text).await;
        let again = put("a", json!({"Overwrite": true, "Value": "w"}));
        world.check("PutParameter", again, json!({"Version": 2})).await;
        let text = "does not support changing a parameter type";
        let secure = put("a", json!({"Overwrite": true, "Type": "SecureString"}));
        refuses(&world, secure, "HierarchyTypeMismatchException", text).await;
    }

    #[tokio::test]
    async fn a_tier_holds_as_much_as_it_says() {
        let world = World::new();
        let of = |chars: usize, tier: &str| {
            put("a", json!({"Value": "x".repeat(chars), "Tier": tier, "Overwrite": true}))
        };
        let text = "Standard tier parameters support a maximum parameter value of 4096 characters.";
        refuses(&world, of(4097, "Standard"), "ValidationException", text).await;
        world
            .check("PutParameter", of(4096, "Intelligent-Tiering"), json!({"Tier": "Standard"}))
            .await;
        world
            .check("PutParameter", of(8192, "Intelligent-Tiering"), json!({"Tier": "Advanced"}))
            .await;
        let text = "Advanced tier parameters support a maximum parameter value of 8192 characters.";
        refuses(&world, of(8193, "Advanced"), "ValidationException", text).await;
        refuses(&world, of(1, "Standard"), "ValidationException", "You can't downgrade").await;
    }

    #[tokio::test]
    async fn what_makes_no_parameter_is_refused() {
        let world = World::new();
        for (name, more, code, text) in [
            ("/aws/x", json!({}), "AccessDeniedException", "reserved parameter name"),
            ("a/b", json!({}), "ValidationException", "fully qualified name"),
            ("a", json!({"Type": null}), "ValidationException", "A parameter type is required"),
            ("a", json!({"Value": ""}), "ValidationException", "greater than or equal to 1"),
            ("a", json!({"KeyId": "k"}), "ValidationException", "SecureString type parameter only"),
            ("a", json!({"AllowedPattern": "[a-u]"}), "ParameterPatternMismatchException", "[a-u]"),
            (
                "a",
                json!({"AllowedPattern": "("}),
                "InvalidAllowedPatternException",
                "regular expression",
            ),
            ("a", json!({"Policies": "[{}]"}), "NotImplemented", "Policies"),
            ("a", json!({"DataType": "aws:ec2:image"}), "NotImplemented", "DataType"),
            (
                "a",
                json!({"Overwrite": true, "Tags": [{"Key": "k", "Value": "v"}]}),
                "ValidationException",
                "tags and overwrite can't be used together",
            ),
        ] {
            refuses(&world, put(name, more), code, text).await;
        }
        world.call("PutParameter", put("a", json!({"AllowedPattern": "[u-w]"}))).await;
    }

    #[tokio::test]
    async fn the_oldest_of_a_hundred_versions_goes_unless_it_is_labelled() {
        let world = World::new();
        world.call("PutParameter", put("a", json!({}))).await;
        for _ in 1..100 {
            world.put("a", "w").await;
        }
        let label = json!({"Name": "a", "ParameterVersion": 1, "Labels": ["first"]});
        world.call("LabelParameterVersion", label).await;
        let more = put("a", json!({"Overwrite": true}));
        let text = "can't be deleted because it has a label associated with it";
        refuses(&world, more.clone(), "ParameterMaxVersionLimitExceeded", text).await;
        let unlabel = json!({"Name": "a", "ParameterVersion": 1, "Labels": ["first", "none"]});
        let answer = json!({"RemovedLabels": ["first"], "InvalidLabels": ["none"]});
        world.check("UnlabelParameterVersion", unlabel, answer).await;
        world.check("PutParameter", more, json!({"Version": 101})).await;
        assert_eq!(world.store.snapshot().parameter_versions.len(), 100);
        let (status, _) = world.reply("GetParameter", &json!({"Name": "a:1"})).await;
        assert_eq!(status, 400);
    }
}
