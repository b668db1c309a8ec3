//! The one door out: every request of Grantkeep to a provider goes through here.
//!
//! https only, no redirects, no proxy, no cookies, no compression, HTTP/1.1; the address is checked after the look-up and
//! is the one connected to; time and size are bounded. A request that never left is told apart from one whose answer was
//! lost: see [`classify`]. Knows nothing of OAuth. SECURITY.md lists what is tried against it (RFC 6890, RFC 6052, OWASP's
//! cheat sheet on server-side request forgery).

mod addresses;
mod resolver;
#[cfg(test)]
mod tests;

pub use resolver::{Lookup, SystemLookup};

use crate::ports::{Method, OutboundRequest, OutboundResponse, Upstream, UpstreamError};
use addresses::forbidden;
use async_trait::async_trait;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use resolver::Checked;
use std::error::Error;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// The largest answer, in bytes.
const LARGEST: usize = 256 * 1024;
/// The same as a length is told.
const LARGEST_TOLD: u64 = 256 * 1024;

/// How long an idle connection is kept. A request written into one that the provider is just closing is lost: for a refresh
/// token that may be used once, that is a connection gone. Servers close theirs after five seconds (the defaults of Apache
/// and Node.js) or much later, so ours are closed well before; a new one costs half a millisecond of CPU and two or three
/// round trips.
const IDLE: Duration = Duration::from_secs(2);

/// How the door is set up.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// True lets URLs be http, and hosts loopback or private. Development and tests.
    pub allow_insecure: bool,
    /// For one request, from the look-up to the last byte, where the request names none.
    pub timeout: Duration,
    /// For look-up, connection and TLS together; shorter than any request's own time, or else a request that ran out of
    /// time before it was sent counts as lost.
    pub connect_timeout: Duration,
}

/// The door could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "requests to providers are impossible: {0}; is there a bundle of root certificates (ca-certificates)?"
)]
pub struct NoWayOut(String);

/// How long an answer is looked for once more when its time is over.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Requests by reqwest.
///
/// Connections belong to the runtime on which they were opened, so `send` is called on one that outlives them: the one of
/// [`crate::ports::Tasks`].
pub struct HttpUpstream {
    client: reqwest::Client,
    options: HttpOptions,
}

impl HttpUpstream {
    /// Sets up the door. Reads the system's root certificates.
    pub fn new(options: HttpOptions) -> Result<Self, NoWayOut> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    /// As [`Self::new`], asking `lookup` for addresses.
    pub fn with_lookup(options: HttpOptions, lookup: Arc<dyn Lookup>) -> Result<Self, NoWayOut> {
        let refused = if options.allow_insecure { |_| None } else { forbidden };
        Self::build(options, Checked { lookup, refused }, |client| client)
    }

    /// `further` is for tests, which bring roots of their own.
    fn build(
        options: HttpOptions,
        checked: Checked,
        further: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Self, NoWayOut> {
        install_tls();
        let client = reqwest::Client::builder()
            .user_agent(concat!("Grantkeep/", env!("CARGO_PKG_VERSION")))
            .https_only(!options.allow_insecure)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .connect_timeout(options.connect_timeout)
            .dns_resolver(checked);
        let client = further(client).build().map_err(|error| NoWayOut(root_cause(&error)))?;
        Ok(Self { client, options })
    }

    /// The look-up does not see hosts that are addresses already: they are checked here, as the URL parser understood
    /// them (`0x7f.1` and `2130706433` are 127.0.0.1 to it, as they would be to the connector).
    fn check(&self, url: &Url) -> Result<(), UpstreamError> {
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) => None,
            None => return Err(UpstreamError::NotSent("the URL has no host".to_owned())),
        };
        // It would go out as a header that nobody here wrote.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UpstreamError::NotSent("the URL names a user".to_owned()));
        }
        if self.options.allow_insecure {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(UpstreamError::NotSent("the URL is not https".to_owned()));
        }
        match address.and_then(forbidden) {
            Some(kind) => Err(UpstreamError::NotSent(format!("the host is not a public address ({kind})"))),
            None => Ok(()),
        }
    }
}

/// Makes ring the cryptography of every TLS connection of this process; again and again does no harm. Without it reqwest
/// panics when its client is built.
pub fn install_tls() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[async_trait]
impl Upstream for HttpUpstream {
    async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, UpstreamError> {
        self.check(&request.url)?;
        let timeout = request.timeout.unwrap_or(self.options.timeout);
        let mut exchange = pin!(self.exchange(built(request)?));
        if let Ok(answer) = tokio::time::timeout(timeout, &mut exchange).await {
            return answer;
        }
        // A process that was stopped past the time finds the answer waiting, and tokens may be in it.
        tokio::time::timeout(LAST_LOOK, exchange).await.unwrap_or_else(|_| {
            let within = humantime::format_duration(timeout);
            Err(UpstreamError::Lost(format!("no complete answer within {within}")))
        })
    }
}

impl HttpUpstream {
    async fn exchange(&self, request: reqwest::Request) -> Result<OutboundResponse, UpstreamError> {
        let answer = self.client.execute(request).await.map_err(|error| classify(&error))?;
        plain(&answer)?;
        let status = answer.status().as_u16();
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned()))
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        let body = body_of(answer).await?;
        Ok(OutboundResponse { status, headers, body })
    }
}

fn built(request: OutboundRequest) -> Result<reqwest::Request, UpstreamError> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    };
    let mut built = reqwest::Request::new(method, request.url);
    // RFC 9110 section 12.5.3: nothing but the bytes themselves.
    built.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(body) = &request.body {
        built.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
        *built.body_mut() = Some(body.text.expose().to_owned().into());
    }
    for (name, value) in &request.headers {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value.expose()).ok());
        let Some((parsed, mut value)) = parsed else {
            return Err(UpstreamError::NotSent(format!("`{name}` is not a header that can be sent")));
        };
        value.set_sensitive(true);
        built.headers_mut().append(parsed, value);
    }
    Ok(built)
}

/// Refuses an answer that is not the bytes themselves (what is small here could be large unpacked, and nobody asked for it),
/// or that says at once that it is too large.
fn plain(answer: &reqwest::Response) -> Result<(), UpstreamError> {
    for (name, good) in [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")] {
        let mut values = answer.headers().get_all(&name).iter();
        if !values.all(|value| value.as_bytes().eq_ignore_ascii_case(good.as_bytes())) {
            return Err(UpstreamError::Lost(format!("the answer has a {name} that was not asked for")));
        }
    }
    match answer.content_length() {
        Some(length) if length > LARGEST_TOLD => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> UpstreamError {
    UpstreamError::Lost(format!("the answer is larger than {LARGEST} bytes"))
}

/// Reads in pieces and stops at the limit, whatever length the answer says it has.
async fn body_of(mut answer: reqwest::Response) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Sent or not? `NotSent` only where it is certain that no byte of the request left.
///
/// - A *builder* error comes before any I/O.
/// - A *connect* error is what hyper-util's client says while it gets a connection: look-up, the checks of ours in it,
///   TCP, the TLS handshake, and `connect_timeout` over all of them. The request is handed to a connection only
///   afterwards, and no early data of TLS 1.3 is sent.
/// - Anything later may have been written, and is lost: also a time-out of the whole request, which does not tell in
///   which phase it struck, and a handshake that the server denounces after we finished ours.
///
/// Sent at most once: reqwest's own retries are off and redirects are not followed. hyper-util has one more that cannot be
/// switched off from here: where a *reused* connection turns out to be closed before the request was taken out of its
/// queue, it gives the request back untouched, and the client tries another connection. Nothing was written then; a
/// request that was taken is never given back.
fn classify(error: &reqwest::Error) -> UpstreamError {
    let unsent = error.is_builder() || error.is_connect();
    let text = if error.is_timeout() { "no connection in time".to_owned() } else { root_cause(error) };
    if unsent { UpstreamError::NotSent(text) } else { UpstreamError::Lost(text) }
}

/// The innermost cause, shortened. The outer layers show the URL, whose query may hold secrets; and what a peer puts into
/// a certificate should not fill the log.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if cause.is::<reqwest::Error>() {
        return "the request failed".to_owned();
    }
    cause.to_string().chars().take(200).collect()
}
