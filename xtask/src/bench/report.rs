//! What the benches measured: a line a figure, and all of them as JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One figure: a number with its unit, and the size at which it was taken.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figure {
    pub figure: String,
    pub value: f64,
    pub unit: String,
    /// Such as `nodes` and `tasks`.
    #[serde(flatten)]
    pub size: Map<String, Value>,
}

impl Figure {
    /// A line as a program that measures prints it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))
    }

    pub fn line(&self) -> String {
        let size = self.size.iter().map(|(name, value)| format!("{name} {value}"));
        let size = size.collect::<Vec<_>>().join(", ");
        let value = match self.value {
            value if value >= 1000.0 => format!("{value:.0}"),
            value if value >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.2}"),
        };
        format!("{:<28} {value:>12} {:<14} {size}", self.figure, self.unit)
    }
}

/// Writes the figures of a bench where they are asked for.
pub fn write(figures: &[Figure], file: Option<&Path>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}
