//! An answer before it becomes bytes, so that a fault can still change it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// Of every page. No form-action: browsers hold it against each redirect that follows the form, and the last of them ends
/// in a product this server has never heard of.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) struct Answer {
    status: StatusCode,
    headers: Vec<(header::HeaderName, String)>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Nothing {
        close: bool,
    },
    Json(Value),
    Html(String),
    Text {
        mime: &'static str,
        text: String,
    },
    Redirect(Url),
    /// Bytes that are little now and much unpacked.
    Bomb,
    /// A byte after each pause.
    Slow {
        text: String,
        pause: Duration,
    },
    /// Half of what was told.
    Cut {
        text: String,
    },
}

/// Ten megabytes of zeros: `head -c 10485760 /dev/zero | gzip -9n`.
const BOMB: &[u8] = include_bytes!("bomb.gz");

impl Answer {
    pub(super) fn new(status: u16, content: Content) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers: Vec::new(), content }
    }

    /// A 200 with this body.
    pub(super) fn ok(body: Value) -> Self {
        Self::new(200, Content::Json(body))
    }

    /// To the client, through the browser. 303, so that the form's body is not sent on (RFC 9700 section 4.12).
    pub(super) fn redirect(to: Url) -> Self {
        Self::new(303, Content::Redirect(to))
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Makes the response. What it says of tokens is for nobody's cache (RFC 6749 section 5.1).
    pub(super) fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        match self.content {
            Content::Nothing { close: false } => response.finish(),
            Content::Nothing { close: true } => closing(response),
            Content::Json(body) => response.json(body),
            Content::Html(text) => {
                response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
                response.insert_header((header::REFERRER_POLICY, "no-referrer"));
                response.content_type("text/html; charset=utf-8").body(text)
            }
            Content::Text { mime, text } => response.content_type(mime).body(text),
            Content::Bomb => {
                response.insert_header((header::CONTENT_ENCODING, "gzip"));
                response.content_type("application/json").body(BOMB)
            }
            Content::Slow { text, pause } => {
                response.content_type("application/json");
                response.streaming(Box::pin(stream::iter(text.into_bytes()).then(move |byte| async move {
                    actix_web::rt::time::sleep(pause).await;
                    Ok::<_, std::io::Error>(web::Bytes::from(vec![byte]))
                })))
            }
            Content::Cut { text } => {
                let half = text.as_bytes().iter().copied().take(text.len() / 2).collect::<Vec<u8>>();
                let broken = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
                response
                    .content_type("application/json")
                    .no_chunking(u64::try_from(text.len()).unwrap_or(u64::MAX));
                response.streaming(stream::iter([Ok(web::Bytes::from(half)), Err(broken)]))
            }
            Content::Redirect(url) => {
                response.insert_header((header::LOCATION, String::from(url)));
                response.finish()
            }
        }
    }
}

/// A body that fails at once: the server closes the connection before it has written its first byte, not even the head.
fn closing(mut response: HttpResponseBuilder) -> HttpResponse {
    let broken = Err::<web::Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionAborted));
    response.streaming(stream::iter([broken]))
}

/// A refusal of RFC 6749 section 5.2.
#[derive(Debug)]
pub(super) struct OAuthError {
    status: u16,
    pub(super) code: &'static str,
    pub(super) description: &'static str,
}

impl OAuthError {
    pub(super) const fn new(code: &'static str, description: &'static str) -> Self {
        Self { status: 400, code, description }
    }

    /// The client is unknown or did not prove itself.
    pub(super) const fn client(description: &'static str) -> Self {
        Self { status: 401, code: "invalid_client", description }
    }
}

impl From<OAuthError> for Answer {
    fn from(error: OAuthError) -> Self {
        let body = json!({ "error": error.code, "error_description": error.description });
        let answer = Self::new(error.status, Content::Json(body));
        if error.status == 401 {
            return answer.header(header::WWW_AUTHENTICATE, r#"Basic realm="sandbox""#);
        }
        answer
    }
}
