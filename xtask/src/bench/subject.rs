//! Signed requests to an Outport of the benchmark's own, over one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use outport_identity::sigv4::{RequestHead, SignatureStyle, Signer};
use outport_identity::{AccessKeyId, SecretAccessKey};
use serde_json::{Value, json};

use crate::outport::Outport;
use crate::process::{command, run};

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 14577);
/// Beside the default: an Outport that runs already is not disturbed.
const VPC_CIDR: &str = "172.29.0.0/16";
const KEY: &str = "bench";
const REGION: &str = "us-east-1";
const PATIENCE: Duration = Duration::from_secs(60);

/// An Outport and a connection to it.
pub struct Subject {
    outport: Outport,
    connection: Option<BufReader<TcpStream>>,
}

impl Subject {
    /// Starts it and waits for its first signed answer; how long that took.
    pub fn start(binary: &Path, data_dir: &Path) -> Result<(Self, Duration)> {
        let began = Instant::now();
        let outport = Outport::start(binary, data_dir, ADDRESS, VPC_CIDR, |up: &mut Command| {
            // More than the machine has: the benchmark is about launching, not about placement.
            up.args(["--cpu-units", "1000000", "--memory-mib", "1000000"])
                .env("OUTPORT_ROOT_ACCESS_KEY_ID", KEY)
                .env("OUTPORT_ROOT_SECRET_ACCESS_KEY", KEY);
        })?;
        let mut subject = Self { outport, connection: None };
        // A poll finer than the answer that is waited for.
        const POLL: Duration = Duration::from_micros(500);
        while subject.ecs("ListClusters", &json!({})).is_err() {
            subject.outport.require_running()?;
            if began.elapsed() > PATIENCE {
                bail!("outport did not answer: {}", subject.outport.log()?);
            }
            std::thread::sleep(POLL);
        }
        Ok((subject, began.elapsed()))
    }

    /// Waits until it takes tasks.
    pub fn ready(&mut self) -> Result<()> {
        self.outport.ready().map(drop)
    }

    pub fn log(&self) -> Result<String> {
        self.outport.log()
    }

    /// SIGTERM; fails unless it ends well.
    pub fn stop(self) -> Result<()> {
        drop(self.connection);
        self.outport.stop()
    }

    pub fn ecs(&mut self, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.call("ecs", &target, input)
    }

    pub fn ecr(&mut self, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        self.call("ecr", &target, input)
    }

    /// The id of a subnet of the default VPC.
    pub fn subnet(&mut self) -> Result<String> {
        let body = b"Action=DescribeSubnets&Version=2016-11-15";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let text = self.signed("ec2", &[form], body)?;
        let (_, rest) = text.split_once("<subnetId>").context("there is a subnet")?;
        Ok(rest.split('<').next().unwrap_or_default().to_owned())
    }

    fn call(&mut self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        Ok(serde_json::from_str(&self.signed(service, &headers, &serde_json::to_vec(input)?)?)?)
    }

    fn signed(&mut self, service: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<String> {
        let address = ADDRESS.to_string();
        let headers: Vec<(&str, &[u8])> = std::iter::once(("host", address.as_bytes()))
            .chain(headers.iter().map(|(name, value)| (*name, value.as_bytes())))
            .collect();
        let head = RequestHead { method: "POST", path: "/", query: "", headers: &headers };
        let signer = Signer {
            access_key_id: AccessKeyId::new(KEY),
            secret_access_key: SecretAccessKey::new(KEY),
            session_token: None,
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
        let (status, answer) = self.exchange(&request)?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        if status != 200 {
            bail!("{service} answered {status}: {text}");
        }
        Ok(text)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(ADDRESS)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.connection = Some(BufReader::new(stream));
        }
        let connection = self.connection.as_mut().context("it was just made")?;
        connection.get_mut().write_all(request)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line)? == 0 {
                self.connection = None;
                bail!("the connection was closed");
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.split(' ').next().unwrap_or_default().parse()?;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        Ok((status, body))
    }

    /// Makes the repository and pushes an OCI layout to it; the image's reference.
    pub fn push(&mut self, layout: &Path, tag: &str) -> Result<String> {
        let created = self.ecr("CreateRepository", &json!({ "repositoryName": "bench" }))?;
        let uri =
            created["repository"]["repositoryUri"].as_str().context("it has a URI")?.to_owned();
        let token = self.ecr("GetAuthorizationToken", &json!({}))?;
        let token =
            token["authorizationData"][0]["authorizationToken"].as_str().context("a token")?;
        let target = format!("docker://{uri}:{tag}");
        let source = format!("oci:{}:{tag}", layout.display());
        let directory = self.outport.data_dir.clone();
        std::fs::write(
            directory.join("auth.json"),
            json!({ "auths": { uri.split('/').next().unwrap_or_default(): { "auth": token } } })
                .to_string(),
        )?;
        run(command(
            &directory,
            "skopeo",
            ["copy", "--quiet", "--insecure-policy", "--authfile", "auth.json", &source, &target],
        )
        .stdout(Stdio::null()))?;
        Ok(format!("{uri}:{tag}"))
    }

    /// Where the first byte of a container's output appears on this host.
    pub fn log_directory(&self, task: &str, container: &str) -> PathBuf {
        let task = self.outport.data_dir.join("node/tasks").join(task);
        task.join("c").join(container).join("log")
    }

    /// Resident and proportional memory, MiB.
    pub fn memory_mib(&self) -> Result<(f64, f64)> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.outport.id()?))?;
        let kib = |name: &str| -> Option<f64> {
            let line = rollup.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let mib = |name| Ok::<_, anyhow::Error>(kib(name).context("smaps_rollup has it")? / 1024.0);
        Ok((mib("Rss:")?, mib("Pss:")?))
    }
}
