//! Answer cases: a result must be written so that a client reads it back equal.
//!
//! What reads back is checked against botocore's own bytes first: they must give the result of the case too.

use std::collections::BTreeMap;

use base64::Engine as _;
use outport_aws_wire::{Exchange, Protocol, Reply, Request, Schema, WireError, to_json};
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::dynamic::Structure;
use crate::{Known, check, xml};

const KNOWN: &[Known] = &[];

#[test]
fn answers_read_back_equal() {
    let mut passed = 0;
    let mut failed = BTreeMap::new();
    for case in cases::all("output") {
        let outcome =
            if case.value.get("errorCode").is_some() { failure(&case) } else { success(&case) };
        match outcome {
            Ok(()) => passed += 1,
            Err(problem) => {
                failed.insert(case.id, problem);
            }
        }
    }
    check(passed, &failed, KNOWN, 196);
}

fn success(case: &Case) -> Result<(), String> {
    let schema = case.model.schema(case.value["given"]["output"]["shape"].as_str());
    let result = Structure::from_case(schema, &case.value["result"]);
    let expected = to_json(&result);
    let theirs = to_json(&read_success(case, schema, &their_body(case))?);
    if theirs != expected {
        return Err(format!("the reader of this test reads {theirs} instead of {expected}"));
    }
    let reply = request(case, &[]).success(&result);
    if reply.status != 200 {
        return Err(format!("status {}", reply.status));
    }
    let ours = to_json(&read_success(case, schema, &reply.body)?);
    if ours == expected { Ok(()) } else { Err(format!("{ours} instead of {expected}")) }
}

fn request<'a>(case: &'a Case, body: &'a [u8]) -> Request<'a> {
    Request {
        service: case.service,
        protocol: case.protocol,
        operation: case.service.operations[0].name,
        body,
        request_id: "foo-id",
    }
}

fn their_body(case: &Case) -> Vec<u8> {
    let text = case.value["response"]["body"].as_str().unwrap_or_default();
    match case.protocol {
        Protocol::Cbor => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        _ => text.as_bytes().to_vec(),
    }
}

fn read_success(case: &Case, schema: &'static Schema, body: &[u8]) -> Result<Structure, String> {
    if !case.protocol.is_form() {
        return read_members(case, schema, body);
    }
    if body.is_empty() {
        return Ok(Structure::empty(schema));
    }
    let document = document(body)?;
    let root = document.root_element();
    let wrapper = case.service.operations[0].result_wrapper;
    let holder = match case.protocol {
        Protocol::Query if !wrapper.is_empty() => xml::child(root, wrapper).ok_or("no result")?,
        _ => root,
    };
    Ok(xml::structure(schema, holder))
}

fn read_members(case: &Case, schema: &'static Schema, body: &[u8]) -> Result<Structure, String> {
    let mut shape = Structure::empty(schema);
    let exchange = Exchange::new(request(case, body)).map_err(|error| error.to_string())?;
    exchange.read_into(&mut shape).map_err(|error| error.to_string())?;
    Ok(shape)
}

fn document(body: &[u8]) -> Result<roxmltree::Document<'_>, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    roxmltree::Document::parse(text).map_err(|error| error.to_string())
}

/// What a client learns from an error answer.
#[derive(PartialEq, Debug)]
struct Learned {
    code: String,
    message: String,
    members: String,
}

fn failure(case: &Case) -> Result<(), String> {
    let shape_name = case.value["given"]["errors"][0]["shape"].as_str();
    let schema = case.model.schema(shape_name);
    let error = match &case.value["error"] {
        Value::Null => &json!({}),
        error => error,
    };
    let exception = Structure::from_case(schema, error);
    let text = |key: &str| case.value[key].as_str().unwrap_or_default().to_owned();
    let expected = Learned {
        code: text("errorCode"),
        message: text("errorMessage"),
        members: to_json(&exception),
    };
    let status = case.value["response"]["status_code"].as_u64().unwrap();
    let error = wire_error(case, shape_name.unwrap_or_default(), &expected, exception);
    let reply = request(case, &[]).failure(&error);
    if u64::from(reply.status) != status {
        return Err(format!("status {} instead of {status}", reply.status));
    }
    query_code(case, &reply)?;
    let learned = read_failure(case, schema, &reply.body)?;
    // A query-compatible client takes the code from the header, which `query_code` compared.
    let code_matches = learned.code == expected.code || case.service.is_query_compatible;
    if code_matches && learned.message == expected.message && learned.members == expected.members {
        Ok(())
    } else {
        Err(format!("{learned:?} instead of {expected:?}"))
    }
}

fn wire_error(
    case: &Case,
    shape_name: &str,
    expected: &Learned,
    exception: Structure,
) -> WireError {
    let status = case.value["response"]["status_code"].as_u64().unwrap() as u16;
    let code = if case.service.is_query_compatible { shape_name } else { &expected.code };
    let mut error =
        WireError::exception(code.to_owned().leak(), status, expected.message.clone(), exception);
    error.query_code = case.service.is_query_compatible.then(|| &*expected.code.clone().leak());
    error
}

/// The header for query-compatible services must be botocore's.
fn query_code(case: &Case, reply: &Reply) -> Result<(), String> {
    let headers = case.value["response"]["headers"].as_object();
    let theirs = headers
        .into_iter()
        .flatten()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-query-error"));
    let theirs = theirs.and_then(|(_, value)| value.as_str());
    let ours = reply.headers.iter().find(|(name, _)| *name == "x-amzn-query-error");
    let ours = ours.map(|(_, value)| value.as_str());
    match theirs {
        Some(_) if theirs != ours => {
            Err(format!("x-amzn-query-error {ours:?} instead of {theirs:?}"))
        }
        _ => Ok(()),
    }
}

fn read_failure(case: &Case, schema: &'static Schema, body: &[u8]) -> Result<Learned, String> {
    if case.protocol.is_form() {
        let document = document(body)?;
        let root = document.root_element();
        let holder = match case.protocol {
            Protocol::Ec2 => xml::child(root, "Errors").ok_or("no errors")?,
            _ => root,
        };
        let error = xml::child(holder, "Error").ok_or("no error")?;
        let part = |name| xml::child(error, name).map(xml::text).unwrap_or_default();
        let members = to_json(&xml::structure(schema, error));
        return Ok(Learned { code: part("Code"), message: part("Message"), members });
    }
    let members = to_json(&read_members(case, schema, body)?);
    let exchange = Exchange::new(request(case, body)).map_err(|error| error.to_string())?;
    let part = |name: &str| match exchange.input().get(name) {
        Some(outport_aws_wire::Node::String(text)) => Some(text.as_ref().to_owned()),
        _ => None,
    };
    let code = part("__type").ok_or("no __type")?;
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let message = part("message").or_else(|| part("Message")).unwrap_or_default();
    Ok(Learned { code, message, members })
}
