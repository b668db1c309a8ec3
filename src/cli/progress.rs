//! How far a long piece of work is: a bar on a terminal, a line now and then anywhere else.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};

/// Lines told of one piece of work, where there is no bar.
const LINES: u64 = 10;

/// The progress of one piece of work.
pub(super) struct Progress<'a> {
    what: &'static str,
    total: u64,
    told: u64,
    bar: Option<ProgressBar>,
    out: &'a mut dyn Write,
}

impl<'a> Progress<'a> {
    /// Of `total` things; `what` says which.
    pub fn begin(what: &'static str, total: u64, out: &'a mut dyn Write) -> Self {
        let bar = io::stdout().is_terminal().then(|| bar(what, total));
        Self { what, total, told: 0, bar, out }
    }

    /// So many are done. Where nobody reads any more, the work goes on untold.
    pub fn tell(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let part = done.saturating_mul(LINES).checked_div(self.total).unwrap_or(LINES);
        if part > self.told {
            self.told = part;
            let _ = writeln!(self.out, "{done} of {} {}", self.total, self.what);
            let _ = self.out.flush();
        }
    }

    /// Takes the bar away; what was done is said in words afterwards.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stdout());
    // Refused only where the template is malformed; the default one serves too.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} {msg}, {eta} to go") {
        bar.set_style(style);
    }
    bar.with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_are_ten_lines_at_most() {
        let mut out = Vec::new();
        let mut progress = Progress { what: "tenants", total: 95, told: 0, bar: None, out: &mut out };
        (0..=95).for_each(|done| progress.tell(done));
        progress.end();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(said.lines().count(), 10, "{said}");
        assert_eq!(said.lines().next(), Some("10 of 95 tenants"));
        assert_eq!(said.lines().last(), Some("95 of 95 tenants"));
    }

    #[test]
    fn more_than_was_counted_does_no_harm() {
        let mut out = Vec::new();
        let mut progress = Progress { what: "tenants", total: 0, told: 0, bar: None, out: &mut out };
        progress.tell(3);
        assert_eq!(String::from_utf8(out).unwrap(), "3 of 0 tenants\n");
    }
}
