//! A front door with made-up services behind it, and a client that signs.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod listener;
pub mod recording;
pub mod written;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use outport_aws_ec2::DescribeVpcsResult;
use outport_aws_ecs::{ListClustersRequest, ListClustersResponse};
use outport_aws_sts::{AssumeRoleWithWebIdentityResponse, GetCallerIdentityResponse};
use outport_aws_wire::{Exchange, OperationModel, Protocol, ServiceModel, WireError};
use outport_front_door::{AwsService, BoxFuture, FrontDoor, FrontDoorBuilder};
use outport_identity::sigv4::{RequestHead, SignatureStyle, Signer};
use outport_identity::{
    AccessKeyId, Call, Credential, Principal, Question, SecretAccessKey, Subject,
};
use outport_model::{AccountId, Region};
use tokio::sync::Semaphore;

pub const NOW_MS: i64 = 1_790_000_000_000;
pub const HOST: &str = "127.0.0.1:4566";
pub const ACCOUNT: &str = "000000000000";

/// A service that speaks everything, as CloudWatch does.
pub static EVERYTHING: ServiceModel = ServiceModel {
    name: "cloudwatch",
    service_id: "Everything",
    full_name: "A service of every protocol",
    signing_name: "monitoring",
    target_prefix: "GraniteServiceVersion20100801",
    api_version: "2010-08-01",
    xml_namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
    namespace: "com.amazonaws.cloudwatch",
    protocols: &[Protocol::Cbor, Protocol::Json10, Protocol::Query],
    is_query_compatible: true,
    operations: &[OperationModel {
        name: "ListClusters",
        is_implemented: true,
        result_wrapper: "ListClustersResult",
        is_anonymous: false,
    }],
    refuse_input: |operation, _| WireError::named("ValidationError", 400, operation),
};

/// Answers a few operations of any model and counts how often it is asked.
pub struct MadeUpService {
    pub model: &'static ServiceModel,
    pub calls: Arc<AtomicUsize>,
    /// `UpdateCluster` takes one permit for good before it goes on.
    pub held: Arc<Semaphore>,
}

/// What a test sees of the services, and how it lets them go on.
pub struct Behind {
    pub calls: Arc<AtomicUsize>,
    pub held: Arc<Semaphore>,
}

impl AwsService for MadeUpService {
    fn model(&self) -> &'static ServiceModel {
        self.model
    }

    fn call<'a>(
        &'a self,
        call: &'a Call,
        operation: &'a str,
        exchange: &'a mut Exchange<'_>,
    ) -> BoxFuture<'a, Result<(), WireError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match operation {
                "ListClusters" => {
                    let input: ListClustersRequest = exchange.read()?;
                    let question = Question::without_resource("ecs:ListClusters");
                    call.open(Subject::from(question))
                        .map_err(|denied| WireError::access_denied(denied.message))?;
                    exchange.write(&ListClustersResponse {
                        cluster_arns: Some(vec![call.principal.arn()]),
                        next_token: input.next_token,
                    });
                }
                "DescribeClusters" => {
                    tracing::warn!("it panics now");
                    panic!("a secret of the inside");
                }
                "DeleteCluster" => {
                    return Err(WireError::internal("the disk is full: a secret of the inside"));
                }
                "CreateCluster" => {
                    let arn = "arn:aws:ecs:us-east-1:999999999999:cluster/other";
                    call.open(Subject::from(Question::new("ecs:CreateCluster", arn)))
                        .map_err(|denied| WireError::access_denied(denied.message))?;
                }
                "GetCallerIdentity" => exchange.write(&GetCallerIdentityResponse {
                    arn: Some(call.principal.arn()),
                    account: Some(call.account.to_string()),
                    user_id: Some(call.principal.user_id()),
                }),
                "AssumeRoleWithWebIdentity" => exchange.write(&AssumeRoleWithWebIdentityResponse {
                    provider: Some(call.principal.arn()),
                    ..Default::default()
                }),
                "DescribeVpcs" => exchange.write(&DescribeVpcsResult::default()),
                "UpdateCluster" => {
                    self.held.acquire().await.unwrap().forget();
                    self.calls.fetch_add(100, Ordering::SeqCst);
                    exchange.write(&ListClustersResponse::default());
                }
                // Forgets to answer.
                _ => {}
            }
            Ok(())
        })
    }
}

pub fn credential() -> Credential {
    Credential {
        access_key_id: AccessKeyId::new("test"),
        secret_access_key: SecretAccessKey::new("secret"),
        principal: Principal::root(AccountId::new(ACCOUNT)),
        session: None,
    }
}

/// ECS, STS, EC2 and the service of every protocol; the counter of their calls.
pub fn builder() -> (FrontDoorBuilder, Arc<AtomicUsize>) {
    let (builder, behind) = builder_and_behind();
    (builder, behind.calls)
}

pub fn builder_and_behind() -> (FrontDoorBuilder, Behind) {
    let calls = Arc::new(AtomicUsize::new(0));
    let held = Arc::new(Semaphore::new(0));
    let mut builder = FrontDoor::builder(Region::new("us-east-1"), Arc::new(credential()))
        .clock(Arc::new(|| NOW_MS));
    for model in
        [&outport_aws_ecs::MODEL, &outport_aws_sts::MODEL, &outport_aws_ec2::MODEL, &EVERYTHING]
    {
        let (calls, held) = (Arc::clone(&calls), Arc::clone(&held));
        builder = builder.service(Arc::new(MadeUpService { model, calls, held }));
    }
    (builder, Behind { calls, held })
}

pub fn door() -> (FrontDoor, Arc<AtomicUsize>) {
    let (builder, calls) = builder();
    (builder.build().unwrap(), calls)
}

pub fn signer(service: &str) -> Signer {
    let Credential { access_key_id, secret_access_key, .. } = credential();
    Signer {
        access_key_id,
        secret_access_key,
        session_token: None,
        region: "us-east-1".to_owned(),
        service: service.to_owned(),
        style: SignatureStyle::STANDARD,
    }
}

/// A request that is easy to change.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Sent {
    pub fn new(method: &str, target: &str) -> Sent {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Sent {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![("host".to_owned(), HOST.into())],
            body: Vec::new(),
        }
    }

    /// awsJson 1.1 to ECS.
    pub fn ecs(operation: &str, body: &str) -> Sent {
        Sent::new("POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &format!("AmazonEC2ContainerServiceV20141113.{operation}"))
            .body(body.as_bytes())
    }

    /// A form in the body.
    pub fn form(body: &str) -> Sent {
        Sent::new("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(body.as_bytes())
    }

    /// rpc-v2-cbor to the service of every protocol.
    pub fn cbor(operation: &str, body: &[u8]) -> Sent {
        let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
        Sent::new("POST", &path)
            .header("content-type", "application/cbor")
            .header("smithy-protocol", "rpc-v2-cbor")
            .body(body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Sent {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Sent {
        self.body = body.to_vec();
        self
    }

    pub fn signed(self, service: &str) -> Sent {
        self.signed_by(&signer(service), NOW_MS)
    }

    pub fn signed_by(mut self, signer: &Signer, now_ms: i64) -> Sent {
        let added = self.with_head(|head| signer.sign(head, &self.body, now_ms)).unwrap();
        for (name, value) in added {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
        self
    }

    pub fn presigned(mut self, service: &str, expires_seconds: u32) -> Sent {
        let signer = signer(service);
        self.query = self
            .with_head(|head| signer.presign(head, &self.body, NOW_MS, expires_seconds))
            .unwrap();
        self
    }

    fn with_head<R>(&self, look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        look(&RequestHead {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        })
    }

    /// `None` when no HTTP parser would let it through.
    pub fn to_http(&self) -> Option<Request<Body>> {
        let target = if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        };
        let mut request = Request::builder().method(self.method.as_bytes()).uri(target);
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_slice());
        }
        request.body(Body::from(self.body.clone())).ok()
    }

    pub async fn answer(&self, door: &FrontDoor) -> Answer {
        let request = self.to_http().expect("the request is HTTP");
        Answer::read(door.answer(request, peer()).await).await
    }
}

pub fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50_000))
}

/// An answer with its body read.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn read(response: Response<Body>) -> Answer {
        let (head, body) = response.into_parts();
        let content_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
        Answer {
            status: head.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error code, read as a client of the answer's content type reads it.
    pub fn code(&self) -> Option<String> {
        match self.content_type.as_str() {
            "application/x-amz-json-1.0" | "application/x-amz-json-1.1" => {
                let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
                json["__type"].as_str().map(str::to_owned)
            }
            "application/cbor" => cbor_text(&self.body, "__type")
                .map(|full| full.split_once('#').map_or(full.clone(), |(_, name)| name.to_owned())),
            "text/xml" | "text/xml;charset=UTF-8" => {
                let text = std::str::from_utf8(&self.body).unwrap();
                check_xml(text);
                let (_, rest) = text.split_once("<Code>")?;
                rest.split_once("</Code>").map(|(code, _)| code.to_owned())
            }
            other => panic!("an answer of content type {other:?}: {self:?}"),
        }
    }

    pub fn message(&self) -> String {
        match self.content_type.as_str() {
            "application/cbor" => cbor_text(&self.body, "message").unwrap(),
            json if json.starts_with("application/x-amz-json") => {
                let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
                json["message"].as_str().or(json["Message"].as_str()).unwrap().to_owned()
            }
            _ => {
                let text = self.text();
                let (_, rest) = text.split_once("<Message>").unwrap();
                rest.split_once("</Message>").unwrap().0.replace("&apos;", "'")
            }
        }
    }
}

fn cbor_text(body: &[u8], name: &str) -> Option<String> {
    let request = outport_aws_wire::Request {
        service: &EVERYTHING,
        protocol: Protocol::Cbor,
        operation: "",
        body,
        request_id: "",
    };
    let exchange = Exchange::new(request).expect("the answer is CBOR");
    match exchange.input().get(name) {
        Some(outport_aws_wire::Node::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// Every element is closed, by its own name, and nothing is left over.
fn check_xml(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in text.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if tag.starts_with('?') || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{text}"),
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{text}");
}

/// Numbers that are the same in every run.
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end.max(1)
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}
