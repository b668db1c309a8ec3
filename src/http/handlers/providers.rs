//! The catalog, as tenants see it.

use super::{Answer, Call, Description, Page, Tag, json};
use crate::catalog::{Provider, Summary};
use crate::domain::{ProviderId, Refusal};
use actix_web::http::StatusCode;

/// `GET /providers`: all of them, for they are few.
pub(super) async fn list(call: Call) -> Answer {
    let items = call.broker().catalog().iter().map(|provider| provider.summary()).collect();
    json(StatusCode::OK, &Page { items, next_cursor: None })
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::Providers, "List the providers there are")
        .lists::<Summary>("All of them, on one page.")
}

/// `GET /providers/{id}`.
pub(super) async fn show(call: Call) -> Answer {
    let id = call.provider("id")?;
    let not_found = || Refusal::NotFound { what: format!("a provider `{id}`") };
    let provider: &Provider = call.broker().catalog().get(&id).ok_or_else(not_found)?;
    json(StatusCode::OK, &provider.summary())
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Providers, "Read what one must know to enable a provider")
        .path::<ProviderId>("id", "Which one.")
        .answers::<Summary>(200, "The provider.")
        .refuses([Refusal::NotFound { what: "a provider `slak`".to_owned() }])
}
