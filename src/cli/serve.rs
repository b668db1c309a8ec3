//! The commands that start something and wait.

use super::CommandError;
use super::args::{Demo, Sandbox};
use crate::app::{self, DemoOptions, Running, SandboxCall};
use crate::config::Settings;
use std::future::Future;
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};

/// Commands wait on a runtime of their own; servers bring theirs.
pub(super) fn wait_for<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Returns at SIGTERM or SIGINT.
async fn asked_to_stop() -> Result<(), CommandError> {
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

pub(super) fn serve(settings: Settings) -> Result<(), CommandError> {
    wait_for(async {
        let mut running = app::start(settings).await?;
        tracing::info!(
            public = %running.public_at(),
            admin = %running.admin_at(),
            url = %running.public_url(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        tokio::select! {
            asked = asked_to_stop() => asked?,
            error = running.failed() => return Err(error.into()),
        }
        stop(running).await
    })
}

async fn stop(running: Running) -> Result<(), CommandError> {
    // A second signal ends it at once: whoever sends it has waited long enough.
    tokio::select! {
        drained = running.stop() => if drained {
            Ok(())
        } else {
            Err(CommandError::Failed("stopped before all work under way was done".to_owned()))
        },
        _ = asked_to_stop() => Err(CommandError::Failed("stopped at once by a second signal".to_owned())),
    }
}

pub(super) fn check(settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    let providers = wait_for(async { Ok(app::check(settings).await?) })?;
    writeln!(out, "settings read, {providers} providers loaded, the store answers")?;
    Ok(())
}

pub(super) fn sandbox(call: &Sandbox, out: &mut dyn Write) -> Result<(), CommandError> {
    let call = SandboxCall {
        host: call.host,
        port: call.port,
        access_lifetime: call.access_lifetime,
        rotation: call.rotation.word().to_owned(),
        control: call.control,
    };
    wait_for(async {
        let sandbox = app::sandbox(call).await?;
        writeln!(
            out,
            "sandbox provider on {}; client sandbox-client, secret sandbox-secret",
            sandbox.base_url()
        )?;
        out.flush()?;
        asked_to_stop().await?;
        sandbox.stop().await;
        Ok(())
    })
}

pub(super) fn demo(call: &Demo, out: &mut dyn Write) -> Result<(), CommandError> {
    let options = DemoOptions { port: call.port, verbose: call.verbose };
    wait_for(async {
        let demo = app::demo(options, out).await?;
        let outcome = match &demo.outcome {
            Err(stumble) => Err(CommandError::Failed(format!("the demo stopped: {stumble}"))),
            Ok(summary) => {
                let refreshes = demo.sandbox.control().counts().refreshes;
                writeln!(out, "\nDone. First token {}, second token {}.", summary.first, summary.second)?;
                let said = if summary.differ { "differ" } else { "are the same" };
                writeln!(out, "The tokens {said}; the provider counted {refreshes} refresh.")?;
                if call.keep {
                    let (email, password) = &summary.login;
                    writeln!(
                        out,
                        "\nStill up: {}   login {email}   password {password}",
                        demo.server.public_url()
                    )?;
                    writeln!(out, "Stop it with Ctrl-C; everything of this demo is then removed.")?;
                    out.flush()?;
                    asked_to_stop().await?;
                }
                if summary.differ {
                    Ok(())
                } else {
                    Err(CommandError::Failed("no refresh happened".to_owned()))
                }
            }
        };
        demo.end().await?;
        outcome
    })
}
