//! `outport status`, `ps`, `describe`, `logs`, `events`, `forward`, `open` and `image load`: which Outport is asked, and where its
//! answer goes.

use std::env;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use outport_operator::{
    Advised, Api, Endpoint, EventsOptions, ForwardOptions, LoadOptions, LogsOptions, PsOptions,
    Shape, StatusOptions,
};

use crate::command_line::{
    Advise, Asked, Describe, Events, Forward, ImageLoad, Logs, Open, Ps, Status, Top, Which,
};
use crate::configuration;
use crate::data_dir::DataDir;
use crate::output;
use crate::stop_signal::StopSignal;

pub fn status(options: &Status) -> Result<()> {
    let status = StatusOptions { cluster: options.asked.cluster.clone() };
    let Some(seconds) = options.watch else {
        return answer(&options.asked, async |api, shape| {
            outport_operator::status(api, &status, shape).await
        });
    };
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let shape = Shape::of_stdout(options.asked.json);
    // A file or a program gets one page after the other.
    let begin = match std::io::stdout().is_terminal() && !options.asked.json {
        true => CLEAR,
        false => "",
    };
    runtime()?.block_on(async {
        loop {
            let text = outport_operator::status(&api, &status, shape).await?;
            output::part_of_answer(&format!("{begin}{text}")).context("cannot print")?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    })
}

pub fn ps(options: &Ps) -> Result<()> {
    let ps = PsOptions {
        cluster: options.asked.cluster.clone(),
        with_stopped: options.all,
        of: options.of.clone(),
    };
    answer(&options.asked, async |api, shape| {
        let text = outport_operator::ps(api, &ps, shape).await?;
        if !options.asked.json && !options.all && text.lines().count() <= 1 {
            let of = options.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
            output::complain(format_args!(
                "no task{of} runs: `outport ps --all` shows those that stopped, and why; `aws ecs run-task` starts one"
            ));
        }
        Ok(text)
    })
}

/// Where a terminal begins again, with what it showed removed.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub fn top(options: &Top) -> Result<()> {
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let shape = Shape::of_stdout(options.asked.json);
    let goes_on = !options.once && !options.asked.json && std::io::stdout().is_terminal();
    let (cluster, interval) =
        (options.asked.cluster.as_deref(), Duration::from_secs(options.interval));
    let mut top = outport_operator::Top::default();
    runtime()?.block_on(async {
        loop {
            let text = top.look(&api, cluster, interval, shape).await?;
            let begin = if goes_on { CLEAR } else { "" };
            output::answer(&format!("{begin}{text}")).context("cannot print")?;
            if !goes_on {
                return Ok(());
            }
        }
    })
}

pub fn describe(options: &Describe) -> Result<()> {
    let (cluster, word) = (options.asked.cluster.as_deref(), options.of.as_str());
    answer(&options.asked, async |api, shape| {
        outport_operator::describe(api, cluster, word, shape).await
    })
}

pub fn events(options: &Events) -> Result<()> {
    let cluster = options.asked.cluster.clone();
    let events = EventsOptions {
        cluster,
        service: options.service.clone(),
        since: options.since,
        follow: options.follow,
    };
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let shape = Shape::of_stdout(options.asked.json);
    let told = outport_operator::events(&api, &events, shape, output::part_of_answer);
    runtime()?.block_on(told)
}

pub fn logs(options: &Logs) -> Result<()> {
    let logs = LogsOptions {
        of: options.of.clone(),
        cluster: options.asked.cluster.clone(),
        follow: options.follow,
        since: options.since,
        container: None,
        tail: options.tail,
        with_times: options.timestamps,
        is_json: options.asked.json,
        // Who may not read the configuration asks a node elsewhere.
        node: data_dir(&options.asked.which).ok().map(|data_dir| data_dir.join("node")),
    };
    if let Some(node) = &logs.node
        && url_of_environment().is_none()
        && DataDir::is_of_node_alone(&data_dir(&options.asked.which)?)
    {
        let of_node = outport_operator::logs_of_node(node, &logs, output::part_of_answer);
        return runtime()?.block_on(of_node);
    }
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let complain = |line: &str| output::complain(line);
    runtime()?.block_on(outport_operator::logs(&api, &logs, output::part_of_answer, complain))
}

pub fn forward(options: Forward) -> Result<()> {
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let Forward { to, ports, asked } = options;
    let forward = ForwardOptions { to, cluster: asked.cluster, ports, is_json: asked.json };
    runtime()?.block_on(async {
        let mut stop = StopSignal::listen()?;
        let forwarding =
            outport_operator::forward(&api, &forward, output::part_of_answer, output::complain);
        tokio::select! {
            ended = forwarding => ended,
            () = stop.received() => Ok(()),
        }
    })
}

pub fn open(options: &Open) -> Result<()> {
    let api = Api::new(endpoint(&options.asked.which)?)?;
    let cluster = options.asked.cluster.as_deref();
    let opened = runtime()?.block_on(outport_operator::open(&api, cluster, &options.of))?;
    if options.asked.json {
        let text = serde_json::to_string_pretty(&opened)?;
        return output::answer(&format!("{text}\n")).context("cannot print");
    }
    output::answer(&format!("{}\n", opened.url)).context("cannot print")?;
    if !options.print && std::io::stdout().is_terminal() {
        show_on_desktop(&opened.url);
    }
    Ok(())
}

/// Opens a URL as a click does, if there is a desktop. It was printed, so nobody is told when that fails.
fn show_on_desktop(url: &str) {
    let has_display = ["WAYLAND_DISPLAY", "DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    // A browser is not to run as root.
    if !has_display || nix::unistd::geteuid().is_root() {
        return;
    }
    let mut opener = Command::new("xdg-open");
    opener.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It goes on without us.
    let _ = opener.spawn();
}

pub fn load_image(options: &ImageLoad) -> Result<()> {
    let load = LoadOptions {
        source: options.source.clone(),
        target: options.target.clone(),
        name: options.name.clone(),
        platform: options.platform.clone(),
        all: options.all,
    };
    let api = Api::new(endpoint(&options.which)?)?;
    let loaded =
        runtime()?.block_on(outport_operator::load(&api, &load, |line| output::complain(line)))?;
    let text = if options.json {
        format!("{}\n", serde_json::to_string_pretty(&loaded)?)
    } else {
        format!("{}\n", loaded.uri)
    };
    output::answer(&text).context("cannot print")
}

pub fn advise(options: Advise) -> Result<()> {
    let Advise { role, user, since, json, which } = options;
    let of = user.map(Advised::User).or(role.map(Advised::Role));
    let of = of.context("name a role, or a user with --user")?;
    let api = Api::new(endpoint(&which)?)?;
    let advice = runtime()?.block_on(outport_operator::advise(&api, &of, since))?;
    if json {
        let text = serde_json::to_string_pretty(&advice)?;
        return output::answer(&format!("{text}\n")).context("cannot print");
    }
    for need in &advice.denied {
        output::complain(format_args!(
            "{of} was denied {} on {}, which the policy allows",
            need.action, need.resource
        ));
    }
    if advice.is_cut_short {
        output::complain("the audit trail is too long to be read whole: say a later --since");
    }
    let Some(policy) = &advice.policy else {
        output::complain(format_args!("{of} called nothing that needs a permission"));
        return Ok(());
    };
    output::answer(&format!("{}\n", serde_json::to_string_pretty(policy)?)).context("cannot print")
}

fn answer(asked: &Asked, ask: impl AsyncFnOnce(&Api, Shape) -> Result<String>) -> Result<()> {
    let api = Api::new(endpoint(&asked.which)?)?;
    let text = runtime()?.block_on(ask(&api, Shape::of_stdout(asked.json)))?;
    output::answer(&text).context("cannot print")
}

/// One thread is enough for a person's questions.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

pub fn data_dir(which: &Which) -> Result<PathBuf> {
    which.data_dir.clone().map_or_else(configuration::usual_data_dir, Ok)
}

fn of_environment(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn url_of_environment() -> Option<String> {
    ["AWS_ENDPOINT_URL_ECS", "AWS_ENDPOINT_URL"].iter().find_map(|name| of_environment(name))
}

/// A data directory that is named comes first, then what the AWS CLI would ask, then the usual data directory. That of a node
/// alone answers nothing: it says where files are, and the environment whom to ask.
pub fn endpoint(which: &Which) -> Result<Endpoint> {
    let names_no_server =
        which.data_dir.as_ref().is_none_or(|data_dir| DataDir::is_of_node_alone(data_dir));
    if let (true, Some(url)) = (names_no_server, url_of_environment()) {
        let needed = |name: &str| {
            of_environment(name).with_context(|| {
                format!("AWS_ENDPOINT_URL is set and {name} is not: `outport env` prints both")
            })
        };
        let region = of_environment("AWS_REGION").or_else(|| of_environment("AWS_DEFAULT_REGION"));
        return Ok(Endpoint {
            url,
            region: region.map_or_else(|| needed("AWS_REGION"), Ok)?,
            access_key_id: needed("AWS_ACCESS_KEY_ID")?,
            secret_access_key: needed("AWS_SECRET_ACCESS_KEY")?,
            session_token: of_environment("AWS_SESSION_TOKEN"),
            authority: of_environment("AWS_CA_BUNDLE").map(Into::into),
        });
    }
    endpoint_of(&data_dir(which)?)
}

/// Of the Outport of a data directory.
pub fn endpoint_of(data_dir: &Path) -> Result<Endpoint> {
    let published = DataDir::published(data_dir)?;
    Ok(Endpoint {
        url: published.url,
        region: published.region,
        access_key_id: published.key.access_key_id,
        secret_access_key: published.key.secret_access_key,
        session_token: None,
        authority: published.authority,
    })
}
