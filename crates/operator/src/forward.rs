//! `outport forward`: ports of this machine's loopback that lead to a task, as long as the command runs.
//!
//! **Invariant:** it listens on 127.0.0.1 only, and goes nowhere but to the task that it names.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::find;
use crate::ps::why_it_stopped;
use crate::reach;
use crate::value::{list, name_of, text};

/// Ports in one command.
const PORTS_MAX: usize = 32;
/// Connections at once, over all ports; more wait at the door.
const CONNECTIONS_MAX: usize = 256;
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether the task still runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// After accepting failed, for want of descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Of an id.
const ID_SHOWN: usize = 12;

/// `LOCAL[:CONTAINER]`, as of a command line; local port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPair {
    pub local: u16,
    pub container: u16,
}

impl FromStr for PortPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no pair of ports: 8080, or 8080:80 for port 80 of the task");
        let (local, container) = text.split_once(':').unwrap_or((text, text));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(local) || !digits(container) {
            return Err(wrong());
        }
        let local = local.parse().map_err(|_| wrong())?;
        match container.parse() {
            Ok(container) if container > 0 => Ok(Self { local, container }),
            _ => Err(wrong()),
        }
    }
}

#[derive(Debug, Default)]
pub struct ForwardOptions {
    /// A task, by its id or the beginning of that, or a service by its name: one of its tasks.
    pub to: String,
    pub cluster: Option<String>,
    pub ports: Vec<PortPair>,
    pub is_json: bool,
}

/// One port of this machine, as programs read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Forwarded {
    local: SocketAddr,
    container_port: u16,
    remote: SocketAddrV4,
    task_arn: String,
}

impl fmt::Display for Forwarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local, container_port, remote, task_arn } = self;
        let id: String = name_of(task_arn).chars().take(ID_SHOWN).collect();
        write!(formatter, "{local} leads to port {container_port} of task {id} ({remote})")
    }
}

/// Forwards until the task has ended. `say` gets a line for each port once all listen, `complain` what goes wrong with
/// single connections.
///
/// # Errors
/// When the task cannot be found or reached, a port is taken, and when the task has ended.
pub async fn forward(
    api: &Api,
    options: &ForwardOptions,
    mut say: impl FnMut(&str) -> io::Result<()>,
    complain: impl Fn(String) + Clone + Send + 'static,
) -> Result<()> {
    if options.ports.len() > PORTS_MAX {
        bail!("{} ports are too many at once: at most {PORTS_MAX}", options.ports.len());
    }
    let task = find::running_task(api, options.cluster.as_deref(), &options.to).await?;
    let definition = find::definition(api, &task).await?;
    let mut doors = Vec::new();
    for PortPair { local, container } in &options.ports {
        let (address, port) = reach::target(&task, &definition, *container)?;
        let remote = SocketAddrV4::new(address, port);
        check_the_way(api, &task, remote, &complain).await?;
        let wanted = SocketAddrV4::new(Ipv4Addr::LOCALHOST, *local);
        let listener = TcpListener::bind(wanted).await.with_context(|| {
            format!(
                "cannot listen at {wanted}: name another port before the colon, or 0 for a free one"
            )
        })?;
        let forwarded = Forwarded {
            local: listener.local_addr()?,
            container_port: *container,
            remote,
            task_arn: text(&task, "taskArn").to_owned(),
        };
        doors.push((listener, forwarded));
    }
    let mut serving = JoinSet::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for (listener, forwarded) in doors {
        let line = match options.is_json {
            true => serde_json::to_string(&forwarded)?,
            false => forwarded.to_string(),
        };
        say(&format!("{line}\n"))?;
        serving.spawn(serve(listener, forwarded.remote, places.clone(), complain.clone()));
    }
    Err(ended(api, &task).await)
}

/// Fails when packets to the task go nowhere from this machine.
async fn check_the_way(
    api: &Api,
    task: &Value,
    remote: SocketAddrV4,
    complain: &impl Fn(String),
) -> Result<()> {
    let id: String = name_of(text(task, "taskArn")).chars().take(ID_SHOWN).collect();
    if remote.ip().is_loopback() && !api.is_on_this_machine() {
        bail!(
            "task {id} has no address of its own and runs on another machine than this: it is reached at port {} of \
             the machine that runs it",
            remote.port()
        );
    }
    match connect(remote).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            complain(format!("nothing in task {id} listens at {remote} yet"));
            Ok(())
        }
        Err(error) => Err(anyhow!(
            "task {id} is not reached from here ({remote}: {error}): forward on the machine that runs it, or have an \
             `outport up` with --publish-tasks everywhere lend its tasks ports of its own"
        )),
    }
}

async fn connect(remote: SocketAddrV4) -> io::Result<TcpStream> {
    match tokio::time::timeout(CONNECT_PATIENCE, TcpStream::connect(remote)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
    }
}

async fn serve(
    listener: TcpListener,
    remote: SocketAddrV4,
    places: Arc<Semaphore>,
    complain: impl Fn(String) + Clone + Send + 'static,
) {
    let mut connections = JoinSet::new();
    loop {
        // Those that have ended.
        while connections.try_join_next().is_some() {}
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((near, _)) => {
                let complain = complain.clone();
                connections.spawn(async move {
                    if let Err(error) = copy(near, remote).await {
                        complain(format!("a connection to {remote} failed: {error}"));
                    }
                    drop(place);
                });
            }
            Err(error) => {
                complain(format!("cannot take a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn copy(mut near: TcpStream, remote: SocketAddrV4) -> io::Result<()> {
    let mut far = connect(remote).await?;
    match copy_bidirectional(&mut near, &mut far).await {
        // Either end may go away when it likes.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
            ) =>
        {
            Ok(())
        }
        copied => copied.map(drop),
    }
}

/// Waits for the end of the task.
async fn ended(api: &Api, task: &Value) -> anyhow::Error {
    let id: String = name_of(text(task, "taskArn")).chars().take(ID_SHOWN).collect();
    let input = json!({ "cluster": task["clusterArn"], "tasks": [task["taskArn"]] });
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        // A control plane that is away for a moment ends no connection.
        let Ok(answer) = api.ecs("DescribeTasks", input.clone()).await else { continue };
        match list(&answer, "tasks").first() {
            Some(task) if text(task, "lastStatus") == "STOPPED" => {
                return anyhow!("task {id} has stopped: {}", why_it_stopped(task));
            }
            Some(_) => {}
            None => return anyhow!("task {id} is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u16, u16)>) {
        let pair = text.parse::<PortPair>().ok().map(|pair| (pair.local, pair.container));
        assert_eq!(pair, expected, "{text:?}");
    }

    #[test]
    fn pairs_are_read_as_docker_writes_them() {
        check("8080", Some((8080, 8080)));
        check("8080:80", Some((8080, 80)));
        check("0:80", Some((0, 80)));
        for text in [
            "", "0", "80:0", ":80", "80:", "+1:80", "80:+1", "65536", "80:65536", "1:2:3", "a",
            " 80",
        ] {
            check(text, None);
        }
    }

    async fn echo() -> SocketAddrV4 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_end_of_one_direction_leaves_the_other() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let remote = echo().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        // One place: the next comes in when the first has gone.
        let serving = tokio::spawn(serve(listener, remote, Arc::new(Semaphore::new(1)), |_| {}));
        for text in ["first", "second"] {
            let mut stream = TcpStream::connect(local).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut read = String::new();
            stream.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, text);
        }
        serving.abort();
    }
}
