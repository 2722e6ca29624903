//! Names under which a host is reached, as certificates and image references write them.

/// Source: RFC 1035, section 2.3.4.
pub const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// Whether the text is a host name; the first label may be `*`, which stands for exactly one label.
pub fn is_name(text: &str) -> bool {
    let inner = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= NAME_CHARS_MAX && inner.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_CHARS_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether a name is meant by a pattern: the name itself, or `*.` and the rest behind its first label.
/// Upper and lower case are the same. Source: RFC 6125, section 6.4.3.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(rest) => name
            .split_once('.')
            .is_some_and(|(first, tail)| is_label(first) && tail.eq_ignore_ascii_case(rest)),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

/// The name and the port of `name`, `name:port`, `[::1]` or `[::1]:port`; the brackets go.
pub fn split_port(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[')
        && let Some((address, tail)) = rest.split_once(']')
    {
        return (address, tail.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match authority.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }

    #[test]
    fn a_star_is_one_label() {
        check("localhost", "LocalHost", true);
        check("localhost", "a.localhost", false);
        check("*.localhost", "a.localhost", true);
        check("*.localhost", "a.b.localhost", false);
        check("*.localhost", "localhost", false);
        check("*.localhost", ".localhost", false);
        check("10.0.0.1", "10.0.0.1", true);
    }

    #[test]
    fn names_are_told_from_other_texts() {
        for name in ["localhost", "*.outport.internal", "a_b-c.example.org"] {
            assert!(is_name(name), "{name}");
        }
        let long = format!("{}.org", "a.".repeat(140));
        for text in ["", "*", "a..b", "-a", "a b", "a/b", "*.*.a", "::1", &long] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("localhost:4566"), ("localhost", Some(4566)));
        assert_eq!(split_port("localhost"), ("localhost", None));
        assert_eq!(split_port("[::1]:4566"), ("::1", Some(4566)));
        assert_eq!(split_port("[::1]"), ("::1", None));
        assert_eq!(split_port("::1"), ("::1", None));
        assert_eq!(split_port("a:99999"), ("a:99999", None));
    }
}
