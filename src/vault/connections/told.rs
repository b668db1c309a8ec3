//! What a tenant is told of a change: a comparison of a connection before and after it, and nothing else.

use super::{Connection, Status};
use crate::domain::{Event, EventKind, Scopes};

/// What a new grant in a slot tells. `kept` is the connection that was there and goes on under its id.
pub(super) fn of_a_grant(kept: Option<&Connection>, now: &Connection) -> Vec<Event> {
    let created = about(EventKind::ConnectionCreated, now).about("reconnected", kept.is_some());
    let mut events = vec![created];
    if let Some(before) = kept {
        if before.status != Status::Active {
            events.push(about(EventKind::ConnectionRecovered, now));
        }
        events.extend(reduced(&before.scopes, now));
    }
    events
}

/// What a refresh that brought tokens tells; that it did is told only where that is wanted.
pub(super) fn of_a_refresh(before: &Connection, now: &Connection, wanted: bool) -> Vec<Event> {
    let mut events = Vec::new();
    if wanted {
        events.push(about(EventKind::ConnectionRefreshed, now));
    }
    if before.status != Status::Active {
        events.push(about(EventKind::ConnectionRecovered, now));
    }
    events.extend(reduced(&before.scopes, now));
    events
}

/// What a refresh that brought nothing tells: the first of a row, and the last one.
pub(super) fn of_a_failure(before: &Connection, now: Status, error: &str) -> Vec<Event> {
    if before.status.word() == now.word() {
        return Vec::new();
    }
    match now {
        Status::Failing => vec![about(EventKind::ConnectionFailing, before).about("error", error)],
        Status::ReauthorizationRequired(reason) => {
            let event = about(EventKind::ConnectionReauthorizationRequired, before);
            vec![event.about("reason", reason.as_str()).about("error", error)]
        }
        Status::Active | Status::Deleting => Vec::new(),
    }
}

/// That it is gone.
pub(super) fn of_an_end(gone: &Connection) -> Event {
    about(EventKind::ConnectionDeleted, gone)
}

/// That its grant ends whatever is done.
pub(super) fn of_its_end(connection: &Connection) -> Event {
    let by = connection.plan.reauthorize_by.map(|at| at.to_string()).unwrap_or_default();
    about(EventKind::ConnectionExpiring, connection).about("reauthorize_by", by)
}

fn reduced(before: &Scopes, now: &Connection) -> Option<Event> {
    let lost = before.missing_from(&now.scopes);
    let less = || about(EventKind::ConnectionScopesReduced, now).about("lost", lost.join(" "));
    (lost != Scopes::default()).then(less)
}

fn about(kind: EventKind, connection: &Connection) -> Event {
    let slot = &connection.slot;
    Event::new(kind)
        .about("connection", &connection.id)
        .about("provider", &slot.provider)
        .about("end_user", slot.end_user.as_str())
        .about("account", slot.account.as_str())
        .about("generation", connection.generation)
}
