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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
    /// Such as `nodes` and `tasks`.
    #[serde(flatten)]
    pub size: Map<String, Value>,
}

/// What the number should be, in its unit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    pub fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
        }
    }
}

impl Figure {
    pub fn new(figure: impl Into<String>, value: f64, unit: &str) -> Self {
        let (figure, unit) = (figure.into(), unit.to_owned());
        Self { figure, value, unit, aim: None, size: Map::new() }
    }

    pub fn of(mut self, name: &str, size: impl Into<Value>) -> Self {
        self.size.insert(name.to_owned(), size.into());
        self
    }

    pub fn at_least(mut self, least: f64) -> Self {
        self.aim = Some(Aim::AtLeast(least));
        self
    }

    pub fn at_most(mut self, most: f64) -> Self {
        self.aim = Some(Aim::AtMost(most));
        self
    }

    /// A line as a program that measures prints it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))
    }

    pub fn line(&self) -> String {
        let aim = self.aim.map_or_else(String::new, |aim| {
            let verdict = if aim.is_met(self.value) { "" } else { ", missed" };
            format!(" (aim {}{verdict})", aim.words())
        });
        let (value, sizes) = (number(self.value), self.sizes());
        format!("{:<48} {value:>10} {:<16} {sizes}{aim}", self.figure, self.unit)
    }

    /// At which size it was taken, in words.
    pub fn sizes(&self) -> String {
        let size = self.size.iter().map(|(name, value)| format!("{name} {}", plain(value)));
        size.collect::<Vec<_>>().join(", ")
    }

    pub fn value(&self) -> String {
        number(self.value)
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Three digits or so.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Figures in the order in which they were taken; each is printed at once.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Report {
    pub fn add(&mut self, figure: Figure) {
        println!("{}", figure.line());
        self.figures.push(figure);
    }

    pub fn into_figures(self) -> Vec<Figure> {
        self.figures
    }
}

/// Writes what a bench measured where it is asked for.
pub fn write<T: Serialize>(measured: &T, file: Option<&Path>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(measured)?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_reads_back_with_its_aim_and_size() {
        let figure = Figure::new("start", 480.4, "ms").of("tasks", 100_000).at_most(500.0);
        let text = serde_json::to_string(&figure).unwrap();
        assert_eq!(
            text,
            r#"{"figure":"start","value":480.4,"unit":"ms","aim":{"at_most":500.0},"tasks":100000}"#
        );
        let read = Figure::parse(&text).unwrap();
        assert!(read.line().ends_with("tasks 100000 (aim ≤ 500)"), "{}", read.line());
        let slow = Figure { value: 501.0, ..read };
        assert!(slow.line().ends_with("(aim ≤ 500, missed)"), "{}", slow.line());
    }

    #[test]
    fn a_line_of_a_program_is_a_figure_without_an_aim() {
        let line = r#"{"figure":"poll","nodes":100,"tasks":0,"value":1.25,"unit":"us"}"#;
        let figure = Figure::parse(line).unwrap();
        assert_eq!((figure.aim.is_none(), figure.sizes().as_str()), (true, "nodes 100, tasks 0"));
    }
}
