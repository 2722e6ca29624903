//! Rows, and what follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use outport_identity::{
    AccessKeyId, Call, Credential, CredentialSource, Principal, Question, ResourcePolicy, Sealer,
    SecretAccessKey, Session, SessionToken, SignatureError, Subject,
};
use outport_keyring::Keyring;
use outport_model::iam::{
    AccessKey, AccessKeyStatus, Account, Group, ManagedPolicy, NameKey, PasswordPolicy, Policies,
    PolicyVersion, Role, User,
};
use outport_model::{AccountId, Region, Tags};
use outport_store::keys::UserKey;
use outport_store::{ManualClock, Row, SeededIds, Store, Transaction};

use crate::{StoredCredentials, StoredPermissions, secret_place};

const NOW_MS: i64 = 1_767_225_600_000;
const LISTS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:List*","Resource":"*"}]}"#;
const DENIES: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecs:ListClusters","Resource":"*"}]}"#;
const OF_TEAM: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}]}"#;

fn account() -> AccountId {
    AccountId::new("000000000000")
}

struct World {
    store: Store,
    permissions: Arc<StoredPermissions>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let store = Store::in_memory(clock, Arc::new(SeededIds::new(1)));
        let permissions = Arc::new(StoredPermissions::new(store.clone()));
        Self { store, permissions }
    }

    async fn put<R: outport_store::InTables>(&self, row: R) {
        self.change(|tx| tx.put(row)).await;
    }

    async fn change(&self, change: impl FnOnce(&mut Transaction<'_>)) {
        let written = self.store.write(|tx| {
            change(tx);
            Ok::<(), ()>(())
        });
        written.await.unwrap();
    }

    fn call(&self, principal: Principal, session: Option<Session>) -> Call {
        let mut call = Call::for_tests().by(principal).asking(self.permissions.clone());
        call.session = session.map(Box::new);
        call
    }

    /// `None` for a yes, else the end of AWS's text.
    fn asks(
        &self,
        principal: &Principal,
        session: Option<Session>,
        action: &'static str,
    ) -> Option<String> {
        let call = self.call(principal.clone(), session);
        let denied = call.open(Subject::from(Question::without_resource(action))).err()?;
        let (_, end) = denied.message.split_once("resource: * ").unwrap();
        Some(end.to_owned())
    }
}

fn policies(inline: &[&str], attached: &[&str]) -> Policies {
    let inline = inline.iter().enumerate();
    Policies {
        inline: inline.map(|(n, text)| (format!("p{n}"), (*text).to_owned())).collect(),
        attached: attached.iter().map(|arn| (*arn).to_owned()).collect(),
    }
}

fn user(id: &str, policies: Policies) -> User {
    User {
        account: account(),
        name: "ann".into(),
        path: "/".into(),
        id: id.into(),
        created_at_ms: NOW_MS,
        policies,
        permissions_boundary: None,
        groups: [].into(),
        login_profile: None,
        tags: Tags::new(),
    }
}

fn ann(id: &str) -> Principal {
    Principal::User { account: account(), path: "/".into(), name: "ann".into(), id: id.into() }
}

fn role(policies: Policies) -> Role {
    Role {
        account: account(),
        name: "app".into(),
        path: "/".into(),
        id: "AROA1".into(),
        created_at_ms: NOW_MS,
        trust_policy: "{}".into(),
        description: None,
        max_session_duration: 3600,
        policies,
        permissions_boundary: None,
        tags: Tags::from([("team".into(), "red".into())]),
        last_use: None,
    }
}

fn app() -> Principal {
    Principal::AssumedRole {
        account: account(),
        path: "/".into(),
        role: "app".into(),
        role_id: "AROA1".into(),
        session_name: "s".into(),
    }
}

fn managed(document: &str) -> ManagedPolicy {
    ManagedPolicy {
        account: account(),
        name: "most".into(),
        path: "/".into(),
        id: "ANPA1".into(),
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
        description: None,
        versions: BTreeMap::from([(
            1,
            PolicyVersion { document: document.into(), created_at_ms: NOW_MS },
        )]),
        default_version: 1,
        next_version: 2,
        tags: Tags::new(),
    }
}

const MOST: &str = "arn:aws:iam::000000000000:policy/most";
const NOTHING: &str = "because no identity-based policy allows the ecs:ListClusters action";

#[tokio::test]
async fn a_user_may_what_its_policies_and_its_groups_say() {
    let world = World::new();
    let asks = |world: &World| world.asks(&ann("AIDA1"), None, "ecs:ListClusters");
    assert_eq!(asks(&world).as_deref(), Some(NOTHING), "there is no such user");
    world.put(user("AIDA1", Policies::default())).await;
    assert_eq!(asks(&world).as_deref(), Some(NOTHING));
    world.put(user("AIDA1", policies(&[LISTS], &[]))).await;
    assert_eq!(asks(&world), None);
    world.put(user("AIDA1", policies(&[LISTS, DENIES], &[]))).await;
    assert_eq!(asks(&world).unwrap(), "with an explicit deny in an identity-based policy");

    let group = |policies| Group {
        account: account(),
        name: "Developers".into(),
        path: "/".into(),
        id: "AGPA1".into(),
        created_at_ms: NOW_MS,
        policies,
    };
    let mut member = user("AIDA1", Policies::default());
    member.groups.insert(NameKey::of("developers"));
    world.put(member).await;
    world.put(group(policies(&[], &["arn:aws:iam::aws:policy/AmazonECS_FullAccess"]))).await;
    assert_eq!(asks(&world), None, "by a policy of AWS");
    world.put(group(policies(&[DENIES], &["arn:aws:iam::aws:policy/AmazonECS_FullAccess"]))).await;
    assert!(asks(&world).unwrap().starts_with("with an explicit deny"));
}

/// What was compiled is not used for another row.
#[tokio::test]
async fn a_change_counts_at_once_and_a_later_user_of_the_name_is_another() {
    let world = World::new();
    world.put(user("AIDA1", policies(&[], &[MOST]))).await;
    let asks = |id: &str| world.asks(&ann(id), None, "ecs:ListClusters");
    assert!(asks("AIDA1").unwrap().starts_with("with an explicit deny"), "the policy is gone");
    world.put(managed(LISTS)).await;
    assert_eq!(asks("AIDA1"), None);
    world.put(managed(DENIES)).await;
    assert_eq!(
        asks("AIDA1").unwrap(),
        format!("with an explicit deny in an identity-based policy: {MOST}")
    );
    world.put(managed(LISTS)).await;
    world.change(|tx| drop(tx.remove::<User>(&UserKey::new(&account(), "ann")))).await;
    world.put(user("AIDA2", policies(&[], &[MOST]))).await;
    assert_eq!(asks("AIDA1").as_deref(), Some(NOTHING));
    assert_eq!(asks("AIDA2"), None);
}

#[tokio::test]
async fn boundaries_and_session_policies_limit() {
    let world = World::new();
    let mut limited = role(policies(&[LISTS], &[]));
    limited.permissions_boundary = Some(MOST.into());
    world.put(managed(OF_TEAM)).await;
    world.put(limited).await;
    let asks = |session: Session| world.asks(&app(), Some(session), "ecs:ListClusters");
    let no_boundary = "because no permissions boundary allows the ecs:ListClusters action";
    assert_eq!(asks(Session::default()).unwrap(), no_boundary, "the role is of team red");
    // The tags of the session come before those of the role.
    let blue = Session { tags: Tags::from([("Team".into(), "blue".into())]), ..Session::default() };
    assert_eq!(asks(blue.clone()), None);
    let denying = Session { policy: Some(DENIES.into()), ..blue.clone() };
    assert_eq!(asks(denying).unwrap(), "with an explicit deny in a session policy");
    let other = Session {
        policy_arns: vec!["arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess".into()],
        ..blue
    };
    let no_session = "because no session policy allows the ecs:ListClusters action";
    assert_eq!(asks(other).unwrap(), no_session);
    let unreadable = Session { policy: Some("{".into()), ..Session::default() };
    assert!(asks(unreadable).is_some(), "what cannot be read allows nothing");
}

#[tokio::test]
async fn who_may_assume_a_role_is_said_by_the_role() {
    let world = World::new();
    world.put(user("AIDA1", Policies::default())).await;
    let assumes = |principal: Principal, trust: &str| {
        let arn = "arn:aws:iam::000000000000:role/app";
        let question = Question::new("sts:AssumeRole", arn)
            .with_resource_policy(Some(ResourcePolicy::RoleTrust(trust.to_owned())));
        world.call(principal, None).open(Subject::from(question)).is_ok()
    };
    let trust = |principal: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
        )
    };
    assert!(assumes(ann("AIDA1"), &trust("arn:aws:iam::000000000000:user/ann")));
    assert!(!assumes(ann("AIDA1"), &trust("arn:aws:iam::000000000000:user/bob")));
    // The account is trusted, and gives ann nothing.
    assert!(!assumes(ann("AIDA1"), &trust("000000000000")));
    let admin = policies(&[], &["arn:aws:iam::aws:policy/AdministratorAccess"]);
    world.put(user("AIDA1", admin)).await;
    assert!(assumes(ann("AIDA1"), &trust("000000000000")));
    assert!(!assumes(ann("AIDA1"), &trust("111111111111")));
}

struct Keys {
    world: World,
    credentials: StoredCredentials,
    sealer: Arc<Sealer>,
    keyring: Arc<Keyring>,
}

impl Keys {
    fn new() -> Self {
        let world = World::new();
        let (sealer, keyring) =
            (Arc::new(Sealer::new(&[1; 32])), Arc::new(Keyring::new(&[2; 32], &[])));
        let root = Credential::long_term(
            AccessKeyId::new("AKIAROOT"),
            SecretAccessKey::new("root"),
            Principal::root(account()),
        );
        let credentials =
            StoredCredentials::new(root, world.store.clone(), sealer.clone(), keyring.clone());
        Self { world, credentials, sealer, keyring }
    }

    fn key(&self, status: AccessKeyStatus) -> AccessKey {
        AccessKey {
            id: "AKIA1".into(),
            account: account(),
            user: Some(NameKey::of("ann")),
            status,
            created_at_ms: NOW_MS,
            sealed_secret: self.keyring.seal(&secret_place("AKIA1"), b"secret", [3; 24]),
            last_use: None,
        }
    }

    fn find(&self, id: &str, token: Option<&str>) -> Result<Credential, SignatureError> {
        self.credentials.find(&AccessKeyId::new(id), token, NOW_MS)
    }
}

#[tokio::test]
async fn a_key_is_its_users_as_long_as_it_is_active() {
    let keys = Keys::new();
    assert!(keys.find("AKIAROOT", None).is_ok());
    assert_eq!(keys.find("AKIA1", None).map(drop), Err(SignatureError::UnknownAccessKey));
    keys.world.put(keys.key(AccessKeyStatus::Active)).await;
    assert!(keys.find("AKIA1", None).is_err(), "its user is gone");
    keys.world.put(user("AIDA1", Policies::default())).await;
    let found = keys.find("AKIA1", None).unwrap();
    assert_eq!((found.secret_access_key.expose(), found.principal), ("secret", ann("AIDA1")));
    assert!(keys.find("AKIA1", Some("token")).is_err(), "a long-term key has no token");
    keys.world.put(keys.key(AccessKeyStatus::Inactive)).await;
    assert!(keys.find("AKIA1", None).is_err());
    // A secret that stands in another row is worthless there.
    let moved = AccessKey { id: "AKIA2".into(), ..keys.key(AccessKeyStatus::Active) };
    keys.world.put(moved).await;
    assert!(keys.find("AKIA2", None).is_err());
}

#[tokio::test]
async fn a_session_dies_with_its_role() {
    let keys = Keys::new();
    let credential = Credential {
        access_key_id: AccessKeyId::new("ASIA1"),
        secret_access_key: SecretAccessKey::new("of the session"),
        principal: app(),
        session: Some(Box::new(Session { expires_at_ms: NOW_MS + 1, ..Session::default() })),
    };
    let token = SessionToken::seal(&keys.sealer, &credential, [9; 24]).unwrap();
    let find = || keys.find("ASIA1", Some(token.as_str())).map(drop);
    assert_eq!(find(), Err(SignatureError::UnknownAccessKey), "there is no such role");
    let row = role(Policies::default());
    let key = row.key();
    keys.world.put(row).await;
    assert_eq!(find(), Ok(()));
    assert!(keys.find("ASIA1", None).is_err(), "a session needs its token");
    keys.world.change(|tx| drop(tx.remove::<Role>(&key))).await;
    assert_eq!(find(), Err(SignatureError::UnknownAccessKey));
    keys.world.put(Role { id: "AROA2".into(), ..role(Policies::default()) }).await;
    assert_eq!(find(), Err(SignatureError::UnknownAccessKey), "a later role is another");
}

#[tokio::test]
async fn an_account_may_let_its_users_change_their_passwords() {
    let world = World::new();
    world.put(user("AIDA1", policies(&[], &[]))).await;
    let change = "iam:ChangePassword";
    assert!(world.asks(&ann("AIDA1"), None, change).is_some());
    let mut row = Account::new(account(), NOW_MS);
    row.password_policy = Some(PasswordPolicy {
        minimum_length: 6,
        require_symbols: false,
        require_numbers: false,
        require_uppercase: false,
        require_lowercase: false,
        allow_users_to_change: true,
        max_age_days: None,
        reuse_prevention: None,
        hard_expiry: false,
    });
    world.put(row).await;
    assert_eq!(world.asks(&ann("AIDA1"), None, change), None);
    assert_eq!(world.asks(&ann("AIDA1"), None, "iam:GetAccountPasswordPolicy"), None);
    assert!(world.asks(&ann("AIDA1"), None, "iam:UpdateLoginProfile").is_some());
    world.put(role(policies(&[], &[]))).await;
    assert!(world.asks(&app(), None, change).is_some(), "a role is no user");
    let denies = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iam:*","Resource":"*"}]}"#;
    world.put(user("AIDA1", policies(&[denies], &[]))).await;
    assert!(world.asks(&ann("AIDA1"), None, change).is_some(), "an explicit deny wins");
}

/// What another account owns stays denied, whoever asks.
#[tokio::test]
async fn permissive_lets_pass_what_the_own_account_denies() {
    let world = World::new();
    world.put(user("AIDA1", Policies::default())).await;
    let permissive = Arc::new(crate::Permissive::new(world.store.clone()));
    let asks = |resource: &str| {
        let call = Call::for_tests().by(ann("AIDA1")).asking(permissive.clone());
        call.open(Subject::from(Question::new("ecs:DescribeClusters", resource))).is_ok()
    };
    assert!(asks("*"));
    assert!(asks("arn:aws:ecs:us-east-1:000000000000:cluster/default"));
    assert!(!asks("arn:aws:ecs:us-east-1:111111111111:cluster/default"));
    assert!(!asks("no arn"));
    // Who is gone is nobody any more.
    world.change(|tx| drop(tx.remove::<User>(&UserKey::new(&account(), "ann")))).await;
    assert!(!asks("*"));
}

#[tokio::test]
async fn a_use_is_written_to_the_key_and_to_the_role() {
    let keys = Keys::new();
    keys.world.put(user("AIDA1", Policies::default())).await;
    keys.world.put(keys.key(AccessKeyStatus::Active)).await;
    keys.world.put(role(Policies::default())).await;
    let region = Region::new("us-east-1");
    let long_term = keys.find("AKIA1", None).unwrap();
    keys.credentials.note_use(&long_term, "iam", &region, NOW_MS);
    keys.credentials.note_use(&long_term, "ecs", &region, NOW_MS + 5);
    let session = |principal: Principal| Credential {
        session: Some(Box::default()),
        principal,
        ..keys.find("AKIAROOT", None).unwrap()
    };
    keys.credentials.note_use(&session(app()), "ecs", &region, NOW_MS + 7);
    // The session of an earlier role is not a use of this one.
    let earlier = Principal::AssumedRole {
        account: account(),
        path: "/".into(),
        role: "app".into(),
        role_id: "AROA0".into(),
        session_name: "s".into(),
    };
    keys.credentials.note_use(&session(earlier), "ecs", &region, NOW_MS + 9);
    keys.credentials.write_uses().await.unwrap();
    let tables = keys.world.store.snapshot();
    let key = tables.access_keys.get(&"AKIA1".to_owned()).unwrap();
    let last = key.last_use.clone().unwrap();
    assert_eq!((last.at_ms, last.service.as_str()), (NOW_MS + 5, "ecs"));
    let role = tables.roles.iter().next().unwrap();
    assert_eq!(role.last_use.as_ref().map(|last| last.at_ms), Some(NOW_MS + 7));
    let version = tables.version();
    keys.credentials.write_uses().await.unwrap();
    assert_eq!(keys.world.store.snapshot().version(), version, "nothing is written for nothing");
}

/// The owner of a token may what a trust policy says, and nothing else: not what everyone may, and not for want of enforcement.
#[tokio::test]
async fn who_shows_a_token_may_what_a_trust_policy_says() {
    let world = World::new();
    let provider = "arn:aws:iam::000000000000:oidc-provider/id.example.com";
    let owner = Principal::WebIdentity {
        account: account(),
        provider: provider.into(),
        audience: "app".into(),
        subject: "ada".into(),
    };
    let permissive = Arc::new(crate::Permissive::new(world.store.clone()));
    let call = world.call(owner, None).asking(permissive);
    let may = |principals: &str| {
        let action = "sts:AssumeRoleWithWebIdentity";
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principals},"Action":"{action}"}}]}}"#
        );
        let question = Question::new(action, "arn:aws:iam::000000000000:role/app")
            .with_resource_policy(Some(ResourcePolicy::RoleTrust(trust)));
        call.open(Subject::from(question)).is_ok()
    };
    assert!(may(&format!(r#"{{"Federated":"{provider}"}}"#)));
    assert!(!may(&format!(r#"{{"Federated":"{provider}/other"}}"#)));
    assert!(!may(r#"{"AWS":"*"}"#));
    assert!(!may(r#"{"AWS":"000000000000"}"#));
    assert!(call.open(Subject::from(Question::without_resource("ecs:ListClusters"))).is_err());
}

#[tokio::test]
async fn a_refusal_says_to_others_which_statement_denies() {
    let world = World::new();
    let sealer = Sealer::new(&[7; 32]);
    let report = |world: &World| {
        let call = world.call(ann("AIDA1"), None);
        let question = Question::without_resource("ecs:ListClusters");
        let report = call.open(Subject::from(question)).unwrap_err().report.unwrap();
        let message = report.seal(&sealer, NOW_MS, [9; outport_identity::SEAL_NONCE_BYTES]);
        outport_identity::RefusalReport::open(&sealer, &message, &account(), NOW_MS).unwrap()
    };
    world.put(user("AIDA1", Policies::default())).await;
    assert!(report(&world).contains(r#""explicitDeny":false,"matchedStatements":{"items":[]}"#));
    world.put(user("AIDA1", policies(&[LISTS, DENIES], &[]))).await;
    let told = report(&world);
    for part in [
        r#""explicitDeny":true"#,
        r#""actions":{"items":[{"value":"ecs:ListClusters"}]}"#,
        r#""resources":{"items":[{"value":"*"}]}"#,
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("ecs:List*"), "only what denies: {told}");
}
