//! The way to the collector of traces: batches that OpenTelemetry has encoded, posted to the operator's own address.
//!
//! Not the door to providers: an operator's collector may well be on loopback or in a private network, and speak http. No
//! redirects and no proxy here either. Credentials are added here and known nowhere else, and of the answer nothing is read but its status.

use crate::domain::Secret;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

/// For one batch, from the look-up to the status.
const PATIENCE: Duration = Duration::from_secs(3);

/// The way to the collector cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}")]
pub struct NoWayToCollector(String);

/// Posts batches by reqwest, on a runtime that outlives requests.
#[derive(Debug)]
pub struct OtlpClient {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    runtime: Handle,
}

impl OtlpClient {
    /// Batches go to `url`, with `headers`, such as the collector's credentials.
    pub fn new(url: Url, headers: &[(String, Secret)], runtime: Handle) -> Result<Self, NoWayToCollector> {
        super::http::install_tls();
        let client = reqwest::Client::builder()
            .user_agent(concat!("Grantkeep/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| NoWayToCollector(error.to_string()))?;
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value.expose()).ok());
            let (parsed, mut value) = parsed
                .ok_or_else(|| NoWayToCollector(format!("`{name}` is not a header that can be sent")))?;
            value.set_sensitive(true);
            own.insert(parsed, value);
        }
        Ok(Self { client, url, headers: own, runtime })
    }
}

#[async_trait]
impl HttpClient for OtlpClient {
    /// The body and its type are the exporter's; address and headers are ours, whatever the exporter was told by the
    /// environment.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut post = self.client.post(self.url.clone()).headers(self.headers.clone());
        if let Some(kind) = request.headers().get(CONTENT_TYPE) {
            post = post.header(CONTENT_TYPE, kind);
        }
        // The exporter's thread has no runtime of its own, and what is sent looks for one at its first breath.
        let sending = async move { post.body(request.into_body()).send().await };
        let answer = self.runtime.spawn(sending).await?.map_err(reqwest::Error::without_url)?;
        let mut told = Response::new(Bytes::new());
        *told.status_mut() = answer.status();
        Ok(told)
    }
}
