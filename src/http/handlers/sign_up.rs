//! Signing up, and showing that the address is one's own.

use super::{Answer, Call, Description, Tag, json, pages};
use crate::accounts::SignUp;
use crate::domain::{EmailAddress, Password, Refusal, TenantId, Ticket};
use crate::vault::Activation;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignUpFields {
    /// The address; a mail with a link goes there.
    #[schema(format = Email, max_length = 254, example = "ada@example.com")]
    email: String,
    /// The password; the link of this sign-up activates this one only.
    password: Password,
    /// The name shown to end users, on one line.
    #[schema(max_length = 80, example = "Acme")]
    product: Option<String>,
}

/// Always the same, for every address.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// `accepted`.
    status: &'static str,
}

/// The token of a mailed link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenField {
    /// As it stands in the link.
    token: Ticket,
}

/// An address that was shown to be one's own.
#[derive(Serialize, ToSchema)]
#[schema(as = Verified)]
struct VerifiedAnswer<'a> {
    /// `verified`.
    status: &'static str,
    /// The tenant that this made.
    tenant: &'a TenantId,
}

/// `POST /signup`: the same answer whether or not the address has an account.
pub(super) async fn sign_up(call: Call) -> Answer {
    let SignUpFields { email, password, product } = call.fields()?;
    let email = EmailAddress::parse(&email).map_err(|error| Refusal::field("email", error.to_string()))?;
    call.accounts().sign_up(SignUp { email, password, product }, call.client()).await?;
    json(StatusCode::ACCEPTED, &Accepted { status: "accepted" })
}

pub(super) fn sign_up_described() -> Description {
    Description::new(Tag::Account, "Sign up, or ask for another mail")
        .detail("The answer is the same for every address. A mail with a link goes out.")
        .body::<SignUpFields>()
        .answers::<Accepted>(202, "Accepted.")
        .refuses([
            Refusal::field("password", "must be 15 characters or more"),
            Refusal::StoreUnavailable { retry_after: Duration::from_secs(2) },
        ])
}

/// `GET /verify-email?token=…`: changes nothing, because whoever scans mails follows links.
pub(super) async fn show(call: Call) -> Answer {
    let found = call.loose_query().into_iter().find(|(name, _)| name == "token");
    let token = Ticket::new(found.ok_or_else(|| Refusal::field("token", "is missing"))?.1);
    let pending = call.accounts().pending(&token).await?.ok_or_else(unknown_link)?;
    Ok(pages::verify(&pending, &token))
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Account, "Show the page behind the link of a sign-up mail")
        .detail("Changes nothing, because mail scanners follow links.")
        .query::<TokenField>()
        .page("A page with a button.")
        .refuses([unknown_link()])
}

/// `POST /verify-email`: the button.
pub(super) async fn verify(call: Call) -> Answer {
    let TokenField { token } = call.fields()?;
    match call.accounts().verify(&token, &call.origin()).await? {
        Activation::Activated(tenant) if call.wants_json() => {
            json(StatusCode::OK, &VerifiedAnswer { status: "verified", tenant: &tenant })
        }
        Activation::Activated(tenant) => Ok(pages::verified(&tenant)),
        Activation::AddressTaken => Err(address_taken()),
        Activation::UnknownLink => Err(unknown_link()),
    }
}

pub(super) fn verify_described() -> Description {
    Description::new(Tag::Account, "Show that the address is one's own")
        .detail(
            "What the button sends. JSON where the request accepts it and no `text/html`, a page otherwise.",
        )
        .body::<TokenField>()
        .answers::<VerifiedAnswer>(200, "The account is there.")
        .page("The account is there.")
        .refuses([unknown_link(), address_taken()])
}

fn address_taken() -> Refusal {
    Refusal::Conflict {
        detail: "This address has an account already, with the password it was made with.".to_owned(),
    }
}

fn unknown_link() -> Refusal {
    Refusal::NotFound { what: "a sign-up that waits for this link".to_owned() }
}
