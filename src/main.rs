//! The `outport` program: command line and wiring only.
//!
//! **Invariant:** `shim` and `unpack` run before anything else exists in the process: no thread, no
//! runtime, no logger, no open file.

mod accounts;
mod admin_door;
mod audit;
mod backup;
mod cleanup;
mod command_line;
mod compose;
mod configuration;
mod control_plane;
mod data_dir;
mod disk_use;
mod disk_watch;
mod doctor;
mod environment;
mod events;
mod execution_roles;
mod health;
mod installation;
mod instances;
mod inventory;
mod join_token;
mod listen_address;
mod manual;
mod master_key;
mod memory;
mod metrics_page;
mod moving;
mod named_principals;
mod node;
mod node_door;
mod node_link;
mod open_files;
mod operator;
mod output;
mod parts;
mod preflight;
mod published_ports;
mod pull_through;
mod registry_door;
#[cfg(test)]
mod registry_passwords_test;
mod run_command;
mod scopes;
mod scratch_dir;
mod service_manager;
mod services;
mod settings;
mod state_metrics;
mod stop_signal;
mod summary;
mod task_roles;
mod tls;
mod up;
mod upkeep;
mod vpc_range;

use std::process::ExitCode;

use command_line::{Command, Config, Iam, Image, LogOptions, MasterKey, NodeToken};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: outport_memory::Allocator = outport_memory::ALLOCATOR;

fn main() -> ExitCode {
    let command = match configuration::read() {
        Ok(command_line) => command_line.command,
        Err(error) => return failed(&error),
    };
    match command {
        Command::Shim { directory } => outport_container_runtime::shim::run(&directory),
        Command::Unpack { limits } => {
            // What an image's layer does not list gets an image's modes, not our own.
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
            return outport_image_store::layer::process::unpack_main(&limits);
        }
        _ => {}
    }
    master_key::take_from_environment();
    outport_container_runtime::private::set_umask();
    outport_memory::bound_arenas();
    let ended = match command {
        Command::Run(options) => run_command::run(&options),
        command => run(command).map(|()| ExitCode::SUCCESS),
    };
    let status = match ended {
        Ok(status) => status,
        Err(error) => return failed(&error),
    };
    output::finish();
    status
}

fn failed(error: &anyhow::Error) -> ExitCode {
    output::fail(in_one_line(error));
    output::finish();
    ExitCode::FAILURE
}

/// An error with its causes, but for those that it has said already.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line.push_str(&format!(": {cause}"));
        }
    }
    line
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Env(options) => environment::print(&options),
        Command::Ca(options) => environment::print_authority(&options),
        Command::Status(options) => operator::status(&options),
        Command::Ps(options) => operator::ps(&options),
        Command::Top(options) => operator::top(&options),
        Command::Describe(options) => operator::describe(&options),
        Command::Logs(options) => operator::logs(&options),
        Command::Events(options) => operator::events(&options),
        Command::Forward(options) => operator::forward(options),
        Command::Open(options) => operator::open(&options),
        Command::Image(Image::Load(options)) => operator::load_image(&options),
        Command::Iam(Iam::Advise(options)) => operator::advise(options),
        Command::Compose(options) => compose::run(&options),
        Command::Export(options) => moving::export(options),
        Command::Import(options) => moving::import(options),
        Command::Config(Config::Show(options)) => configuration::show(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Version => manual::print_version(),
        Command::Completions { shell } => manual::print_completions(shell),
        Command::Man { directory } => manual::write_pages(&directory),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => backup::restore(&options),
        Command::Disk(options) => disk_use::run(&options),
        Command::Account(command) => accounts::run(&command),
        Command::NodeToken(NodeToken::Rotate(options)) => join_token::rotate(&options),
        Command::MasterKey(MasterKey::Rotate(options)) => master_key::rotate(&options),
        Command::MasterKey(MasterKey::GiveUp(options)) => master_key::give_up(&options),
        Command::Cleanup(options) => cleanup::run(&options),
        Command::Up(options) => in_runtime(options.log, up::run(options)),
        Command::Server(options) => {
            open_files::raise_limit()?;
            in_runtime(options.log, control_plane::run(options))
        }
        Command::Node(options) => in_runtime(options.log, node::run(options)),
        Command::Scratch(options) => in_runtime(options.log, run_command::scratch(options)),
        Command::Run(_) | Command::Shim { .. } | Command::Unpack { .. } => Ok(()),
    }
}

/// What the log says unless `RUST_LOG` changes it. Of HTTP/2 no warnings: what strangers send is not worth a line each.
const LOG_FILTER: &str = "info,outport::access=warn,h2=error";

/// What is served to others gets threads and a log.
fn in_runtime(
    log: LogOptions,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    output::set_format(log.log_format);
    tracing::subscriber::set_global_default(output::subscriber(log.log_format, filter))?;
    output::log_panics();
    for (name, nearest) in configuration::unknown_variables() {
        let nearest =
            nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
        tracing::warn!(
            event = "environment_variable_unknown",
            name,
            "the environment has {name}, and no option is called so{nearest}"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(outport_memory::give_back_what_is_kept)
        .build()?;
    runtime.block_on(async {
        memory::keep_small();
        work.await
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || anyhow!("no such file");
        let check =
            |error: anyhow::Error, expected: &str| assert_eq!(in_one_line(&error), expected);
        check(cause(), "no such file");
        check(cause().context("cannot read /x"), "cannot read /x: no such file");
        check(cause().context("cannot read /x: no such file"), "cannot read /x: no such file");
        let outer = Err::<(), _>(cause().context("cannot read /x: no such file"));
        check(outer.context("no start").unwrap_err(), "no start: cannot read /x: no such file");
    }
}
