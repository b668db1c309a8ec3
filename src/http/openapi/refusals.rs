//! Refusals of a route as responses: one for each status, with exactly the codes that it can have there, each with an example
//! that the problem table itself has written.

use crate::domain::Refusal;
use crate::http::problem::{self, Problem};
use crate::http::routes::{Access, Route, allowed};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, Type};
use utoipa::openapi::{Header, Ref};

const EXAMPLE_ID: &str = "019ac0de-0000-7000-8000-000000000000";

/// What a route may answer because of who may use it, and because every request goes through the same door.
pub(super) fn common(route: &Route) -> Vec<Refusal> {
    let retry_after = Duration::from_secs(2);
    let mut all = vec![
        Refusal::request("The body was cut short or is not framed as its headers say."),
        Refusal::MethodNotAllowed { allowed: allowed(route.path) },
        Refusal::TooLarge { limit: 65_536 },
        Refusal::RateLimited { retry_after },
        Refusal::Internal,
    ];
    match route.access {
        Access::Public => {}
        Access::Browser => all.push(Refusal::StoreUnavailable { retry_after }),
        Access::Caller(_) | Access::AnyCaller => {
            if let Access::Caller(needed) = route.access {
                all.push(Refusal::InsufficientScope { needed });
            }
            let detail = "This API key may not be used from 192.0.2.7.".to_owned();
            all.extend([
                Refusal::Unauthenticated,
                Refusal::OutsideKeyLimits { detail },
                Refusal::StoreUnavailable { retry_after },
            ]);
        }
    }
    all.push(Refusal::Overloaded { retry_after });
    all
}

/// One status and how a route refuses with it.
pub(super) struct Refused {
    pub(super) status: u16,
    /// The name under which it is shared by routes that refuse just so; none where it is the route's own.
    pub(super) shared: Option<String>,
    pub(super) response: Response,
}

/// The ways of a route to refuse, by status.
pub(super) fn of(route: &Route, own: &[Refusal]) -> Vec<Refused> {
    let status = |refusal: &Refusal| problem::status_and_title(refusal).0.as_u16();
    let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
    for refusal in own.iter().cloned().chain(common(route)) {
        by_status.entry(status(&refusal)).or_default().push(refusal);
    }
    let refused = |(of, refusals): (u16, Vec<Refusal>)| {
        let particular = own.iter().any(|refusal| status(refusal) == of)
            || refusals.iter().any(|refusal| {
                matches!(refusal, Refusal::InsufficientScope { .. } | Refusal::MethodNotAllowed { .. })
            });
        let shared = (!particular).then(|| shared_name(route, &refusals));
        Refused { status: of, shared, response: response(route, of, &refusals) }
    };
    by_status.into_iter().map(refused).collect()
}

/// `too_large` as `TooLarge`, and for browsers `TooLargePage`.
fn shared_name(route: &Route, refusals: &[Refusal]) -> String {
    let words = refusals.first().map_or("", Refusal::code).split('_');
    let name: String = words
        .flat_map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect();
    if route.access == Access::Browser { format!("{name}Page") } else { name }
}

fn response(route: &Route, status: u16, refusals: &[Refusal]) -> Response {
    let mut codes: Vec<&str> = Vec::new();
    let mut titles: Vec<&str> = Vec::new();
    let mut examples = Vec::new();
    for refusal in refusals {
        let (code, title) = (refusal.code(), problem::status_and_title(refusal).1);
        if !codes.contains(&code) {
            let example =
                ExampleBuilder::new().summary(title).value(Some(problem::example(refusal, EXAMPLE_ID)));
            examples.push((code, example.build()));
            codes.push(code);
        }
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let told = ObjectBuilder::new()
        .property("code", ObjectBuilder::from(Object::with_type(Type::String)).enum_values(Some(codes)))
        .property(
            "status",
            ObjectBuilder::from(Object::with_type(Type::Integer)).enum_values(Some([status])),
        );
    let schema = AllOfBuilder::new().item(Ref::from_schema_name(Problem::name())).item(told);
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response =
        ResponseBuilder::new().description(titles.join(", or: ")).content(problem::MEDIA_TYPE, content);
    // A wrong method has no route yet, and so no page.
    if route.access == Access::Browser && status != 405 {
        let page = ContentBuilder::new().schema(Some(Object::with_type(Type::String))).build();
        response = response.content("text/html", page);
    }
    for (name, header) in refusals.first().into_iter().flat_map(headers) {
        response = response.header(name, header);
    }
    response.build()
}

/// The headers that go with a refusal, as the problem table sets them.
fn headers(refusal: &Refusal) -> Vec<(&'static str, Header)> {
    let header = |schema: ObjectBuilder, words: &str| {
        HeaderBuilder::new().schema(Some(schema)).description(Some(words)).build()
    };
    let text = || ObjectBuilder::from(Object::with_type(Type::String));
    let set = problem::head(refusal).finish();
    let mut all = Vec::new();
    if matches!(refusal, Refusal::RateLimited { .. }) {
        all.push(("RateLimit", header(text(), "What is left of each rate, where one is set.")));
        all.push(("RateLimit-Policy", header(text(), "The rates that are set.")));
    }
    for (name, value) in set.headers() {
        let said = value.to_str().unwrap_or_default();
        match name.as_str() {
            "retry-after" => {
                let seconds = ObjectBuilder::from(Object::with_type(Type::Integer)).minimum(Some(1));
                all.push(("Retry-After", header(seconds, "Whole seconds to wait before trying again.")));
            }
            "allow" => {
                all.push(("Allow", header(text().enum_values(Some([said])), "The methods this path takes.")));
            }
            "www-authenticate" => {
                let challenge = text().enum_values(Some([said]));
                all.push(("WWW-Authenticate", header(challenge, "Bearer, and never Basic.")));
            }
            _ => {}
        }
    }
    all
}
