//! The arguments, for clap.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Grantkeep, a token vault: it keeps OAuth grants sealed, and refreshes a token once for all who ask.
#[derive(Debug, Parser)]
#[command(name = "grantkeep", version, propagate_version = true)]
pub(super) struct Cli {
    /// A file of settings, laid over the built-in ones; variables GRANTKEEP_<SECTION>__<KEY> win over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server.
    Serve,
    /// Run the whole journey once, on this machine, with a provider of its own.
    Demo(Demo),
    /// Run the sandbox provider on its own.
    Sandbox(Sandbox),
    /// Read all settings and provider files, ask the store, and say what is wrong.
    Check,
    /// Ask the admin port of the server that runs by these settings whether it is up; exit code 0 or 1.
    Health {
        /// Whether it should get requests, too: its store answers, and it is not stopping.
        #[arg(long)]
        ready: bool,
    },
    /// Master keys.
    #[command(subcommand)]
    Keys(Keys),
    /// The audit trail.
    #[command(subcommand)]
    Audit(Audit),
    /// All tenants of a store.
    #[command(subcommand)]
    Tenants(Tenants),
    /// Provider files.
    #[command(subcommand)]
    Providers(Providers),
}

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Stay up at the end, and say under which URL and login.
    #[arg(long)]
    pub keep: bool,
    /// The port to try first.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Show what the server logs.
    #[arg(long)]
    pub verbose: bool,
}

#[derive(Args, Debug)]
pub(super) struct Sandbox {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// 0 takes a free port.
    #[arg(long, default_value_t = 8091)]
    pub port: u16,
    /// How long an access token lives.
    #[arg(long, default_value = "60s", value_parser = crate::domain::parse_duration)]
    pub access_lifetime: Duration,
    /// What a refresh does to the refresh token.
    #[arg(long, value_enum, default_value_t = Rotation::Strict)]
    pub rotation: Rotation,
    /// Open /control, where faults are switched on, to whoever reaches the port.
    #[arg(long)]
    pub control: bool,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Rotation {
    /// It goes on working.
    None,
    /// A new one comes, and the old one works a little longer.
    Grace,
    /// A new one comes, and using the old one again ends the grant.
    Strict,
}

impl Rotation {
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Grace => "grace",
            Self::Strict => "strict",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Print a new master key, as `vault.master_keys` wants it.
    Generate {
        /// Its name; a random one where none is given.
        #[arg(long)]
        id: Option<String>,
    },
    /// Say what lies under which master key, and which of them may be removed.
    Status,
    /// Wrap anew, under the first master key, what lies under the others.
    Rotate {
        /// A tenant that the index has lost: put it back into it first. May be given several times.
        #[arg(long, value_name = "ID")]
        tenant: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Tenants {
    /// Let refreshes go on that wait because the store was put back to an earlier time.
    Resume {
        /// Do it; without, only say what is held and why.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Go over the audit trail and say which records were changed, taken away or moved. It only reads.
    Verify {
        /// The id of one tenant; all of them where none is given.
        #[arg(long)]
        tenant: Option<String>,
        /// A server's log, or - for standard input: the trail is compared with the heads that were logged.
        #[arg(long, value_name = "LOG")]
        heads: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Providers {
    /// List the providers that are compiled in.
    List,
    /// Check provider files and say what is wrong, with file, line and column.
    Lint {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Accept http and loopback URLs, as `upstream.allow_insecure` does.
        #[arg(long)]
        allow_insecure: bool,
    },
    /// Show a built-in provider with every default filled in, as JSON.
    Show {
        /// Its id.
        id: String,
    },
}
