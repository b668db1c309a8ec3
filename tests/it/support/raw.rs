//! Answers byte for byte, to be compared.

use super::document::Said;
use reqwest::RequestBuilder;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    pub status: u16,
    /// Names in small letters, sorted.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Sends a request under a request id that is always the same, so that answers need no cleaning to be equal.
pub async fn raw(request: RequestBuilder) -> Raw {
    let (client, request) = request.header("x-request-id", "always-the-same").build_split();
    let request = request.expect("a request");
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.expect("it answers");
    let given = response.headers().clone();
    let status = response.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> =
        response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    headers.sort();
    let body = response.bytes().await.expect("a body").to_vec();
    Said::of(&method, &path, status, &given, &body).is_documented();
    Raw { status, headers, body }
}

impl Raw {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The problem's code; empty where it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything in it as text: what was sent back in it stands as `<sent>`, moments as `<time>`. `Date` is left out, and
    /// `Content-Length`, which says nothing that the body does not.
    pub fn comparable(&self, sent: &str) -> String {
        let moment = regex_lite::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").expect("a pattern");
        let headers = self.headers.iter().filter(|(name, _)| name != "date" && name != "content-length");
        let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
        let whole = format!("{}\n{}\n\n{}", self.status, headers.join("\n"), self.text());
        let whole = if sent.is_empty() { whole } else { whole.replace(sent, "<sent>") };
        moment.replace_all(&whole, "<time>").into_owned()
    }
}

/// What tells two answers apart, each with what was sent to get it; none where nothing does.
pub fn difference(one: (&Raw, &str), other: (&Raw, &str)) -> Option<String> {
    let (one, other) = (one.0.comparable(one.1), other.0.comparable(other.1));
    (one != other).then(|| format!("--- one\n{one}\n--- the other\n{other}"))
}
