//! Figures that cases measured. The test program keeps what passing cases print to itself, so they go into a file, which
//! whoever runs the tests prints at the end.

use std::io::Write;

/// Notes one line of figures, which begins with the id of what it shows.
pub fn note(line: &str) {
    let Some(path) = std::env::var_os("GRANTKEEP_TEST_FIGURES") else { return };
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file for figures");
    writeln!(file, "{line}").expect("a line of figures");
}
