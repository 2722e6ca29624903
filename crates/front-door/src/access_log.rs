//! One line for each request, and one for each fault.
//!
//! **Invariant**: no secret is written. Not the query (it may be signed), no header, no body; of a
//! credential only its public id.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use outport_aws_wire::{Protocol, WireError};
use outport_identity::{Arrival, Call, RequestId};
use tracing::Span;

use crate::front_door::Summary;

/// What the line of a request says.
pub(crate) struct AccessRecord<'a> {
    pub request_id: &'a str,
    pub peer: SocketAddr,
    pub method: &'a str,
    pub path: &'a str,
    pub summary: &'a Summary,
    pub status: u16,
    pub took: Duration,
}

/// Of one request whose sender is proven: what is logged while its operation runs carries who asked for what. At `ERROR`,
/// so that no filter that lets a line through takes its ids away. Made once all is known: a span whose fields are filled
/// in later costs twice as much, and strangers cost none.
pub(crate) fn span(service: &str, operation: &str, call: &Call) -> Span {
    tracing::error_span!(
        "request",
        request_id = %call.request_id,
        service = %service,
        operation = %operation,
        account = %call.principal.account(),
        access_key_id = %call.access_key_id,
        peer = %call.source_ip,
    )
}

/// Of one request to a part that proves its senders itself: the registry, the node link.
pub(crate) fn reserved_span(service: &str, arrival: &Arrival) -> Span {
    let Arrival { request_id, source_ip: peer, .. } = arrival;
    tracing::error_span!("request", %request_id, service = %service, %peer)
}

/// Writes the line of a request.
pub(crate) fn write(record: &AccessRecord<'_>) {
    let Summary { service, operation, code, access_key_id } = record.summary;
    tracing::info!(
        target: "outport::access",
        event = "request_answered",
        request_id = record.request_id,
        peer = %record.peer,
        method = record.method,
        path = record.path,
        service,
        operation,
        status = record.status,
        code,
        access_key_id = access_key_id.as_deref().unwrap_or("-"),
        took_us = u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
        "a request was answered"
    );
}

/// Writes what only the operator may know of a failed request. What strangers are refused is told to who asks for it:
/// anybody could fill the log with it, and the metrics count it.
pub(crate) fn failed(
    is_proven: bool,
    service: &str,
    operation: &str,
    request_id: &RequestId,
    protocol: Protocol,
    error: &WireError,
) {
    if let Some(reason) = &error.log_message {
        tracing::error!(
            event = "request_failed",
            %request_id,
            service,
            operation,
            reason,
            "a request failed by a fault"
        );
    } else if error.status_in(protocol) >= 500 {
        let reason = &error.message;
        if !is_proven {
            tracing::debug!(%request_id, service, operation, reason, "stranger refused");
            return;
        }
        tracing::warn!(
            event = "request_refused",
            %request_id,
            service,
            operation,
            reason,
            "a request is refused with status 500 or more"
        );
    }
}

/// Writes that a handler panicked.
pub(crate) fn panicked(service: &str, operation: &str, panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| {
        let text = panic.downcast_ref::<String>();
        text.map(String::as_str)
    });
    let reason = text.unwrap_or("no message");
    tracing::error!(
        event = "operation_panicked",
        service,
        operation,
        reason,
        "an operation panicked"
    );
}
