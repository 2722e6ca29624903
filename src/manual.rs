//! What the command line says of itself: completions for shells, pages for `man`, and what stands below the help.
//!
//! **Invariant:** all of it is made of the one command line that is parsed, so it cannot say anything else.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;

use crate::configuration::command;
use crate::output;

/// The version, and the commit that it is built from.
pub const VERSION: &str = env!("OUTPORT_VERSION");

/// Below the help.
pub const HELP: &str = "\
Examples:
  sudo outport up                          run everything on this machine, until Ctrl-C
  eval \"$(sudo outport env)\"               point the AWS CLI and SDKs of this shell here
  aws ecs list-clusters                    and use them
  sudo outport status                      whether all is well
  outport config show                      what a start would take for each option, and why

Each option of up, server and node can also be said in the environment (OUTPORT_..., see their help) and in
/etc/outport/outport.toml. RUST_LOG says what is logged: RUST_LOG=warn.

Guide: docs/guide/ of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `up`.
pub const HELP_UP: &str = "\
Examples:
  sudo outport up                                  with the defaults, for clients on this machine
  sudo outport up --listen :4566 --keep-tasks      for clients elsewhere too; tasks outlive it
  sudo outport up --region eu-west-1               fixed by the first start, and remembered
  sudo OUTPORT_IMAGES_GIB=100 outport up           the same as --images-gib 100

Then, in another shell: eval \"$(sudo outport env)\"
RUST_LOG says what is logged: RUST_LOG=warn. Guide: docs/guide/configuration.md of the sources,
/usr/share/doc/outport/ of a package";

/// Below the help of `forward`.
pub const HELP_FORWARD: &str = "\
Examples:
  outport forward web 8080:80         http://127.0.0.1:8080 is port 80 of a task of the service web
  outport forward 4f2a 5432 0:9187    two ports of the task whose id begins so; the second at a free port

It has to run on the machine that runs the task, or on one with a route to the task's address.
Guide: docs/guide/reaching-a-task.md of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `image load`.
pub const HELP_IMAGE_LOAD: &str = "\
Examples:
  outport image load docker:app:1.0 app:1.0              from the Docker engine of this machine
  docker save app:1.0 | outport image load - app:1.0     the same, where only docker can reach it
  outport image load image.tar.gz app:1.0                an archive of a build
  outport image load --all build/layout app:1.0          a directory, for all its platforms
  image=$(outport image load image.tar app:1.0)          what to write into a task definition

What is compressed or comes from a pipe is kept, unpacked, in the directory for temporary files (TMPDIR) meanwhile.
Guide: docs/guide/images.md of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `compose up`.
pub const HELP_COMPOSE: &str = "\
Examples:
  outport compose config                            what would be registered, without an Outport
  outport compose up                                build, load, register, create, and wait until it runs
  outport compose up --ignore volumes,networks      without what Outport does not run
  outport compose ps                                how the services are reached
  outport compose logs -f                           what they write; of one service: logs web -f
  outport compose down                              remove all of it

Guide: docs/guide/compose.md of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `backup`.
pub const HELP_BACKUP: &str = "\
Examples:
  sudo outport backup /backup/outport.backup
  sudo outport backup --data-dir /srv/outport /backup/outport.backup

The file has keys in it: who can read it is root of this installation. What is in it and what is not:
docs/guide/backup.md of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `restore`.
pub const HELP_RESTORE: &str = "\
Example, with Outport stopped:
  sudo mv /var/lib/outport /var/lib/outport.old
  sudo outport restore /backup/outport.backup
  sudo outport up";

/// Below the help of `node-token rotate`.
pub const HELP_ROTATE: &str = "\
Example:
  sudo outport node-token rotate
  sudo cat /var/lib/outport/join-token       for machines that are to join from now on";

/// Below the help of `master-key rotate`.
pub const HELP_MASTER_KEY: &str = "\
Examples, with Outport stopped:
  sudo outport master-key rotate                                      another key in the data directory
  (umask 077; openssl rand -hex 32 > /etc/outport/master.key)
  sudo outport master-key rotate --new-master-key-file /etc/outport/master.key
  sudo outport up --master-key-file /etc/outport/master.key           from then on

Guide: docs/guide/keys.md of the sources, /usr/share/doc/outport/ of a package";

/// Below the help of `export`.
pub const HELP_EXPORT: &str = "\
Examples:
  sudo outport export app-here                          then, where it goes: app-here/apply.sh
  sudo outport export --format terraform app-here
  outport export --profile work --cluster prod prod     an account of AWS

What is not carried is said, and stands in DIR/not-carried.txt. Guide: docs/guide/moving.md of the sources";

/// Below the help of `import`.
pub const HELP_IMPORT: &str = "\
Examples:
  sudo outport import --profile work --cluster prod --dry-run
  sudo outport import --profile work --cluster prod --images
  outport import --from-endpoint http://10.0.0.9:4566 --profile other

It only reads there. Run again it makes what has come since. Guide: docs/guide/moving.md of the sources";

/// `outport version`.
///
/// # Errors
/// When it cannot be printed.
pub fn print_version() -> Result<()> {
    output::answer(&format!("outport {VERSION}\n")).context("cannot print")
}

/// `outport completions`.
///
/// # Errors
/// When they cannot be printed.
pub fn print_completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut visible(), "outport", &mut text);
    output::answer(&String::from_utf8(text)?).context("cannot print")
}

/// `outport man`: a page for each command.
///
/// # Errors
/// When they cannot be written.
pub fn write_pages(directory: &Path) -> Result<()> {
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        clap_mangen::generate_to(visible(), directory)
    };
    write().with_context(|| format!("cannot write to {}", directory.display()))
}

/// Without what is never started by hand.
fn visible() -> Command {
    let whole = command();
    let shown =
        whole.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect::<Vec<_>>();
    let about = whole.get_long_about().or(whole.get_about()).cloned();
    let mut command =
        Command::new("outport").version(VERSION).propagate_version(true).after_help(HELP);
    if let Some(about) = about {
        command = command.about(about);
    }
    command.subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_of_every_command_but_the_hidden_ones() {
        let directory = tempfile::tempdir().unwrap();
        write_pages(directory.path()).unwrap();
        let page = |name: &str| std::fs::read_to_string(directory.path().join(name));
        for sub in command().get_subcommands() {
            let there = page(&format!("outport-{}.1", sub.get_name())).is_ok();
            assert_eq!(there, !sub.is_hide_set(), "{}", sub.get_name());
        }
        let up = page("outport-up.1").unwrap();
        assert!(up.contains("OUTPORT_IMAGES_GIB") && up.contains("RUST_LOG"), "{up}");
        assert!(page("outport.1").unwrap().contains("/etc/outport/outport.toml"));
    }

    #[test]
    fn completions_know_the_options_and_no_hidden_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut visible(), "outport", &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("images-gib") && !text.contains("shim"), "{shell}");
        }
    }

    const COMMANDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/commands.md");

    /// The help of each command, as `--help` prints it.
    fn commands_page() -> String {
        let mut page = String::from(
            "# Commands\n\n<!-- Made by `OUTPORT_WRITE_PAGES=1 cargo test -p outport commands`. Do not edit. -->\n\n\
             As `outport COMMAND --help` prints it. `outport man DIR` writes the same as manual pages, and\n\
             `outport completions SHELL` what a shell completes.\n",
        );
        let mut whole = visible().disable_help_subcommand(true);
        whole.build();
        for command in whole.get_subcommands_mut() {
            add_help(&mut page, "outport", command);
        }
        page
    }

    fn add_help(page: &mut String, above: &str, command: &mut Command) {
        let name = format!("{above} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands_mut().for_each(|sub| add_help(page, &name, sub));
            return;
        }
        // Not what is set where the page is made.
        let mut command = command.clone().mut_args(|arg| arg.hide_env_values(true));
        let help = command.render_long_help().to_string();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        let help = lines.join("\n");
        page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end()));
    }

    #[test]
    fn the_page_of_commands_is_made_of_the_command_line() {
        let page = commands_page();
        if std::env::var_os("OUTPORT_WRITE_PAGES").is_some() {
            std::fs::write(COMMANDS, &page).unwrap();
        }
        let written = std::fs::read_to_string(COMMANDS).unwrap_or_default();
        assert!(written == page, "stale: OUTPORT_WRITE_PAGES=1 cargo test -p outport commands");
    }

    #[test]
    fn the_version_names_the_commit_or_says_why_not() {
        let (version, origin) = VERSION.split_once(" (").unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        assert!(origin.contains("commit"), "{origin}");
    }
}
