//! Signing up, and showing that the address is one's own.

use super::{Answer, Call, json, pages};
use crate::accounts::SignUp;
use crate::domain::{EmailAddress, Password, Refusal, TenantId, Ticket};
use crate::vault::Activation;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUpFields {
    email: String,
    password: Password,
    product: Option<String>,
}

#[derive(Serialize)]
struct Accepted {
    status: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenField {
    token: Ticket,
}

#[derive(Serialize)]
struct VerifiedAnswer<'a> {
    status: &'static str,
    tenant: &'a TenantId,
}

/// `POST /signup`: the same answer whether or not the address has an account.
pub(super) async fn sign_up(call: Call) -> Answer {
    let SignUpFields { email, password, product } = call.fields()?;
    let email = EmailAddress::parse(&email).map_err(|error| Refusal::field("email", error.to_string()))?;
    call.accounts().sign_up(SignUp { email, password, product }, call.client()).await?;
    json(StatusCode::ACCEPTED, &Accepted { status: "accepted" })
}

/// `GET /verify-email?token=…`: changes nothing, because whoever scans mails follows links.
pub(super) async fn show(call: Call) -> Answer {
    let found = call.loose_query().into_iter().find(|(name, _)| name == "token");
    let token = Ticket::new(found.ok_or_else(|| Refusal::field("token", "is missing"))?.1);
    let pending = call.accounts().pending(&token).await?.ok_or_else(unknown_link)?;
    Ok(pages::verify(&pending, &token))
}

/// `POST /verify-email`: the button.
pub(super) async fn verify(call: Call) -> Answer {
    let TokenField { token } = call.fields()?;
    match call.accounts().verify(&token, &call.origin()).await? {
        Activation::Activated(tenant) if call.wants_json() => {
            json(StatusCode::OK, &VerifiedAnswer { status: "verified", tenant: &tenant })
        }
        Activation::Activated(tenant) => Ok(pages::verified(&tenant)),
        Activation::AddressTaken => Err(Refusal::Conflict {
            detail: "This address has an account already, with the password it was made with.".to_owned(),
        }),
        Activation::UnknownLink => Err(unknown_link()),
    }
}

fn unknown_link() -> Refusal {
    Refusal::NotFound { what: "a sign-up that waits for this link".to_owned() }
}
