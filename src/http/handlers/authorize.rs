//! The journey of an end user: begun by a backend, opened and returned by a browser, completed by the backend.

use super::connections::ConnectionAnswer;
use super::{Answer, Call, json, see_other};
use crate::accounts::Caller;
use crate::broker::{Arrival, Begin, Complete, SessionCookie};
use crate::domain::{
    Account, CodeVerifier, EndUserId, Refusal, Scopes, SessionFault, SessionId, Ticket, Timestamp,
};
use crate::vault::Slot;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginFields {
    end_user: EndUserId,
    end_user_label: Option<String>,
    #[serde(default)]
    account: Account,
    scopes: Option<Scopes>,
    redirect_url: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    code_challenge: Option<String>,
}

#[derive(Serialize)]
struct BegunAnswer<'a> {
    session: &'a SessionId,
    authorize_url: &'a str,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteFields {
    completion: Ticket,
    end_user: EndUserId,
    code_verifier: Option<CodeVerifier>,
}

/// `POST /authorize-{provider}`.
pub(super) async fn begin(caller: Caller, call: Call) -> Answer {
    let provider = call.provider("provider")?;
    caller.may_use(&provider)?;
    let fields: BeginFields = call.fields()?;
    let request = Begin {
        slot: Slot { provider, end_user: fields.end_user, account: fields.account },
        label: fields.end_user_label,
        scopes: fields.scopes,
        redirect_url: fields.redirect_url,
        variables: fields.variables,
        code_challenge: fields.code_challenge,
    };
    let begun = call.broker().begin(caller.authority(), request).await?;
    let answer = BegunAnswer {
        session: &begun.session,
        authorize_url: begun.authorize_url.as_str(),
        expires_at: begun.expires_at,
    };
    json(StatusCode::CREATED, &answer)
}

/// `GET /authorize-{provider}?session=…`: on to the provider, with a cookie that the return must bring along.
pub(super) async fn open(call: Call) -> Answer {
    let found = call.loose_query().into_iter().find(|(name, _)| name == "session");
    let ticket = Ticket::new(found.ok_or(Refusal::SessionRefused(SessionFault::Link))?.1);
    let opened = call.broker().open(&call.provider("provider")?, &ticket, &call.origin()).await?;
    let mut response = see_other(&opened.location);
    response.add_cookie(&cookie(&opened.cookie)).map_err(|error| {
        tracing::error!(%error, "a cookie could not be written");
        Refusal::Internal
    })?;
    Ok(response)
}

fn cookie(of: &SessionCookie) -> Cookie<'_> {
    let age = Duration::try_from(of.max_age).unwrap_or(Duration::ZERO);
    Cookie::build(of.name.as_str(), of.value.expose())
        .path("/")
        .http_only(true)
        // Lax, not Strict: the return is a navigation that begins at the provider.
        .same_site(SameSite::Lax)
        .secure(of.secure)
        .max_age(age)
        .finish()
}

/// `GET /authorization-success/{tenant}/{provider}`: the return from the provider.
pub(super) async fn callback(call: Call) -> Answer {
    let (query, cookies) = (call.loose_query(), call.cookies());
    let cookie = |name: &str| cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let arrival = Arrival {
        tenant: call.path("tenant"),
        provider: call.path("provider"),
        query: &query,
        cookie: &cookie,
        origin: &call.origin(),
    };
    Ok(see_other(&call.broker().callback(arrival).await?))
}

/// `POST /complete-authorization`.
pub(super) async fn complete(caller: Caller, call: Call) -> Answer {
    let CompleteFields { completion, end_user, code_verifier } = call.fields()?;
    let limits = caller.limits().clone();
    let request = Complete { completion, end_user, code_verifier, limits };
    let connection = call.broker().complete(caller.authority(), request).await?;
    json(StatusCode::CREATED, &ConnectionAnswer::of(&connection))
}
