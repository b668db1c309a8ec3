//! Where a connection stands, in plain words: what is so, and what to do.

use crate::domain::{ReauthorizationReason, Timestamp};
use crate::vault::{Connection, Status};

/// One or two sentences. Times are those that the answer shows as fields.
pub(super) fn of(connection: &Connection, now: Timestamp) -> String {
    match connection.status {
        Status::Active => working(connection, now),
        Status::Failing => failing(connection, now),
        Status::ReauthorizationRequired(reason) => {
            format!("{} Send the end user to connect again.", why(reason))
        }
        Status::Deleting => "It is being deleted.".to_owned(),
    }
}

fn working(connection: &Connection, now: Timestamp) -> String {
    let renewal = if connection.has_refresh_token() {
        "is refreshed when it is asked for"
    } else {
        "cannot be refreshed"
    };
    let token = match connection.expires_at {
        None => "Working. The provider does not say when the token ends.".to_owned(),
        Some(end) if end > now => format!("Working. The token ends at {end}."),
        Some(end) => format!("The token ended at {end}; it {renewal}."),
    };
    match connection.plan.reauthorize_by {
        None => token,
        Some(by) => format!("{token} The end user has to connect again by {by}."),
    }
}

fn failing(connection: &Connection, now: Timestamp) -> String {
    let trouble = &connection.trouble;
    let times = if trouble.failures == 1 { "once".to_owned() } else { format!("{} times", trouble.failures) };
    let error = trouble.last_error.as_deref().unwrap_or("unknown");
    let token = match connection.expires_at {
        Some(end) if end <= now => "The old token has ended",
        _ => "The old token still works",
    };
    let next = match (trouble.revision, trouble.retry_at) {
        (Some(_), _) => "It waits for your registration at the provider to be mended".to_owned(),
        (None, Some(at)) => format!("The next try is not before {at}"),
        (None, None) => "It is tried again when it is asked for".to_owned(),
    };
    format!("Refreshing failed {times} in a row, last with `{error}`. {token}. {next}.")
}

fn why(reason: ReauthorizationReason) -> &'static str {
    match reason {
        ReauthorizationReason::Revoked => "The provider takes its refresh token no more.",
        ReauthorizationReason::RefreshTokenExpired => "Its refresh token has expired, or there is none.",
        ReauthorizationReason::RefreshOutcomeUnknown => {
            "The answer to a refresh was lost, and with it the new refresh token; the old one is spent."
        }
        ReauthorizationReason::ScopesReduced => "The provider grants less than before.",
        ReauthorizationReason::IntegrationChanged => {
            "It was granted to another client id than the one enabled now."
        }
    }
}
