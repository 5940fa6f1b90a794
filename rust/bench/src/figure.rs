// SPDX-License-Identifier: MIT
//! A figure, in the form that all benchmarks of the project share.

pub struct Figure {
    pub key: &'static str,
    pub value: f64,
    /// How far a side is from itself.
    pub spread: f64,
    pub bar: Option<f64>,
    /// The bar is an upper one.
    pub at_most: bool,
}

impl Figure {
    /// At the bar, give or take the spread, or a fourth of the bar; `None` where there is none.
    fn met(&self) -> Option<bool> {
        let short = |bar| if self.at_most { self.value - bar } else { bar - self.value };
        self.bar.map(|bar| short(bar) <= self.spread.min(bar.abs() / 4.0))
    }

    pub fn line(&self) -> String {
        let Self { key, value, spread, .. } = self;
        let sign = if self.at_most { "<=" } else { ">=" };
        let bar = self.bar.map_or_else(String::new, |bar| format!("{sign} {bar}"));
        let verdict = match self.met() {
            None => "measured",
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        // A spread above a tenth says little either way.
        let noisy = if *spread > value.abs() / 10.0 { ", noisy" } else { "" };
        format!("{key:42} {value:8.3} {spread:7.3}   {bar:8} {verdict}{noisy}")
    }

    fn json(&self) -> String {
        let Self { key, value, spread, .. } = self;
        let bar = self.bar.map_or_else(|| "null".to_owned(), |bar| bar.to_string());
        let met = self.met().map_or_else(|| "null".to_owned(), |met| met.to_string());
        format!(
            "  \"{key}\": {{\"value\": {value:.4}, \"spread\": {spread:.4}, \"bar\": {bar}, \"met\": {met}}}"
        )
    }
}

pub fn to_json(figures: &[Figure]) -> String {
    let lines: Vec<_> = figures.iter().map(Figure::json).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}
