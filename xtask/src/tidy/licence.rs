//! Licence expressions (SPDX): whether one can be met with the licences that we accept.
//!
//! ```text
//! any  = all { ("OR" | "/") all }
//! all  = one { "AND" one }
//! one  = "(" any ")" | id ["+"] [ "WITH" id ]
//! ```

/// Licences that ask for no more than their text in NOTICE; MPL-2.0 asks it per file.
const ACCEPTED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

/// Whether an expression can be met. What cannot be read is not allowed.
pub fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) == Some(true) && rest.is_empty()
}

fn any(rest: &mut &[&str]) -> Option<bool> {
    let mut met = all(rest)?;
    while take(rest, "OR") {
        met |= all(rest)?;
    }
    Some(met)
}

fn all(rest: &mut &[&str]) -> Option<bool> {
    let mut met = one(rest)?;
    while take(rest, "AND") {
        met &= one(rest)?;
    }
    Some(met)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    if take(rest, "(") {
        let met = any(rest)?;
        return take(rest, ")").then_some(met);
    }
    let id = next(rest)?;
    // An exception only gives more than its licence.
    if take(rest, "WITH") {
        next(rest)?;
    }
    Some(ACCEPTED.contains(&id.trim_end_matches('+')))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let is_next = rest.first() == Some(&word);
    if is_next {
        *rest = &rest[1..];
    }
    is_next
}

fn next<'a>(rest: &mut &[&'a str]) -> Option<&'a str> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

#[cfg(test)]
mod tests {
    fn check(expression: &str, expected: bool) {
        assert_eq!(super::is_allowed(expression), expected, "{expression}");
    }

    #[test]
    fn expressions() {
        check("MIT", true);
        check("MIT OR Apache-2.0", true);
        check("MIT/Apache-2.0", true);
        check("MPL-2.0+", true);
        check("GPL-3.0", false);
        check("GPL-3.0 OR MIT", true);
        check("GPL-3.0 AND MIT", false);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
        check("MIT OR (Apache-2.0 AND GPL-3.0)", true);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("GPL-2.0 WITH Classpath-exception-2.0", false);
        check("", false);
        check("(MIT", false);
        check("MIT Apache-2.0", false);
        check("MIT OR", false);
    }
}
