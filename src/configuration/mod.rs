//! Where an option's value comes from: the command line, the environment, the configuration file, what the first start
//! fixed, or the default; the first that has one is taken.
//!
//! One parser for all of them: what stands in the file becomes the default of an option while the command line is read,
//! so it is checked, and refused, as if it had been given there.
//!
//! **Invariant:** a file with anything in it that is not understood is refused as a whole; nothing is started with a part
//! of what an operator wrote.

mod environment;
mod file;
mod show;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::command_line::{CommandLine, DATA_DIR};
use file::{Entry, Kind, Known};

pub use environment::unknown_variables;
pub use show::show;

/// Read when it is there and no other is named.
pub const FILE: &str = "/etc/outport/outport.toml";

/// Those whose options the file may have. Options of others, such as what `cleanup` is to remove, are said each time.
const CONFIGURABLE: [&str; 3] = ["up", "server", "node"];

/// A command line that was read, with everything that filled its gaps.
pub struct Configured {
    pub command_line: CommandLine,
    matches: ArgMatches,
    command: Command,
    entries: Vec<Entry>,
}

/// The options of this process. Ends the process, with the usage, when the command line or the environment is wrong, and
/// when it asks for help.
///
/// # Errors
/// When the configuration file is wrong; the line says where.
pub fn read() -> Result<CommandLine> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // A shim is as small as can be and opens no file.
    if arguments.get(1).is_some_and(|first| first == "shim" || first == "unpack") {
        return Ok(<CommandLine as clap::Parser>::parse());
    }
    Ok(configured(&arguments)?.command_line)
}

fn configured(arguments: &[OsString]) -> Result<Configured> {
    // Whatever is wrong without the file is said without it, and so is the help.
    let given = relaxed(command())
        .try_get_matches_from(arguments)
        .unwrap_or_else(|e| without_hidden(environment::named(e, arguments)).exit());
    let (name, options) = given.subcommand().context("no command was given")?;
    let path = if reads_file(&command(), name) { file_of(options)? } else { None };
    let entries = match path {
        Some(path) => file::read(&path, &known(&command()))?,
        None => Vec::new(),
    };
    let of_command = entries.iter().filter(|entry| has_option(&command(), name, &entry.name));
    let mut fed = command();
    for entry in of_command {
        check(entry, name)?;
        if yields(entry, name, options, &entries)? {
            continue;
        }
        let values = entry.values.clone();
        fed = fed.mut_subcommand(name, |sub| {
            sub.mut_arg(id_of(&entry.name), |arg| arg.required(false).default_values(values))
        });
    }
    let matches = fed.clone().try_get_matches_from(arguments).unwrap_or_else(|e| e.exit());
    let command_line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    Ok(Configured { command_line, matches, command: fed, entries })
}

/// The whole command line, with flags that the environment and a file can say, and that take a word of their own to
/// overrule those: `--keep-tasks=false`.
pub fn command() -> Command {
    CommandLine::command().mut_subcommands(|sub| {
        sub.mut_args(|arg| {
            let arg = match (arg.get_action(), arg.get_env()) {
                (ArgAction::SetTrue, Some(_)) => flag(arg),
                _ => arg,
            };
            environment::without_empty(arg)
        })
    })
}

fn flag(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .value_parser(BoolishValueParser::new())
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// The same error, offering no command that is none of a person's.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::Strings(offered)) = error.get(ContextKind::SuggestedSubcommand) else {
        return error;
    };
    let command = command();
    let is_shown =
        |name: &&String| command.find_subcommand(name).is_some_and(|sub| !sub.is_hide_set());
    let shown: Vec<String> = offered.iter().filter(is_shown).cloned().collect();
    match shown.is_empty() {
        true => {
            error.remove(ContextKind::SuggestedSubcommand);
        }
        false => {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
    }
    error
}

/// What a command needs may still come from the file.
fn relaxed(mut command: Command) -> Command {
    for name in CONFIGURABLE {
        command = command.mut_subcommand(name, |sub| sub.mut_args(|arg| arg.required(false)));
    }
    command
}

/// The file to read; `None` when nobody named one and the usual one is not there.
fn file_of(options: &ArgMatches) -> Result<Option<PathBuf>> {
    // Commands that read none have no such option.
    if let Ok(Some(path)) = options.try_get_one::<PathBuf>("config") {
        return Ok(Some(path.clone()));
    }
    usual_file()
}

fn usual_file() -> Result<Option<PathBuf>> {
    let usual = Path::new(FILE);
    let is_there = usual.try_exists().with_context(|| format!("cannot read {FILE}"))?;
    Ok(is_there.then(|| usual.to_owned()))
}

/// The data directory of whoever is told none and has no other option of the file.
///
/// # Errors
/// When the file is wrong.
pub fn usual_data_dir() -> Result<PathBuf> {
    let named = environment::value("OUTPORT_CONFIG").map(PathBuf::from);
    let Some(path) = named.map_or_else(usual_file, |named| Ok(Some(named)))? else {
        return Ok(DATA_DIR.into());
    };
    let entries = file::read(&path, &known(&command()))?;
    let data_dir = entries.iter().find(|entry| entry.name == "data-dir");
    let value = data_dir.and_then(|entry| entry.values.first());
    Ok(value.map_or_else(|| DATA_DIR.into(), PathBuf::from))
}

/// Those that can be told which file.
fn reads_file(command: &Command, name: &str) -> bool {
    has_option(command, name, "config")
}

fn has_option(command: &Command, name: &str, long: &str) -> bool {
    let sub = command.find_subcommand(name);
    sub.is_some_and(|sub| sub.get_arguments().any(|arg| arg.get_long() == Some(long)))
}

/// Every option that the file may have.
fn known(command: &Command) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for arg in CONFIGURABLE
        .iter()
        .filter_map(|name| command.find_subcommand(name))
        .flat_map(Command::get_arguments)
    {
        let Some(name) =
            arg.get_long().filter(|name| !["help", "version", "config"].contains(name))
        else {
            continue;
        };
        if known.iter().all(|known| known.name != name) {
            known.push(Known { name: name.to_owned(), kind: kind_of(arg) });
        }
    }
    known
}

fn kind_of(arg: &Arg) -> Kind {
    match (arg.get_action(), arg.get_num_args().is_some_and(|range| range.min_values() == 0)) {
        (ArgAction::Append, _) => Kind::List,
        (_, true) => Kind::Flag,
        _ => Kind::One,
    }
}

/// clap's name of an option.
fn id_of(long: &str) -> String {
    long.replace('-', "_")
}

/// Tries one line of the file as if it stood on the command line.
fn check(entry: &Entry, name: &str) -> Result<()> {
    for value in &entry.values {
        let arguments =
            ["outport".to_owned(), name.to_owned(), format!("--{}={value}", entry.name)];
        let Err(error) = relaxed(command()).try_get_matches_from(arguments) else { continue };
        let argument = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => argument.clone(),
            _ => String::new(),
        };
        let is_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
        if is_value && argument.starts_with(&format!("--{} ", entry.name)) {
            let shown = if is_secret(&entry.name) { "…" } else { value };
            bail!("{}: {} is {shown:?}: {}", entry.place(), entry.name, reason(&error));
        }
    }
    Ok(())
}

/// What clap says of a value, in one line.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("it takes {}", values.join(", ")),
        _ => "that is no value for it".to_owned(),
    }
}

/// Whether a line of the file gives way to an option that was given and does not go with it.
///
/// # Errors
/// When two lines of the file do not go together.
fn yields(entry: &Entry, name: &str, given: &ArgMatches, entries: &[Entry]) -> Result<bool> {
    let command = command();
    let Some(sub) = command.find_subcommand(name) else { return Ok(false) };
    let conflicting = sub.get_arguments().filter(|other| {
        let Some(arg) = sub.get_arguments().find(|arg| arg.get_long() == Some(&entry.name)) else {
            return false;
        };
        let conflicts = |one: &Arg, two: &Arg| {
            sub.get_arg_conflicts_with(one).iter().any(|found| found.get_id() == two.get_id())
        };
        conflicts(arg, other) || conflicts(other, arg)
    });
    for other in conflicting {
        let in_file = entries.iter().find(|found| other.get_long() == Some(&found.name));
        if let Some(found) =
            in_file.filter(|found| found.says_something() && entry.says_something())
        {
            bail!(
                "{}: {} does not go with {} of {}",
                entry.place(),
                entry.name,
                found.name,
                found.place()
            );
        }
        let source = given.value_source(other.get_id().as_str());
        if matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whose values nobody is shown.
fn is_secret(name: &str) -> bool {
    name.contains("secret")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_server_has_its_name_in_the_environment_and_its_row_in_the_guide() {
        let guide = include_str!("../../docs/guide/configuration.md");
        let command = command();
        for name in CONFIGURABLE {
            for arg in command.find_subcommand(name).unwrap().get_arguments() {
                let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long))
                else {
                    continue;
                };
                let expected = format!("OUTPORT_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(
                    arg.get_env().and_then(|env| env.to_str()),
                    Some(&*expected),
                    "--{long}"
                );
                assert_eq!(arg.get_id().as_str(), id_of(long), "--{long}");
                let row = format!("| `{long}` | `{expected}` |");
                assert!(guide.contains(&row), "docs/guide/configuration.md has no {row}");
            }
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
        relaxed(command()).debug_assert();
    }

    /// What `arguments` come to with a file of this text: the values of some options, or what is wrong.
    fn told(arguments: &str, text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("o.toml");
        std::fs::write(&path, text).unwrap();
        let arguments = format!("outport {arguments} --config {}", path.display());
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        match configured(&arguments) {
            Err(error) => {
                error.to_string().replace(&format!("{}/", directory.path().display()), "")
            }
            Ok(Configured { command_line, .. }) => match command_line.command {
                crate::command_line::Command::Up(up) => format!(
                    "{} images {} storage {} {} keep {} open {:?}",
                    up.control_plane.listen,
                    up.node.images_gib,
                    up.node.task_storage_gib,
                    up.node.unlimited_task_storage,
                    up.keep_tasks,
                    up.node.open_to_tasks,
                ),
                crate::command_line::Command::Node(node) => {
                    format!("{} {}", node.server, node.join_token_file.display())
                }
                crate::command_line::Command::Env(env) => {
                    env.data_dir.data_dir.display().to_string()
                }
                other => format!("{other:?}"),
            },
        }
    }

    #[track_caller]
    fn check(arguments: &str, text: &str, expected: &str) {
        let told = told(arguments, text);
        assert!(told.contains(expected), "{arguments} with {text:?}: {told}");
    }

    #[test]
    fn the_command_line_comes_before_the_file_and_the_file_before_the_default() {
        check("up", "", "127.0.0.1:4566 images 50 storage 20 false keep false open []");
        let file = "listen = 4600\nimages-gib = 9\nkeep-tasks = true\nopen-to-tasks = [5432, \"udp/514\"]\n";
        check(
            "up",
            file,
            "127.0.0.1:4600 images 9 storage 20 false keep true open [\"5432\", \"udp/514\"]",
        );
        let given = "up --listen :4700 --keep-tasks=false --open-to-tasks all";
        check(given, file, "0.0.0.0:4700 images 9 storage 20 false keep false open [\"all\"]");
    }

    #[test]
    fn a_command_takes_what_it_has_an_option_for() {
        let file = "server = \"https://h:1\"\njoin-token-file = \"/t\"\ndata-dir = \"/d\"\n";
        check("node", file, "https://h:1 /t");
        check("node --server https://other:1", file, "https://other:1 /t");
        check("env", file, "/d");
        check("up", file, "127.0.0.1:4566");
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_with_its_line_and_what_was_meant() {
        check(
            "up",
            "# x\nlisen = 4566\n",
            "o.toml:2: there is no option lisen; did you mean listen?",
        );
        check("up", "images_gib = 4\n", "did you mean images-gib?");
        check("up", "colour = 4\n", "o.toml:1: there is no option colour: `outport up --help`");
        check("up", "[up]\nlisten = 4566\n", "o.toml:1: there is no option up");
        check(
            "up",
            "\n\nimages-gib = \"many\"\n",
            "o.toml:3: images-gib is \"many\": invalid digit",
        );
        check("up", "images-gib = 0\n", "o.toml:1: images-gib is \"0\": 0 is not in 1..");
        check(
            "up",
            "images-gib = true\n",
            "o.toml:1: images-gib takes a text or a number, not a boolean",
        );
        check(
            "up",
            "keep-tasks = \"yes\"\n",
            "o.toml:1: keep-tasks takes true or false, not a string",
        );
        check(
            "up",
            "open-to-tasks = [1.5]\n",
            "open-to-tasks takes a list of texts or numbers, not a float in it",
        );
        check(
            "up",
            "plain-http = \"some\"\n",
            "plain-http is \"some\": it takes loopback, everyone, nobody",
        );
        check(
            "up",
            "lisen = 1\nimages-gib = [1]\nlisten = 4566\ncolour = 2\n",
            "o.toml:1: there is no option lisen; did you mean listen?\n\
             o.toml:2: images-gib takes a text or a number, not an array\n\
             o.toml:4: there is no option colour: ",
        );
        check("up", "listen = \"here\"\n", "o.toml:1: listen is \"here\": an address is a port");
        check("up", "listen = 1\nlisten = 2\n", "o.toml:2: ");
        check("up", "listen = \n", "o.toml:1: ");
    }

    /// What a mistyped command is offered.
    fn offered(word: &str) -> String {
        let error = relaxed(command()).try_get_matches_from(["outport", word]).unwrap_err();
        without_hidden(error).to_string()
    }

    #[test]
    fn no_command_that_is_hidden_is_offered_for_one_that_was_mistyped() {
        assert!(offered("statu").contains("exists: 'status'"), "{}", offered("statu"));
        for (word, hidden) in [("scrach", "scratch"), ("shimm", "shim"), ("unpak", "unpack")] {
            let text = offered(word);
            assert!(!text.contains(&format!("'{hidden}'")), "{text}");
            assert!(text.contains(&format!("unrecognized subcommand '{word}'")), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_in_the_file_is_refused_and_gives_way_to_the_command_line() {
        let both = "task-storage-gib = 5\nunlimited-task-storage = true\n";
        check("up", both, "task-storage-gib does not go with unlimited-task-storage of o.toml:2");
        check("up", "task-storage-gib = 5\nunlimited-task-storage = false\n", "storage 5 false");
        check("up --unlimited-task-storage", "task-storage-gib = 5\n", "storage 20 true");
    }
}
