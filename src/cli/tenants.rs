//! `grantkeep tenants`: what an operator says for all tenants.

use super::serve::wait_for;
use super::{CommandError, vault};
use crate::config::Settings;
use crate::vault::VaultError;
use std::io::Write;

/// Shows what is held and why; with `yes` ends it.
pub(super) fn resume(settings: &Settings, yes: bool, out: &mut dyn Write) -> Result<(), CommandError> {
    wait_for(async {
        let vault = vault(settings).await?;
        let epochs = vault.epoch();
        let failed = |error: VaultError| CommandError::Failed(error.to_string());
        let found = epochs.read().await.map_err(failed)?;
        let Some((epoch, hold)) = found.and_then(|epoch| epoch.held.clone().map(|hold| (epoch, hold))) else {
            let what = "nothing is held in this store. Where `refresh.hold` is set, the settings of the servers hold it";
            return Err(CommandError::Failed(what.to_owned()));
        };
        writeln!(out, "Refreshes at providers that rotate refresh tokens are held since {}.", hold.since)?;
        writeln!(out, "Server {} found: {}.\n", hold.by, hold.because)?;
        if !yes {
            writeln!(
                out,
                "A refresh token that was used since the backup was made is spent. Sending it again ends the grant at a"
            )?;
            writeln!(
                out,
                "provider that rotates strictly, and its end user has to connect again. What is at stake, and how to"
            )?;
            writeln!(out, "find out beforehand: docs/runbooks/backup-and-restore.md.\n")?;
            return Err(CommandError::Failed("to resume refreshes, say --yes".to_owned()));
        }
        if !epochs.resume(&epoch).await.map_err(failed)? {
            let what = "the store changed in this moment; nothing was done: run it again";
            return Err(CommandError::Failed(what.to_owned()));
        }
        writeln!(
            out,
            "Resumed. Servers go on within {}.",
            humantime::format_duration(settings.refresh.epoch)
        )?;
        Ok(())
    })
}
