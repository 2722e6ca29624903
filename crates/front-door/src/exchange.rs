//! One AWS request: recognised, authenticated, read, handed to its service.

use std::sync::Arc;

use axum::body::Body;
use futures_util::FutureExt;
use http::Method;
use http::request::Parts;
use outport_aws_wire::{
    CommonError, Exchange, OperationModel, Protocol, Record, Reply, Request as WireRequest,
    ServiceModel, WireError,
};
use outport_identity::sigv4::{PresentedSignature, SignatureForm};
use outport_identity::{Arrival, Call, SignatureError};
use tracing::Instrument;

use crate::audit::{Audited, is_kept};
use crate::authentication::{Authentication, present, wire_error};
use crate::body::{BodyError, BufferedBody, Sender};
use crate::front_door::{Inner, refused};
use crate::recognition::{
    FormHead, Recognised, Recognition, Wanted, apparent_protocol, form_of_query, recognise,
    service_of_form,
};
use crate::{AwsService, Standing, access_log, limits};

/// A request on its way through the front door.
pub(crate) struct AwsRequest<'a> {
    pub inner: &'a Inner,
    pub head: &'a Parts,
    pub body: Body,
    pub arrival: &'a Arrival,
    /// What this request or its connection has proven.
    pub sender: Sender,
}

/// How it ended.
pub(crate) struct Outcome {
    pub service: Option<&'static ServiceModel>,
    pub protocol: Protocol,
    /// As the request names it; empty before it is known.
    pub operation: String,
    pub access_key_id: Option<String>,
    pub result: Result<Reply, WireError>,
}

/// What the request asks for, in the form that its protocol reads.
struct Asked {
    operation: String,
    bytes: Vec<u8>,
    /// Keeps the body's share of the memory for as long as its bytes are in use.
    _body: BufferedBody,
}

impl AwsRequest<'_> {
    /// Takes the request all the way.
    pub async fn outcome(&mut self) -> Outcome {
        let presented = present(self.head);
        let scope_service = match &presented {
            Ok(Some(presented)) => Some(presented.scope.service.as_str()),
            _ => None,
        };
        let recognition = recognise(&self.inner.services, self.head, scope_service);
        match (recognition, presented) {
            (Recognition::Service(recognised), Ok(Some(presented))) => {
                self.signed(recognised, presented).await
            }
            (Recognition::Service(Recognised { service, protocol, .. }), presented) => {
                let error = presented.err().unwrap_or(SignatureError::MissingAuthenticationToken);
                refused(Some(service.model()), protocol, wire_error(&error, protocol))
            }
            (_, Err(error)) => {
                let protocol = apparent_protocol(&self.head.headers);
                refused(None, protocol, wire_error(&error, protocol))
            }
            (Recognition::UnsignedForm, Ok(_)) => self.unsigned_form().await,
            (Recognition::Refused(refusal), Ok(_)) => {
                refused(refusal.service, refusal.protocol, refusal.error)
            }
        }
    }

    async fn signed(&mut self, recognised: Recognised, presented: PresentedSignature) -> Outcome {
        let model = recognised.service.model();
        let protocol = recognised.protocol;
        let mut operation = match &recognised.wanted {
            Wanted::Operation(name) => name.clone(),
            Wanted::InForm => String::new(),
        };
        let access_key_id = Some(presented.access_key_id.to_string());
        let result = match self.authenticated(&recognised, presented).await {
            Ok((call, asked)) => {
                operation.clone_from(&asked.operation);
                self.perform(recognised, call, asked).await
            }
            Err(error) => Err(error),
        };
        Outcome { service: Some(model), protocol, operation, access_key_id, result }
    }

    /// Proves who is calling and reads what for.
    async fn authenticated(
        &mut self,
        recognised: &Recognised,
        presented: PresentedSignature,
    ) -> Result<(Call, Asked), WireError> {
        let Recognised { service, protocol, wanted } = recognised;
        let inner = self.inner;
        let authentication = Authentication {
            credentials: &*inner.credentials,
            keys: &inner.keys,
            regions: &inner.regions,
            skew_max_ms: inner.skew_max_ms,
            now_ms: self.arrival.now_ms,
        };
        let distrust = |error| wire_error(&error, *protocol);
        let is_presigned = presented.form != SignatureForm::Header;
        let claimed =
            authentication.claim(self.head, presented, service.model()).map_err(distrust)?;
        let encoding = self.content_encoding()?;
        let operation = match wanted {
            Wanted::Operation(name) => name.as_str(),
            Wanted::InForm => "",
        };
        let bytes_max = limits::body_bytes_max(service.model(), operation);
        if authentication.prove_head(self.head, &claimed).map_err(distrust)? {
            self.proven(is_presigned);
        }
        let body = inner.budget.read(&mut self.body, bytes_max, self.sender).await;
        let mut body = body.map_err(|error| body_error(error, bytes_max))?;
        authentication.prove(self.head, &claimed, &body.sha256).map_err(distrust)?;
        self.proven(is_presigned);
        if encoding == Encoding::Gzip {
            let inflated = inner.budget.inflate(body, bytes_max);
            body = inflated.map_err(|error| body_error(error, bytes_max))?;
        }
        let asked = self.asked(service.model(), *protocol, wanted, body)?;
        let region = claimed.region(service.model(), &inner.regions);
        let (service, now_ms) = (service.model().name, self.arrival.now_ms);
        inner.credentials.note_use(&claimed.credential, service, region, now_ms);
        let call = Call::new(
            self.arrival.clone(),
            claimed.credential.into_caller(),
            region.clone(),
            Arc::clone(&inner.permissions),
        );
        Ok((call, asked))
    }

    /// The signature of the request is good, whatever its body will be. Whoever has the URL of a presigned request has
    /// no key: that proves this request, and not who sends the next one.
    fn proven(&mut self, is_presigned: bool) {
        self.sender = Sender::Proven;
        if !is_presigned && let Some(standing) = self.head.extensions.get::<Standing>() {
            standing.prove_caller();
        }
    }

    fn asked(
        &self,
        model: &ServiceModel,
        protocol: Protocol,
        wanted: &Wanted,
        mut body: BufferedBody,
    ) -> Result<Asked, WireError> {
        let bytes = std::mem::take(&mut body.bytes);
        let (operation, bytes) = match wanted {
            Wanted::Operation(name) => (name.clone(), bytes),
            Wanted::InForm => {
                let form = self.form(bytes)?;
                (FormHead::read(&form)?.operation(model, protocol)?, form)
            }
        };
        Ok(Asked { operation, bytes, _body: body })
    }

    /// The form of a request: its body, or its query if there is no body.
    fn form(&self, body: Vec<u8>) -> Result<Vec<u8>, WireError> {
        let query = form_of_query(self.head.uri.query().unwrap_or_default()).into_bytes();
        let in_query = FormHead::read(&query)?.action.is_some();
        match (body.is_empty(), in_query) {
            (true, _) => Ok(query),
            (false, false) if self.head.method == Method::POST => Ok(body),
            (false, _) => Err(WireError::malformed(
                "The parameters of a request must stand in its body or in its query, not in both",
            )),
        }
    }

    async fn perform(
        &mut self,
        recognised: Recognised,
        call: Call,
        asked: Asked,
    ) -> Result<Reply, WireError> {
        let Recognised { service, protocol, .. } = recognised;
        let model = service.model();
        let Some(operation) = model.operation(&asked.operation) else {
            return Err(model.refuse_operation(&asked.operation));
        };
        let (call, audited) = self.audited(call, model, operation, protocol);
        if !operation.is_implemented {
            return refuse(audited, call, model.refuse_operation(operation.name));
        }
        let turns = Arc::clone(&self.inner.turns).acquire_owned();
        let turn = match tokio::time::timeout(self.inner.limits.turn_timeout, turns).await {
            Ok(Ok(turn)) => turn,
            _ => {
                let error = unavailable("Too many requests are being answered");
                return refuse(audited, call, error);
            }
        };
        // In a task of its own: a client that goes away cannot stop an operation half-way, and a
        // panic ends here.
        let span = access_log::span(model.name, operation.name, &call);
        let of_panic = span.clone();
        let work = async move {
            let keeps_output = audited.as_ref().map(Audited::keeps_output);
            let running = run(service, protocol, operation.name, &call, &asked, keeps_output);
            let running = std::panic::AssertUnwindSafe(running).catch_unwind();
            let (result, record) = running.await.unwrap_or_else(|panic| {
                of_panic.in_scope(|| access_log::panicked(model.name, operation.name, &*panic));
                (Err(WireError::internal("the operation panicked")), Record::default())
            });
            drop(turn);
            if let Some(audited) = audited {
                audited.end(call, record, result.as_ref().err());
            }
            result
        };
        match tokio::spawn(work.instrument(span)).await {
            Ok(result) => result,
            Err(_) => Err(WireError::internal("the operation was cancelled")),
        }
    }

    /// What will tell of the call, if anybody wants to know of it.
    fn audited(
        &self,
        call: Call,
        service: &'static ServiceModel,
        operation: &'static OperationModel,
        protocol: Protocol,
    ) -> (Call, Option<Audited>) {
        let Some(sink) = &self.inner.audit else { return (call, None) };
        if !is_kept(service.name, operation.name) {
            return (call, None);
        }
        let (sink, clock) = (Arc::clone(sink), Arc::clone(&self.inner.clock));
        let audited = Audited { sink, clock, service, operation, protocol };
        (call.keeping_answers(), Some(audited))
    }

    /// No signature, but a form: an operation that needs none, or a caller who forgot to sign.
    async fn unsigned_form(&mut self) -> Outcome {
        let inner = self.inner;
        let bytes_max = inner.limits.unsigned_form_bytes_max;
        let read = match inner.budget.read(&mut self.body, bytes_max, self.sender).await {
            Ok(mut body) => {
                let bytes = std::mem::take(&mut body.bytes);
                let form = self.form(bytes);
                form.and_then(|form| Ok((FormHead::read(&form)?, form, body)))
            }
            Err(error) => Err(body_error(error, bytes_max)),
        };
        let (form, bytes, body) = match read {
            Ok(read) => read,
            Err(error) => return refused(None, Protocol::Query, error),
        };
        let missing = SignatureError::MissingAuthenticationToken;
        let Some((service, protocol)) = service_of_form(&inner.services, &form) else {
            return refused(None, Protocol::Query, wire_error(&missing, Protocol::Query));
        };
        let model = service.model();
        let operation = form.action.as_deref().and_then(|action| model.operation(action));
        let Some(operation) = operation.filter(|operation| operation.is_anonymous) else {
            return refused(Some(model), protocol, wire_error(&missing, protocol));
        };
        if !operation.is_implemented {
            let error = WireError::not_implemented(model.name, operation.name);
            return refused(Some(model), protocol, error);
        }
        let operation = operation.name.to_owned();
        let (arrival, region) = (self.arrival.clone(), inner.regions.own().clone());
        let call = Call::unsigned(arrival, region, Arc::clone(&inner.permissions));
        let asked = Asked { operation: operation.clone(), bytes, _body: body };
        let recognised = Recognised { service, protocol, wanted: Wanted::InForm };
        let result = self.perform(recognised, call, asked).await;
        Outcome { service: Some(model), protocol, operation, access_key_id: None, result }
    }

    fn content_encoding(&self) -> Result<Encoding, WireError> {
        let Some(value) = self.head.headers.get("content-encoding") else {
            return Ok(Encoding::Identity);
        };
        match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Identity),
            "gzip" => Ok(Encoding::Gzip),
            _ => Err(WireError::malformed("The only Content-Encoding that is taken is gzip")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

/// Performs an operation. `keeps_output`: whether its output is recorded; `None`: its input is not either.
async fn run(
    service: Arc<dyn AwsService>,
    protocol: Protocol,
    operation: &'static str,
    call: &Call,
    asked: &Asked,
    keeps_output: Option<bool>,
) -> (Result<Reply, WireError>, Record) {
    let request = WireRequest {
        service: service.model(),
        protocol,
        operation,
        body: &asked.bytes,
        request_id: call.request_id.as_str(),
    };
    let mut exchange = match Exchange::new(request) {
        Ok(exchange) => exchange,
        Err(error) => return (Err(error), Record::default()),
    };
    if let Some(keeps_output) = keeps_output {
        exchange = exchange.recorded(keeps_output);
    }
    let result = service.call(call, operation, &mut exchange).await;
    let record = exchange.take_record();
    (result.map(|()| exchange.into_reply()), record)
}

/// The refusal of a call that was not performed.
fn refuse(audited: Option<Audited>, call: Call, error: WireError) -> Result<Reply, WireError> {
    if let Some(audited) = audited {
        audited.end(call, Record::default(), Some(&error));
    }
    Err(error)
}

fn unavailable(text: &str) -> WireError {
    WireError::common(CommonError::Unavailable, format!("{text}. Try again."))
}

fn body_error(error: BodyError, bytes_max: usize) -> WireError {
    match error {
        BodyError::TooLarge => WireError::common(
            CommonError::TooLarge,
            format!("The request body is larger than {bytes_max} bytes"),
        ),
        BodyError::TooSlow => WireError::named(
            "RequestTimeout",
            408,
            "The request body was not received within the time allowed",
        ),
        BodyError::NoMemory => unavailable("Too many request bodies are being received"),
        BodyError::Broken => WireError::malformed("The request body was cut off"),
        BodyError::NotGzip => WireError::malformed("The request body is not valid gzip"),
    }
}
