//! From bytes through a handler to bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use outport_aws_sts::{
    AssumeRoleRequest, AssumeRoleResponse, AssumeRoleWithWebIdentityRequest,
    AssumeRoleWithWebIdentityResponse, DecodeAuthorizationMessageRequest,
    DecodeAuthorizationMessageResponse, GetAccessKeyInfoRequest, GetAccessKeyInfoResponse,
    GetCallerIdentityRequest, GetCallerIdentityResponse, GetFederationTokenRequest,
    GetFederationTokenResponse, GetSessionTokenRequest, GetSessionTokenResponse, MODEL, StsError,
    StsHandler, dispatch,
};
use outport_aws_wire::{Exchange, Protocol, Reply, Request, WireError};

struct Caller {
    account: String,
}

struct Identity;

impl StsHandler<Caller> for Identity {
    async fn get_caller_identity(
        &self,
        caller: &Caller,
        _: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, StsError> {
        if caller.account.is_empty() {
            return Err(StsError::expired_token_exception("The token is old"));
        }
        // `?` takes errors that every service has.
        let allowed =
            if caller.account == "2" { Err(WireError::access_denied("no")) } else { Ok(()) };
        allowed?;
        Ok(GetCallerIdentityResponse {
            account: Some(caller.account.clone()),
            ..Default::default()
        })
    }

    async fn assume_role(
        &self,
        _: &Caller,
        _: AssumeRoleRequest,
    ) -> Result<AssumeRoleResponse, StsError> {
        Ok(AssumeRoleResponse::default())
    }

    async fn assume_role_with_web_identity(
        &self,
        _: &Caller,
        _: AssumeRoleWithWebIdentityRequest,
    ) -> Result<AssumeRoleWithWebIdentityResponse, StsError> {
        Ok(AssumeRoleWithWebIdentityResponse::default())
    }

    async fn decode_authorization_message(
        &self,
        _: &Caller,
        _: DecodeAuthorizationMessageRequest,
    ) -> Result<DecodeAuthorizationMessageResponse, StsError> {
        Ok(DecodeAuthorizationMessageResponse::default())
    }

    async fn get_access_key_info(
        &self,
        _: &Caller,
        _: GetAccessKeyInfoRequest,
    ) -> Result<GetAccessKeyInfoResponse, StsError> {
        Ok(GetAccessKeyInfoResponse::default())
    }

    async fn get_federation_token(
        &self,
        _: &Caller,
        _: GetFederationTokenRequest,
    ) -> Result<GetFederationTokenResponse, StsError> {
        Ok(GetFederationTokenResponse::default())
    }

    async fn get_session_token(
        &self,
        _: &Caller,
        _: GetSessionTokenRequest,
    ) -> Result<GetSessionTokenResponse, StsError> {
        Ok(GetSessionTokenResponse::default())
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// The handler of this test never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the handler waits"),
    }
}

fn call(account: &str, operation: &str) -> Reply {
    let request = Request {
        service: &MODEL,
        protocol: Protocol::Query,
        operation,
        body: b"Action=GetCallerIdentity&Version=2011-06-15",
        request_id: "id-1",
    };
    let mut exchange = Exchange::new(request).unwrap();
    let caller = Caller { account: account.to_owned() };
    match now(is_send(dispatch(&Identity, &caller, operation, &mut exchange))) {
        Ok(()) => exchange.into_reply(),
        Err(error) => request.failure(&error),
    }
}

fn check(account: &str, operation: &str, status: u16, words: &str) {
    let reply = call(account, operation);
    let body = String::from_utf8(reply.body).unwrap();
    assert_eq!(reply.status, status, "{body}");
    assert!(body.contains(words), "{body}");
}

#[test]
fn a_handler_answers_outputs_and_errors() {
    check(
        "1",
        "GetCallerIdentity",
        200,
        "<GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>",
    );
    check(
        "",
        "GetCallerIdentity",
        400,
        "<Code>ExpiredTokenException</Code><Message>The token is old</Message>",
    );
    check("2", "GetCallerIdentity", 403, "<Code>AccessDenied</Code><Message>no</Message>");
    check("1", "AssumeRoleWithSAML", 501, "<Code>NotImplemented</Code>");
    check("1", "AssumeRoll", 400, "<Code>InvalidAction</Code>");
}

#[test]
fn the_future_of_a_dispatch_is_small() {
    let request = Request {
        service: &MODEL,
        protocol: Protocol::Query,
        operation: "",
        body: b"",
        request_id: "",
    };
    let mut exchange = Exchange::new(request).unwrap();
    let caller = Caller { account: String::new() };
    assert!(size_of_val(&dispatch(&Identity, &caller, "", &mut exchange)) < 512);
}
