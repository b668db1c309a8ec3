//! The catalog, as tenants see it.

use super::{Answer, Call, Page, json};
use crate::catalog::Provider;
use crate::domain::Refusal;
use actix_web::http::StatusCode;

/// `GET /providers`: all of them, for they are few.
pub(super) async fn list(call: Call) -> Answer {
    let items = call.broker().catalog().iter().map(|provider| provider.summary()).collect();
    json(StatusCode::OK, &Page { items, next_cursor: None })
}

/// `GET /providers/{id}`.
pub(super) async fn show(call: Call) -> Answer {
    let id = call.provider("id")?;
    let not_found = || Refusal::NotFound { what: format!("a provider `{id}`") };
    let provider: &Provider = call.broker().catalog().get(&id).ok_or_else(not_found)?;
    json(StatusCode::OK, &provider.summary())
}
