//! One request and its answer, between the front door and a dispatcher.

use std::sync::OnceLock;

use crate::error::WireError;
use crate::node::Node;
use crate::reader;
use crate::service::{Protocol, ServiceModel};
use crate::shape::{Decoder, Shape, read_structure, write_structure};
use crate::writer::{AuditWriter, CborWriter, JsonWriter, Place, XmlWriter};

/// What the front door knows of a request once it has recognised it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub service: &'static ServiceModel,
    pub protocol: Protocol,
    pub operation: &'a str,
    /// The inflated body; for a query request by GET, the query string.
    pub body: &'a [u8],
    /// Comes back in the answer.
    pub request_id: &'a str,
}

/// An answer in terms that any HTTP library can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A request that could be read, and its answer once the handler has given one.
pub struct Exchange<'a> {
    request: Request<'a>,
    input: Node<'a>,
    reply: Option<Reply>,
    record: Option<Record>,
}

/// What an audit trail keeps of an exchange: JSON as [`AuditWriter`] writes it, without secrets.
#[derive(Debug, Default)]
pub struct Record {
    keeps_output: bool,
    input: OnceLock<String>,
    output: Option<String>,
}

impl Record {
    /// The input and the output; `None` for what was not read, not written or not to be kept.
    pub fn into_texts(self) -> (Option<String>, Option<String>) {
        (self.input.into_inner(), self.output)
    }
}

impl<'a> Exchange<'a> {
    /// Reads the body in the request's protocol. Fails with [`CommonError::Malformed`](crate::CommonError).
    pub fn new(request: Request<'a>) -> Result<Self, WireError> {
        let input = match request.protocol {
            Protocol::Json10 | Protocol::Json11 => reader::read_json(request.body)?,
            Protocol::Query | Protocol::Ec2 => reader::read_form(request.body)?,
            Protocol::Cbor => reader::read_cbor(request.body)?,
        };
        Ok(Self { request, input, reply: None, record: None })
    }

    /// Records the input, and with `keeps_output` the output, for an audit trail.
    #[must_use]
    pub fn recorded(mut self, keeps_output: bool) -> Self {
        self.record = Some(Record { keeps_output, ..Record::default() });
        self
    }

    /// What was recorded so far; empty when nothing is recorded.
    pub fn take_record(&mut self) -> Record {
        self.record.take().unwrap_or_default()
    }

    /// The input before it has a type.
    pub fn input(&self) -> &Node<'a> {
        &self.input
    }

    /// The input as `T`. Fails on a value of the wrong type, and with the service's own error when constraints of the
    /// model are broken.
    pub fn read<T: Shape + Default>(&self) -> Result<T, WireError> {
        let mut shape = T::default();
        self.read_into(&mut shape)?;
        Ok(shape)
    }

    /// As [`Exchange::read`], into an empty shape.
    pub fn read_into(&self, shape: &mut dyn Shape) -> Result<(), WireError> {
        let mut decoder = Decoder::new(self.request.protocol);
        read_structure(shape, &self.input, &mut decoder)?;
        if let Some(record) = &self.record {
            record.input.get_or_init(|| audited(shape));
        }
        let violations = decoder.into_violations();
        if violations.is_empty() {
            Ok(())
        } else {
            Err((self.request.service.refuse_input)(self.request.operation, &violations))
        }
    }

    /// Sets the answer.
    pub fn write(&mut self, output: &dyn Shape) {
        if let Some(record) = self.record.as_mut().filter(|record| record.keeps_output) {
            record.output = Some(audited(output));
        }
        self.reply = Some(self.request.success(output));
    }

    /// The answer; a fault when the handler gave none.
    pub fn into_reply(self) -> Reply {
        match self.reply {
            Some(reply) => reply,
            None => self.request.failure(&WireError::internal("the handler gave no answer")),
        }
    }
}

impl Request<'_> {
    /// The answer with an output.
    pub fn success(&self, output: &dyn Shape) -> Reply {
        let body = match self.protocol {
            Protocol::Json10 | Protocol::Json11 => {
                let mut writer = JsonWriter::default();
                write_structure(output, Place::Root, &mut writer);
                writer.into_text().into_bytes()
            }
            Protocol::Cbor => {
                let mut writer = CborWriter::default();
                write_structure(output, Place::Root, &mut writer);
                writer.into_bytes()
            }
            Protocol::Query => self.query_success(output),
            Protocol::Ec2 => self.ec2_success(output),
        };
        self.reply(200, body)
    }

    /// The answer with an error.
    pub fn failure(&self, error: &WireError) -> Reply {
        let service = Some(self.service);
        Reply::failure(service, self.protocol, self.request_id, error)
    }

    fn reply(&self, status: u16, body: Vec<u8>) -> Reply {
        Reply { status, headers: headers(self.protocol, self.request_id), body }
    }

    fn query_success(&self, output: &dyn Shape) -> Vec<u8> {
        let response = format!("{}Response", self.operation);
        let wrapper = self.service.operation(self.operation).map_or("", |o| o.result_wrapper);
        let mut writer = XmlWriter::document();
        writer.open(&response, self.service.xml_namespace);
        if wrapper.is_empty() {
            write_structure(output, Place::Root, &mut writer);
        } else {
            writer.open(wrapper, "");
            write_structure(output, Place::Root, &mut writer);
            writer.close(wrapper);
        }
        writer.open("ResponseMetadata", "");
        writer.element("RequestId", self.request_id);
        writer.close("ResponseMetadata");
        writer.close(&response);
        writer.into_text().into_bytes()
    }

    fn ec2_success(&self, output: &dyn Shape) -> Vec<u8> {
        let response = format!("{}Response", self.operation);
        let mut writer = XmlWriter::document();
        writer.open(&response, self.service.xml_namespace);
        writer.element("requestId", self.request_id);
        write_structure(output, Place::Root, &mut writer);
        writer.close(&response);
        writer.into_text().into_bytes()
    }
}

impl Reply {
    /// An error answer in `protocol`, also for requests whose service is not known.
    pub fn failure(
        service: Option<&'static ServiceModel>,
        protocol: Protocol,
        request_id: &str,
        error: &WireError,
    ) -> Self {
        let code = error.code_in(protocol);
        let mut headers = headers(protocol, request_id);
        let body = match protocol {
            Protocol::Json10 | Protocol::Json11 => {
                headers.push(("x-amzn-ErrorType", code.to_owned()));
                json_error(code, error)
            }
            Protocol::Cbor => cbor_error(service, code, error),
            Protocol::Query => query_error(service, code, request_id, error),
            Protocol::Ec2 => ec2_error(code, request_id, error),
        };
        if service.is_some_and(|service| service.is_query_compatible) && !protocol.is_form() {
            let query_code = error.query_code.unwrap_or(code);
            headers.push(("x-amzn-query-error", format!("{query_code};{}", error.fault.as_str())));
        }
        Self { status: error.status_in(protocol), headers, body }
    }
}

fn audited(shape: &dyn Shape) -> String {
    let mut writer = AuditWriter::default();
    write_structure(shape, Place::Root, &mut writer);
    writer.into_text()
}

fn headers(protocol: Protocol, request_id: &str) -> Vec<(&'static str, String)> {
    let content_type = match protocol {
        Protocol::Json10 => "application/x-amz-json-1.0",
        Protocol::Json11 => "application/x-amz-json-1.1",
        Protocol::Query => "text/xml",
        Protocol::Ec2 => "text/xml;charset=UTF-8",
        Protocol::Cbor => "application/cbor",
    };
    let mut headers = vec![
        ("content-type", content_type.to_owned()),
        ("x-amzn-RequestId", request_id.to_owned()),
    ];
    if protocol == Protocol::Cbor {
        headers.push(("smithy-protocol", "rpc-v2-cbor".to_owned()));
    }
    headers
}

fn is_message(name: &str) -> bool {
    name.eq_ignore_ascii_case("message")
}

/// Whether the exception writes its message itself.
fn has_message(error: &WireError) -> bool {
    error.exception.as_ref().is_some_and(|exception| {
        let members = exception.schema().members.iter().enumerate();
        let mut messages = members.filter(|(_, member)| is_message(member.name));
        messages.any(|(index, _)| exception.get(index).is_some_and(|field| field.is_present()))
    })
}

/// Writes the members of the exception, if it is one, into the object that is open.
fn write_exception(
    error: &WireError,
    writer: &mut dyn crate::writer::Writer,
    wants: impl Fn(&str) -> bool,
) {
    let Some(exception) = &error.exception else { return };
    for (index, member) in exception.schema().members.iter().enumerate() {
        if let Some(field) = exception.get(index).filter(|field| field.is_present())
            && wants(member.name)
        {
            field.write(Place::Member(member), member, writer);
        }
    }
}

fn json_error(code: &str, error: &WireError) -> Vec<u8> {
    let mut writer = JsonWriter::default();
    writer.begin_error(code);
    if !has_message(error) {
        writer.member("message", &error.message);
    }
    write_exception(error, &mut writer, |_| true);
    writer.end_error();
    writer.into_text().into_bytes()
}

/// The message is there in lower case whatever the model calls it: typed clients read nothing else.
fn cbor_error(service: Option<&ServiceModel>, code: &str, error: &WireError) -> Vec<u8> {
    let namespace = service.map_or("com.amazonaws", |service| service.namespace);
    let mut writer = CborWriter::default();
    writer.begin_error(&format!("{namespace}#{code}"));
    writer.member("message", &error.message);
    write_exception(error, &mut writer, |name| name != "message");
    writer.end_error();
    writer.into_bytes()
}

fn query_error(
    service: Option<&ServiceModel>,
    code: &str,
    request_id: &str,
    error: &WireError,
) -> Vec<u8> {
    let mut writer = XmlWriter::default();
    writer.open("ErrorResponse", service.map_or("", |service| service.xml_namespace));
    writer.open("Error", "");
    writer.element("Type", error.fault.as_str());
    writer.element("Code", code);
    writer.element("Message", &error.message);
    write_exception(error, &mut writer, |name| !is_message(name));
    writer.close("Error");
    writer.element("RequestId", request_id);
    writer.close("ErrorResponse");
    writer.into_text().into_bytes()
}

fn ec2_error(code: &str, request_id: &str, error: &WireError) -> Vec<u8> {
    let mut writer = XmlWriter::document();
    writer.open("Response", "");
    writer.open("Errors", "");
    writer.open("Error", "");
    writer.element("Code", code);
    writer.element("Message", &error.message);
    write_exception(error, &mut writer, |name| !is_message(name));
    writer.close("Error");
    writer.close("Errors");
    writer.element("RequestID", request_id);
    writer.close("Response");
    writer.into_text().into_bytes()
}
