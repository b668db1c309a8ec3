//! A password that was forgotten, and a new one.

use super::{Answer, Call, Description, Tag, json, pages};
use crate::domain::{EmailAddress, Password, Refusal, Ticket};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Whose password was forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ForgotFields {
    /// The address of the account; a mail with a link goes there, if there is one.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetFields {
    /// As it stands in the link.
    token: Ticket,
    /// The new one.
    password: Password,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordStatus)]
struct Status {
    /// `accepted` or `changed`.
    status: &'static str,
}

/// `POST /forgot-password`: the same answer whether or not the address has an account.
pub(super) async fn forgot(call: Call) -> Answer {
    let ForgotFields { email } = call.fields()?;
    let email = EmailAddress::parse(&email).map_err(|error| Refusal::field("email", error.to_string()))?;
    call.accounts().forgot_password(email, call.client()).await?;
    json(StatusCode::ACCEPTED, &Status { status: "accepted" })
}

/// `GET /reset-password?token=…`: changes nothing, because whoever scans mails follows links.
pub(super) async fn show(call: Call) -> Answer {
    let found = call.loose_query().into_iter().find(|(name, _)| name == "token");
    let token = Ticket::new(found.ok_or_else(|| Refusal::field("token", "is missing"))?.1);
    let address = call.accounts().resettable(&token).await?.ok_or_else(unknown_link)?;
    Ok(pages::reset_password(&address, &token, None))
}

/// `POST /reset-password`: the button. A password that will not do leads back to the form, with what is wrong.
pub(super) async fn reset(call: Call) -> Answer {
    let ResetFields { token, password } = call.fields()?;
    match call.accounts().reset_password(&token, &password, call.client()).await {
        Ok(()) if call.wants_json() => json(StatusCode::OK, &Status { status: "changed" }),
        Ok(()) => Ok(pages::password_was_reset()),
        Err(refusal @ Refusal::InvalidRequest { .. }) if !call.wants_json() => {
            let address = call.accounts().resettable(&token).await?.ok_or_else(unknown_link)?;
            Ok(pages::reset_password(&address, &token, Some(&refusal)))
        }
        Err(refusal) => Err(refusal),
    }
}

/// The query of a mailed link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand: whoever adds parameters to links must not end a journey")]
struct LinkQuery {
    /// As it stands in the link.
    token: Ticket,
}

pub(super) fn forgot_described() -> Description {
    Description::new(Tag::Account, "Ask for a mail that sets a new password")
        .detail("The answer is the same for every address.")
        .body::<ForgotFields>()
        .answers::<Status>(202, "Accepted.")
        .refuses([
            Refusal::field("email", "must be an e-mail address such as ada@example.com"),
            Refusal::StoreUnavailable { retry_after: Duration::from_secs(2) },
        ])
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Account, "Show the page behind the link of a password mail")
        .detail("Changes nothing, because mail scanners follow links.")
        .query::<LinkQuery>()
        .page("A page with a form.")
        .refuses([unknown_link()])
}

pub(super) fn reset_described() -> Description {
    Description::new(Tag::Account, "Set a new password")
        .detail("What the form sends. JSON where the request accepts it and no `text/html`, a page otherwise: a password that \
                 will not do leads back to the form.")
        .body::<ResetFields>()
        .answers::<Status>(200, "The password is the new one.")
        .page("The password is the new one.")
        .refuses([
            Refusal::field("password", "must be 15 characters or more"),
            unknown_link(),
        ])
}

fn unknown_link() -> Refusal {
    Refusal::NotFound { what: "a new password that waits for this link".to_owned() }
}
