//! A person's browser over real HTTP: cookies, forms, and redirects that are followed one by one.

use super::document::Said;
use super::html::Form;
use actix_web::cookie::{Cookie, Expiration};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, Method, Response, StatusCode};
use std::sync::LazyLock;
use url::Url;

/// A client that follows nothing by itself. Made once, because it reads the machine's certificates; it keeps no
/// connection, because a connection lives on the runtime of the case that opened it.
pub fn http() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .tls_certs_merge([super::tls::authority()]);
        client.build().expect("a client")
    });
    CLIENT.clone()
}

/// One browser profile. A clone is a thief's copy of its cookies.
#[derive(Clone)]
pub struct Browser {
    http: Client,
    cookies: Vec<Kept>,
}

/// A cookie and the host it came from. Ports do not matter to cookies (RFC 6265 section 8.5).
#[derive(Clone)]
struct Kept {
    host: String,
    cookie: Cookie<'static>,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Page {
    /// Where it sends the browser, if it does.
    pub fn location(&self) -> Option<Url> {
        let location = self.headers.get(LOCATION).filter(|_| self.status.is_redirection())?;
        Some(self.url.join(location.to_str().expect("it is ASCII")).expect("it is a URL"))
    }

    /// A parameter of the query it sends the browser away with.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.location()?.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// The only form in it.
    pub fn form(&self) -> Form {
        let mut forms = Form::all(&self.body, &self.url);
        assert_eq!(forms.len(), 1, "{} has one form: {}", self.url, self.body);
        forms.remove(0)
    }
}

impl Browser {
    pub fn new() -> Self {
        Self { http: http(), cookies: Vec::new() }
    }

    /// Opens a link. Redirects stay unfollowed.
    pub async fn get(&mut self, url: &str) -> Page {
        self.request(Method::GET, url.parse().expect("a URL"), None, None).await
    }

    /// Sends a form of `page`, as it was filled in.
    pub async fn send(&mut self, page: &Page, form: &Form) -> Page {
        let mut fields = form_urlencoded::Serializer::new(String::new());
        let text = fields.extend_pairs(&form.fields).finish();
        if form.post {
            let origin = page.url.origin().ascii_serialization();
            return self.request(Method::POST, form.action.clone(), Some(text), Some(origin)).await;
        }
        let mut url = form.action.clone();
        url.set_query(Some(&text));
        self.request(Method::GET, url, None, None).await
    }

    /// Follows redirects until a page comes, or one points to an address that begins with `until`: that one is not
    /// fetched, so nobody need answer there.
    pub async fn follow(&mut self, mut page: Page, until: &str) -> Page {
        for _ in 0..20 {
            let Some(next) = page.location().filter(|next| !next.as_str().starts_with(until)) else {
                return page;
            };
            // The method stays only at 307 and 308, which no flow of OAuth may use with credentials (RFC 9700 4.12).
            assert!(!matches!(page.status.as_u16(), 307 | 308), "{} repeats the request", page.url);
            page = self.request(Method::GET, next, None, None).await;
        }
        panic!("{} redirects without end", page.url)
    }

    /// The names and values of the cookies that would go to this address.
    pub fn cookies_for(&self, url: &Url) -> Vec<(String, String)> {
        let fits = |kept: &&Kept| {
            let path = kept.cookie.path().unwrap_or("/");
            let below = url.path().strip_prefix(path);
            kept.host == url.host_str().unwrap_or_default()
                && (url.scheme() == "https" || kept.cookie.secure() != Some(true))
                && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
        };
        let pair = |kept: &Kept| (kept.cookie.name().to_owned(), kept.cookie.value().to_owned());
        self.cookies.iter().filter(fits).map(pair).collect()
    }

    async fn request(
        &mut self,
        method: Method,
        url: Url,
        body: Option<String>,
        origin: Option<String>,
    ) -> Page {
        let mut request = self.http.request(method.clone(), url.clone());
        let cookies = self.cookies_for(&url);
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        }
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let response = request.send().await.unwrap_or_else(|fault| panic!("{url} does not answer: {fault}"));
        self.keep_cookies(&response, &url);
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await.expect("a text");
        Said::of(&method, url.path(), status.as_u16(), &headers, body.as_bytes()).is_documented();
        Page { url, status, headers, body }
    }

    fn keep_cookies(&mut self, response: &Response, url: &Url) {
        let host = url.host_str().unwrap_or_default();
        for header in response.headers().get_all(SET_COOKIE) {
            let text = header.to_str().expect("a cookie is ASCII").to_owned();
            let cookie = Cookie::parse(text).expect("a cookie");
            assert!(is_acceptable(&cookie, url), "a browser would refuse {cookie}");
            self.cookies.retain(|kept| {
                (kept.host.as_str(), kept.cookie.name(), kept.cookie.path())
                    != (host, cookie.name(), cookie.path())
            });
            if !is_over(&cookie) {
                self.cookies.push(Kept { host: host.to_owned(), cookie });
            }
        }
    }
}

/// Secure only from https, and what the name's prefix promises (RFC 6265bis section 4.1.3).
fn is_acceptable(cookie: &Cookie<'_>, url: &Url) -> bool {
    let secure = cookie.secure() == Some(true);
    let host_only = secure && cookie.path() == Some("/") && cookie.domain().is_none();
    (!secure || url.scheme() == "https")
        && (!cookie.name().starts_with("__Secure-") || secure)
        && (!cookie.name().starts_with("__Host-") || host_only)
}

/// It is being deleted: no age left, or an end in the past, for which servers write 1970.
fn is_over(cookie: &Cookie<'_>) -> bool {
    let past = matches!(cookie.expires(), Some(Expiration::DateTime(end)) if end.year() <= 1970);
    cookie.max_age().map_or(past, |age| !age.is_positive())
}
