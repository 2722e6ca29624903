//! Secrets themselves: made, described, changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outport_aws_secretsmanager::{
    CreateSecretRequest, CreateSecretResponse, DescribeSecretRequest, DescribeSecretResponse,
    UpdateSecretRequest, UpdateSecretResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::secret::{CURRENT, Secret};
use outport_model::{Arn, Scope, Tags};
use outport_store::{Row, Tables, Transaction};

use crate::keys::{self, Fresh};
use crate::look::{Named, there, usable};
use crate::names::{self, arn_of_absent, scope};
use crate::operations::values::{NewVersion, is_repeated, put_version};
use crate::rejection::Rejection;
use crate::value::Value;
use crate::{SecretsManagerService, quotas, random, tags, view};

/// Makes a secret, with a first version if a value comes with it. With the token and the value of a version of a secret that is
/// there, it is the same request again.
pub async fn create_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: CreateSecretRequest,
) -> Result<CreateSecretResponse, Rejection> {
    refuse_what_is_not_built(&input)?;
    let name = names::parse(input.name.clone())?;
    let tags = tags::parse(input.tags.clone())?;
    let value = Value::parse(input.secret_string, input.secret_binary)?;
    let (scope, suffix, fresh) = (scope(call), random::suffix()?, Fresh::new()?);
    let arn = Arn::secret(&scope, &name, &suffix).into_string();
    let version_id = input.client_request_token.clone().map_or_else(random::version_id, Ok)?;
    let (description, kms_key_id) = (input.description, given_key(input.kms_key_id));
    let named = Named::new(call, service.now(), &name);
    let ask = |tables: &Tables| {
        // A key is named without a value, too, and asked about then.
        let is_about_key = value.is_some() || kms_key_id.is_some();
        let under = (&scope, kms_key_id.as_deref());
        let about_key = is_about_key
            .then(|| keys::questions(service, tables, call, under, (&arn, &version_id)));
        question_of_creation(&scope, &name, &description, &kms_key_id, &tags)
            .and_all(about_key.into_iter().flatten())
            .map(|()| named.find(tables))
    };
    service
        .write(call, &name, ask, |tx, found| {
            if let Some(secret) = found {
                return again(
                    service,
                    tx,
                    &secret,
                    input.client_request_token.as_deref(),
                    value.as_ref(),
                );
            }
            check_count(tx, &scope)?;
            let mut secret = Secret {
                scope: scope.clone(),
                name: name.clone(),
                suffix,
                description: description.clone(),
                kms_key_id: kms_key_id.clone(),
                tags: tags.clone(),
                versions: BTreeMap::new(),
                next_serial: 0,
                created_at_ms: tx.now_ms(),
                changed_at_ms: tx.now_ms(),
                accessed_at_ms: None,
                deletion: None,
                resource_policy: None,
                rotation: None,
            };
            // One whose recovery window is over may still be there.
            tx.remove_secret(&secret.key());
            if value.is_none() && secret.kms_key_id.is_some() {
                keys::key(service, tx, &secret, &fresh)?;
            }
            let made = value.clone().map(|value| {
                let stages = BTreeSet::from([CURRENT.to_owned()]);
                let new = NewVersion { id: version_id.clone(), value, stages, fresh };
                put_version(service, tx, &mut secret, &new).map(|()| version_id.clone())
            });
            let version_id = made.transpose()?;
            let answer = created(&secret, version_id);
            tx.put(secret);
            Ok(answer)
        })
        .await
}

fn created(secret: &Secret, version_id: Option<String>) -> CreateSecretResponse {
    let (arn, name) = (view::arn(secret), view::name(secret));
    CreateSecretResponse { arn, name, version_id, replication_status: None }
}

fn refuse_what_is_not_built(input: &CreateSecretRequest) -> Result<(), Rejection> {
    let refused = [
        (input.add_replica_regions.is_some(), "The replication of secrets (AddReplicaRegions)"),
        (input.force_overwrite_replica_secret == Some(true), "ForceOverwriteReplicaSecret"),
        (input.cross_account_primary_arn.is_some(), "CrossAccountPrimaryARN"),
        (input.r#type.is_some(), "A secret that a partner's software rotates (Type)"),
    ];
    match refused.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, what)) => Err(Rejection::not_built(what)),
        None => Ok(()),
    }
}

/// An empty text is none.
fn given_key(kms_key_id: Option<String>) -> Option<String> {
    kms_key_id.filter(|key| !key.is_empty())
}

/// What is there already is not part of the question: it is asked about as what is to be made.
///
/// Source of the second question: API reference, CreateSecret: "If you include tags in the secret, you also need
/// secretsmanager:TagResource."
fn question_of_creation(
    scope: &Scope,
    name: &str,
    description: &Option<String>,
    kms_key_id: &Option<String>,
    tags: &Tags,
) -> Subject<()> {
    let arn = arn_of_absent(scope, name);
    let question = |action: &'static str| {
        Question::new(action, arn.as_str())
            .with_request_tags(tags)
            .with_resource_tags_of("secretsmanager", tags)
    };
    let creates = question("secretsmanager:CreateSecret")
        .with("secretsmanager:Name", name)
        .with_optional("secretsmanager:Description", description.clone())
        .with_optional("secretsmanager:KmsKeyId", kms_key_id.clone());
    let tagging = (!tags.is_empty()).then(|| question("secretsmanager:TagResource"));
    Subject::from(creates).and_all(tagging)
}

fn again(
    service: &SecretsManagerService,
    tables: &Tables,
    secret: &Arc<Secret>,
    token: Option<&str>,
    value: Option<&Value>,
) -> Result<CreateSecretResponse, Rejection> {
    if secret.deletion.is_some() {
        return Err(Rejection::InvalidRequest(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
                .to_owned(),
        ));
    }
    if let (Some(token), Some(value)) = (token, value)
        && is_repeated(service, tables, secret, token, value)?
    {
        return Ok(created(secret, Some(token.to_owned())));
    }
    Err(Rejection::Exists(format!(
        "The operation failed because the secret {} already exists.",
        secret.name
    )))
}

fn check_count(tables: &Tables, scope: &Scope) -> Result<(), Rejection> {
    let max = quotas::SECRETS_PER_REGION;
    if tables.secrets.len() >= max && tables.secrets.of_scope(scope).count() >= max {
        let text = format!("A region has {max} secrets at most.");
        return Err(Rejection::LimitExceeded(text));
    }
    Ok(())
}

/// One that is marked for deletion is described, too.
pub async fn describe_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: DescribeSecretRequest,
) -> Result<DescribeSecretResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let named = Named::new(call, service.now(), &id);
    let (_, found) =
        service.read(call, &id, |tables| named.look(tables, "secretsmanager:DescribeSecret"))?;
    Ok(view::description(&*there(found)?))
}

/// Changes the description and the key; a value makes a new version, which becomes the current one.
pub async fn update_secret(
    service: &SecretsManagerService,
    call: &Call,
    input: UpdateSecretRequest,
) -> Result<UpdateSecretResponse, Rejection> {
    if input.r#type.is_some() {
        return Err(Rejection::not_built("A secret that a partner's software rotates (Type)"));
    }
    let id = input.secret_id.unwrap_or_default();
    let value = Value::parse(input.secret_string, input.secret_binary)?;
    let (description, kms_key_id) = (input.description, input.kms_key_id);
    let version_id = input.client_request_token.map_or_else(random::version_id, Ok)?;
    let (named, fresh) = (Named::new(call, service.now(), &id), Fresh::new()?);
    let anew = SealedAnew::new()?;
    let ask = |tables: &Tables| {
        let mut subject = named.look(tables, "secretsmanager:UpdateSecret");
        if let Some(description) = &description {
            subject = subject.with("secretsmanager:Description", description.as_str());
        }
        if let Some(key) = &kms_key_id {
            subject = subject.with("secretsmanager:KmsKeyId", key.as_str());
        }
        let Some(secret) = named.find(tables) else { return subject };
        let arn = secret.arn().into_string();
        let key = match &kms_key_id {
            Some(key) => Some(key.as_str()).filter(|key| !key.is_empty()),
            None => secret.kms_key_id.as_deref(),
        };
        let ask = |version_id: &str| {
            keys::questions(service, tables, call, (&secret.scope, key), (&arn, version_id))
        };
        if value.is_some() {
            subject = subject.and_all(ask(&version_id));
        }
        if kms_key_id.is_some() {
            for id in keys::sealed_anew(&secret) {
                let opens = keys::question_of_reading(tables, call, &secret, &id);
                subject = subject.and_all(opens).and_all(ask(&id));
            }
        }
        subject
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            if let Some(key) = kms_key_id.clone() {
                secret.kms_key_id = given_key(Some(key));
                anew.seal(service, tx, &secret)?;
            }
            let made = value.clone().map(|value| {
                let stages = BTreeSet::from([CURRENT.to_owned()]);
                let new = NewVersion { id: version_id.clone(), value, stages, fresh };
                put_version(service, tx, &mut secret, &new).map(|()| version_id.clone())
            });
            let version_id = made.transpose()?;
            if let Some(description) = &description {
                secret.description = Some(description.clone());
            }
            let answer = UpdateSecretResponse {
                arn: view::arn(&secret),
                name: view::name(&secret),
                version_id,
            };
            put_changed(tx, secret);
            Ok(answer)
        })
        .await
}

/// Randomness for the versions that get another key with their secret: those with a label of AWS's.
struct SealedAnew([Fresh; 3]);

impl SealedAnew {
    fn new() -> Result<Self, Rejection> {
        Ok(Self([Fresh::new()?, Fresh::new()?, Fresh::new()?]))
    }

    /// Seals these versions under the key that the secret has now.
    fn seal(
        &self,
        service: &SecretsManagerService,
        tx: &mut Transaction<'_>,
        secret: &Secret,
    ) -> Result<(), Rejection> {
        let [first, ..] = &self.0;
        let key = keys::key(service, tx, secret, first)?;
        for (id, fresh) in keys::sealed_anew(secret).iter().zip(&self.0) {
            let Some(version) = secret.versions.get(id) else { continue };
            let value = Value::open(&service.keyring, tx, secret, id, version.serial)?;
            let under = (&*service.keyring, &*key);
            tx.put(value.seal(under, secret, (id, version.serial), &fresh.envelope)?);
        }
        Ok(())
    }
}

/// Writes a secret that was changed.
pub fn put_changed(tx: &mut Transaction<'_>, secret: Secret) {
    let changed_at_ms = tx.now_ms();
    tx.put(Secret { changed_at_ms, ..secret });
}

#[cfg(test)]
mod tests {
    use outport_identity::testing::WatchedPermissions;
    use serde_json::json;

    use crate::testing::{FIRST, World};

    #[tokio::test]
    async fn a_secret_is_described_without_its_value() {
        let world = World::full().await;
        let arn = world.arn("db").await;
        assert!(
            arn.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:db-"),
            "{arn}"
        );
        assert_eq!(arn.len(), "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-".len() + 6);
        let expected = json!({
            "Name": "db", "Tags": [{"Key": "team", "Value": "red"}], "RotationEnabled": true,
            "VersionIdsToStages": {FIRST: ["AWSCURRENT"]}, "DeletedDate": null, "SecretString": null,
        });
        for id in [arn.as_str(), &arn[..arn.len() - 7]] {
            world.check("DescribeSecret", json!({"SecretId": id}), expected.clone()).await;
        }
    }

    /// A name that ends like an ARN does is found by its own ARN, whole or not.
    #[tokio::test]
    async fn names_that_look_like_the_end_of_an_arn() {
        let world = World::new();
        world.call("CreateSecret", json!({"Name": "a-AbCdEf"})).await;
        let arn = world.arn("a-AbCdEf").await;
        for id in [arn.as_str(), &arn[..arn.len() - 7]] {
            world
                .check("DescribeSecret", json!({"SecretId": id}), json!({"Name": "a-AbCdEf"}))
                .await;
        }
    }

    #[tokio::test]
    async fn a_secret_without_a_value_has_no_version() {
        let world = World::new();
        world.check("CreateSecret", json!({"Name": "bare"}), json!({"VersionId": null})).await;
        let text =
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
        let get = json!({"SecretId": "bare"});
        world.refuses("GetSecretValue", get, "ResourceNotFoundException", text).await;
        let put = json!({"SecretId": "bare", "SecretString": "s", "VersionStages": ["blue"]});
        world.check("PutSecretValue", put, json!({"VersionStages": ["AWSCURRENT", "blue"]})).await;
    }

    #[tokio::test]
    async fn an_update_makes_a_version_only_with_a_value() {
        let world = World::full().await;
        world.put_key("alias/k", true);
        let update = json!({"SecretId": "db", "Description": "d", "KmsKeyId": "alias/k"});
        world.check("UpdateSecret", update, json!({"VersionId": null, "Name": "db"})).await;
        let shown = json!({"Description": "d", "KmsKeyId": "alias/k"});
        world.check("DescribeSecret", json!({"SecretId": "db"}), shown).await;
        world.call("UpdateSecret", json!({"SecretId": "db", "SecretString": "new"})).await;
        world
            .check("GetSecretValue", json!({"SecretId": "db"}), json!({"SecretString": "new"}))
            .await;
        let first = json!({"SecretId": "db", "VersionStage": "AWSPREVIOUS"});
        world.check("GetSecretValue", first, json!({"VersionId": FIRST})).await;
    }

    #[tokio::test]
    async fn who_tags_what_it_makes_is_asked_for_both() {
        let mut world = World::new();
        let watched = WatchedPermissions::allowing();
        world.ask(watched.clone());
        let tags = json!([{"Key": "team", "Value": "red"}]);
        world.call("CreateSecret", json!({"Name": "db", "Tags": tags})).await;
        let asked = watched.asked();
        let actions: Vec<_> = asked.iter().map(|asked| asked.action.as_str()).collect();
        assert_eq!(actions, ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]);
        for asked in &asked {
            assert_eq!(asked.context.get("aws:RequestTag/team"), Some(&"red".into()));
            assert!(asked.resource.ends_with(":secret:db-??????"), "{}", asked.resource);
        }
        assert_eq!(asked[0].context.get("secretsmanager:Name"), Some(&"db".into()));
    }
}
