//! What an audit trail keeps of an input or an output.

use super::{Collection, JsonWriter, Place, Scalar, Writer};
use crate::schema::{Kind, Target, TimestampFormat};

/// What CloudTrail writes where a value may not stand.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
/// Members that let somebody in, or are what somebody encrypted, and that the models do not mark.
const SECRETS: [&str; 4] = ["authorizationToken", "Plaintext", "SecretAccessKey", "SessionToken"];

/// Writes JSON as CloudTrail does: names begin with a small letter, times are text, and whatever the model marks as
/// sensitive, whole lists included, is replaced by one text. So the environment of a container is not told.
///
/// Source of the names and the replacement: records of CloudTrail in the user guides of the services. A name that begins with
/// an acronym (`ARN`) gets one small letter as every other one, which is a guess.
#[derive(Default)]
pub struct AuditWriter {
    json: JsonWriter,
    /// How many collections are open that are hidden.
    hidden: usize,
}

impl AuditWriter {
    pub fn into_text(self) -> String {
        self.json.into_text()
    }

    fn key(&mut self, place: Place<'_>) {
        self.json.separate();
        match place {
            Place::Root | Place::Item(_) => return,
            Place::Member(member) => {
                let name = member.name;
                let mut letters = name.chars();
                let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                let name: String = first.into_iter().chain(letters).collect();
                self.json.string(&name);
            }
            Place::Entry(_, key) => self.json.string(key),
        }
        self.json.punctuation(':');
    }
}

impl Writer for AuditWriter {
    fn begin(&mut self, place: Place<'_>, collection: Collection) {
        if self.hidden > 0 {
            self.hidden += 1;
            return;
        }
        self.key(place);
        if is_hidden(place) {
            self.json.string(HIDDEN);
            self.hidden = 1;
        } else {
            self.json.punctuation(if collection == Collection::List { '[' } else { '{' });
        }
    }

    fn end(&mut self, _: Place<'_>, collection: Collection) {
        if self.hidden > 0 {
            self.hidden -= 1;
        } else {
            self.json.punctuation(if collection == Collection::List { ']' } else { '}' });
        }
    }

    fn scalar(&mut self, place: Place<'_>, scalar: Scalar<'_>) {
        if self.hidden > 0 {
            return;
        }
        self.key(place);
        match scalar {
            _ if is_hidden(place) => self.json.string(HIDDEN),
            Scalar::Timestamp(at, _) => self.json.string(&at.format(TimestampFormat::Iso8601)),
            scalar => self.json.value(scalar),
        }
    }
}

fn is_hidden(place: Place<'_>) -> bool {
    let target: &Target = match place {
        Place::Root => return false,
        Place::Member(member) if is_secret(member.name) => return true,
        Place::Member(member) => member.target,
        Place::Item(member) => match member.target.kind {
            Kind::List(item) => item.target,
            _ => member.target,
        },
        Place::Entry(member, _) => match member.target.kind {
            Kind::Map { value, .. } => value.target,
            _ => member.target,
        },
    };
    target.is_sensitive
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}
