//! `outport config show`: what a start would take for each option, and where that comes from.
//!
//! **Invariant:** no secret is printed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use outport_node_agent::SubordinateIds;
use outport_service_ec2::default_vpc;
use serde::Serialize;

use super::{Configured, FILE, configured, file_of, is_secret};
use crate::command_line::{Command, ConfigShow, DATA_DIR};
use crate::control_plane::check_options;
use crate::installation::{DEFAULT_ACCOUNT_ID, DEFAULT_CLUSTER, DEFAULT_REGION};
use crate::output;
use crate::settings::Settings;

const NOT_GIVEN: &str = "-";
const DEFAULT: &str = "default";
const COMMAND: &str = "up";
/// What stands for options that have no value of their own until somebody gives one.
const DEFAULTS: [(&str, &str); 21] = [
    ("root-access-key-id", "made at the first start"),
    ("root-secret-access-key", "made at the first start"),
    ("master-key-file", "in the data directory, or OUTPORT_MASTER_KEY"),
    ("master-key-command", "no command is asked"),
    ("public-address", "by which name callers come"),
    ("oidc-jwks", "asked of the provider"),
    ("tls-name", "none but those of this host"),
    ("tls-certificate", "of the installation's own authority"),
    ("tls-key", "of the installation's own authority"),
    ("upstream-registry", "none but those that AWS knows"),
    ("registry-gib", "half of the disk"),
    ("logs-gib", "a quarter of the disk"),
    ("log-retention-days", "for ever"),
    ("cpu-units", "all cores"),
    ("memory-mib", "all but a reserve"),
    ("oci-runtime", "our own"),
    ("open-to-tasks", "none but name servers and published ports"),
    ("metrics-listen", "nowhere"),
    ("regions", "all of `up`, the own one of `server`"),
    ("task-regions", "every region"),
    ("attributes", "those that it has by itself"),
];

/// An option as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: String,
    source: String,
}

/// A variable that looks as if it were an option.
#[derive(Debug, Serialize)]
struct Unknown {
    name: String,
    nearest: Option<String>,
}

/// What programs read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    command: &'a str,
    /// The configuration file; `null` when none is read.
    file: Option<String>,
    options: &'a [Row],
    unknown_variables: Vec<Unknown>,
}

/// Prints it.
///
/// # Errors
/// When the file or an option is wrong, or what the data directory keeps cannot be read.
pub fn show(options: &ConfigShow) -> Result<()> {
    let Configured { command_line, matches, command, entries } = configured(&arguments(options))?;
    // What a start would refuse is refused here, in the same words.
    match &command_line.command {
        Command::Up(up) => check_options(&up.control_plane)?,
        Command::Server(server) => check_options(&server.control_plane)?,
        _ => {}
    }
    let (name, given) = matches.subcommand().context("no command was given")?;
    let data_dir = given.get_one::<PathBuf>("data_dir").cloned();
    let settings = Settings::read(&data_dir.unwrap_or_else(|| DATA_DIR.into()))?;
    let sub = command.find_subcommand(name).context("no such command")?;
    let name_of_command = name;
    let mut rows = Vec::new();
    for arg in sub.get_arguments() {
        let Some(name) =
            arg.get_long().filter(|name| !["help", "version", "config"].contains(name))
        else {
            continue;
        };
        let id = arg.get_id().as_str();
        let value = if is_secret(name) && given.contains_id(id) {
            "(not shown)".to_owned()
        } else {
            value_of(given, id).unwrap_or_else(|| NOT_GIVEN.to_owned())
        };
        let entry = entries.iter().find(|entry| entry.name == name);
        let source = match (given.value_source(id), entry) {
            (Some(ValueSource::CommandLine), _) => "flag".to_owned(),
            (Some(ValueSource::EnvVariable), _) => format!("env {}", environment_name(arg)),
            (Some(ValueSource::DefaultValue), Some(entry)) if same(given, id, &entry.values) => {
                format!("file {}", entry.place())
            }
            _ => DEFAULT.to_owned(),
        };
        let row = with_stored(Row { name: name.to_owned(), value, source }, &settings);
        rows.push(with_default(row));
    }
    let file = file_of(given)?.map(|path| path.display().to_string());
    let unknown = super::unknown_variables();
    if options.json {
        let unknown = unknown.into_iter().map(|(name, nearest)| Unknown { name, nearest });
        let shown = Shown {
            command: name_of_command,
            file,
            options: &rows,
            unknown_variables: unknown.collect(),
        };
        let text = format!("{}\n", serde_json::to_string_pretty(&shown)?);
        return output::answer(&text).context("cannot print");
    }
    for (name, nearest) in unknown {
        let nearest =
            nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
        output::complain(format_args!(
            "the environment has {name}, and no option is called so{nearest}"
        ));
    }
    let file = match file {
        Some(path) => format!("configuration file: {path}\n"),
        None => format!("configuration file: none ({FILE} is not there)\n"),
    };
    output::answer(&format!("{file}{}", table(&rows))).context("cannot print")
}

/// The command line that is asked about.
fn arguments(options: &ConfigShow) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("outport")];
    let names_command = options.arguments.first().and_then(|first| first.to_str());
    if !names_command.is_some_and(|first| super::CONFIGURABLE.contains(&first)) {
        arguments.push(COMMAND.into());
    }
    arguments.extend(options.arguments.iter().cloned());
    arguments
}

fn value_of(given: &ArgMatches, id: &str) -> Option<String> {
    if let Ok(Some(address)) = given.try_get_one::<SocketAddr>(id) {
        return Some(address.to_string());
    }
    if let Ok(Some(flag)) = given.try_get_one::<bool>(id) {
        return Some(flag.to_string());
    }
    let raw = given.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    Some(raw.collect::<Vec<_>>().join(","))
}

/// Whether a default is the file's: a line that gave way to another option is not taken.
fn same(given: &ArgMatches, id: &str, values: &[String]) -> bool {
    let raw = given.get_raw(id).into_iter().flatten();
    raw.map(|value| value.to_string_lossy().into_owned()).eq(values.iter().cloned())
}

fn environment_name(arg: &Arg) -> String {
    arg.get_env().unwrap_or_default().to_string_lossy().into_owned()
}

/// What the first start fixed fills a gap, and refuses what contradicts it.
fn with_stored(row: Row, settings: &Settings) -> Row {
    let (stored, default) = match row.name.as_str() {
        "account-id" => (&settings.account_id, DEFAULT_ACCOUNT_ID.to_owned()),
        "region" => (&settings.region, DEFAULT_REGION.to_owned()),
        "cluster" => (&settings.cluster, DEFAULT_CLUSTER.to_owned()),
        "default-vpc-cidr" => (
            &settings.default_vpc_cidr,
            format!("{}, or another one that is free", default_vpc::DEFAULT_CIDR),
        ),
        _ => return row,
    };
    match stored {
        None if row.value == NOT_GIVEN => Row { value: default, ..row },
        Some(stored) if row.value == NOT_GIVEN => {
            Row { value: stored.clone(), source: "stored".to_owned(), ..row }
        }
        Some(stored) if *stored != row.value => {
            let source = format!("{}; refused, since {stored} is stored", row.source);
            Row { source, ..row }
        }
        _ => row,
    }
}

/// In words, where it is no value that could be given.
fn with_default(row: Row) -> Row {
    if row.source != DEFAULT || ![NOT_GIVEN, ""].contains(&row.value.as_str()) {
        return row;
    }
    let value = match row.name.as_str() {
        "subordinate-ids" => SubordinateIds::default().to_string(),
        name => {
            let known = DEFAULTS.iter().find(|(known, _)| *known == name);
            known.map_or(row.value, |(_, words)| format!("({words})"))
        }
    };
    Row { value, ..row }
}

fn table(rows: &[Row]) -> String {
    let width = |text: fn(&Row) -> &str| {
        rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.name), width(|row| &row.value));
    let line =
        |row: &Row| format!("{:<names$}  {:<values$}  {}\n", row.name, row.value, row.source);
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, stored: Option<&str>, expected: &str) {
        let settings = Settings { cluster: stored.map(str::to_owned), ..Settings::default() };
        let source = if value == NOT_GIVEN { "default" } else { "flag" };
        let row = Row { name: "cluster".into(), value: value.into(), source: source.into() };
        assert_eq!(table(&[with_stored(row, &settings)]), expected);
    }

    /// Options that every start needs have none.
    #[test]
    fn every_option_has_a_default_that_is_shown() {
        let command = super::super::command();
        for name in super::super::CONFIGURABLE {
            for arg in command.find_subcommand(name).unwrap().get_arguments() {
                let Some(long) =
                    arg.get_long().filter(|name| !["help", "version", "config"].contains(name))
                else {
                    continue;
                };
                let row = |source: &str| Row {
                    name: long.to_owned(),
                    value: NOT_GIVEN.to_owned(),
                    source: source.to_owned(),
                };
                let has_value = arg.is_required_set() || !arg.get_default_values().is_empty();
                let shown = with_default(with_stored(row(DEFAULT), &Settings::default()));
                assert!(has_value || shown.value != NOT_GIVEN, "{name} --{long}");
                assert_eq!(with_default(row("flag")).value, NOT_GIVEN);
            }
        }
    }

    #[test]
    fn what_is_stored_fills_a_gap_and_refuses_a_contradiction() {
        check("-", None, "cluster  default  default\n");
        check("-", Some("edge"), "cluster  edge  stored\n");
        check("edge", Some("edge"), "cluster  edge  flag\n");
        check("mine", Some("edge"), "cluster  mine  flag; refused, since edge is stored\n");
    }
}
