//! Faults: what the sandbox does wrong, where, and how often.

use super::answer::{Answer, Content};
use actix_web::HttpResponse;
use actix_web::http::header;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /authorize`: the answer to the person's decision.
    Authorize,
    /// `POST /token`.
    Token,
    /// `POST /revoke`.
    Revoke,
    /// `GET /me`.
    Me,
}

/// The grants of `/token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode,
    /// RFC 6749 section 6.
    RefreshToken,
}

/// What goes wrong. As JSON a name (`"close"`) or an object with one member (`{"delay": 300}`).
///
/// The first five take the place of the work, so nothing happens but the answer; [`Rule::after_effect`] lets the work
/// happen first. The others spoil the answer of work that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is closed without a byte. After the effect: the answer is lost.
    Close,
    /// 429 with this `Retry-After`, seconds or an HTTP date (RFC 9110 section 10.2.3).
    TooManyRequests(String),
    /// 500 with a page for humans.
    ServerError,
    /// This answer: an OAuth error of choice, or a 200 that says it is none.
    Json {
        /// The HTTP status.
        status: u16,
        /// The JSON body.
        body: Value,
    },
    /// 302 to this URL.
    Redirect(String),
    /// The answer comes this many milliseconds after the work was done. Adds to another fault.
    Delay(u64),
    /// The members of the answer are replaced, or taken away where null; on a redirect, the parameters of its URL. So
    /// `{"expires_in": null}`, `{"scope": "profile"}`, `{"refresh_token": null}`; at `/authorize` `{"iss": null}`.
    Change(Map<String, Value>),
    /// The JSON breaks off in the middle.
    Malformed,
    /// The body is form-encoded.
    FormEncoded,
    /// The JSON is right and 300 KiB long.
    Huge,
    /// The JSON is right and 10 MiB long.
    Vast,
    /// A body of ten kilobytes that says it is gzip, and is ten megabytes of zeros unpacked.
    Bomb,
    /// The JSON comes byte by byte, with so many milliseconds between two.
    Drip(u64),
    /// The connection is closed in the middle of a body whose whole length was told.
    Cut,
}

/// One fault, for some requests. Of several rules that fit a request the oldest strikes, and the oldest delay with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// Where.
    pub endpoint: Endpoint,
    /// At how many requests; none means until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// At `/token`, for this grant only.
    #[serde(default)]
    pub only_grant: Option<Grant>,
    /// The work is done before the fault strikes; false.
    #[serde(default)]
    pub after_effect: bool,
}

impl Rule {
    /// `fault` at every request to `endpoint`, before it has an effect.
    pub fn new(endpoint: Endpoint, fault: Fault) -> Self {
        Self { fault, endpoint, times: None, only_grant: None, after_effect: false }
    }

    /// At the next `times` requests only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// For this grant only.
    #[must_use]
    pub fn only(self, grant: Grant) -> Self {
        Self { only_grant: Some(grant), ..self }
    }

    /// After the work was done.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { after_effect: true, ..self }
    }

    fn is_delay(&self) -> bool {
        matches!(self.fault, Fault::Delay(_))
    }
}

/// The rules that wait, oldest first.
#[derive(Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Rules kept at most; more say that nobody clears them.
    const LIMIT: usize = 1000;

    /// Adds a rule; false when there are too many.
    pub(super) fn add(&mut self, rule: Rule) -> bool {
        let room = self.0.len() < Self::LIMIT;
        if room {
            self.0.push(rule);
        }
        room
    }

    /// What strikes a request, and one strike fewer for each rule that does.
    pub(super) fn strike(&mut self, endpoint: Endpoint, grant: Option<Grant>) -> Strike {
        let delay = match self.take(endpoint, grant, true).map(|rule| rule.fault) {
            Some(Fault::Delay(millis)) => Duration::from_millis(millis),
            _ => Duration::ZERO,
        };
        Strike { delay, rule: self.take(endpoint, grant, false) }
    }

    fn take(&mut self, endpoint: Endpoint, grant: Option<Grant>, delay: bool) -> Option<Rule> {
        self.0.retain(|rule| rule.times != Some(0));
        let rule = self.0.iter_mut().find(|rule| {
            rule.is_delay() == delay
                && rule.endpoint == endpoint
                && rule.only_grant.is_none_or(|only| Some(only) == grant)
        })?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.clone())
    }
}

/// What goes wrong with one request.
pub(super) struct Strike {
    delay: Duration,
    rule: Option<Rule>,
}

impl Strike {
    /// Does the work unless the fault takes its place, waits, and answers.
    ///
    /// The work is done before the first wait: a client that gives up meanwhile changes nothing about its effect.
    pub(super) async fn play(self, work: impl FnOnce() -> Answer) -> HttpResponse {
        let (fault, done) = match self.rule {
            None => (None, work()),
            Some(rule) => match replacement(&rule.fault) {
                None => (Some(rule.fault), work()),
                Some(instead) => {
                    if rule.after_effect {
                        drop(work());
                    }
                    (None, instead)
                }
            },
        };
        if !self.delay.is_zero() {
            actix_web::rt::time::sleep(self.delay).await;
        }
        let answer = match fault {
            None => done,
            Some(fault) => spoil(fault, done),
        };
        answer.respond()
    }
}

/// The answer of a fault that stands in the place of the work.
fn replacement(fault: &Fault) -> Option<Answer> {
    const SORRY: &str = "<!doctype html><html lang=en><title>500</title><h1>Something went wrong</h1></html>";
    Some(match fault {
        Fault::Close => Answer::new(200, Content::Nothing { close: true }),
        Fault::TooManyRequests(after) => {
            let body = serde_json::json!({ "error": "slow_down" });
            Answer::new(429, Content::Json(body)).header(header::RETRY_AFTER, after)
        }
        Fault::ServerError => Answer::new(500, Content::Html(SORRY.to_owned())),
        Fault::Json { status, body } => Answer::new(*status, Content::Json(body.clone())),
        Fault::Redirect(to) => {
            Answer::new(302, Content::Nothing { close: false }).header(header::LOCATION, to)
        }
        _ => return None,
    })
}

/// The answer of work that was done, spoiled.
fn spoil(fault: Fault, mut answer: Answer) -> Answer {
    const HUGE: usize = 300 * 1024;
    const VAST: usize = 10 * 1024 * 1024;
    answer.content = match (fault, answer.content) {
        (Fault::Change(changes), Content::Json(mut body)) => {
            change(&mut body, changes);
            Content::Json(body)
        }
        (Fault::Change(changes), Content::Redirect(mut url)) => {
            let mut query = Value::Object(url.query_pairs().map(|(k, v)| (k.into(), v.into())).collect());
            change(&mut query, changes);
            url.query_pairs_mut().clear().extend_pairs(flat(&query));
            Content::Redirect(url)
        }
        (fault @ (Fault::Huge | Fault::Vast), Content::Json(mut body)) => {
            let size = if fault == Fault::Huge { HUGE } else { VAST };
            change(&mut body, Map::from_iter([("padding".to_owned(), "x".repeat(size).into())]));
            Content::Json(body)
        }
        (Fault::Bomb, Content::Json(_)) => Content::Bomb,
        (Fault::Drip(millis), Content::Json(body)) => {
            Content::Slow { text: body.to_string(), pause: Duration::from_millis(millis) }
        }
        (Fault::Cut, Content::Json(body)) => Content::Cut { text: body.to_string() },
        (Fault::Malformed, Content::Json(body)) => {
            let text = body.to_string();
            Content::Text { mime: "application/json", text: text.chars().take(text.len() / 2).collect() }
        }
        (Fault::FormEncoded, Content::Json(body)) => {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(flat(&body)).finish();
            Content::Text { mime: "application/x-www-form-urlencoded", text }
        }
        (_, content) => content,
    };
    answer
}

fn change(body: &mut Value, changes: Map<String, Value>) {
    if let Value::Object(members) = body {
        members.extend(changes);
        members.retain(|_, value| !value.is_null());
    }
}

fn flat(body: &Value) -> Vec<(String, String)> {
    let members = body.as_object().into_iter().flatten();
    members
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}
