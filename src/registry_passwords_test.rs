//! What a node can do with the passwords that it gets, tried as by somebody who has taken the node over.

use std::net::Ipv4Addr;
use std::sync::Arc;

use outport_controllers::node_link::CredentialSource;
use outport_identity::{
    AccessKeyId, Arrival, Credential, Principal, RequestId, Sealer, SecretAccessKey,
};
use outport_image_registry::{AuthenticationError, RegistryAuthorizer, RegistryCaller};
use outport_model::node_identity::NodeIdentity;
use outport_model::own_registry::OwnRegistry;
use outport_model::task::{Task, TaskContainer};
use outport_model::{AccountId, NodeId, Tags, TaskId, TaskStatus, TimestampMs};
use outport_node_protocol::RegistryCredential;
use outport_permissions::StoredPermissions;
use outport_service_ecr::EcrAuthorizer;
use outport_service_sts::StsService;
use outport_store::{InTables, ManualClock, SeededIds, Store};

use crate::execution_roles::ExecutionRoles;
use crate::node_link::RegistryPasswords;

const NOW_MS: TimestampMs = 1_000;

/// What nobody may do with the password of a node, whatever the repository.
const FORBIDDEN: [&str; 8] = [
    "ecr:PutImage",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:BatchDeleteImage",
    "ecr:ListImages",
    "ecr:DescribeRepositories",
    "ecr:GetAuthorizationToken",
];
const PULLING: [&str; 3] =
    ["ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"];

struct House {
    store: Store,
    passwords: Arc<RegistryPasswords>,
    authorizer: EcrAuthorizer,
}

impl House {
    /// The nodes `a` and `b`, without tasks.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let store = Store::in_memory(clock, Arc::new(SeededIds::new(1)));
        let own = OwnRegistry {
            host: "127.0.0.1:4566".to_owned(),
            names: vec!["localhost:4566".to_owned()],
        };
        let sealer = Arc::new(Sealer::new(&[1; 32]));
        let permissions = Arc::new(StoredPermissions::new(store.clone()));
        let sts = StsService::new(store.clone(), sealer.clone());
        let roles = ExecutionRoles::new(sts, permissions.clone(), false);
        let passwords = Arc::new(RegistryPasswords::new(sealer.clone(), own, store.clone(), roles));
        let root = Credential {
            access_key_id: AccessKeyId::new("AKID"),
            secret_access_key: SecretAccessKey::new("secret"),
            principal: Principal::root(AccountId::new("000000000000")),
            session: None,
        };
        let authorizer = EcrAuthorizer::new(sealer, Arc::new(root), permissions, passwords.clone());
        let house = Self { store, passwords, authorizer };
        for node in ["a", "b"] {
            house.put(identity(node, None)).await;
        }
        house
    }

    async fn put(&self, row: impl InTables) {
        let put = self.store.write(|tx| {
            tx.put(row);
            Ok::<(), std::convert::Infallible>(())
        });
        put.await.expect("a store in memory takes it");
    }

    fn password(&self, node: &str, task: &Task) -> RegistryCredential {
        self.passwords.password(&NodeId::new(node), task, (None, None), NOW_MS).expect("a password")
    }

    fn login(
        &self,
        issued: &RegistryCredential,
        at_ms: TimestampMs,
    ) -> Result<Box<dyn RegistryCaller>, AuthenticationError> {
        let mut arrived = axum::http::Extensions::new();
        arrived.insert(Arrival {
            request_id: RequestId::new("request"),
            now_ms: at_ms,
            source_ip: Ipv4Addr::LOCALHOST.into(),
            user_agent: None,
            secure_transport: true,
            host: None,
        });
        self.authorizer.authenticate(&issued.user, &issued.password, at_ms, &arrived)
    }

    fn may(&self, issued: &RegistryCredential, action: &'static str, repository: &str) -> bool {
        let Ok(caller) = self.login(issued, NOW_MS) else { panic!("the password is good") };
        let arn = format!("arn:aws:ecr:us-east-1:000000000000:repository/{repository}");
        caller.authorize(action, &arn, &Tags::new(), None).is_ok()
    }

    #[track_caller]
    fn check_pulls(&self, issued: &RegistryCredential, repository: &str, expected: bool) {
        for action in PULLING {
            assert_eq!(self.may(issued, action, repository), expected, "{action} {repository}");
        }
        for action in FORBIDDEN {
            assert!(!self.may(issued, action, repository), "{action} {repository}");
        }
    }
}

fn identity(node: &str, revoked_at_ms: Option<TimestampMs>) -> NodeIdentity {
    NodeIdentity { node: NodeId::new(node), keys: Vec::new(), joined_at_ms: 0, revoked_at_ms }
}

/// A task that its node has not ended yet.
fn task(id: &str, node: &str, images: &[&str]) -> Task {
    let text = include_str!("../crates/store/tests/golden/task.v1.json");
    let mut task: Task = serde_json::from_str(text).expect("a task");
    let sample = task.containers.remove(0);
    let container = |image: &&str| TaskContainer { image: (*image).to_owned(), ..sample.clone() };
    task.id = TaskId::new(id);
    task.node = Some(NodeId::new(node));
    task.last_status = TaskStatus::Pending;
    task.containers = images.iter().map(container).collect();
    task
}

fn ended(mut task: Task) -> Task {
    task.last_status = TaskStatus::Stopped;
    task
}

#[tokio::test]
async fn a_nodes_password_pulls_for_its_task_and_does_nothing_else() {
    let house = House::new().await;
    let digest = "0".repeat(64);
    let by_digest = format!("000000000000.dkr.ecr.us-east-1.amazonaws.com/aws@sha256:{digest}");
    let task = task(
        "t",
        "a",
        &[
            "127.0.0.1:4566/app:1.0",
            "localhost:4566/team/web",
            &by_digest,
            "docker.io/library/nginx",
            "111111111111.dkr.ecr.us-east-1.amazonaws.com/other",
        ],
    );
    house.put(task.clone()).await;
    let issued = house.password("a", &task);
    assert!(issued.expires_at_ms - NOW_MS <= 15 * 60 * 1000);
    assert!(house.login(&issued, issued.expires_at_ms - 1).is_ok());
    assert!(house.login(&issued, issued.expires_at_ms).is_err(), "it is over");
    for repository in ["app", "team/web", "aws"] {
        house.check_pulls(&issued, repository, true);
    }
    for repository in ["library/nginx", "other", "ap", "app/x", "*"] {
        house.check_pulls(&issued, repository, false);
    }
}

#[tokio::test]
async fn a_node_does_not_pull_what_another_nodes_tasks_need() {
    let house = House::new().await;
    let (own, others) =
        (task("1", "a", &["localhost:4566/app"]), task("2", "b", &["localhost:4566/secret"]));
    house.put(own.clone()).await;
    house.put(others.clone()).await;
    let issued = house.password("a", &own);
    house.check_pulls(&issued, "app", true);
    house.check_pulls(&issued, "secret", false);
    // A password that says so, had the control plane been talked into it.
    let talked_into = house.password("a", &others);
    house.check_pulls(&talked_into, "secret", false);
}

#[tokio::test]
async fn a_password_dies_with_the_last_task_of_its_repository() {
    let house = House::new().await;
    let first = task("1", "a", &["localhost:4566/app", "localhost:4566/side"]);
    let second = task("2", "a", &["localhost:4566/app"]);
    house.put(first.clone()).await;
    house.put(second.clone()).await;
    let issued = house.password("a", &first);
    house.check_pulls(&issued, "side", true);
    house.put(ended(first)).await;
    house.check_pulls(&issued, "side", false);
    // A node keeps one password for the tasks that share a repository.
    house.check_pulls(&issued, "app", true);
    house.put(ended(second)).await;
    house.check_pulls(&issued, "app", false);
}

#[tokio::test]
async fn a_password_dies_with_its_node() {
    let house = House::new().await;
    let task = task("1", "a", &["localhost:4566/app"]);
    house.put(task.clone()).await;
    let issued = house.password("a", &task);
    house.check_pulls(&issued, "app", true);
    house.put(identity("a", Some(NOW_MS))).await;
    house.check_pulls(&issued, "app", false);
}

#[tokio::test]
async fn a_changed_password_is_none() {
    let house = House::new().await;
    let task = task("1", "a", &["localhost:4566/app"]);
    house.put(task.clone()).await;
    let issued = house.password("a", &task);
    for position in 0..issued.password.len() {
        let mut bytes = issued.password.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let password = String::from_utf8(bytes).expect("ASCII");
        let changed = RegistryCredential { password, ..issued.clone() };
        assert!(house.login(&changed, NOW_MS).is_err(), "byte {position}");
    }
    let placed_nowhere = Task { node: None, ..task };
    let issued = house.passwords.issue(&placed_nowhere, None, None).await;
    assert!(issued.is_err(), "who has no node pulls nothing");
}
