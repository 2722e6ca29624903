//! Where in a request a value stands, in the words of AWS's validation messages.

use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(&'static str),
    /// Zero-based.
    Item(usize),
    Entry(String),
}

/// A place such as `containerDefinitions.1.member.name`: items count from one and are followed by `member`, member
/// names start with a lower-case letter (the wording of AWS's own validation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
}

impl Path {
    pub(crate) fn push_member(&mut self, name: &'static str) {
        self.steps.push(Step::Member(name));
    }
    pub(crate) fn push_item(&mut self, index: usize) {
        self.steps.push(Step::Item(index));
    }
    pub(crate) fn push_entry(&mut self, key: &str) {
        self.steps.push(Step::Entry(key.to_owned()));
    }
    pub(crate) fn pop(&mut self) {
        self.steps.pop();
    }

    /// The member names on the way, without items and keys: `["containerDefinitions", "name"]`.
    pub fn members(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Member(name) => Some(*name),
            Step::Item(_) | Step::Entry(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            match step {
                Step::Member(name) => {
                    let mut characters = name.chars();
                    if let Some(first) = characters.next() {
                        write!(f, "{}{}", first.to_ascii_lowercase(), characters.as_str())?;
                    }
                }
                Step::Item(item) => write!(f, "{}.member", item + 1)?,
                Step::Entry(key) => write!(f, "{key}.member")?,
            }
        }
        Ok(())
    }
}
