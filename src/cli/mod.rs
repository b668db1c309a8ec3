//! The command line: arguments in, words on standard output, an exit code out. It starts things and decides nothing.
//!
//! Exit codes: 0 done, 1 what was asked for failed, 2 the arguments are wrong.

mod args;
mod audit;
mod keys;
mod progress;
mod providers;
mod serve;
mod tenants;

use crate::app::{self, StartError};
use crate::config::Settings;
use crate::vault::Vault;
use args::{Cli, Command};
use clap::Parser;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Failed(String),
}

/// The variables of the process.
type Environment = Vec<(String, String)>;

/// Runs a command line.
pub fn run(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // A name or value that is not UTF-8 is none of ours.
    let env: Environment =
        env.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    match carry_out(cli, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "grantkeep: {error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(cli: Cli, env: Environment) -> Result<(), CommandError> {
    let config = cli.config;
    let settings = || -> Result<Settings, CommandError> {
        Settings::load(config.as_deref(), env.into_iter(), &[])
            .map_err(|faults| CommandError::Start(faults.into()))
    };
    let mut out = io::stdout().lock();
    match cli.command {
        Command::Serve => serve::serve(settings()?),
        Command::Check => serve::check(&settings()?, &mut out),
        Command::Health { ready } => serve::health(&settings()?, ready, &mut out),
        Command::Demo(demo) => serve::demo(&demo, &mut out),
        Command::Sandbox(sandbox) => serve::sandbox(&sandbox, &mut out),
        Command::Keys(args::Keys::Generate { id }) => keys::generate(id.as_deref(), &mut out),
        Command::Keys(args::Keys::Status) => keys::status(&settings()?, &mut out),
        Command::Keys(args::Keys::Rotate { tenant }) => keys::rotate(&settings()?, &tenant, &mut out),
        Command::Audit(args::Audit::Verify { tenant, heads }) => {
            audit::verify(&settings()?, tenant.as_deref(), &heads, &mut out)
        }
        Command::Tenants(args::Tenants::Resume { yes }) => tenants::resume(&settings()?, yes, &mut out),
        Command::Providers(providers) => providers::run(providers, &mut out),
    }
}

/// The vault alone, for a command that works on what is kept.
async fn vault(settings: &Settings) -> Result<Vault, CommandError> {
    app::vault(settings).await.map_err(|error| {
        if error.in_use() {
            let what = "the embedded store is one process's at a time: stop the server, run this, and start it again";
            return CommandError::Failed(format!("{error}; {what}"));
        }
        error.into()
    })
}
