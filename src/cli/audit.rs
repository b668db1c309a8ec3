//! `grantkeep audit`.

use super::CommandError;
use super::serve::wait_for;
use crate::app::{self, AuditCall};
use crate::config::Settings;
use crate::domain::{Id, TenantId};
use crate::vault::HeadsLog;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Tells every fault on a line of its own, and then what was gone over.
pub(super) fn verify(
    settings: &Settings,
    tenant: Option<&str>,
    logs: &[PathBuf],
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let tenant = tenant.map(|id| {
        let odd = || CommandError::Failed(format!("--tenant: `{id}` is no tenant id: 22 letters and digits"));
        TenantId::parse(id).ok_or_else(odd)
    });
    let call = AuditCall { tenant: tenant.transpose()?, heads: heads(logs)? };
    let mut unwritten = None;
    let verified = wait_for(async {
        let mut tell = |fault| {
            if let Err(error) = writeln!(out, "{fault}") {
                unwritten = Some(error);
            }
        };
        Ok(app::verify_audit(settings, &call, &mut tell).await?)
    })?;
    if let Some(error) = unwritten {
        return Err(error.into());
    }
    writeln!(
        out,
        "{} records in {} trails of {} tenants; {} of {} logged heads compared",
        verified.records,
        verified.trails,
        verified.tenants,
        verified.heads,
        call.heads.len()
    )?;
    match verified.faults {
        0 => Ok(writeln!(out, "every record is as it was written")?),
        count => Err(CommandError::Failed(format!("{count} faults in the audit trail"))),
    }
}

fn heads(logs: &[PathBuf]) -> Result<HeadsLog, CommandError> {
    let mut heads = HeadsLog::default();
    for path in logs {
        let odd = |error: io::Error| {
            CommandError::Failed(format!("--heads: {} cannot be read: {error}", path.display()))
        };
        read(path, &mut heads).map_err(odd)?;
    }
    if heads.is_empty() && !logs.is_empty() {
        let none =
            "--heads: no head stands there; they are logged at level info, by the target grantkeep::audit";
        return Err(CommandError::Failed(none.to_owned()));
    }
    Ok(heads)
}

fn read(path: &Path, heads: &mut HeadsLog) -> io::Result<()> {
    let mut lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path)?))
    };
    // A log may hold bytes that are no text; they are in no line that counts.
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        heads.read_line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}
