use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use outport_kms_keys::{FreshMaterial, MATERIAL_RANDOM_BYTES, new_managed_key};
use outport_model::iam::{AccessKey, AccessKeyStatus, ServerCertificate};
use outport_model::parameter::{ParameterTier, ParameterValue, ParameterVersion};
use outport_model::secret::{Secret, SecretKind, SecretValue, SecretVersion};
use outport_model::{AccountId, Region, Scope, Tags};
use outport_permissions::secret_place;
use outport_store::{RandomIds, Store, SystemClock};

use super::*;

const OLD: [u8; KEY_BYTES] = [1; KEY_BYTES];
const NEW: [u8; KEY_BYTES] = [2; KEY_BYTES];
const NONCE: [u8; 24] = [3; 24];

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

fn access_key(keyring: &Keyring) -> AccessKey {
    AccessKey {
        id: "AKIA1".into(),
        account: scope().account,
        user: None,
        status: AccessKeyStatus::Active,
        created_at_ms: 0,
        sealed_secret: keyring.seal(&secret_place("AKIA1"), b"secret", NONCE),
        last_use: None,
    }
}

/// One row of each kind, sealed with the keyring.
async fn filled(keyring: &Keyring) -> Store {
    let store = Store::in_memory(Arc::new(SystemClock), Arc::new(RandomIds));
    let scope = scope();
    let fresh = FreshMaterial::new(&[4; MATERIAL_RANDOM_BYTES]);
    let id = "11111111-2222-3333-4444-555555555555".to_owned();
    let (kms_key, _) = new_managed_key(keyring, &scope, "ssm", id, &fresh, 0);
    let certificate = ServerCertificate {
        account: scope.account.clone(),
        name: "c".into(),
        path: "/".into(),
        id: "ASCA1".into(),
        uploaded_at_ms: 0,
        expires_at_ms: 0,
        certificate: String::new(),
        chain: None,
        sealed_key: keyring.seal(&ServerCertificate::key_place("ASCA1"), b"key", NONCE),
        tags: Tags::default(),
    };
    let version = SecretVersion {
        serial: 7,
        stages: [outport_model::secret::CURRENT.to_owned()].into(),
        created_at_ms: 0,
        accessed_at_ms: None,
    };
    let secret = Secret {
        scope: scope.clone(),
        name: "s".into(),
        suffix: "AbCdEf".into(),
        description: None,
        kms_key_id: None,
        tags: Tags::default(),
        versions: [("v".to_owned(), version)].into(),
        next_serial: 8,
        created_at_ms: 0,
        changed_at_ms: 0,
        accessed_at_ms: None,
        deletion: None,
        resource_policy: None,
        rotation: None,
    };
    let place = outport_service_secretsmanager::value_place(&secret, "v");
    let value = SecretValue {
        scope: scope.clone(),
        secret: "s".into(),
        serial: 7,
        kind: SecretKind::Text,
        sealed: keyring.seal(&place, b"value", NONCE),
        data_key: None,
    };
    let mut parameter = ParameterVersion {
        scope,
        parameter: "/p".into(),
        version: 1,
        value: ParameterValue::String(String::new()),
        description: None,
        allowed_pattern: None,
        tier: ParameterTier::Standard,
        modified_at_ms: 0,
        modified_by: String::new(),
    };
    let sealed = keyring.seal(&outport_service_ssm::value_place(&parameter), b"parameter", NONCE);
    parameter.value =
        ParameterValue::SecureString { sealed, key_id: "alias/aws/ssm".into(), data_key: None };
    let access_key = access_key(keyring);
    let put = store.write(|tx| {
        tx.put(access_key);
        tx.put(kms_key);
        tx.put(certificate);
        tx.put(secret);
        tx.put(value);
        tx.put(parameter);
        Ok::<_, std::convert::Infallible>(())
    });
    put.await.unwrap();
    store
}

#[tokio::test]
async fn each_kind_of_row_is_sealed_anew_and_what_was_given_up_is_left() {
    let old = Keyring::new(&OLD, &[]);
    let store = filled(&old).await;
    let lost = Sealed::of(&store.snapshot());
    assert_eq!(lost.rows(), 5);
    assert_eq!(
        lost.lost("nothing"),
        "1 access key, 1 server certificate, 1 KMS key with what is kept under it, 1 value of a secret, 1 parameter"
    );
    // Without the key nothing is changed, unless it was given up.
    let new = Keyring::new(&NEW, &[]);
    let refused = store.write(|tx| sealed::seal_anew(tx, &new, &BTreeSet::new())).await;
    assert!(refused.is_err());
    let left = BTreeSet::from([old.current()]);
    store.write(|tx| sealed::seal_anew(tx, &new, &left)).await.unwrap();
    assert_eq!(Sealed::of(&store.snapshot()).keys().collect::<Vec<_>>(), [old.current()]);

    let both = Keyring::new(&NEW, &[OLD]);
    for _ in 0..2 {
        store.write(|tx| sealed::seal_anew(tx, &both, &BTreeSet::new())).await.unwrap();
        let sealed = Sealed::of(&store.snapshot());
        assert_eq!((sealed.keys().collect::<Vec<_>>(), sealed.rows()), (vec![new.current()], 5));
    }
    let tables = store.snapshot();
    let key = tables.access_keys.iter().next().unwrap();
    let opened = new.open(&secret_place(&key.id), &key.sealed_secret);
    assert_eq!(opened.as_deref(), Ok(&b"secret"[..]));
    let version = tables.parameter_versions.iter().next().unwrap();
    let ParameterValue::SecureString { sealed, .. } = &version.value else { panic!("{version:?}") };
    let opened = new.open(&outport_service_ssm::value_place(version), sealed);
    assert_eq!(opened.as_deref(), Ok(&b"parameter"[..]));
    let key = tables.kms_keys.iter().next().unwrap();
    outport_kms_keys::encrypt(
        &new,
        key,
        &outport_kms_keys::EncryptionContext::default(),
        b"x",
        NONCE,
    )
    .unwrap();
}

fn given(directory: &Path, key: [u8; KEY_BYTES]) -> MasterKeyOptions {
    let path = directory.join(hex::encode(&key[..4]));
    std::fs::write(&path, hex::encode(key)).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    MasterKeyOptions { master_key_file: Some(path), master_key_command: None }
}

#[tokio::test]
async fn a_start_names_the_key_that_it_lacks_and_makes_none() {
    let (base, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data_dir = DataDir::own(base.path()).unwrap();
    let nothing = Store::in_memory(Arc::new(SystemClock), Arc::new(RandomIds));
    let nothing = nothing.snapshot();
    let none = MasterKeyOptions::default();
    let (old, new) = (given(keys.path(), OLD), given(keys.path(), NEW));
    let check = |options: &MasterKeyOptions, tables: &Tables| {
        at_start(&data_dir, options, tables)
            .map(|keyring| keyring.current())
            .map_err(|error| format!("{error:#}"))
    };
    let (old_id, new_id) = (KeyId::of(&OLD), KeyId::of(&NEW));
    // The operator's from the first start on.
    assert_eq!(check(&old, &nothing), Ok(old_id));
    let rows = filled(&Keyring::new(&OLD, &[])).await;
    let rows = rows.snapshot();
    assert_eq!(check(&old, &rows), Ok(old_id));
    let refused = check(&none, &rows).unwrap_err();
    assert!(refused.contains(&old_id.to_string()) && refused.contains("1 access key"), "{refused}");
    assert!(!base.path().join("master-key").exists());
    let refused = check(&new, &rows).unwrap_err();
    for part in [&old_id.to_string(), &new_id.to_string(), "1 access key", "give-up"] {
        assert!(refused.contains(part), "{refused}");
    }
    // It comes into the data directory, and goes from there.
    let own = base.path().join("master-key");
    std::fs::write(&own, hex::encode(OLD)).unwrap();
    assert_eq!(check(&none, &rows), Ok(old_id));
    data_dir.remember(&["master-key"]);
    let refused = check(&new, &rows).unwrap_err();
    assert!(refused.contains("start without it"), "{refused}");
    std::fs::remove_file(&own).unwrap();
    let refused = check(&none, &rows).unwrap_err();
    assert!(refused.contains("is gone") && refused.contains(&old_id.to_string()), "{refused}");
    assert_eq!(check(&old, &rows), Ok(old_id));
    let made = std::fs::read_to_string(base.path().join("made")).unwrap();
    assert!(!made.contains("master-key"), "{made}");
}

#[tokio::test]
async fn a_rotation_can_be_cut_short_after_each_step() {
    let base = tempfile::tempdir().unwrap();
    let data_dir = DataDir::own(base.path()).unwrap();
    let none = MasterKeyOptions::default();
    let own = files::make_own(base.path()).unwrap();
    let store = filled(&Keyring::new(&own.0, &[])).await;
    let start = |store: &Store| at_start(&data_dir, &none, &store.snapshot()).unwrap().current();
    assert_eq!(start(&store), own.id());
    let next = files::make_next(base.path()).unwrap();
    assert_eq!(start(&store), own.id());
    let keyring = keyring(&next, [own.clone()]);
    store.write(|tx| sealed::seal_anew(tx, &keyring, &BTreeSet::new())).await.unwrap();
    assert_eq!(start(&store), own.id(), "it opens what the next one sealed");
    files::put_next_in_place(base.path()).unwrap();
    assert_eq!(start(&store), next.id());
}
