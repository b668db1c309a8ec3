//! One request, read to its end, and what its handler may ask of it.

use super::body::Fields;
use super::routes::{Access, Route};
use super::visit::Visit;
use super::{State, address, credentials};
use crate::accounts::{Accounts, Authenticated, Caller};
use crate::broker::{Broker, Refused};
use crate::domain::{Id, Origin, ProviderId, Refusal, Timestamp};
use crate::vault::Along;
use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderName};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Deserialize;
use std::rc::Rc;
use std::sync::Arc;

/// What a handler comes to.
pub(super) type Answer = Result<HttpResponse, Refusal>;

/// One request on a route, its body read to the end.
pub(super) struct Call {
    pub(super) route: &'static Route,
    pub(super) request: HttpRequest,
    pub(super) body: Bytes,
    pub(super) state: Data<State>,
    pub(super) request_id: String,
    /// Held until the work is done, also where the client went away.
    pub(super) visit: Rc<Visit>,
}

impl Call {
    pub(super) fn accounts(&self) -> &Accounts {
        &self.state.accounts
    }

    pub(super) fn broker(&self) -> &Arc<Broker> {
        &self.state.broker
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the path, as it stands there.
    pub(super) fn path(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// The id in the path; what is no id is absent like any other that is not there.
    pub(super) fn id<T: Id>(&self, what: &str) -> Result<T, Refusal> {
        T::parse(self.path("id")).ok_or_else(|| Refusal::NotFound { what: what.to_owned() })
    }

    /// The provider in the path.
    pub(super) fn provider(&self, parameter: &str) -> Result<ProviderId, Refusal> {
        let not_found = || Refusal::NotFound { what: "a provider of that name".to_owned() };
        ProviderId::parse(self.path(parameter)).ok_or_else(not_found)
    }

    /// The fields of the query.
    pub(super) fn query<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        Fields::of_query(self.request.query_string())?.typed()
    }

    /// All parameters of the query, whatever they are: what a provider adds of its own must not end a journey.
    pub(super) fn loose_query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.request.query_string().as_bytes()).into_owned().collect()
    }

    /// As [`Self::fields`], where there need be no body.
    pub(super) fn fields_if_any<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T, Refusal> {
        if self.body.is_empty() { Ok(T::default()) } else { self.fields() }
    }

    /// The fields of the body, without the two that may prove who calls.
    pub(super) fn fields<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        let mut fields = self.untyped()?;
        if self.route.access.wants_caller() {
            credentials::drop_from(&mut fields)?;
        }
        fields.typed()
    }

    fn untyped(&self) -> Result<Fields<'_>, Refusal> {
        if self.request.headers().contains_key(CONTENT_ENCODING) {
            return Err(Refusal::request(
                "A body with a Content-Encoding is not accepted: send it as it is.",
            ));
        }
        Fields::of_body(self.header(&CONTENT_TYPE), &self.body)
    }

    /// All cookies as they were sent (RFC 6265 section 5.4). One that is malformed spoils no other.
    pub(super) fn cookies(&self) -> Vec<(String, String)> {
        // Not `to_str`: it wants ASCII, and anything on a parent domain may set a cookie of other letters.
        let headers =
            self.request.headers().get_all(COOKIE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        headers.flat_map(|value| value.split(';').filter_map(pair).collect::<Vec<_>>()).collect()
    }

    /// The refusal, and for the page that tells of it whose product it was on the way to.
    pub(super) fn refuse(&self, refused: Refused) -> Refusal {
        if let Some(product) = refused.product {
            self.request.extensions_mut().insert(Product(product));
        }
        refused.refusal
    }

    /// True when the sender reads JSON and no pages.
    pub(super) fn wants_json(&self) -> bool {
        wants_json(&self.request)
    }

    /// Proves the caller and that the route's scope is theirs. With a slot, what is in it comes in the same round trip.
    pub(super) async fn authenticate(&self, along: Option<Along<'_>>) -> Result<Authenticated, Refusal> {
        // A handler of the wrong kind for its route lets nobody in.
        let scope = match self.route.access {
            Access::Caller(scope) => Some(scope),
            Access::AnyCaller => None,
            Access::Public | Access::Browser => return Err(Refusal::Internal),
        };
        let presented = match credentials::of_header(self.request.headers())? {
            Some(presented) => presented,
            None if self.body.is_empty() => return Err(Refusal::Unauthenticated),
            None => credentials::take_from(&mut self.untyped()?)?.ok_or(Refusal::Unauthenticated)?,
        };
        let authenticated = self.accounts().authenticate(&presented, self.client(), along).await?;
        self.visit.is_of(&self.state, &authenticated.caller)?;
        scope.map_or(Ok(()), |scope| authenticated.caller.may(scope))?;
        let Authenticated { caller, slot } = authenticated;
        Ok(Authenticated { caller: caller.in_request(&self.request_id), slot })
    }

    /// The caller of a route that needs one.
    pub(super) async fn caller(&self) -> Result<Caller, Refusal> {
        Ok(self.authenticate(None).await?.caller)
    }

    /// Where it came from, for the audit trail.
    pub(super) fn origin(&self) -> Origin {
        Origin { address: self.client(), request: self.request_id.clone() }
    }

    /// The address it came from, see [`address::client`].
    pub(super) fn client(&self) -> Option<std::net::IpAddr> {
        address::client(self.request.peer_addr(), self.request.headers(), &self.state.trusted_proxies)
    }
}

/// The product that a browser was on the way to, once it is known.
struct Product(String);

/// What [`Call::refuse`] left for the page.
pub(super) fn product(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<Product>().map(|product| product.0.clone())
}

/// True when the sender reads JSON and no pages.
pub(super) fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}
