//! One policy answers one request alike at both doors: what `docker push` asks is what `PutImage` asks.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, header};
use outport_identity::testing::{Asked, WatchedPermissions};
use outport_identity::{
    Arrival, AuthorizationRequest, Call, Caller, Denied, PermissionSource, Principal, RequestId,
    ResourcePolicy,
};
use outport_image_registry::http::router;
use outport_model::Region;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::EcrAuthorizer;
use crate::password::{Grant, seal};
use crate::testing::{Fixture, NOW_MS, NoTasks};

fn arrival() -> Arrival {
    Arrival {
        request_id: RequestId::new("request"),
        now_ms: NOW_MS,
        source_ip: "203.0.113.7".parse().expect("an address"),
        user_agent: Some("docker/27".to_owned()),
        secure_transport: true,
        host: Some("registry.example.com".to_owned()),
    }
}

struct Doors {
    fixture: Fixture,
    registry: Router,
    password: String,
    watched: Arc<WatchedPermissions>,
}

impl Doors {
    async fn new() -> Self {
        let mut fixture = Fixture::new();
        fixture.create("app").await;
        fixture.tag("app", "team", "red");
        fixture.push("app", "1", b"layer").await;
        let watched = WatchedPermissions::refusing();
        let root = fixture.call.clone();
        let caller = Caller {
            principal: root.principal.clone(),
            access_key_id: root.access_key_id.clone(),
            session: None,
        };
        fixture.call = Call::new(arrival(), caller, Region::new("us-east-1"), watched.clone());
        let service = &fixture.service;
        let authorizer = EcrAuthorizer::new(
            service.sealer.clone(),
            service.credentials.clone(),
            watched.clone(),
            Arc::new(NoTasks),
        );
        let clock = Arc::new(|| NOW_MS);
        let registry = router(service.registry().clone(), Arc::new(authorizer), clock)
            .layer(axum::Extension(arrival()));
        let credential = service.key(&root).expect("the key is there");
        let scope = outport_model::Scope::new(root.account.clone(), root.region.clone());
        let grant = Grant::of_key(&scope, None, &credential);
        let principal = Principal::root(root.account.clone());
        let password = seal(&service.sealer, &principal, &root.access_key_id, &grant, NOW_MS + 1);
        let password = crate::password::authorization_token(&password.expect("sealed"));
        Self { fixture, registry, password, watched }
    }

    async fn asked_by_docker(&self, method: &str, path: &str) -> Vec<Asked> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Basic {}", self.password))
            .body(Body::empty())
            .expect("a request");
        let answer = self.registry.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 403, "{method} {path}");
        self.watched.asked()
    }

    async fn asked_by_api(&self, operation: &str, input: Value) -> Vec<Asked> {
        let (status, answer) = self.fixture.reply(operation, &input).await;
        assert_eq!((status, &answer["__type"]), (400, &json!("AccessDeniedException")));
        self.watched.asked()
    }
}

#[tokio::test]
async fn both_doors_ask_the_same() {
    let doors = Doors::new().await;
    let upload = doors.fixture.upload_of("app", b"bytes");
    let layer = doors.fixture.digest_of(b"layer");
    let blob = format!("/v2/app/blobs/{layer}");
    let session = format!("/v2/app/blobs/uploads/{upload}");
    let manifest = "/v2/app/manifests/1";
    let app = |more: Value| {
        let mut input = json!({"repositoryName": "app"});
        for (name, value) in more.as_object().expect("members") {
            input[name] = value.clone();
        }
        input
    };
    let one = json!({"imageIds": [{"imageTag": "1"}]});
    for (method, path, operation, input) in [
        ("PUT", manifest, "PutImage", app(json!({"imageManifest": "{}"}))),
        ("GET", manifest, "BatchGetImage", app(one.clone())),
        ("DELETE", manifest, "BatchDeleteImage", app(one)),
        ("HEAD", &blob, "BatchCheckLayerAvailability", app(json!({"layerDigests": [layer]}))),
        ("GET", &blob, "GetDownloadUrlForLayer", app(json!({"layerDigest": layer}))),
        ("POST", "/v2/app/blobs/uploads/", "InitiateLayerUpload", app(json!({}))),
        (
            "PATCH",
            &session,
            "UploadLayerPart",
            app(json!({
                "uploadId": upload.to_string(), "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "YQ==",
            })),
        ),
        (
            "PUT",
            &session,
            "CompleteLayerUpload",
            app(json!({"uploadId": upload.to_string(), "layerDigests": [layer]})),
        ),
        ("GET", "/v2/app/tags/list", "ListImages", app(json!({}))),
        ("GET", "/v2/_catalog", "DescribeRepositories", json!({})),
    ] {
        let at_registry = doors.asked_by_docker(method, path).await;
        let at_api = doors.asked_by_api(operation, input).await;
        assert_eq!(at_registry, at_api, "{method} {path} and {operation}");
        let [asked] = &at_api[..] else { panic!("{operation}: {at_api:?}") };
        assert_eq!(asked.action, format!("ecr:{operation}"));
        let value = |key: &str| asked.context.get(key).cloned();
        assert_eq!(value("aws:SourceIp"), Some(arrival().source_ip.into()));
        assert_eq!(value("aws:UserAgent"), Some("docker/27".into()));
        assert_eq!(value("aws:SecureTransport"), Some(true.into()));
        if path != "/v2/_catalog" {
            for key in ["aws:ResourceTag/team", "ecr:ResourceTag/team"] {
                assert_eq!(value(key), Some("red".into()), "{operation} {key}");
            }
        }
    }
}

/// What was told: operation, code of the error, and how many answers.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<(String, Option<String>, usize)>>);

impl crate::RequestSink for Told {
    fn record(&self, call: Call, ended: outport_image_registry::EndedRequest) {
        let code = ended.error.map(|(code, _)| code);
        let answers = call.take_answers().len();
        self.0.lock().expect("no panic").push((ended.operation.to_owned(), code, answers));
    }
}

#[tokio::test]
async fn requests_are_told_in_the_words_of_the_api() {
    let mut doors = Doors::new().await;
    let told = Arc::new(Told::default());
    let is_allowed = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (layer, upload) =
        (doors.fixture.digest_of(b"layer"), doors.fixture.upload_of("app", b"bytes"));
    let answer = is_allowed.clone();
    let permissions =
        WatchedPermissions::new(move |_| answer.load(std::sync::atomic::Ordering::Relaxed));
    let service = &doors.fixture.service;
    let authorizer = EcrAuthorizer::new(
        service.sealer.clone(),
        service.credentials.clone(),
        permissions,
        Arc::new(NoTasks),
    )
    .telling(told.clone());
    let clock = Arc::new(|| NOW_MS);
    doors.registry = router(service.registry().clone(), Arc::new(authorizer), clock)
        .layer(axum::Extension(arrival()));
    let blob = format!("/v2/app/blobs/{layer}");
    let session = format!("/v2/app/blobs/uploads/{upload}");
    let denied = Some("AccessDeniedException");
    for (method, path, range, allowed, refused) in [
        ("GET", "/v2/", None, None, None),
        ("HEAD", &*blob, None, None, Some("BatchCheckLayerAvailability")),
        ("GET", &blob, None, Some("GetDownloadUrlForLayer"), Some("GetDownloadUrlForLayer")),
        ("GET", &blob, Some("bytes=3-"), None, Some("GetDownloadUrlForLayer")),
        ("PATCH", &session, None, None, Some("UploadLayerPart")),
        ("GET", "/v2/app/manifests/1", None, Some("BatchGetImage"), Some("BatchGetImage")),
        ("HEAD", "/v2/app/manifests/1", None, Some("BatchGetImage"), Some("BatchGetImage")),
        ("DELETE", "/v2/app/manifests/1", None, Some("BatchDeleteImage"), Some("BatchDeleteImage")),
    ] {
        for (allows, expected, code) in [(true, allowed, None), (false, refused, denied)] {
            is_allowed.store(allows, std::sync::atomic::Ordering::Relaxed);
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::AUTHORIZATION, format!("Basic {}", doors.password));
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let request = request.body(Body::empty()).expect("a request");
            let answer = doors.registry.clone().oneshot(request).await.expect("an answer");
            let told = std::mem::take(&mut *told.0.lock().expect("no panic"));
            let expected = expected.map(|name| (name.to_owned(), code.map(ToOwned::to_owned), 1));
            let at = format!("{method} {path} {allows}: {}", answer.status());
            assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{at}");
        }
    }
}

/// Denies what a repository policy is about, and allows everything else.
#[derive(Debug)]
struct NoPolicy;

impl PermissionSource for NoPolicy {
    fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
        match request.resource_policy {
            Some(ResourcePolicy::Repository(text)) => {
                assert_eq!(text, "the policy");
                Err(Denied::by_no_identity_based_policy(request))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn the_repository_policy_is_asked_at_both_doors() {
    let mut doors = Doors::new().await;
    doors.fixture.call = doors.fixture.call.clone().asking(Arc::new(NoPolicy));
    let service = &doors.fixture.service;
    let authorizer = EcrAuthorizer::new(
        service.sealer.clone(),
        service.credentials.clone(),
        Arc::new(NoPolicy),
        Arc::new(NoTasks),
    );
    let clock = Arc::new(|| NOW_MS);
    let registry = router(service.registry().clone(), Arc::new(authorizer), clock)
        .layer(axum::Extension(arrival()));
    let scope = outport_model::Scope::new(
        doors.fixture.call.account.clone(),
        doors.fixture.call.region.clone(),
    );
    let name = "app".parse().expect("a name");
    for (policy, at_registry, at_api) in [(None, 200, 200), (Some("the policy"), 403, 400)] {
        service.registry().put_repository_policy(&scope, &name, policy).expect("set");
        let request = Request::builder()
            .uri("/v2/app/manifests/1")
            .header(header::AUTHORIZATION, format!("Basic {}", doors.password))
            .body(Body::empty())
            .expect("a request");
        let answer = registry.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), at_registry, "{policy:?}");
        let input = json!({"repositoryName": "app", "imageIds": [{"imageTag": "1"}]});
        let (status, answer) = doors.fixture.reply("BatchGetImage", &input).await;
        assert_eq!(status, at_api, "{policy:?}: {answer}");
    }
}

/// A repository whose tags change while a push to it is being authorized.
#[tokio::test]
async fn a_push_to_what_changed_meanwhile_is_refused() {
    let doors = Doors::new().await;
    let another = |number: u32| doors.fixture.tagging("app", "team", &number.to_string());
    let mut taggings: Vec<_> = (0..20).map(another).collect();
    let permissions = WatchedPermissions::new(move |_| {
        taggings.pop().expect("fewer questions")();
        true
    });
    let service = &doors.fixture.service;
    let authorizer = EcrAuthorizer::new(
        service.sealer.clone(),
        service.credentials.clone(),
        permissions,
        Arc::new(NoTasks),
    );
    let clock = Arc::new(|| NOW_MS);
    let registry = router(service.registry().clone(), Arc::new(authorizer), clock)
        .layer(axum::Extension(arrival()));
    for (method, path) in [
        ("PUT", "/v2/app/manifests/2".to_owned()),
        ("DELETE", "/v2/app/manifests/1".to_owned()),
        ("POST", format!("/v2/app/blobs/uploads/?digest={}", doors.fixture.digest_of(b""))),
        ("POST", "/v2/app/blobs/uploads/".to_owned()),
    ] {
        let before = doors.fixture.image_count("app");
        let request = Request::builder()
            .method(method)
            .uri(&path)
            .header(header::AUTHORIZATION, format!("Basic {}", doors.password))
            .header(header::CONTENT_LENGTH, 0)
            .body(Body::from(doors.fixture.manifest("app", b"layer")))
            .expect("a request");
        let answer = registry.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 503, "{method} {path}");
        assert_eq!(doors.fixture.image_count("app"), before, "{method} {path}");
    }
}
