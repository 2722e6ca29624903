//! Names that lead to the task itself, where its containers share one network: what `outport compose` has for the services of
//! a file until there is service discovery (design note 0026). On AWS the label says nothing.

/// A Docker label of a container: names, with spaces between.
const LABEL: &str = "outport.localhost";
const ADDRESS: &str = "127.0.0.1";
/// Each is a word in a line of the container's `/etc/hosts`.
const NAMES_MAX: usize = 100;
/// Source: RFC 1035, "Size limits".
const NAME_LENGTH_MAX: usize = 253;

/// Hosts for `/etc/hosts`. What is no name of a host is left out.
pub fn of(labels: &[(String, String)]) -> Vec<(String, String)> {
    let Some((_, names)) = labels.iter().find(|(label, _)| label == LABEL) else {
        return Vec::new();
    };
    names
        .split_ascii_whitespace()
        .filter(|name| is_name(name))
        .take(NAMES_MAX)
        .map(|name| (name.to_owned(), ADDRESS.to_owned()))
        .collect()
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= NAME_LENGTH_MAX && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_hosts_and_nothing_else() {
        let check = |value: &str, expected: &[&str]| {
            let labels = [("a".into(), "b".into()), (LABEL.to_owned(), value.to_owned())];
            let found: Vec<String> = of(&labels).into_iter().map(|(name, _)| name).collect();
            assert_eq!(found, expected, "{value}");
        };
        check("db web_1  my-web.local", &["db", "web_1", "my-web.local"]);
        check("", &[]);
        check("a#b c\u{e9} d/e ok", &["ok"]);
        check(&"n".repeat(300), &[]);
        assert_eq!(of(&[(LABEL.into(), "a ".repeat(1000))]).len(), NAMES_MAX);
        assert!(of(&[]).is_empty());
    }
}
