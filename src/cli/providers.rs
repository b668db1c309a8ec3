//! `grantkeep providers`.

use super::CommandError;
use super::args::Providers;
use crate::catalog::{BUILT_IN, Catalog, lint};
use crate::domain::ProviderId;
use std::io::Write;

pub(super) fn run(command: Providers, out: &mut dyn Write) -> Result<(), CommandError> {
    match command {
        Providers::List => list(out),
        Providers::Show { id } => show(&id, out),
        Providers::Lint { files, allow_insecure } => {
            let faults: Vec<String> = files.iter().flat_map(|file| lint(file, allow_insecure)).collect();
            for fault in &faults {
                writeln!(out, "{fault}")?;
            }
            match faults.len() {
                0 => Ok(writeln!(out, "{} files, no faults", files.len())?),
                count => Err(CommandError::Failed(format!("{count} faults"))),
            }
        }
    }
}

/// Those that need `upstream.allow_insecure` are listed too.
fn catalog() -> Result<Catalog, CommandError> {
    Catalog::load(BUILT_IN, &[], true).map_err(|faults| CommandError::Failed(faults.to_string()))
}

fn list(out: &mut dyn Write) -> Result<(), CommandError> {
    for provider in catalog()?.iter() {
        writeln!(out, "{:<20} {}", provider.id.as_str(), provider.name)?;
    }
    Ok(())
}

fn show(id: &str, out: &mut dyn Write) -> Result<(), CommandError> {
    let catalog = catalog()?;
    let provider = ProviderId::parse(id).and_then(|id| catalog.get(&id).cloned());
    let provider = provider.ok_or_else(|| {
        CommandError::Failed(format!("there is no built-in provider `{id}`; see `grantkeep providers list`"))
    })?;
    let shown =
        serde_json::to_string_pretty(&*provider).map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(writeln!(out, "{shown}")?)
}
