//! The one door: every request on the public port, known route or not, goes through [`serve`].
//!
//! It reads the body to its end (a request answered before that costs the client its connection), runs the handler, turns a
//! refusal into a problem or a page, and adds what every answer has.

use super::call::{Answer, Call, product, wants_json};
use super::observe::Watch;
use super::routes::{Access, Route, RouteName};
use super::visit::Visit;
use super::{State, address, headers, pages, problem};
use crate::accounts::Caller;
use crate::domain::Refusal;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt, Stream, StreamExt};
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
        Access::Caller(_) | Access::AnyCaller => Box::pin(std::future::ready(Err(Refusal::Internal))),
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
    let (seen_as, as_page) = match &place {
        Place::Route(route, _) => (
            // Of a token that was handed out the audit trail has a record.
            (route.path, route.name == RouteName::GetAccessToken),
            route.access == Access::Browser && !wants_json(&request),
        ),
        Place::Nowhere(_) => (("(none)", false), false),
    };
    let on_a_page = as_page.then(|| request.clone());
    let watch = Watch::begin(&state, &request, seen_as);
    let https = state.https;
    let id = watch.request_id().to_owned();
    let visit = Rc::new(Visit::default());
    let answer = run(place, state, request, payload, (id, Rc::clone(&visit)));
    let answer = answer.instrument(watch.span()).await;
    let mut response = match answer {
        Ok(response) => response,
        Err(refusal) => match on_a_page {
            Some(request) => pages::refusal(&refusal, watch.request_id(), product(&request).as_deref()),
            None => problem::problem(&refusal, watch.request_id()),
        },
    };
    visit.tell(&mut response);
    headers::add(&mut response, watch.request_id(), https);
    watch.end(response.status());
    response
}

async fn run(
    place: Place,
    state: Data<State>,
    request: HttpRequest,
    payload: Payload,
    (request_id, visit): (String, Rc<Visit>),
) -> Answer {
    let read = tokio::time::timeout(BODY_PATIENCE, body(&request, payload, state.body_limit)).await;
    let slow = || Refusal::request(format!("The body did not arrive within {} s.", BODY_PATIENCE.as_secs()));
    let body = read.map_err(|_| slow())??;
    visit
        .enter(&state, || address::client(request.peer_addr(), request.headers(), &state.trusted_proxies))?;
    let (route, handler) = match place {
        Place::Route(route, handler) => (route, handler),
        Place::Nowhere(refusal) => return Err(refusal),
    };
    let work = guarded(handler(Call { route, request, body, state, request_id, visit }));
    if !changes_something(route) {
        return work.await;
    }
    // To its end, also when the client goes away: what was changed has to be recorded.
    let work = actix_web::rt::spawn(work.in_current_span());
    work.await.unwrap_or(Err(Refusal::Internal))
}

/// A token that nobody stays for is not handed out, and a refresh goes its own way; all else that is no mere read is finished.
fn changes_something(route: &Route) -> bool {
    route.access == Access::Browser || !(route.takes_head() || route.name == RouteName::GetAccessToken)
}

/// A panic in a handler is a fault of ours like any other: the client hears of it, and its connection stays.
async fn guarded(work: impl Future<Output = Answer>) -> Answer {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Err(Refusal::Internal)
    })
}

async fn body(request: &HttpRequest, payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > limit.saturating_mul(THROWN_AWAY)) {
        return Err(Refusal::TooLarge { limit });
    }
    collect(payload, limit).await
}

async fn collect<S, E>(mut chunks: S, limit: usize) -> Result<Bytes, Refusal>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let broken = |_| Refusal::request("The body was cut short or is not framed as its headers say.");
    // Most bodies are one chunk, which needs no copy.
    let Some(first) = chunks.next().await.transpose().map_err(broken)? else { return Ok(Bytes::new()) };
    let (mut length, mut copy) = (first.len(), None);
    while let Some(chunk) = chunks.next().await.transpose().map_err(broken)? {
        length = length.saturating_add(chunk.len());
        if length > limit.saturating_mul(THROWN_AWAY) {
            break;
        }
        if length <= limit {
            copy.get_or_insert_with(|| BytesMut::from(first.as_ref())).extend_from_slice(&chunk);
        }
    }
    if length > limit {
        return Err(Refusal::TooLarge { limit });
    }
    Ok(copy.map_or(first, BytesMut::freeze))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn read(chunks: &[&'static str], limit: usize) -> Result<String, &'static str> {
        let chunks = stream::iter(chunks.iter().map(|chunk| match *chunk {
            "!" => Err("broken"),
            text => Ok(Bytes::from_static(text.as_bytes())),
        }));
        let body = collect(chunks, limit).now_or_never().unwrap();
        body.map(|body| String::from_utf8(body.to_vec()).unwrap()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn a_body_is_read_whole_or_not_at_all() {
        assert_eq!(read(&[], 4), Ok(String::new()));
        assert_eq!(read(&["abcd"], 4), Ok("abcd".to_owned()));
        assert_eq!(read(&["ab", "c", "d"], 4), Ok("abcd".to_owned()));
        assert_eq!(read(&["abcde"], 4), Err("too_large"));
        assert_eq!(read(&["ab", "cde"], 4), Err("too_large"));
        assert_eq!(read(&["ab", "!"], 4), Err("invalid_request"));
    }

    #[test]
    fn a_body_too_large_is_read_on_but_not_for_ever() {
        let many = vec!["abcd"; THROWN_AWAY];
        assert_eq!(read(&[&many[..], &["!"]].concat(), 4), Err("invalid_request"), "read to the fault");
        assert_eq!(read(&[&many[..], &["a", "!"]].concat(), 4), Err("too_large"), "given up before it");
    }

    #[test]
    fn a_panic_is_a_refusal() {
        let answer = guarded(async { panic!("planted") }).now_or_never().unwrap();
        assert_eq!(answer.unwrap_err(), Refusal::Internal);
    }
}
