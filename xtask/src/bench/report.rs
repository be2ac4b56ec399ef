//! What a measurement says: a value for machines, and rows of a table for people.

use super::statistics::Spread;
use serde_json::Value;

/// One figure.
pub(super) struct Figure {
    /// As `--json` prints it.
    pub(super) value: Value,
    pub(super) rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) ours: String,
    pub(super) plain: String,
    pub(super) ratio: String,
    pub(super) target: String,
    pub(super) met: Option<bool>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, ours: impl Into<String>) -> Self {
        Self { what: what.into(), ours: ours.into(), ..Self::default() }
    }

    pub(super) fn plain(mut self, plain: impl Into<String>) -> Self {
        self.plain = plain.into();
        self
    }

    pub(super) fn ratio(mut self, ratio: &Spread) -> Self {
        self.ratio = ratio.text(2, "");
        self
    }

    pub(super) fn target(mut self, target: &str, met: bool) -> Self {
        target.clone_into(&mut self.target);
        self.met = Some(met);
        self
    }
}

/// The table of all figures.
pub(super) fn table(figures: &[(&str, Vec<Row>)]) -> String {
    let mut lines =
        vec![["", "", "ours", "plain JavaScript", "ours ÷ plain", "target", ""].map(str::to_owned)];
    for (name, rows) in figures {
        for (index, row) in rows.iter().enumerate() {
            let verdict = match row.met {
                Some(true) => "✓",
                Some(false) => "missed",
                None => "",
            };
            let name = if index == 0 { name } else { "" };
            lines.push([
                name.to_owned(),
                row.what.clone(),
                row.ours.clone(),
                row.plain.clone(),
                row.ratio.clone(),
                row.target.clone(),
                verdict.to_owned(),
            ]);
        }
    }
    render(&lines)
}

fn render(lines: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_a_missed_target_is_said() {
        let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
        let rows = vec![
            Row::new("ingest", "10 ev/s").plain("5 ev/s").ratio(&spread).target("≥ 1", true),
            Row::new("joins", "3 s").target("≤ 2 s", false),
        ];
        let table = table(&[("B1", rows)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        let column = |line: &str, text: &str| line[..line.find(text).unwrap()].chars().count();
        assert_eq!(column(lines[0], "plain"), column(lines[1], "5 ev/s"));
        assert!(lines[1].contains("2.00 [1.00–3.00]") && lines[1].ends_with("✓"));
        assert!(lines[2].ends_with("≤ 2 s   missed"), "{:?}", lines[2]);
    }
}
