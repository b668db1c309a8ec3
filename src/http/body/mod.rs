//! Bodies and queries: form or JSON in, one typed struct out, and an error that names the field.
//!
//! Knows nothing of routes or of what the fields mean. Unknown and repeated fields are refused: a field that is silently left
//! out is a setting that its sender believes in.

mod form;
mod kinds;
mod node;
#[cfg(test)]
mod tests;
mod wrong;

pub(super) use kinds::{Limit, Seconds, Several};

use crate::domain::Refusal;
use node::{Members, Node};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use wrong::Wrong;

const ACCEPTED: &str = "Send the fields as `application/json` or `application/x-www-form-urlencoded`.";

/// The fields of a request, in order, not yet typed.
#[derive(Debug)]
pub(super) struct Fields<'a>(Members<'a>);

impl<'a> Fields<'a> {
    /// Reads a body by its `Content-Type`.
    pub(super) fn of_body(content_type: Option<&str>, body: &'a [u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(Refusal::request(format!("The body is empty. {ACCEPTED}")));
        }
        let content_type =
            content_type.ok_or_else(|| Refusal::request(format!("There is no Content-Type. {ACCEPTED}")))?;
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        if parts.any(|parameter| !is_utf8(parameter)) {
            return Err(Refusal::request(
                "The body must be UTF-8, and its Content-Type must not say otherwise.",
            ));
        }
        if media_type.eq_ignore_ascii_case("application/json") {
            json(body).map(Self)
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            form::parse(body).map(Self)
        } else {
            Err(Refusal::request(format!("This Content-Type is not accepted. {ACCEPTED}")))
        }
    }

    /// Reads the query of a URL.
    pub(super) fn of_query(query: &'a str) -> Result<Self, Refusal> {
        form::parse(query.as_bytes()).map(Self)
    }

    /// Takes a field of text out.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.remove(name) {
            None | Some(Node::Null) => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text.into_owned())),
            Some(_) => Err(Refusal::field(name, "must be a string")),
        }
    }

    fn remove(&mut self, name: &str) -> Option<Node<'a>> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// The fields as `T`, whose `deny_unknown_fields` refuses what it does not know.
    pub(super) fn typed<T: Deserialize<'a>>(self) -> Result<T, Refusal> {
        let from = MapDeserializer::<_, Wrong>::new(self.0.into_iter());
        serde_path_to_error::deserialize(from).map_err(|error| {
            let path = error.path().to_string();
            error.into_inner().into_refusal(&path)
        })
    }
}

/// RFC 8259 defines no parameter, and many clients send `charset=utf-8` all the same.
fn is_utf8(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    }
}

fn json(body: &[u8]) -> Result<Members<'_>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Node::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::request("The body must be a JSON object.")),
        Err(error) => Err(Refusal::request(format!("The body is not good JSON: {error}."))),
    }
}
