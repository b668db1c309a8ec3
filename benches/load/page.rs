//! What is told: tables that are printed, and that stand in `docs/performance.md` together with the plots of them.

use super::plot;
use super::report::Report;
use std::fmt::{Display, Formatter, Result};
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- What `make bench` wrote last begins here. -->";
const END: &str = "<!-- And ends here. -->";

/// A table, in Markdown, its columns as wide as they need to be.
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.to_owned()).chain(values).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let wide = |column: usize| {
            let cells = std::iter::once(&self.head).chain(&self.rows);
            cells.filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let wide: Vec<usize> = (0..self.head.len()).map(wide).collect();
        let mut line = |cells: &[String]| {
            let cells = cells.iter().zip(&wide);
            let cells: Vec<String> =
                cells.map(|(cell, wide)| format!("{cell:wide$}", wide = *wide)).collect();
            writeln!(f, "| {} |", cells.join(" | "))
        };
        line(&self.head)?;
        line(&wide.iter().map(|wide| "-".repeat(*wide)).collect::<Vec<_>>())?;
        self.rows.iter().try_for_each(|row| line(row))
    }
}

/// Puts the tables into the page, in the place of those that were there, and the plots beside it.
pub fn write(page: &Path, report: &Report) {
    let text = fs::read_to_string(page).unwrap_or_else(|fault| panic!("{}: {fault}", page.display()));
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, behind) = parts.unwrap_or_else(|| panic!("{} has no place for the figures", page.display()));
    let folder = page.with_extension("");
    fs::create_dir_all(&folder).expect("a folder for the plots");
    let mut plots = String::new();
    let stem = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (name, what, svg) in plot::all(report) {
        fs::write(folder.join(name), svg).expect("the plot is written");
        plots.extend(["![", what, "](", &stem, "/", name, ")\n\n"]);
    }
    let text = format!("{before}{BEGIN}\n\n{report}\n{plots}{END}{behind}");
    fs::write(page, text).expect("the page is written");
}
