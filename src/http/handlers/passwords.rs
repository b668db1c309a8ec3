//! A password that was forgotten, and a new one.

use super::{Answer, Call, json, pages};
use crate::domain::{EmailAddress, Password, Refusal, Ticket};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgotFields {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetFields {
    token: Ticket,
    password: Password,
}

#[derive(Serialize)]
struct Status {
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

fn unknown_link() -> Refusal {
    Refusal::NotFound { what: "a new password that waits for this link".to_owned() }
}
