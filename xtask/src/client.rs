//! Signed requests to an Outport of a chore's own, over one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use outport_identity::sigv4::{RequestHead, SignatureStyle, Signer};
use outport_identity::{AccessKeyId, SecretAccessKey};
use serde_json::{Value, json};

/// Access key id and secret of the Outports that chores start.
pub const KEY: &str = "chore";
const REGION: &str = "us-east-1";
/// For one answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Who signs.
#[derive(Clone, Debug)]
pub struct Key {
    id: AccessKeyId,
    secret: SecretAccessKey,
    session_token: Option<String>,
}

impl Key {
    /// Of the root of the Outports that chores start.
    pub fn root() -> Self {
        let (id, secret) = (AccessKeyId::new(KEY), SecretAccessKey::new(KEY));
        Self { id, secret, session_token: None }
    }

    /// Of an answer of CreateAccessKey or AssumeRole.
    pub fn of_answer(answer: &str) -> Result<Self> {
        let id = text_of(answer, "AccessKeyId").context("a key has an id")?;
        let secret = text_of(answer, "SecretAccessKey").context("a key has a secret")?;
        let session_token = text_of(answer, "SessionToken");
        Ok(Self { id: AccessKeyId::new(id), secret: SecretAccessKey::new(secret), session_token })
    }
}

/// The text of the first element with a name; good for texts without entities.
pub fn text_of(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

/// One connection; made at the first request, and again after one that failed.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    key: Key,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self::with_key(address, Key::root())
    }

    /// The same of another caller.
    pub fn with_key(address: SocketAddr, key: Key) -> Self {
        Self { address, key, connection: None }
    }

    pub fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.call("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), input)
    }

    pub fn ecr(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.call("ecr", &format!("AmazonEC2ContainerRegistry_V20150921.{operation}"), input)
    }

    pub fn logs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.call("logs", &format!("Logs_20140328.{operation}"), input)
    }

    pub fn secretsmanager(&mut self, operation: &str, input: &Value) -> Result<Value> {
        self.call("secretsmanager", &format!("secretsmanager.{operation}"), input)
    }

    /// The id of a subnet of the default VPC.
    pub fn subnet(&mut self) -> Result<String> {
        let body = b"Action=DescribeSubnets&Version=2016-11-15";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let text = expect_success("ec2", self.signed("ec2", &[form], body)?)?;
        text_of(&text, "subnetId").context("there is a subnet")
    }

    /// Whether it answers at all.
    pub fn answers(&mut self) -> bool {
        self.ecs("ListClusters", &json!({})).is_ok()
    }

    fn call(&mut self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let (status, answer) = self.exchange(&self.sign_json(service, target, input)?)?;
        let answer = (status, String::from_utf8_lossy(&answer).into_owned());
        Ok(serde_json::from_str(&expect_success(service, answer)?)?)
    }

    /// A request with its signature; the answer's status and text, whatever the status is. An error
    /// means that no answer came.
    pub fn signed(
        &mut self,
        service: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(u16, String)> {
        let (status, answer) = self.exchange(&self.sign(service, headers, body)?)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }

    /// A call of an operation of ECS, as bytes to be sent; good for some minutes.
    pub fn sign_ecs(&self, operation: &str, input: &Value) -> Result<Vec<u8>> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.sign_json("ecs", &target, input)
    }

    /// The same of CloudWatch Logs.
    pub fn sign_logs(&self, operation: &str, input: &Value) -> Result<Vec<u8>> {
        self.sign_json("logs", &format!("Logs_20140328.{operation}"), input)
    }

    fn sign_json(&self, service: &str, target: &str, input: &Value) -> Result<Vec<u8>> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.sign(service, &headers, &serde_json::to_vec(input)?)
    }

    /// The bytes of a request with its signature.
    fn sign(&self, service: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Vec<u8>> {
        let address = self.address.to_string();
        let headers: Vec<(&str, &[u8])> = std::iter::once(("host", address.as_bytes()))
            .chain(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
            .collect();
        let head = RequestHead { method: "POST", path: "/", query: "", headers: &headers };
        let signer = Signer {
            access_key_id: self.key.id.clone(),
            secret_access_key: self.key.secret.clone(),
            session_token: self.key.session_token.clone(),
            region: REGION.to_owned(),
            service: service.to_owned(),
            style: SignatureStyle::STANDARD,
        };
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let signature = signer.sign(&head, body, now_ms)?;
        let mut request =
            format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in &headers {
            request.extend([name.as_bytes(), b": ", *value, b"\r\n"].concat());
        }
        for (name, value) in signature {
            request.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        Ok(request)
    }

    /// Sends the bytes of a request as they are; status and body of the answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let answer = self.exchange_parts(&[request])?;
        Ok((answer.status, answer.body))
    }

    /// The same of bytes that lie in several places.
    pub fn exchange_parts(&mut self, request: &[&[u8]]) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = exchange_over(&mut connection, request)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

fn expect_success(service: &str, (status, text): (u16, String)) -> Result<String> {
    if status != 200 {
        bail!("{service} answered {status}: {text}");
    }
    Ok(text)
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// The header of this name; empty where there is none.
    pub location: String,
    pub body: Vec<u8>,
}

fn exchange_over(connection: &mut BufReader<TcpStream>, request: &[&[u8]]) -> Result<Answer> {
    for part in request {
        connection.get_mut().write_all(part)?;
    }
    let (mut answer, mut length, mut line) = (Answer::default(), 0, String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            answer.status = rest.split(' ').next().unwrap_or_default().parse()?;
        } else if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("location") {
                value.trim().clone_into(&mut answer.location);
            }
        }
    }
    answer.body = vec![0; length];
    connection.read_exact(&mut answer.body)?;
    Ok(answer)
}
