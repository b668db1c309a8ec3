//! Every answer that an actor gets is held against `/openapi.json`: the route is in it, with that status, that media type, the
//! headers and the members it says, and a refusal with a code that it names.
//!
//! So the whole suite shows that the document says all there is. Answers of others (the sandbox, an OpenID provider, the admin
//! port) have no `x-request-id` and pass.

use super::schema::{fits, members, resolved};
use regex_lite::Regex;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(grantkeep::http::openapi_document);

/// The templates of the document with what matches them, fixed ones first.
static TEMPLATES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let mut paths: Vec<&str> =
        DOCUMENT["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    paths.sort_by_key(|path| path.contains('{'));
    let hole = Regex::new(r"\\\{[^}]+\\\}").expect("a pattern");
    let whole = |path: &str| format!("^{}$", hole.replace_all(&regex_lite::escape(path), "[^/]+"));
    paths.into_iter().map(|path| (Regex::new(&whole(path)).expect("a pattern"), path)).collect()
});

/// An answer, as far as a document speaks of it.
pub struct Said<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

impl<'a> Said<'a> {
    /// What was answered to `method` at `path`.
    pub fn of(
        method: &'a reqwest::Method,
        path: &'a str,
        status: u16,
        headers: &'a reqwest::header::HeaderMap,
        body: &'a [u8],
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        Self { method: method.as_str(), path, status, headers: headers.collect(), body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Insists that the document says so.
    #[track_caller]
    pub fn is_documented(&self) {
        if let Err(fault) = self.against(&DOCUMENT) {
            let body = String::from_utf8_lossy(self.body);
            panic!("{} {} → {}: {fault}\n{body}", self.method, self.path, self.status);
        }
    }

    /// What a document does not say of this answer.
    pub fn against(&self, document: &Value) -> Result<(), String> {
        if self.header("x-request-id").is_none() {
            return Ok(());
        }
        let Some((_, template)) = TEMPLATES.iter().find(|(pattern, _)| pattern.is_match(self.path)) else {
            return self.is_nowhere();
        };
        let item = document["paths"][template].as_object().ok_or("the path is not in the document")?;
        let method = if self.method == "HEAD" { "get" } else { &self.method.to_lowercase() };
        // What a wrong method is answered stands with each of the right ones.
        let operation = item.get(method).or_else(|| item.values().next()).expect("an operation");
        if self.status == 405 {
            let allowed = self.header("allow").unwrap_or_default();
            let taken = allowed.split(", ").any(|taken| taken == self.method);
            return self.is_like(document, &operation["responses"]["405"]).and_then(|()| {
                if taken { Err("a method that is refused is in `Allow`".to_owned()) } else { Ok(()) }
            });
        }
        let response = &operation["responses"][&self.status.to_string()];
        if response.is_null() {
            return Err("the document does not know this status here".to_owned());
        }
        self.is_like(document, response)
    }

    /// Beside the routes there is `not_found`, and whatever is wrong with any request.
    fn is_nowhere(&self) -> Result<(), String> {
        let known = matches!(self.status, 404 | 400 | 413);
        if known { Ok(()) } else { Err("the document does not know this path".to_owned()) }
    }

    fn is_like(&self, document: &Value, response: &Value) -> Result<(), String> {
        let response = resolved(document, response);
        for (name, header) in members(&response["headers"]) {
            let header = resolved(document, header);
            let schema = &header["schema"];
            let value = match self.header(name) {
                Some(value) => value,
                None if header["required"] != true => continue,
                None => return Err(format!("no header {name}")),
            };
            let value = match schema["type"].as_str() {
                Some("integer") => value.parse::<u64>().map_or(Value::Null, Value::from),
                _ => Value::from(value),
            };
            fits(document, schema, &value, name)?;
        }
        if self.method == "HEAD" {
            return Ok(());
        }
        let content = members(&response["content"]);
        let media_type =
            self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        match content.iter().find(|(known, _)| known.as_str() == media_type) {
            None if content.is_empty() && self.body.is_empty() => Ok(()),
            None => Err(format!("the document does not know `{media_type}` here")),
            Some((_, content)) if media_type.ends_with("json") => {
                let body: Value = serde_json::from_slice(self.body).map_err(|error| error.to_string())?;
                fits(document, &content["schema"], &body, "the body")
            }
            Some(_) => Ok(()),
        }
    }
}
