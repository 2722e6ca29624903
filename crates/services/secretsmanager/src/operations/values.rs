//! Values of secrets: put and got.

use std::collections::BTreeSet;

use outport_aws_secretsmanager::{
    GetSecretValueRequest, GetSecretValueResponse, PutSecretValueRequest, PutSecretValueResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::TimestampMs;
use outport_model::secret::{CURRENT, Secret, SecretValue};
use outport_store::keys::SecretValueKey;
use outport_store::{Row, Tables, Transaction};

use crate::keys::{self, Fresh};
use crate::look::{Named, usable};
use crate::operations::secrets::put_changed;
use crate::rejection::Rejection;
use crate::value::Value;
use crate::{SecretsManagerService, random, versions, view};

/// A version that is to be made.
pub struct NewVersion {
    pub id: String,
    pub value: Value,
    pub stages: BTreeSet<String>,
    pub fresh: Fresh,
}

/// Whether a version with this id is there, and has this value: then it is the same request again.
///
/// # Errors
/// `ResourceExistsException` for another value.
pub fn is_repeated(
    service: &SecretsManagerService,
    tables: &Tables,
    secret: &Secret,
    version_id: &str,
    value: &Value,
) -> Result<bool, Rejection> {
    let Some(version) = secret.versions.get(version_id) else { return Ok(false) };
    let there = Value::open(&service.keyring, tables, secret, version_id, version.serial)?;
    if there == *value {
        return Ok(true);
    }
    Err(Rejection::Exists(format!(
        "You can't use ClientRequestToken {version_id} because that value is already in use for a version of secret {}.",
        secret.arn()
    )))
}

/// Adds a version to a secret, and writes its value; the secret is left to be written. A repeated request changes nothing.
///
/// # Errors
/// `ResourceExistsException`, `LimitExceededException`, `EncryptionFailure`.
pub fn put_version(
    service: &SecretsManagerService,
    tx: &mut Transaction<'_>,
    secret: &mut Secret,
    new: &NewVersion,
) -> Result<(), Rejection> {
    if is_repeated(service, tx, secret, &new.id, &new.value)? {
        return Ok(());
    }
    let added = versions::add(secret, &new.id, &new.stages, tx.now_ms())?;
    for serial in added.removed {
        let key = SecretValueKey::new(&secret.scope, secret.name.as_str(), serial);
        tx.remove::<SecretValue>(&key);
    }
    let key = keys::key(service, tx, secret, &new.fresh)?;
    let under = (&*service.keyring, &*key);
    let value = new.value.seal(under, secret, (&new.id, added.serial), &new.fresh.envelope)?;
    tx.put(value);
    Ok(())
}

pub async fn put_secret_value(
    service: &SecretsManagerService,
    call: &Call,
    input: PutSecretValueRequest,
) -> Result<PutSecretValueResponse, Rejection> {
    if input.rotation_token.is_some() {
        return Err(Rejection::not_built(
            "A rotation by a role of another account (RotationToken)",
        ));
    }
    let id = input.secret_id.unwrap_or_default();
    let value = Value::parse(input.secret_string, input.secret_binary)?.ok_or_else(|| {
        let text = "You must provide either SecretString or SecretBinary.";
        Rejection::InvalidRequest(text.to_owned())
    })?;
    let stages = input.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    let version_id = input.client_request_token.map_or_else(random::version_id, Ok)?;
    let (named, fresh) = (Named::new(call, service.now(), &id), Fresh::new()?);
    let ask = |tables: &Tables| {
        let about_key = named.find(tables).map(|secret| {
            let under = (&secret.scope, secret.kms_key_id.as_deref());
            let version = (secret.arn().into_string(), version_id.as_str());
            keys::questions(service, tables, call, under, (&version.0, version.1))
        });
        let subject = named.look(tables, "secretsmanager:PutSecretValue");
        subject.and_all(about_key.into_iter().flatten())
    };
    service
        .write(call, &id, ask, |tx, found| {
            let mut secret = Secret::clone(&*usable(found)?);
            let version_id = version_id.clone();
            let is_new = !secret.versions.contains_key(&version_id);
            let stages = stages.into_iter().collect();
            let new = NewVersion { id: version_id.clone(), value, stages, fresh };
            put_version(service, tx, &mut secret, &new)?;
            let answer = PutSecretValueResponse {
                arn: view::arn(&secret),
                name: view::name(&secret),
                version_stages: secret.versions.get(&version_id).and_then(view::stages),
                version_id: Some(version_id),
            };
            if is_new {
                put_changed(tx, secret);
            }
            Ok(answer)
        })
        .await
}

/// What is read of a secret.
pub struct Wanted<'a> {
    pub named: Named<'a>,
    pub version_id: Option<&'a str>,
    pub stage: Option<&'a str>,
}

impl Wanted<'_> {
    /// Where neither version nor label is named, the label is AWSCURRENT for policies, too: a guess, from the user guide's example
    /// of a policy that allows that label only.
    fn look(&self, tables: &Tables) -> Subject<Option<std::sync::Arc<Secret>>> {
        let subject = self.named.look(tables, "secretsmanager:GetSecretValue");
        let stage = self.stage.or(if self.version_id.is_none() { Some(CURRENT) } else { None });
        let subject = match stage {
            Some(stage) => subject.with("secretsmanager:VersionStage", stage),
            None => subject,
        };
        let subject = match self.version_id {
            Some(id) => subject.with("secretsmanager:VersionId", id),
            None => subject,
        };
        subject.and_all(self.question_about_key(tables))
    }

    fn question_about_key(&self, tables: &Tables) -> Option<Question> {
        let secret = self.named.find(tables)?;
        let (id, _) = versions::select(&secret, self.version_id, self.stage).ok()?;
        keys::question_of_reading(tables, self.named.call, &secret, id)
    }

    fn answer(
        &self,
        service: &SecretsManagerService,
        tables: &Tables,
        secret: &Secret,
    ) -> Result<GetSecretValueResponse, Rejection> {
        let (id, version) = versions::select(secret, self.version_id, self.stage)?;
        let value = Value::open(&service.keyring, tables, secret, id, version.serial)?;
        let (secret_string, secret_binary) = value.into_members();
        Ok(GetSecretValueResponse {
            arn: view::arn(secret),
            name: view::name(secret),
            version_id: Some(id.clone()),
            secret_binary,
            secret_string,
            version_stages: view::stages(version),
            created_date: view::time(version.created_at_ms),
        })
    }

    /// Whether the day of the last reading is today's already. It is looked at for what has to be written only.
    fn is_dated(&self, tables: &Tables, today_ms: TimestampMs) -> bool {
        let Some(secret) = self.named.find(tables) else { return true };
        let selected = versions::select(&secret, self.version_id, self.stage);
        selected.map_or(true, |(_, version)| version.accessed_at_ms == Some(today_ms))
    }
}

/// A value, for who may read it. The first reading of a day is written down.
pub async fn read_value(
    service: &SecretsManagerService,
    call: &Call,
    wanted: &Wanted<'_>,
) -> Result<GetSecretValueResponse, Rejection> {
    let id = wanted.named.id;
    let today_ms = view::day_of(call.now_ms);
    let read = || {
        let (tables, found) = service.read(call, id, |tables| wanted.look(tables))?;
        let is_dated = wanted.is_dated(&tables, today_ms);
        Ok::<_, Rejection>((wanted.answer(service, &tables, &*usable(found)?)?, is_dated))
    };
    let (answer, is_dated) = read()?;
    if !is_dated {
        date(service, call, wanted, today_ms).await?;
    }
    Ok(answer)
}

async fn date(
    service: &SecretsManagerService,
    call: &Call,
    wanted: &Wanted<'_>,
    today_ms: TimestampMs,
) -> Result<(), Rejection> {
    let dated = service
        .write_always(
            call,
            wanted.named.id,
            |tables| wanted.look(tables),
            |tx, found| {
                let secret = usable(found)?;
                let (id, _) = versions::select(&secret, wanted.version_id, wanted.stage)?;
                tx.update::<Secret>(&secret.key(), |secret| {
                    secret.accessed_at_ms = Some(today_ms);
                    if let Some(version) = secret.versions.get_mut(id) {
                        version.accessed_at_ms = Some(today_ms);
                    }
                });
                Ok(())
            },
        )
        .await;
    match dated {
        // A disk that takes nothing does not keep anybody from reading.
        Err(Rejection::Server { .. }) => Ok(()),
        other => other,
    }
}

pub async fn get_secret_value(
    service: &SecretsManagerService,
    call: &Call,
    input: GetSecretValueRequest,
) -> Result<GetSecretValueResponse, Rejection> {
    let id = input.secret_id.unwrap_or_default();
    let wanted = Wanted {
        named: Named::new(call, service.now(), &id),
        version_id: input.version_id.as_deref(),
        stage: input.version_stage.as_deref(),
    };
    read_value(service, call, &wanted).await
}

#[cfg(test)]
mod tests {
    use outport_model::secret::SecretValue;
    use serde_json::json;

    use crate::testing::{CLEAR, FIRST, START_MS, World, write_now};

    const SECOND: &str = "22222222-2222-4222-8222-222222222222";

    #[tokio::test]
    async fn a_new_value_is_current_and_the_old_one_previous() {
        let world = World::full().await;
        let put = json!({"SecretId": "db", "SecretString": "second", "ClientRequestToken": SECOND});
        let answer = json!({"VersionId": SECOND, "VersionStages": ["AWSCURRENT"], "Name": "db"});
        world.check("PutSecretValue", put.clone(), answer.clone()).await;
        world.check("PutSecretValue", put, answer).await;
        let get = |more: serde_json::Value| {
            let mut input = json!({"SecretId": "db"});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        let second = json!({"SecretString": "second", "VersionId": SECOND, "SecretBinary": null});
        world.check("GetSecretValue", get(json!({})), second).await;
        let first = json!({"SecretString": CLEAR, "VersionStages": ["AWSPREVIOUS"]});
        world
            .check("GetSecretValue", get(json!({"VersionStage": "AWSPREVIOUS"})), first.clone())
            .await;
        world.check("GetSecretValue", get(json!({"VersionId": FIRST})), first).await;
        let bytes = json!({"SecretId": "db", "SecretBinary": "AAH/"});
        world.call("PutSecretValue", bytes).await;
        let answer = json!({"SecretBinary": "AAH/", "SecretString": null});
        world.check("GetSecretValue", get(json!({})), answer).await;
    }

    #[tokio::test]
    async fn a_value_has_65536_bytes_at_most() {
        let world = World::full().await;
        let put = |text: String| json!({"SecretId": "db", "SecretString": text});
        world.call("PutSecretValue", put("x".repeat(65_536))).await;
        let (status, _) = world.reply("PutSecretValue", &put("x".repeat(65_537))).await;
        assert_eq!(status, 400);
        // Characters are fewer than bytes.
        let (status, answer) = world.reply("PutSecretValue", &put("é".repeat(32_769))).await;
        assert_eq!(status, 400);
        assert!(!answer.to_string().contains('é'), "{answer}");
    }

    /// Only the first reading of a day writes.
    #[tokio::test]
    async fn a_reading_is_dated_by_its_day() {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        let world = World::full().await;
        world.clock.advance(25 * HOUR_MS);
        let midnight = (START_MS + 24 * HOUR_MS) / 1000;
        let get = json!({"SecretId": "db"});
        world.check("DescribeSecret", get.clone(), json!({"LastAccessedDate": null})).await;
        world.call("GetSecretValue", get.clone()).await;
        let described = world.call("DescribeSecret", get.clone()).await;
        assert_eq!(described["LastAccessedDate"].as_f64(), Some(midnight as f64));
        let version = world.store.snapshot().version();
        world.call("GetSecretValue", get.clone()).await;
        assert_eq!(world.store.snapshot().version(), version);
        world.clock.advance(24 * HOUR_MS);
        world.call("GetSecretValue", get).await;
        assert_eq!(world.store.snapshot().version(), version + 1);
    }

    #[tokio::test]
    async fn what_is_kept_tells_nothing() {
        let world = World::full().await;
        let tables = world.store.snapshot();
        let rows: Vec<_> = tables.secret_values.iter().collect();
        let shown = format!("{rows:?} {:?}", tables.secrets.iter().collect::<Vec<_>>());
        assert!(shown.contains("sealed") && !shown.contains("battery"), "{shown}");
    }

    /// A value that stands in another row, or was sealed by a master key that is lost, is not shown.
    #[tokio::test]
    async fn a_value_opens_in_its_own_place_only() {
        let world = World::full().await;
        world.call("CreateSecret", json!({"Name": "other", "SecretString": "o"})).await;
        write_now(&world.store, |tx| {
            let of = |name: &str| tx.secret_values.iter().find(|row| row.secret == name).cloned();
            let (db, other) = (of("db").unwrap(), of("other").unwrap());
            tx.put(SecretValue { sealed: db.sealed.clone(), ..SecretValue::clone(&other) });
        });
        let text =
            "Secrets Manager can't decrypt the protected secret text using the provided KMS key.";
        world
            .refuses("GetSecretValue", json!({"SecretId": "other"}), "DecryptionFailure", text)
            .await;
    }

    #[tokio::test]
    async fn the_question_names_version_and_label() {
        use outport_identity::testing::WatchedPermissions;
        let mut world = World::full().await;
        let watched = WatchedPermissions::allowing();
        world.ask(watched.clone());
        world.call("GetSecretValue", json!({"SecretId": "db"})).await;
        let asked = watched.asked().remove(0);
        let value = |key: &str| asked.context.get(key).cloned();
        assert_eq!(value("secretsmanager:VersionStage"), Some("AWSCURRENT".into()));
        assert_eq!(value("secretsmanager:ResourceTag/team"), Some("red".into()));
        assert_eq!(value("secretsmanager:SecretId"), Some(asked.resource.as_str().into()));
        world.call("GetSecretValue", json!({"SecretId": "db", "VersionId": FIRST})).await;
        let asked = watched.asked().remove(0);
        assert_eq!(asked.context.get("secretsmanager:VersionStage"), None);
        assert_eq!(asked.context.get("secretsmanager:VersionId"), Some(&FIRST.into()));
        world.reply("GetSecretValue", &json!({"SecretId": "none"})).await;
        let asked = watched.asked().remove(0);
        assert_eq!(
            asked.resource,
            "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-??????"
        );
    }
}
