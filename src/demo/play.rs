//! The two roles: a backend that calls, a browser that keeps cookies and follows redirects by hand.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;

/// A step that did not go as it should.
#[derive(Debug, thiserror::Error)]
pub enum Stumble {
    /// A request had no answer.
    #[error("{0}")]
    NoAnswer(#[from] reqwest::Error),
    /// The answer was another than the step needs.
    #[error("{step}: {what}")]
    Unexpected {
        /// Which step.
        step: &'static str,
        /// What was wrong.
        what: String,
    },
    /// What is printed cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Names whose values are masked wherever they stand.
const SECRETS: &[&str] = &[
    "password",
    "key",
    "client_secret",
    "access_token",
    "token",
    "session",
    "completion",
    "code",
    "state",
    "authorize_url",
    "code_challenge",
    "request",
];

/// An answer, read to its end.
pub(super) struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A text of the JSON body.
    pub fn text(&self, step: &'static str, name: &str) -> Result<String, Stumble> {
        let found = self.json().get(name).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| Stumble::Unexpected { step, what: format!("no `{name}` in the answer") })
    }

    /// Where the answer redirects to.
    pub fn redirect(&self, step: &'static str) -> Result<String, Stumble> {
        let what = || format!("answered {} and no redirect: {}", self.status, shortened(&self.body));
        self.location.clone().ok_or_else(|| Stumble::Unexpected { step, what: what() })
    }
}

/// Prints steps and plays both roles.
pub(super) struct Play<'a> {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
    out: &'a mut dyn Write,
    number: usize,
}

impl<'a> Play<'a> {
    pub fn new(out: &'a mut dyn Write) -> Result<Self, Stumble> {
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { client, cookies: BTreeMap::new(), out, number: 0 })
    }

    /// Begins a step.
    pub fn step(&mut self, title: &str) -> Result<(), Stumble> {
        self.number += 1;
        writeln!(self.out, "\n{:>2}. {title}", self.number)?;
        Ok(())
    }

    pub fn say(&mut self, text: &str) -> Result<(), Stumble> {
        writeln!(self.out, "    {text}")?;
        Ok(())
    }

    /// A form from the tenant's backend, with its key where it has one.
    pub async fn call(
        &mut self,
        url: &str,
        key: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<Answer, Stumble> {
        self.say(&format!("backend  POST {}  {}", path(url), masked_form(form)))?;
        let mut request = encoded(self.client.post(url), form);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        self.send(request).await
    }

    /// The same with Basic.
    pub async fn call_as(
        &mut self,
        url: &str,
        (email, password): (&str, &str),
        form: &[(&str, &str)],
    ) -> Result<Answer, Stumble> {
        self.say(&format!("backend  POST {}  {}", path(url), masked_form(form)))?;
        let request = encoded(self.client.post(url).basic_auth(email, Some(password)), form);
        self.send(request).await
    }

    /// An upstream call with a token.
    pub async fn upstream(&mut self, url: &str, token: &str) -> Result<Answer, Stumble> {
        self.say(&format!("backend  GET {url}  Authorization: Bearer {}", mask(token)))?;
        let request = self.client.get(url).bearer_auth(token);
        self.send(request).await
    }

    /// The browser opens a page.
    pub async fn open(&mut self, url: &str) -> Result<Answer, Stumble> {
        self.say(&format!("browser  GET {}", path(url)))?;
        let request = self.with_cookies(self.client.get(url));
        self.send(request).await
    }

    /// The browser sends a form.
    pub async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Result<Answer, Stumble> {
        self.say(&format!("browser  POST {}  {}", path(url), masked_form(form)))?;
        let request = self.with_cookies(encoded(self.client.post(url), form));
        self.send(request).await
    }

    fn with_cookies(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if self.cookies.is_empty() {
            return request;
        }
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", pairs.join("; "))
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Result<Answer, Stumble> {
        let response = request.send().await?;
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let location = header("location");
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = response.status().as_u16();
        let answer = Answer { status, location, body: response.text().await? };
        let shown = match (&answer.location, answer.json()) {
            (Some(location), _) => format!("to {}", path(location)),
            (None, Value::Null) => format!("a page of {} bytes", answer.body.len()),
            (None, mut json) => {
                mask_json(&mut json);
                shortened(&json.to_string())
            }
        };
        self.say(&format!("         {status} {shown}"))?;
        Ok(answer)
    }
}

fn encoded(request: reqwest::RequestBuilder, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Scheme and host of others, the path, and of the query only the names.
fn path(url: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let names: Vec<String> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            format!("{name}={}", if secret(&name) { mask(&value) } else { value.into_owned() })
        })
        .collect();
    let shown = if names.is_empty() { before.to_owned() } else { format!("{before}?{}", names.join("&")) };
    shortened(&shown)
}

fn masked_form(form: &[(&str, &str)]) -> String {
    let show = |(name, value): &(&str, &str)| {
        format!("{name}={}", if secret(name) { mask(value) } else { (*value).to_owned() })
    };
    form.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

fn mask_json(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        match value {
            Value::String(text) if secret(name) => *text = mask(text),
            other => mask_json(other),
        }
    }
}

/// Four characters of each end: enough to tell two apart by eye, too little to use. Of a short one nothing of the end.
pub(super) fn mask(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    let start: String = letters.iter().take(4).collect();
    let end: String =
        if letters.len() < 24 { String::new() } else { letters.iter().skip(letters.len() - 4).collect() };
    format!("{start}…{end}")
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 150;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(LONGEST).collect::<String>())
}
