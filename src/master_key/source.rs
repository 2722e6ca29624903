//! Where an operator's master key comes from.
//!
//! **Invariant:** the key is in no process but this one: it stands in no command line, and the environment that children get has
//! it no more.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use outport_keyring::KEY_BYTES;

use super::Key;
use crate::command_line::MasterKeyOptions;

pub const VARIABLE: &str = "OUTPORT_MASTER_KEY";
/// Of a key with its line's end, and of what a command says beside it.
const TEXT_BYTES_MAX: u64 = 4096;
/// Some ask over a network.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
const COMMAND_LOOKS: Duration = Duration::from_millis(10);

static OF_ENVIRONMENT: OnceLock<String> = OnceLock::new();

/// Takes the key out of the environment, so that no child of this process gets it. To be called before there is a second thread.
#[allow(unsafe_code)]
pub fn take_from_environment() {
    let Some(text) = std::env::var_os(VARIABLE) else { return };
    // SAFETY: this process has one thread.
    unsafe { std::env::remove_var(VARIABLE) };
    if !text.is_empty() {
        let _ = OF_ENVIRONMENT.set(text.to_string_lossy().into_owned());
    }
}

/// `None`: none is given.
///
/// # Errors
/// When more than one is given; when it cannot be had, or is no key. The line has nothing of it.
pub fn read(options: &MasterKeyOptions) -> Result<Option<Key>> {
    let of_environment = OF_ENVIRONMENT.get();
    check_one(options)?;
    if let Some(text) = of_environment {
        return parse(text).map(Some).with_context(|| format!("the variable {VARIABLE}"));
    }
    from(options.master_key_file.as_deref(), options.master_key_command.as_deref())
}

/// What a start would refuse, without a command being run.
///
/// # Errors
/// As of [`read`].
pub fn check(options: &MasterKeyOptions) -> Result<()> {
    check_one(options)?;
    options.master_key_file.as_deref().map_or(Ok(()), |path| of_file(path).map(drop))
}

fn check_one(options: &MasterKeyOptions) -> Result<()> {
    let count = usize::from(options.master_key_file.is_some())
        + usize::from(options.master_key_command.is_some())
        + usize::from(OF_ENVIRONMENT.get().is_some());
    if count > 1 {
        bail!(
            "the master key is given more than once: name one of --master-key-file, --master-key-command and {VARIABLE}"
        );
    }
    Ok(())
}

/// Of a file or of a command.
///
/// # Errors
/// As of [`read`].
pub fn from(file: Option<&Path>, command: Option<&str>) -> Result<Option<Key>> {
    match (file, command) {
        (Some(file), _) => of_file(file).map(Some),
        (None, Some(command)) => of_command(command, COMMAND_PATIENCE).map(Some),
        (None, None) => Ok(None),
    }
}

/// 32 bytes in hexadecimal digits or base64.
pub fn parse(text: &str) -> Result<Key> {
    let text = text.trim();
    let of_base64 = || {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok())
    };
    let bytes = hex::decode(text).ok().or_else(of_base64);
    let key = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
    key.map(Key).with_context(|| {
        format!(
            "a master key is {KEY_BYTES} bytes, in hexadecimal digits or base64, such as of `openssl rand -hex {KEY_BYTES}`"
        )
    })
}

fn of_file(path: &Path) -> Result<Key> {
    let at = || format!("the master key file {}", path.display());
    let file = File::open(path).with_context(at)?;
    let metadata = file.metadata().with_context(at)?;
    if metadata.mode() & 0o077 != 0 {
        bail!("{} is open to others than its owner: chmod 600 it", at());
    }
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        bail!("{} is somebody else's: it has to be root's or of who runs Outport", at());
    }
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX).read_to_string(&mut text).with_context(at)?;
    parse(&text).with_context(at)
}

/// What a command of the shell prints. What it complains of is said if it fails.
fn of_command(command: &str, patience: Duration) -> Result<Key> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null());
    // With all that it starts, to be ended together.
    let mut child = shell
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the command of --master-key-command")?;
    let (printed, complaint) = (beginning(child.stdout.take()), beginning(child.stderr.take()));
    let Some(status) = ended(&mut child, patience)? else {
        bail!(
            "the command of --master-key-command has not ended after {} seconds",
            patience.as_secs()
        );
    };
    if !status.success() {
        let complaint = complaint.recv_timeout(COMMAND_LOOKS * 100).unwrap_or_default();
        let complaint = complaint.trim().replace('\n', "; ");
        bail!("the command of --master-key-command ended with {status}: {complaint}");
    }
    // What it leaves running may keep the pipe open.
    let printed = printed
        .recv_timeout(patience)
        .ok()
        .context("the command of --master-key-command has left its output open")?;
    parse(&printed).context("what the command of --master-key-command printed")
}

/// The first bytes of an output, read to its end, so that nobody waits for who reads it.
fn beginning(output: Option<impl Read + Send + 'static>) -> std::sync::mpsc::Receiver<String> {
    let (told, text) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Some(mut output) = output else { return };
        let mut bytes = Vec::new();
        // What was read is all there is.
        let _ = output.by_ref().take(TEXT_BYTES_MAX).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut output, &mut std::io::sink());
        // Who asked may have gone.
        let _ = told.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

fn ended(child: &mut Child, patience: Duration) -> Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(COMMAND_LOOKS);
    }
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    if let Ok(group) = group {
        // They may all have ended meanwhile.
        let _ = killpg(group, Signal::SIGKILL);
    }
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HEX: &str = "0101010101010101010101010101010101010101010101010101010101010101";
    const BASE64: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn why(outcome: Result<Key>) -> String {
        outcome.err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn a_key_has_32_bytes_in_one_of_two_forms() {
        for text in [HEX, BASE64, BASE64.trim_end_matches('='), &format!(" {HEX}\n")] {
            assert!(parse(text).ok() == Some(Key([1; KEY_BYTES])), "{text}");
        }
        for text in ["", "secret", &HEX[2..], &format!("{HEX}00"), "AQEB"] {
            let why = why(parse(text));
            assert!(why.starts_with("a master key is 32 bytes"), "{why}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, HEX).unwrap();
        for (mode, is_taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let why = why(of_file(&path));
            assert_eq!(why.is_empty(), is_taken, "{mode:o} {why}");
            assert!(is_taken || why.contains("chmod 600"), "{why}");
        }
        assert!(why(of_file(&directory.path().join("none"))).contains("No such file"));
    }

    #[test]
    fn a_command_has_a_time_and_its_complaint_is_told() {
        let patience = Duration::from_secs(60);
        let given = of_command(&format!("echo {HEX}"), patience);
        assert!(given.ok() == Some(Key([1; KEY_BYTES])));
        let failed = why(of_command("echo no vault >&2; exit 3", patience));
        assert!(failed.contains("no vault") && failed.contains('3'), "{failed}");
        let none = why(of_command("echo nothing", patience));
        assert!(none.contains("32 bytes") && !none.contains("nothing"), "{none}");
        let late = why(of_command("sleep 1000; true", Duration::from_millis(50)));
        assert!(late.contains("has not ended"), "{late}");
    }
}
