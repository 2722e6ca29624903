//! From names of a model to names of Rust.

use anyhow::{Result, bail};

/// Names that a generated type must not have: the prelude, and what the generated modules import.
const RESERVED_TYPES: &[&str] = &[
    "Box",
    "Blob",
    "BTreeMap",
    "Default",
    "Document",
    "Err",
    "Error",
    "Exchange",
    "Fn",
    "Future",
    "None",
    "Ok",
    "Option",
    "Result",
    "Self",
    "Send",
    "Some",
    "String",
    "Sync",
    "Target",
    "Timestamp",
    "Vec",
    "WireError",
];

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static",
    "struct", "trait", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
    "while", "yield",
];

/// `containerDefinitions` → `container_definitions`, `EFSVolume` → `efs_volume`.
pub fn snake(name: &str) -> String {
    let name = name.replace("IPv", "Ipv");
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            if !snake.is_empty() && !snake.ends_with('_') {
                snake.push('_');
            }
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let starts_word = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase)
            });
        if starts_word && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake.trim_end_matches('_').to_owned()
}

/// Name of a field or method.
pub fn field(name: &str) -> String {
    let snake = snake(name);
    if KEYWORDS.contains(&snake.as_str()) {
        format!("r#{snake}")
    } else if matches!(snake.as_str(), "self" | "super" | "crate") {
        format!("{snake}_")
    } else {
        snake
    }
}

/// Name of a `static`.
pub fn constant(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

/// Name of a type. Fails when it would hide one that the generated code uses.
pub fn type_name(name: &str) -> Result<String> {
    let mut characters = name.chars();
    let Some(first) = characters.next() else { bail!("a shape without a name") };
    let name = format!("{}{}", first.to_ascii_uppercase(), characters.as_str());
    if !name.chars().all(|character| character.is_ascii_alphanumeric()) {
        bail!("the shape {name} needs a Rust name: add it to xtask/src/codegen/names.rs");
    }
    Ok(if RESERVED_TYPES.contains(&name.as_str()) { format!("{name}Shape") } else { name })
}

/// Names of the variants of an enum, in order and unique: `EC2` → `Ec2`, `awslogs` → `Awslogs`, `100` → `V100`.
pub fn variants(values: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for value in values {
        let mut name: String = value
            .split(|character: char| !character.is_ascii_alphanumeric())
            .flat_map(|part| snake(part).split('_').map(capitalised).collect::<Vec<_>>())
            .collect();
        if name.is_empty() {
            name = "Empty".to_owned();
        }
        if name.starts_with(|character: char| character.is_ascii_digit()) {
            name = format!("V{name}");
        }
        if name == "Self" {
            name = "SelfValue".to_owned();
        }
        while names.contains(&name) {
            name.push('X');
        }
        names.push(name);
    }
    names
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    match characters.next() {
        Some(first) => format!("{}{}", first.to_ascii_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        assert_eq!(field(name), expected, "{name}");
    }

    #[test]
    fn fields_are_words() {
        check("containerDefinitions", "container_definitions");
        check("efsVolumeConfiguration", "efs_volume_configuration");
        check("DescribeVPCs", "describe_vp_cs");
        check("IPv6Address", "ipv6_address");
        check("type", "r#type");
        check("SHA256Hash", "sha256_hash");
    }

    #[test]
    fn variants_are_unique() {
        let names = variants(&[
            "EC2",
            "FARGATE_SPOT",
            "awslogs",
            "us-east-1",
            "2",
            "a b",
            "A-B",
            "Enabled",
        ]);
        assert_eq!(
            names,
            ["Ec2", "FargateSpot", "Awslogs", "UsEast1", "V2", "AB", "ABX", "Enabled"]
        );
    }
}
