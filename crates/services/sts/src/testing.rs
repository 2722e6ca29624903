//! The driver of the operation tests: the rows of an account, and callers that are who they say.

use std::sync::Arc;

use outport_aws_sts::{MODEL, dispatch};
use outport_aws_wire::{Exchange, Protocol, Request};
use outport_identity::{
    AccessKeyId, Call, Credential, CredentialSource, Principal, Sealer, SecretAccessKey,
};
use outport_keyring::Keyring;
use outport_model::iam::{Policies, Role, User};
use outport_model::{AccountId, Tags};
use outport_permissions::{StoredCredentials, StoredPermissions};
use outport_store::{InTables, ManualClock, SeededIds, Store};
use outport_web_identity::Issuers;

use crate::StsService;

/// 2026-01-01T00:00:00Z.
pub const NOW_MS: i64 = 1_767_225_600_000;
pub const ADMIN: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

pub struct World {
    pub store: Store,
    service: StsService,
    permissions: Arc<StoredPermissions>,
    credentials: StoredCredentials,
}

pub fn account() -> AccountId {
    AccountId::new("000000000000")
}

impl World {
    /// With the user ann, who may do what `attached` says.
    pub async fn new(attached: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let store = Store::in_memory(clock, Arc::new(SeededIds::new(1)));
        let sealer = Arc::new(Sealer::new(&[1; 32]));
        let root = Credential::long_term(
            AccessKeyId::new("AKIAROOT"),
            SecretAccessKey::new("root"),
            Principal::root(account()),
        );
        let keyring = Arc::new(Keyring::new(&[2; 32], &[]));
        let world = Self {
            service: StsService::new(store.clone(), sealer.clone()),
            permissions: Arc::new(StoredPermissions::new(store.clone())),
            credentials: StoredCredentials::new(root, store.clone(), sealer, keyring),
            store,
        };
        let attached = attached.iter().map(|arn| (*arn).to_owned()).collect();
        world
            .put(User {
                account: account(),
                name: "ann".into(),
                path: "/".into(),
                id: "AIDA1".into(),
                created_at_ms: NOW_MS,
                policies: Policies { attached, ..Policies::default() },
                permissions_boundary: None,
                groups: [].into(),
                login_profile: None,
                tags: Tags::new(),
            })
            .await;
        world
    }

    pub fn with_issuers(mut self, issuers: Issuers) -> Self {
        self.service = self.service.with_issuers(issuers);
        self
    }

    pub fn service(&self) -> &StsService {
        &self.service
    }

    pub async fn put<R: InTables>(&self, row: R) {
        let written = self.store.write(|tx| {
            tx.put(row);
            Ok::<(), ()>(())
        });
        written.await.unwrap();
    }

    /// A role that trusts `principals`, by the text of the element, with conditions if need be.
    pub async fn role(&self, name: &str, principals: &str, condition: &str) {
        let trust_policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principals},"Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]{condition}}}]}}"#
        );
        self.put(Role {
            account: account(),
            name: name.into(),
            path: "/".into(),
            id: format!("AROA{name}"),
            created_at_ms: NOW_MS,
            trust_policy,
            description: None,
            max_session_duration: 7_200,
            policies: Policies { attached: [ADMIN.to_owned()].into(), ..Policies::default() },
            permissions_boundary: None,
            tags: Tags::new(),
            last_use: None,
        })
        .await;
    }

    /// The answer to a call of who holds these credentials.
    pub async fn reply(
        &self,
        by: &Credential,
        operation: &str,
        input: &[(&str, &str)],
    ) -> (u16, String) {
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
        let caller = by.clone().into_caller();
        let mut call =
            Call::for_tests().at(NOW_MS).by(caller.principal).asking(self.permissions.clone());
        call.session = caller.session;
        call.access_key_id = caller.access_key_id;
        let reply = match Exchange::new(request) {
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

    pub async fn call(&self, by: &Credential, operation: &str, input: &[(&str, &str)]) -> String {
        let (status, answer) = self.reply(by, operation, input).await;
        assert_eq!(status, 200, "{operation} {input:?}: {answer}");
        answer
    }

    /// Refused with this code, and a text with this in it.
    pub async fn refuses(
        &self,
        by: &Credential,
        operation: &str,
        input: &[(&str, &str)],
        code: &str,
        text: &str,
    ) {
        let (status, answer) = self.reply(by, operation, input).await;
        assert!(status >= 400, "{operation} {input:?}: {answer}");
        assert_eq!(text_of(&answer, "Code"), code, "{answer}");
        assert!(text_of(&answer, "Message").contains(text), "{text} in {answer}");
    }

    /// Who the credentials of an answer are, as the front door finds it.
    pub fn credential(&self, answer: &str) -> Credential {
        let id = AccessKeyId::new(text_of(answer, "AccessKeyId"));
        let token = text_of(answer, "SessionToken");
        let found = self.credentials.find(&id, Some(&token), NOW_MS).unwrap();
        assert_eq!(found.secret_access_key.expose(), text_of(answer, "SecretAccessKey"));
        found
    }
}

/// The user ann, with a key of her own.
pub fn ann() -> Credential {
    let principal = Principal::User {
        account: account(),
        path: "/".into(),
        name: "ann".into(),
        id: "AIDA1".into(),
    };
    Credential::long_term(
        AccessKeyId::new("AKIA0000000000000002"),
        SecretAccessKey::new("secret"),
        principal,
    )
}

/// Who has signed nothing.
pub fn nobody() -> Credential {
    let (id, secret) = (AccessKeyId::new(""), SecretAccessKey::new(""));
    Credential::long_term(id, secret, Principal::anonymous())
}

/// The first element with a name.
pub fn text_of(answer: &str, name: &str) -> String {
    let document = roxmltree::Document::parse(answer).unwrap();
    let mut elements = document.descendants().filter(|node| node.tag_name().name() == name);
    let found = elements.next().unwrap_or_else(|| panic!("no {name} in {answer}"));
    found.text().unwrap_or_default().to_owned()
}
