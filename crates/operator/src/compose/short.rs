//! The short forms of values: sizes, times, ports, commands. Source: Compose Specification, "Specifying byte values",
//! "Specifying durations", "Services top-level element".

/// Ports of one entry, such as `8000-8010`.
const PORTS_PER_ENTRY_MAX: u16 = 100;

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub number: u16,
    pub is_udp: bool,
    /// Where Docker would publish it, as it is written.
    pub published: Option<String>,
    /// The port of the machine that Docker would take for it.
    pub asked: Option<u16>,
}

impl Port {
    /// As a node reads it; `None` when the file asks for no port of the machine.
    pub fn asks(&self) -> Option<String> {
        let protocol = if self.is_udp { "/udp" } else { "" };
        Some(format!("{}:{}{protocol}", self.asked?, self.number))
    }
}

/// The port that the entry number `nth` of a range asks for, of `[HOST:]FIRST[-LAST]`.
pub fn asked(published: &str, nth: u16) -> Option<u16> {
    let port = published.rsplit(':').next()?;
    port.split('-').next()?.parse::<u16>().ok()?.checked_add(nth)
}

/// `512m` in MiB, upward.
pub fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    #[allow(clippy::cast_precision_loss, reason = "a power of two")]
    let mib = (number * unit as f64 / f64::from(1 << 20)).ceil();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between both"
    )]
    (0.0..=f64::from(i32::MAX)).contains(&mib).then_some(mib as u64)
}

/// `0.5` processors in CPU units, 1,024 each.
pub fn cpu_units(text: &str) -> Option<u64> {
    let units = (text.trim().parse::<f64>().ok()? * 1024.0).round();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between both"
    )]
    (0.0..=f64::from(i32::MAX)).contains(&units).then_some(units as u64)
}

/// `1m30s` in seconds, upward.
pub fn seconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit: u128 = match &rest[..end] {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanoseconds += u128::from(number) * unit;
        rest = &rest[end..];
    }
    u64::try_from(nanoseconds.div_ceil(1_000_000_000)).ok()
}

/// `[HOST:][PUBLISHED:]CONTAINER[/PROTOCOL]`, each a port or a range.
pub fn ports(text: &str) -> Option<Vec<Port>> {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let is_udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return None,
    };
    let (published, target) = match text.rsplit_once(':') {
        Some((published, target)) => (Some(published.to_owned()), target),
        None => (None, text),
    };
    let (first, last) = target.split_once('-').unwrap_or((target, target));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    if first == 0 || last < first || last - first >= PORTS_PER_ENTRY_MAX {
        return None;
    }
    Some(
        (first..=last)
            .map(|number| {
                let asked = published.as_deref().and_then(|text| asked(text, number - first));
                Port { number, is_udp, published: published.clone(), asked }
            })
            .collect(),
    )
}

/// The words of a command as a shell splits them; nothing is expanded.
pub fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => match characters.next()? {
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mebibytes_upward() {
        let check = |text: &str, expected| assert_eq!(mebibytes(text), expected, "{text}");
        check("64m", Some(64));
        check("1.5gb", Some(1536));
        check("1G", Some(1024));
        check("1073741825", Some(1025));
        check("10kb", Some(1));
        for wrong in ["", "m", "1x", "-1m", "1e99g", "1 2", "999999999g"] {
            check(wrong, None);
        }
    }

    #[test]
    fn processors_are_cpu_units() {
        assert_eq!(cpu_units("0.5"), Some(512));
        assert_eq!(cpu_units("2"), Some(2048));
        for wrong in ["", "-1", "x", "inf", "NaN", "1e300"] {
            assert_eq!(cpu_units(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_seconds_upward() {
        let check = |text: &str, expected| assert_eq!(seconds(text), expected, "{text}");
        check("10s", Some(10));
        check("1m30s", Some(90));
        check("1500ms", Some(2));
        check("2h", Some(7200));
        for wrong in ["", "10", "s", "1d", "-1s", "1.5s", "99999999999999999999s"] {
            check(wrong, None);
        }
    }

    #[test]
    fn ports_are_those_of_the_container() {
        let check = |text: &str, expected: &[u16]| {
            let found: Vec<u16> =
                ports(text).into_iter().flatten().map(|port| port.number).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("80", &[80]);
        check("8080:80", &[80]);
        check("127.0.0.1:8080:80/tcp", &[80]);
        check("[::1]:8080:80", &[80]);
        check("9000-9002:8000-8002", &[8000, 8001, 8002]);
        for wrong in ["", "0", "x", "80/sctp", "5-3", "1-60000", "65536"] {
            check(wrong, &[]);
        }
        assert!(ports("53:53/udp").unwrap()[0].is_udp);
        assert_eq!(ports("127.0.0.1:1:2").unwrap()[0].published.as_deref(), Some("127.0.0.1:1"));
    }

    #[test]
    fn ports_of_the_machine_are_asked_for() {
        let check = |text: &str, expected: &[&str]| {
            let ports = ports(text).unwrap();
            let found: Vec<String> = ports.iter().filter_map(Port::asks).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("8080", &[]);
        check(":8080", &[]);
        check("8080:80", &["8080:80"]);
        check("127.0.0.1:53:5353/udp", &["53:5353/udp"]);
        check("[::1]:9000-9001:9001-9002", &["9000:9001", "9001:9002"]);
        check("8000-8010:80", &["8000:80"]);
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(|&word| word.into()).collect());
            assert_eq!(words(text), expected, "{text}");
        };
        check("a  b\tc\n", Some(&["a", "b", "c"]));
        check(r#"sh -c "echo \"x\" \$Y \n""#, Some(&["sh", "-c", r#"echo "x" $Y \n"#]));
        check(r"a\ b 'c \d' ''", Some(&["a b", r"c \d", ""]));
        check("", Some(&[]));
        for wrong in ["'", "\"a", "a\\"] {
            check(wrong, None);
        }
    }
}
