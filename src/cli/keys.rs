//! `grantkeep keys`: making master keys, and words for what [`MasterKeys`] finds and does.

use super::progress::Progress;
use super::serve::wait_for;
use super::{CommandError, vault};
use crate::app;
use crate::config::Settings;
use crate::domain::{Id, TenantId};
use crate::vault::{MasterKeys, Survey, VaultError};
use std::fmt::Write as _;
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

/// What lies under which master key. Fails where something lies under none that is configured, or does not open.
pub(super) fn status(settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    wait_for(async {
        let vault = vault(settings).await?;
        let keys = vault.master_keys();
        let survey = keys.survey().await.map_err(|error| failed(&error))?;
        write!(out, "{}", table(&keys, &survey))?;
        verdict(&survey)
    })
}

/// Wraps anew what lies under old master keys, and says how it stands then.
pub(super) fn rotate(
    settings: &Settings,
    tenants: &[String],
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    wait_for(async {
        let vault = vault(settings).await?;
        let keys = vault.master_keys();
        list(&keys, tenants).await?;
        let before = keys.survey().await.map_err(|error| failed(&error))?;
        let first = keys.configured().next().unwrap_or_default();
        writeln!(
            out,
            "{} of {} tenants lie under another master key than `{first}`",
            before.behind, before.tenants
        )?;
        let mut progress = Progress::begin("tenants wrapped anew", before.behind, out);
        let turned = keys.rotate(|turned| progress.tell(turned)).await;
        progress.end();
        let turned = turned.map_err(|error| failed(&error))?;
        writeln!(out, "wrapped {turned} tenants anew under `{first}`\n")?;
        let after = keys.survey().await.map_err(|error| failed(&error))?;
        write!(out, "{}", table(&keys, &after))?;
        if after.behind > 0 {
            let what = "tenants came meanwhile whose server still wraps with an old master key: give every server the new \
                        one in front, and rotate again";
            return Err(CommandError::Failed(format!("{} {what}", after.behind)));
        }
        verdict(&after)
    })
}

async fn list(keys: &MasterKeys<'_>, tenants: &[String]) -> Result<(), CommandError> {
    for name in tenants {
        let listed = match TenantId::parse(name) {
            Some(tenant) => keys.list(&tenant).await.map_err(|error| failed(&error))?,
            None => false,
        };
        if !listed {
            return Err(CommandError::Failed(format!("--tenant {name}: there is no such tenant")));
        }
    }
    Ok(())
}

fn failed(error: &VaultError) -> CommandError {
    CommandError::Failed(format!("{error}; nothing is lost: run it again, and it goes on where it was"))
}

/// A line for each master key, and one for everything else that was found.
fn table(keys: &MasterKeys<'_>, survey: &Survey) -> String {
    let mut text = format!("{:<32} {:>9}\n", "master key", "tenants");
    let mut configured: Vec<&str> = keys.configured().collect();
    let others = survey.under.keys().map(String::as_str).filter(|id| !configured.contains(id));
    let others: Vec<&str> = others.collect();
    let first = configured.first().copied();
    configured.extend(others);
    for id in configured {
        let count = survey.under.get(id).copied().unwrap_or_default();
        let word = if Some(id) == first {
            "wraps new data keys; must stay"
        } else if survey.missing.contains(id) {
            "IS NOT CONFIGURED: put it back into vault.master_keys"
        } else if count > 0 {
            "still needed: run `grantkeep keys rotate`"
        } else {
            "not needed: may be removed once every server has the first one in front"
        };
        // A text has always room.
        let _ = writeln!(text, "{id:<32} {count:>9}  {word}");
    }
    if survey.without_record > 0 {
        let _ = writeln!(
            text,
            "{} entries of the index have no record: sign-ups given up halfway, or tenants deleted; harmless",
            survey.without_record
        );
    }
    text
}

fn verdict(survey: &Survey) -> Result<(), CommandError> {
    let mut faults = Vec::new();
    if !survey.missing.is_empty() {
        let ids: Vec<_> = survey.missing.iter().map(|id| format!("`{id}`")).collect();
        faults.push(format!(
            "tenants lie under master keys that are not configured ({}): what they sealed cannot be opened until those are \
             back in vault.master_keys",
            ids.join(", ")
        ));
    }
    let (count, named) = &survey.broken;
    if *count > 0 {
        let named: Vec<_> = named.iter().map(TenantId::as_str).collect();
        faults.push(format!(
            "the data keys of {count} tenants do not open under the master key that they name ({}): was another key \
             configured under the same id, or the store written to?",
            named.join(", ")
        ));
    }
    if faults.is_empty() { Ok(()) } else { Err(CommandError::Failed(faults.join("\n"))) }
}
