//! Finds out what a request wants: which service, in which protocol, and which operation.
//!
//! The first sign that is there decides:
//!
//! | sign | protocol | operation |
//! |---|---|---|
//! | `smithy-protocol: rpc-v2-cbor` | CBOR | path `/service/{Service}/operation/{Operation}` |
//! | `X-Amz-Target: Prefix.Operation` | awsJson | behind the last dot |
//! | service of the credential scope | query or ec2 | `Action` of the form or of the query |
//! | nothing, but a form | query or ec2 | `Action`; `Version` tells the service |
//!
//! **Invariant**: signs that disagree are an error. What is recognised here is what the signature
//! must be scoped to and what authorization is asked for.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method};
use outport_aws_wire::{CommonError, Protocol, ServiceModel, WireError};

use crate::AwsService;

/// The services that answer here.
#[derive(Clone, Default)]
pub(crate) struct Services(pub Vec<Arc<dyn AwsService>>);

impl Services {
    fn find(&self, is_it: impl Fn(&ServiceModel) -> bool) -> Option<Arc<dyn AwsService>> {
        self.0.iter().find(|service| is_it(service.model())).cloned()
    }
}

/// A request whose service is known.
#[derive(Clone)]
pub(crate) struct Recognised {
    pub service: Arc<dyn AwsService>,
    pub protocol: Protocol,
    pub wanted: Wanted,
}

/// Where the operation is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Operation(String),
    /// In the form, which is the body if there is one and the query otherwise.
    InForm,
}

/// What a look at the head finds.
pub(crate) enum Recognition {
    Service(Recognised),
    /// A form that nobody signed: only its content can tell the service.
    UnsignedForm,
    Refused(Box<Refusal>),
}

/// A request that no service can be asked about.
pub(crate) struct Refusal {
    pub service: Option<&'static ServiceModel>,
    pub protocol: Protocol,
    pub error: WireError,
}

impl Refusal {
    fn boxed(
        service: Option<&'static ServiceModel>,
        protocol: Protocol,
        error: WireError,
    ) -> Box<Self> {
        Box::new(Refusal { service, protocol, error })
    }
}

/// Headers that have one value or no meaning.
const SINGLE_HEADERS: [&str; 9] = [
    "authorization",
    "content-encoding",
    "content-type",
    "host",
    "smithy-protocol",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
];

/// Looks at a request's head. `scope_service` is the service of its credential scope, unproven.
pub(crate) fn recognise(
    services: &Services,
    head: &Parts,
    scope_service: Option<&str>,
) -> Recognition {
    let outcome = match repeated_header(&head.headers) {
        Some(name) => {
            let protocol = apparent_protocol(&head.headers);
            let error = WireError::malformed(format!("The header {name} must stand only once"));
            Err(Refusal::boxed(None, protocol, error))
        }
        None if head.headers.contains_key("smithy-protocol") => {
            by_cbor_path(services, head, scope_service)
        }
        None if head.headers.contains_key("x-amz-target") => {
            by_target(services, head, scope_service)
        }
        None => match scope_service {
            Some(name) => by_scope(services, head, name),
            None if head.method == Method::POST && is_form(&head.headers) => {
                return Recognition::UnsignedForm;
            }
            None if has_action(head) => return Recognition::UnsignedForm,
            None => Err(Refusal::boxed(
                None,
                apparent_protocol(&head.headers),
                WireError::common(
                    CommonError::MissingAuthentication,
                    "Request is missing Authentication Token",
                ),
            )),
        },
    };
    outcome.map_or_else(Recognition::Refused, Recognition::Service)
}

/// The service of an unsigned form by its `Version`, which no two services share.
pub(crate) fn service_of_form(
    services: &Services,
    form: &FormHead,
) -> Option<(Arc<dyn AwsService>, Protocol)> {
    let version = form.version.as_deref()?;
    let service =
        services.find(|model| model.api_version == version && form_protocol(model).is_some())?;
    let protocol = form_protocol(service.model())?;
    Some((service, protocol))
}

/// The routing parameters of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormHead {
    pub action: Option<String>,
    pub version: Option<String>,
}

impl FormHead {
    /// Reads a form. A routing parameter that stands twice has no meaning.
    pub fn read(form: &[u8]) -> Result<FormHead, WireError> {
        let single = |name: &str| {
            let is_it = |pair: &&[u8]| {
                pair.strip_prefix(name.as_bytes())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
            };
            if form.split(|byte| *byte == b'&').filter(is_it).count() > 1 {
                let text = format!("The parameter {name} must stand only once");
                return Err(WireError::malformed(text));
            }
            Ok(outport_aws_wire::form_parameter(form, name))
        };
        Ok(FormHead { action: single("Action")?, version: single("Version")? })
    }

    /// The operation that the form names. EC2 takes any of its many versions, the others one.
    pub fn operation(&self, model: &ServiceModel, protocol: Protocol) -> Result<String, WireError> {
        let Some(action) = self.action.as_deref().filter(|action| !action.is_empty()) else {
            return Err(WireError::named(
                "MissingAction",
                400,
                "The request must contain the parameter Action",
            ));
        };
        let version = self.version.as_deref().unwrap_or("NO_VERSION_SPECIFIED");
        if protocol == Protocol::Query && version != model.api_version {
            return Err(WireError::unknown_operation(action, version));
        }
        Ok(action.to_owned())
    }
}

/// The query without the parameters of a presigned request: what a form reader shall see.
pub(crate) fn form_of_query(query: &str) -> String {
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
    kept.join("&")
}

/// The protocol that a caller seems to speak, for an answer before anything else is known.
pub(crate) fn apparent_protocol(headers: &HeaderMap) -> Protocol {
    if says_cbor(headers) {
        return Protocol::Cbor;
    }
    match media_type(headers).as_deref() {
        Some("application/cbor") => Protocol::Cbor,
        Some("application/x-amz-json-1.0") => Protocol::Json10,
        Some("application/x-amz-json-1.1" | "application/json") => Protocol::Json11,
        _ if headers.contains_key("x-amz-target") => Protocol::Json11,
        _ => Protocol::Query,
    }
}

fn says_cbor(headers: &HeaderMap) -> bool {
    headers.get("smithy-protocol").is_some_and(|value| value == "rpc-v2-cbor")
}

fn repeated_header(headers: &HeaderMap) -> Option<&'static str> {
    SINGLE_HEADERS.into_iter().find(|name| headers.get_all(*name).iter().nth(1).is_some())
}

fn by_cbor_path(
    services: &Services,
    head: &Parts,
    scope_service: Option<&str>,
) -> Result<Recognised, Box<Refusal>> {
    let refuse = |error| Refusal::boxed(None, apparent_protocol(&head.headers), error);
    if !says_cbor(&head.headers) {
        return Err(refuse(WireError::malformed("The only smithy-protocol is rpc-v2-cbor")));
    }
    if head.headers.contains_key("x-amz-target") {
        let text = "A request of rpc-v2-cbor must not carry X-Amz-Target";
        return Err(refuse(WireError::malformed(text)));
    }
    let names = head.uri.path().rsplit_once("/service/").and_then(|(_, rest)| {
        let (service, operation) = rest.split_once("/operation/")?;
        (!operation.contains('/')).then_some((service, operation))
    });
    let Some((service, operation)) = names.filter(|_| head.method == Method::POST) else {
        let text = "The request line must be POST /service/{Service}/operation/{Operation}";
        return Err(refuse(unknown(text)));
    };
    // A service may be named with its namespace: com.amazonaws.ecs.AmazonEC2ContainerService….
    let name = service.rsplit('.').next().unwrap_or(service);
    let service = services.find(|model| model.target_prefix == name && !name.is_empty());
    let Some(service) = service.filter(|service| service.model().speaks(Protocol::Cbor)) else {
        return Err(refuse(not_served(scope_service.unwrap_or(name))));
    };
    Ok(Recognised {
        service,
        protocol: Protocol::Cbor,
        wanted: Wanted::Operation(operation.to_owned()),
    })
}

fn by_target(
    services: &Services,
    head: &Parts,
    scope_service: Option<&str>,
) -> Result<Recognised, Box<Refusal>> {
    let protocol = match apparent_protocol(&head.headers) {
        Protocol::Json10 => Protocol::Json10,
        _ => Protocol::Json11,
    };
    let refuse = |error| Refusal::boxed(None, protocol, error);
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    // The prefix may have dots, an operation has none: com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents.
    let Some((prefix, operation)) = target.and_then(|target| target.rsplit_once('.')) else {
        return Err(refuse(unknown("X-Amz-Target must be Service.Operation")));
    };
    let service = services.find(|model| model.target_prefix == prefix && !prefix.is_empty());
    let Some(service) = service else {
        return Err(refuse(not_served(scope_service.unwrap_or(prefix))));
    };
    let is_json = match media_type(&head.headers).as_deref() {
        None => true,
        Some("application/x-amz-json-1.0" | "application/x-amz-json-1.1" | "application/json") => {
            true
        }
        Some(_) => false,
    };
    if head.method != Method::POST || !is_json {
        let text =
            "A request with X-Amz-Target must be a POST of application/x-amz-json-1.0 or 1.1";
        let error = unknown(text);
        return Err(Refusal::boxed(Some(service.model()), protocol, error));
    }
    Ok(Recognised { service, protocol, wanted: Wanted::Operation(operation.to_owned()) })
}

fn by_scope(services: &Services, head: &Parts, name: &str) -> Result<Recognised, Box<Refusal>> {
    let apparent = apparent_protocol(&head.headers);
    let Some(service) = services.find(|model| model.signing_name == name) else {
        let protocol = protocol_of_stranger(name, head, apparent);
        return Err(Refusal::boxed(None, protocol, not_served(name)));
    };
    let model = service.model();
    let Some(protocol) = form_protocol(model) else {
        let protocol = if apparent == Protocol::Query { Protocol::Json11 } else { apparent };
        let error = unknown("The request must carry X-Amz-Target");
        return Err(Refusal::boxed(Some(model), protocol, error));
    };
    let takes_form = match head.method {
        Method::POST => is_form(&head.headers) || media_type(&head.headers).is_none(),
        Method::GET | Method::HEAD => true,
        _ => false,
    };
    if !takes_form {
        let error = WireError::malformed(
            "The request must be a GET, or a POST of application/x-www-form-urlencoded",
        );
        return Err(Refusal::boxed(Some(model), protocol, error));
    }
    Ok(Recognised { service, protocol, wanted: Wanted::InForm })
}

/// A service that is not served may speak REST: clients of those read JSON, except of a few that read XML.
fn protocol_of_stranger(name: &str, head: &Parts, apparent: Protocol) -> Protocol {
    let reads_xml = matches!(name, "s3" | "cloudfront" | "route53")
        || is_form(&head.headers)
        || has_action(head);
    if apparent == Protocol::Query && !reads_xml { Protocol::Json11 } else { apparent }
}

fn form_protocol(model: &ServiceModel) -> Option<Protocol> {
    model.protocols.iter().copied().find(|protocol| protocol.is_form())
}

fn has_action(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.starts_with("Action="))
}

fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).as_deref() == Some("application/x-www-form-urlencoded")
}

/// The content type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("content-type")?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase();
    (!media_type.is_empty()).then_some(media_type)
}

fn unknown(text: &str) -> WireError {
    WireError::common(CommonError::UnknownOperation, text)
}

/// 501, which the SDKs do not try again. `service` is the name that the caller's signature is scoped to, where there is
/// one: `application-autoscaling` says more than `AnyScaleFrontendService`, its prefix on the wire.
fn not_served(service: &str) -> WireError {
    const SHOWN_MAX: usize = 64;
    let shown: String = service.chars().take(SHOWN_MAX).collect();
    WireError::common(
        CommonError::NotImplemented,
        format!(
            "Outport does not serve '{shown}'. /_outport/compatibility at this endpoint lists the \
             services that it serves."
        ),
    )
}
