//! The checksum of a row over its fields.

use crc32fast::Hasher;

/// Sums fields in the order in which they are added, each with its length or a mark of absence, so
/// that no two rows run together.
pub(super) struct RowCheck(Hasher);

impl RowCheck {
    pub fn of(table: &str) -> Self {
        Self(Hasher::new()).text(table)
    }

    pub fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    pub fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub fn maybe_number(mut self, number: Option<i64>) -> Self {
        self.0.update(&[u8::from(number.is_some())]);
        self.number(number.unwrap_or(0))
    }

    pub fn maybe_text(mut self, text: Option<&str>) -> Self {
        self.0.update(&[u8::from(text.is_some())]);
        self.text(text.unwrap_or(""))
    }

    pub fn sum(self) -> i64 {
        i64::from(self.0.finalize())
    }
}
