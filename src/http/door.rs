//! The one door: every request on the public port, known route or not, goes through [`serve`].
//!
//! It reads the body to its end (a request answered before that costs the client its connection), runs the handler, turns a
//! refusal into a problem or a page, and adds what every answer has.

use super::call::{Answer, Call, wants_json};
use super::observe::Watch;
use super::routes::{Access, Route};
use super::{State, headers, pages, problem};
use crate::accounts::Caller;
use crate::domain::Refusal;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt, StreamExt};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tracing::Instrument;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(20);

/// How many times the limit of a body is read and thrown away, so that its sender hears the refusal and not a reset.
const THROWN_AWAY: usize = 16;

type Work = Pin<Box<dyn Future<Output = Answer>>>;

/// What answers a route.
pub(super) type Handler = Rc<dyn Fn(Call) -> Work>;

/// What a request has come to: a route, or a refusal that does not depend on it.
#[derive(Clone)]
pub(super) enum Place {
    Route(&'static Route, Handler),
    Nowhere(Refusal),
}

/// A handler that needs no caller.
pub(super) fn open<F, W>(handler: F) -> Handler
where
    F: Fn(Call) -> W + Copy + 'static,
    W: Future<Output = Answer> + 'static,
{
    Rc::new(move |call| match call.route.access {
        Access::Public | Access::Browser => Box::pin(handler(call)),
        Access::Caller(_) => Box::pin(std::future::ready(Err(Refusal::Internal))),
    })
}

/// A handler that is told who calls.
pub(super) fn known<F, W>(handler: F) -> Handler
where
    F: Fn(Caller, Call) -> W + Copy + 'static,
    W: Future<Output = Answer> + 'static,
{
    Rc::new(move |call| {
        Box::pin(async move {
            let caller = call.caller().await?;
            handler(caller, call).await
        })
    })
}

/// A handler that asks for its caller itself, by [`Call::authenticate`], because what it reads goes along.
pub(super) fn asking<F, W>(handler: F) -> Handler
where
    F: Fn(Call) -> W + Copy + 'static,
    W: Future<Output = Answer> + 'static,
{
    Rc::new(move |call| Box::pin(handler(call)))
}

/// Answers one request.
pub(super) async fn serve(
    place: Place,
    state: Data<State>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let (pattern, as_page) = match &place {
        Place::Route(route, _) => (route.path, route.access == Access::Browser && !wants_json(&request)),
        Place::Nowhere(_) => ("(none)", false),
    };
    let watch = Watch::begin(&state, &request, pattern);
    let https = state.https;
    let answer = run(place, state, request, payload).instrument(watch.span()).await;
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) if as_page => pages::refusal(&refusal, watch.request_id()),
        Err(refusal) => problem::problem(&refusal, watch.request_id()),
    };
    headers::add(&mut response, watch.request_id(), https);
    watch.end(response.status());
    response
}

async fn run(place: Place, state: Data<State>, request: HttpRequest, payload: Payload) -> Answer {
    let read = tokio::time::timeout(BODY_PATIENCE, body(&request, payload, state.body_limit)).await;
    let slow = || Refusal::request(format!("The body did not arrive within {} s.", BODY_PATIENCE.as_secs()));
    let body = read.map_err(|_| slow())??;
    let (route, handler) = match place {
        Place::Route(route, handler) => (route, handler),
        Place::Nowhere(refusal) => return Err(refusal),
    };
    let call = Call { route, request, body, state };
    AssertUnwindSafe(handler(call)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Err(Refusal::Internal)
    })
}

async fn body(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = Err(Refusal::TooLarge { limit });
    let most = limit.saturating_mul(THROWN_AWAY);
    if declared(request).is_some_and(|length| length > most) {
        return too_large;
    }
    let broken = |_| Refusal::request("The body was cut short or is not framed as its headers say.");
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    let mut length = first.len();
    let Some(second) = payload.next().await else {
        return if length > limit { too_large } else { Ok(first) };
    };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(broken)?;
        length = length.saturating_add(chunk.len());
        if length > most {
            return too_large;
        }
        if length <= limit {
            body.extend_from_slice(&chunk);
        }
        next = payload.next().await;
    }
    if length > limit { too_large } else { Ok(body.freeze()) }
}

fn declared(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
