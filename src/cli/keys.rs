//! `grantkeep keys`.

use super::CommandError;
use crate::app;
use std::io::Write;

/// One line on standard output, so that it can be written into a file; nothing is kept.
pub(super) fn generate(id: Option<&str>, out: &mut dyn Write) -> Result<(), CommandError> {
    let fits = |id: &str| {
        (1..=32).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if id.is_some_and(|id| !fits(id)) {
        let what = "--id must be 1 to 32 letters, digits, dashes and underscores";
        return Err(CommandError::Failed(what.to_owned()));
    }
    Ok(writeln!(out, "{}", app::new_master_key(id))?)
}
