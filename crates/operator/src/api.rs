//! Signed calls of the AWS API.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use outport_identity::sigv4::{RequestHead, SignatureStyle, Signer};
use outport_identity::{AccessKeyId, SecretAccessKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::moment::now_ms;
use crate::tls;
use crate::value::text;

/// A hundred described tasks are far below this.
const ANSWER_BYTES_MAX: usize = 64 << 20;
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Of a request: what is in memory, or comes from a file.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Of whatever speaks HTTP there.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Where an Outport is, and whose credentials it is asked with.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Such as `http://127.0.0.1:4566`.
    pub url: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
    /// A PEM file of the authorities that are trusted instead of the machine's own.
    pub authority: Option<PathBuf>,
}

/// The API of one Outport.
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    pub endpoint: Endpoint,
    host: String,
}

impl Api {
    /// # Errors
    /// When the URL is none, or the authority's file cannot be read.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let uri: Uri =
            endpoint.url.parse().with_context(|| format!("{:?} is no URL", endpoint.url))?;
        let host = uri.authority().with_context(|| format!("{uri} names no host"))?.to_string();
        let builder = HttpsConnectorBuilder::new();
        let builder = match &endpoint.authority {
            Some(file) => builder.with_tls_config(trusting(file)?),
            None if uri.scheme_str() == Some("https") => builder
                .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
                .context("this machine's certificate authorities cannot be read")?,
            None => builder.with_tls_config(config(RootCertStore::empty())?),
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, endpoint, host })
    }

    /// An operation of ECS.
    ///
    /// # Errors
    /// What the API answers, with its code, or that nobody answers.
    pub async fn ecs(&self, operation: &str, input: Value) -> Result<Value> {
        self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input).await
    }

    /// An operation of CloudWatch Logs.
    ///
    /// # Errors
    /// As of [`Api::ecs`].
    pub async fn logs(&self, operation: &str, input: Value) -> Result<Value> {
        self.json("logs", &format!("Logs_20140328.{operation}"), input).await
    }

    /// An operation of ECR.
    ///
    /// # Errors
    /// As of [`Api::ecs`].
    pub async fn ecr(&self, operation: &str, input: Value) -> Result<Value> {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        self.json("ecr", &target, input).await
    }

    /// An operation of CloudTrail.
    ///
    /// # Errors
    /// As of [`Api::ecs`].
    pub async fn cloudtrail(&self, operation: &str, input: Value) -> Result<Value> {
        let target = format!("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{operation}");
        self.json("cloudtrail", &target, input).await
    }

    /// The host of the endpoint, with its port if it says one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The account that the credentials are of.
    ///
    /// # Errors
    /// As of [`Api::ecs`].
    pub async fn account(&self) -> Result<String> {
        let answer = self.query("sts", "Action=GetCallerIdentity&Version=2011-06-15").await?;
        let account = elements(&answer, "Account").into_iter().next();
        account.with_context(|| format!("{} names no account", self.endpoint.url))
    }

    /// The subnets of the default VPC.
    ///
    /// # Errors
    /// As of [`Api::ecs`].
    pub async fn subnets(&self) -> Result<Vec<String>> {
        let form = "Action=DescribeSubnets&Version=2016-11-15\
                    &Filter.1.Name=default-for-az&Filter.1.Value.1=true";
        Ok(elements(&self.query("ec2", form).await?, "subnetId"))
    }

    /// Whether it takes tasks, and what it says beside that.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn health(&self) -> Result<(u16, String)> {
        self.get("/_outport/health").await
    }

    /// Something that is not of the AWS API.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.endpoint.url.trim_end_matches('/'));
        self.exchange(Request::get(url).body(in_memory(Vec::new()))?).await
    }

    /// An operation whose answer is XML.
    async fn query(&self, service: &str, form: &str) -> Result<String> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let (status, answer) = self.post(service, &headers, form.as_bytes().to_vec()).await?;
        if status != 200 {
            let first = |name| elements(&answer, name).into_iter().next();
            return Err(refused(status, first("Code"), first("Message")));
        }
        Ok(answer)
    }

    /// Whether the API is that of this machine, by its address. Its name is looked up.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let Ok(mut addresses) = (self.host_name(), 0).to_socket_addrs() else { return false };
        // Only addresses of this machine can be bound to.
        addresses.any(|address| UdpSocket::bind(address).is_ok())
    }

    /// What the machine of the API is called from here.
    pub(crate) fn machine(&self) -> String {
        let name = self.host_name();
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match name {
            "localhost" => "127.0.0.1".to_owned(),
            _ if is_loopback => "127.0.0.1".to_owned(),
            name if name.contains(':') => format!("[{name}]"),
            name => name.to_owned(),
        }
    }

    /// Without port, and without the brackets of an IPv6 address.
    fn host_name(&self) -> &str {
        let name = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.host,
        };
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    async fn json(&self, service: &str, target: &str, input: Value) -> Result<Value> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let (status, answer) = self.post(service, &headers, serde_json::to_vec(&input)?).await?;
        let value: Option<Value> = serde_json::from_str(&answer).ok();
        match value {
            Some(value) if status == 200 => Ok(value),
            Some(error) => {
                let code = name_behind_hash(text(&error, "__type")).to_owned();
                let message = ["message", "Message"].map(|name| text(&error, name));
                let message = message.into_iter().find(|message| !message.is_empty());
                Err(refused(status, Some(code), message.map(str::to_owned)))
            }
            None => bail!("{} answers as no AWS API does (status {status})", self.endpoint.url),
        }
    }

    async fn post(
        &self,
        service: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(u16, String)> {
        let signed: Vec<(&str, &[u8])> = std::iter::once(("host", self.host.as_bytes()))
            .chain(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
            .collect();
        let head = RequestHead { method: "POST", path: "/", query: "", headers: &signed };
        let signer = Signer {
            access_key_id: AccessKeyId::new(&self.endpoint.access_key_id),
            secret_access_key: SecretAccessKey::new(&self.endpoint.secret_access_key),
            session_token: self.endpoint.session_token.clone(),
            region: self.endpoint.region.clone(),
            service: service.to_owned(),
            style: SignatureStyle::STANDARD,
        };
        let signature = signer.sign(&head, &body, now_ms())?;
        let url = format!("{}/", self.endpoint.url.trim_end_matches('/'));
        let mut request = Request::builder().method(Method::POST).uri(url);
        request = request.header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in signature {
            request = request.header(name, value);
        }
        self.exchange(request.body(in_memory(body))?).await
    }

    async fn exchange(&self, request: Request<Body>) -> Result<(u16, String)> {
        let answer = self.call(request, Some(CALL_TIMEOUT)).await?;
        Ok((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Any request to the endpoint; without a timeout whoever calls gives it up.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn call(&self, request: Request<Body>, timeout: Option<Duration>) -> Result<Answer> {
        let url = &self.endpoint.url;
        let answered = async {
            let answer = self.client.request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow!(error))?.to_bytes();
            Ok::<_, anyhow::Error>(Answer { status: head.status, headers: head.headers, body })
        };
        let answered = match timeout {
            Some(timeout) => match tokio::time::timeout(timeout, answered).await {
                Ok(answered) => answered,
                Err(_) => bail!("no answer from {url} within {} s", timeout.as_secs()),
            },
            None => answered.await,
        };
        match answered {
            Ok(answer) if answer.status == StatusCode::MISDIRECTED_REQUEST => bail!(
                "no answer from {url} to plain HTTP: give its URL as https://, and {}",
                tls::TRUST
            ),
            Ok(answer) => Ok(answer),
            Err(error) => {
                let hint = match tls::hint(&error, &self.host, self.endpoint.authority.as_deref()) {
                    Some(hint) => format!(": {hint}"),
                    None if self.host.ends_with(".amazonaws.com") => String::new(),
                    None => ": does `outport up` run there?".to_owned(),
                };
                Err(error.context(format!("no answer from {url}{hint}")))
            }
        }
    }
}

/// A body of these bytes.
pub fn in_memory(body: Vec<u8>) -> Body {
    Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync()
}

/// The texts of all elements of a name.
fn elements(answer: &str, name: &str) -> Vec<String> {
    let begin = format!("<{name}>");
    let texts = answer.split(&begin).skip(1).filter_map(|rest| rest.split_once('<'));
    texts.map(|(text, _)| text.to_owned()).collect()
}

fn refused(status: u16, code: Option<String>, message: Option<String>) -> anyhow::Error {
    let code = code.filter(|code| !code.is_empty()).unwrap_or_else(|| format!("status {status}"));
    match message {
        Some(message) => anyhow!("{code}: {message}"),
        None => anyhow!("{code}"),
    }
}

fn name_behind_hash(code: &str) -> &str {
    code.rsplit('#').next().unwrap_or(code)
}

fn trusting(file: &std::path::Path) -> Result<ClientConfig> {
    let unreadable = || format!("cannot read the certificate authorities of {}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?)?;
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, machine: &str, is_here: bool) {
        let text = String::new;
        let api = Api::new(Endpoint {
            url: url.to_owned(),
            region: text(),
            access_key_id: text(),
            secret_access_key: text(),
            session_token: None,
            authority: None,
        })
        .unwrap();
        assert_eq!((api.machine().as_str(), api.is_on_this_machine()), (machine, is_here), "{url}");
    }

    #[test]
    fn the_machine_of_an_endpoint_is_known_by_its_url() {
        check("http://127.0.0.1:4566", "127.0.0.1", true);
        check("http://localhost:4566/", "127.0.0.1", true);
        check("http://127.0.0.1", "127.0.0.1", true);
        // TEST-NET-1: no machine's.
        check("http://192.0.2.7:4566", "192.0.2.7", false);
        check("http://[2001:db8::7]:4566", "[2001:db8::7]", false);
    }
}
