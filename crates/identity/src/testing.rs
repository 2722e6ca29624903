//! For the tests of whoever asks: a call, and a source of permissions that listens.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outport_model::{AccountId, Region};

use crate::{
    AccessKeyId, AccountRoots, Arrival, AuthorizationRequest, Call, Caller, ConditionContext,
    Denied, PermissionSource, Principal, RequestId,
};

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

impl Arrival {
    /// From this host, over plain HTTP.
    pub fn for_tests() -> Self {
        Self {
            request_id: RequestId::new("request"),
            now_ms: NOW_MS,
            source_ip: Ipv4Addr::LOCALHOST.into(),
            user_agent: None,
            secure_transport: false,
            host: None,
        }
    }
}

impl Call {
    /// By the root of account 000000000000, in us-east-1 and at the start of 2026.
    pub fn for_tests() -> Self {
        let principal = Principal::root(AccountId::new("000000000000"));
        let caller = Caller { principal, access_key_id: AccessKeyId::new("AKID"), session: None };
        Self::new(Arrival::for_tests(), caller, Region::new("us-east-1"), Arc::new(AccountRoots))
    }

    /// The same call, at another time.
    #[must_use]
    pub fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// The same call, by another principal.
    #[must_use]
    pub fn by(mut self, principal: Principal) -> Self {
        self.principal = principal;
        self
    }

    /// The same call, answered by another source of permissions.
    #[must_use]
    pub fn asking(mut self, permissions: Arc<dyn PermissionSource>) -> Self {
        self.permissions = permissions;
        self
    }
}

/// One question as it was asked, with every condition key.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub action: String,
    pub resource: String,
    pub context: ConditionContext,
}

type Decide = Box<dyn FnMut(&Asked) -> bool + Send>;

/// Decides as a test says, and remembers what it was asked. What it does while it decides comes between the authorization
/// of a request and its transaction.
pub struct WatchedPermissions {
    decide: Mutex<Decide>,
    asked: Mutex<Vec<Asked>>,
}

impl WatchedPermissions {
    pub fn new(decide: impl FnMut(&Asked) -> bool + Send + 'static) -> Arc<Self> {
        Arc::new(Self { decide: Mutex::new(Box::new(decide)), asked: Mutex::default() })
    }

    pub fn allowing() -> Arc<Self> {
        Self::new(|_| true)
    }

    /// To these, every caller is one without any permission.
    pub fn refusing() -> Arc<Self> {
        Self::new(|_| false)
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.asked))
    }
}

impl fmt::Debug for WatchedPermissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WatchedPermissions").finish_non_exhaustive()
    }
}

impl PermissionSource for WatchedPermissions {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        let mut context = request.context.of_question.clone();
        for (key, value) in request.context.of_request.iter() {
            context.set(key, value.clone());
        }
        let (action, resource) = (request.action.to_owned(), request.resource.to_owned());
        let asked = Asked { action, resource, context };
        let is_allowed = (lock(&self.decide))(&asked);
        lock(&self.asked).push(asked);
        if is_allowed { Ok(()) } else { Err(Denied::by_no_identity_based_policy(request)) }
    }
}

/// What is odd about operations when strangers call them: operation and what.
pub type Oddities = BTreeSet<(String, String)>;

/// Compares what was found with a checked-in list of `[operation, what, reason]`.
///
/// # Panics
/// For what is not in the list, for what is in it and was not found, and for a row without a reason.
#[track_caller]
pub fn check_oddities(found: &Oddities, list: &str) {
    let rows: Vec<(String, String, String)> = serde_json::from_str(list).expect("a list of rows");
    assert!(rows.iter().all(|(_, _, reason)| !reason.is_empty()), "each row has a reason");
    let known: Oddities = rows.into_iter().map(|(operation, what, _)| (operation, what)).collect();
    let news: Vec<_> = found.difference(&known).collect();
    assert!(news.is_empty(), "not as with every other operation: {news:#?}");
    let gone: Vec<_> = known.difference(found).collect();
    assert!(gone.is_empty(), "not needed in the list any more: {gone:#?}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
