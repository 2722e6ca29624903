//! Signals by name, as images (`STOPSIGNAL`) and users write them.

use nix::sys::signal::Signal;

/// The highest real-time signal number on Linux.
const SIGNAL_MAX: i32 = 64;

/// The text was no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid signal: {0}")]
pub struct UnknownSignal(String);

/// `SIGTERM`, `term`, `15`, `SIGRTMIN+3` to a number.
///
/// # Errors
/// When it is none of them.
pub fn signal_number(text: &str) -> Result<i32, UnknownSignal> {
    let unknown = || UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=SIGNAL_MAX).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = if let Some(rest) = name.strip_prefix("RTMIN") {
        offset(rest, '+').map(|above| libc::SIGRTMIN() + above)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        offset(rest, '-').map(|below| libc::SIGRTMAX() - below)
    } else {
        return format!("SIG{name}")
            .parse::<Signal>()
            .map(|found| found as i32)
            .map_err(|_| unknown());
    };
    real_time
        .filter(|number| (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(number))
        .ok_or_else(unknown)
}

fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        Some(0)
    } else {
        rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, number: Option<i32>) {
        assert_eq!(signal_number(text).ok(), number, "{text:?}");
    }

    #[test]
    fn signals_by_name_and_number() {
        check("SIGTERM", Some(15));
        check("term", Some(15));
        check("SigQuit", Some(3));
        check("9", Some(9));
        check("SIGRTMIN+3", Some(libc::SIGRTMIN() + 3));
        check("RTMAX-1", Some(libc::SIGRTMAX() - 1));
        check("SIGRTMIN+99", None);
        check("0", None);
        check("65", None);
        check("SIGNOPE", None);
        check("", None);
    }
}
