//! What clients call: `/token`, `/revoke`, the API `/me`, and the metadata that names them.

use super::SCOPES;
use super::answer::{Answer, Content, OAuthError};
use super::control::Control;
use super::fault::{Endpoint, Grant};
use super::form::{Form, bearer_of, client_of};
use super::grants::{Issued, Proof};
use super::server::Site;
use crate::crypto::hash;
use crate::domain::Scopes;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

const NOT_A_FORM: OAuthError = OAuthError::new("invalid_request", "the body must be form-encoded");
const DOUBLED: OAuthError = OAuthError::new("invalid_request", "a parameter stands there more than once");

/// `POST /token` (RFC 6749 section 3.2).
pub(super) async fn token(site: web::Data<Site>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let form = Form::of(&request, &body);
    let grant = form.as_ref().and_then(Form::grant);
    let _under_way = UnderWay::begin(&site.control, grant, form.as_ref());
    let strike = site.control.strike(Endpoint::Token, grant);
    strike.play(|| give(&site, &request, form, grant).unwrap_or_else(Answer::from)).await
}

/// Counts a refresh as under way until it is dropped, however the request ends.
struct UnderWay<'a> {
    control: &'a Control,
    family: Option<u64>,
}

impl<'a> UnderWay<'a> {
    fn begin(control: &'a Control, grant: Option<Grant>, form: Option<&Form>) -> Option<Self> {
        match grant? {
            Grant::AuthorizationCode => {
                control.with(|state, _| state.grants.totals.exchange_requests += 1);
                None
            }
            Grant::RefreshToken => {
                let token = form.and_then(|form| form.get("refresh_token"));
                let family = control.with(|state, _| state.grants.refresh_begins(token));
                Some(Self { control, family })
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.control.with(|state, _| state.grants.refresh_ends(self.family));
    }
}

fn give(
    site: &Site,
    request: &HttpRequest,
    form: Option<Form>,
    grant: Option<Grant>,
) -> Result<Answer, OAuthError> {
    let (form, client_id) = admit(site, request, form)?;
    let need = |name| form.get(name).ok_or(OAuthError::new("invalid_request", "a parameter is missing"));
    let issued = match grant {
        Some(Grant::AuthorizationCode) => {
            let code = need("code")?;
            let proof = Proof {
                client_id: &client_id,
                redirect_uri: need("redirect_uri")?,
                verifier: need("code_verifier")?,
            };
            site.control.with(|state, moment| state.grants.exchange(code, &proof, moment))
        }
        Some(Grant::RefreshToken) => {
            let token = need("refresh_token")?;
            let asked = form.get("scope").map(|scope| Scopes::split(scope, &[' ']));
            site.control.with(|state, moment| state.grants.refresh(token, &client_id, asked, moment))
        }
        None if form.get("grant_type").is_some() => {
            Err(OAuthError::new("unsupported_grant_type", "authorization_code and refresh_token are"))
        }
        None => Err(OAuthError::new("invalid_request", "grant_type is missing")),
    };
    issued.map(|issued| tokens(&issued))
}

fn tokens(issued: &Issued) -> Answer {
    let mut body = json!({
        "access_token": issued.access.expose(),
        "token_type": "Bearer",
        "expires_in": issued.expires_in.as_secs(),
        "scope": issued.scopes.join(" "),
    });
    if let (Some(refresh), Some(members)) = (&issued.refresh, body.as_object_mut()) {
        members.insert("refresh_token".to_owned(), refresh.expose().into());
    }
    Answer::ok(body)
}

/// `POST /revoke` (RFC 7009). The hint is not needed and not read.
pub(super) async fn revoke(site: web::Data<Site>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    site.control.with(|state, _| state.grants.totals.revoke_requests += 1);
    let strike = site.control.strike(Endpoint::Revoke, None);
    let form = Form::of(&request, &body);
    strike.play(|| forget(&site, &request, form).unwrap_or_else(Answer::from)).await
}

fn forget(site: &Site, request: &HttpRequest, form: Option<Form>) -> Result<Answer, OAuthError> {
    let (form, client_id) = admit(site, request, form)?;
    let token = form.get("token").ok_or(OAuthError::new("invalid_request", "token is missing"))?;
    site.control.with(|state, _| state.grants.revoke(token, &client_id))?;
    Ok(Answer::new(200, Content::Nothing { close: false }))
}

/// The form and the client that proved itself.
fn admit(site: &Site, request: &HttpRequest, form: Option<Form>) -> Result<(Form, String), OAuthError> {
    let form = form.ok_or(NOT_A_FORM)?;
    if form.any_doubled() {
        return Err(DOUBLED);
    }
    let (id, secret) = client_of(request, &form)?;
    if !site.control.with(|state, _| state.clients.admits(&id, &secret)) {
        return Err(OAuthError::client("the client is unknown or its secret wrong"));
    }
    Ok((form, id))
}

/// `GET /me`: an API that wants a live access token.
pub(super) async fn me(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    site.control.with(|state, _| state.grants.totals.me_requests += 1);
    let strike = site.control.strike(Endpoint::Me, None);
    strike.play(|| who(&site, bearer_of(&request))).await
}

fn who(site: &Site, token: Option<&str>) -> Answer {
    let refuse = |challenge| {
        let body = json!({ "error": "invalid_token" });
        Answer::new(401, Content::Json(body)).header(header::WWW_AUTHENTICATE, challenge)
    };
    // Without any token the challenge names no error (RFC 6750 section 3.1).
    let Some(token) = token else { return refuse(r#"Bearer realm="sandbox""#) };
    let bearer = site.control.with(|state, moment| state.grants.bearer(token, moment.now));
    let Some(bearer) = bearer else { return refuse(r#"Bearer realm="sandbox", error="invalid_token""#) };
    let digest = hash::sha256_hex(bearer.user.as_bytes());
    Answer::ok(json!({
        "sub": digest.get(..16),
        "name": bearer.user,
        "scope": bearer.scopes.join(" "),
        "client_id": bearer.client_id,
    }))
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414 section 3.2).
pub(super) async fn metadata(site: web::Data<Site>) -> HttpResponse {
    let issuer = &site.issuer;
    let proofs = ["client_secret_basic", "client_secret_post"];
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": proofs,
        "revocation_endpoint_auth_methods_supported": proofs,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}
