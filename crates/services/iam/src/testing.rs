//! The one driver of the operation tests: a service on a store in memory, called by the query protocol as a client would.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use outport_aws_iam::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Reply, Request};
use outport_identity::testing::WatchedPermissions;
use outport_identity::{Call, Principal};
use outport_keyring::Keyring;
use outport_model::AccountId;
use outport_store::{ManualClock, SeededIds, Store, Transaction};

use crate::IamService;

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// A policy that allows something.
pub const ALLOWS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*"}]}"#;
/// A trust policy for tasks.
pub const TRUSTS_TASKS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

pub struct World {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub keyring: Arc<Keyring>,
    service: IamService,
    principal: Principal,
    permissions: Option<Arc<WatchedPermissions>>,
}

impl World {
    /// An account that has nothing, called by its root.
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::in_memory(clock.clone(), Arc::new(SeededIds::new(1)));
        let keyring = Arc::new(Keyring::new(&[1; 32], &[]));
        Self {
            service: IamService::new(store.clone(), keyring.clone()),
            principal: Principal::root(AccountId::new("000000000000")),
            permissions: None,
            clock,
            store,
            keyring,
        }
    }

    /// From now on this answers every question of permission.
    pub fn ask(&mut self, permissions: Arc<WatchedPermissions>) {
        self.permissions = Some(permissions);
    }

    /// From now on the calls come from this principal.
    pub fn become_caller(&mut self, principal: Principal) {
        self.principal = principal;
    }

    pub async fn reply(&self, operation: &str, input: &[(&str, &str)]) -> (u16, String) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation).append_pair("Version", MODEL.api_version);
        let body = form.extend_pairs(input).finish().into_bytes();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Query,
            operation,
            body: &body,
            request_id: "request",
        };
        let call = Call::for_tests().at(self.store.now_ms()).by(self.principal.clone());
        let mut call = match &self.permissions {
            Some(permissions) => call.asking(permissions.clone()),
            None => call,
        };
        call.account = self.principal.account().clone();
        let reply: Reply = match Exchange::new(request) {
            Ok(mut exchange) => {
                match dispatch(&self.service, &call, operation, &mut exchange).await {
                    Ok(()) => exchange.into_reply(),
                    Err(error) => request.failure(&error),
                }
            }
            Err(error) => request.failure(&error),
        };
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    /// The answer to a call that must succeed.
    pub async fn call(&self, operation: &str, input: &[(&str, &str)]) -> String {
        let (status, answer) = self.reply(operation, input).await;
        assert_eq!(status, 200, "{operation} {input:?}: {answer}");
        answer
    }

    /// The call succeeds, and its answer has these texts under elements with these names: each in its order.
    #[track_caller]
    pub fn has(answer: &str, expected: &[(&str, &[&str])]) {
        for (name, texts) in expected {
            assert_eq!(&texts_of(answer, name), texts, "{name} in {answer}");
        }
    }

    /// The call is refused with this code and text.
    pub async fn refuses(
        &self,
        operation: &str,
        input: &[(&str, &str)],
        code: &str,
        message: &str,
    ) {
        let (status, answer) = self.reply(operation, input).await;
        assert!(status >= 400, "{operation} {input:?}: {answer}");
        Self::has(&answer, &[("Code", &[code]), ("Message", &[message])]);
    }
}

/// A write that is done on return: in memory it is done at the first poll.
pub fn write_now(store: &Store, change: impl FnOnce(&mut Transaction<'_>)) {
    let write = store.write(|tx| {
        change(tx);
        Ok::<(), Infallible>(())
    });
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(write).poll(&mut context) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("a store in memory writes at once"),
    }
}

/// The texts of all elements with a name, in their order; markup of documents is read.
pub fn texts_of(answer: &str, name: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(answer).unwrap();
    let elements = document.descendants().filter(|node| node.tag_name().name() == name);
    elements.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

/// A certificate that signs itself, until 2030, and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    pub fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
