//! URLs with holes: `https://{shop}.myshopify.com/admin/oauth/authorize`.
//!
//! What fills a hole can never change the shape of the URL: in a path or query it is percent-encoded and may not climb
//! (`..`), in a host it may only be what its place allows.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use url::Url;

/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with holes, http or https, without user info and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    insecure: bool,
    authority: Vec<Part>,
    path: Vec<Part>,
    query: Option<Vec<Part>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Hole(String, Place),
}

/// Where a hole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One DNS label under a suffix of two labels or more that the file fixes.
    Label,
    /// The whole authority: a host, with a port or without.
    Authority,
    /// Some other part of the host.
    HostPart,
    /// In the path.
    Path,
    /// In the query.
    Query,
}

impl Place {
    /// True where what fills the hole decides which host is asked.
    pub fn picks_host(self) -> bool {
        matches!(self, Self::Authority | Self::HostPart)
    }

    /// True for a place in the host.
    pub fn in_host(self) -> bool {
        self.picks_host() || self == Self::Label
    }

    /// Whether `value` may stand here; the error says what may.
    pub(super) fn admits(self, value: &str) -> Result<(), &'static str> {
        let host_letters =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        match self {
            Self::Label if !is_host_name(value) || value.contains('.') => {
                Err("must be one DNS label: letters, digits and inner dashes")
            }
            Self::Authority if split_port(value).is_none_or(|(host, _)| !is_host_name(host)) => {
                Err("must be a host name, with a port or without")
            }
            Self::HostPart if !host_letters(value) => Err("may hold only letters, digits, dashes and dots"),
            _ => Ok(()),
        }
    }
}

/// Why a URL could not be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FillError {
    /// Nothing to put into a hole, or a host outside its rule.
    #[error("no acceptable value for `{0}`")]
    Missing(String),
    /// The value may not stand in its place.
    #[error("`{name}` {why}")]
    Value {
        /// The name of the hole.
        name: String,
        /// What may stand there.
        why: &'static str,
    },
    /// The values are good one by one but do not make a URL of the same shape.
    #[error("`{0}` with these values is not a URL of the shape the provider file gives")]
    Shape(String),
}

impl Template {
    /// Reads a URL; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || *c == '#' || *c == '\\') {
            return Err(format!("a URL may not hold {odd:?}"));
        }
        let (insecure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            // `{instance_url}/path`: providers give hosts as whole URLs. The host rules take the scheme off.
            (None, None) if text.starts_with('{') => (false, text),
            (None, None) => return Err("must start with https://".to_owned()),
        };
        let (before_query, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (rest, None),
        };
        let slash = before_query.find('/').unwrap_or(before_query.len());
        let (authority, path) = before_query.split_at(slash);
        if authority.is_empty() || authority.contains('@') {
            return Err("needs a host, and no user name before it".to_owned());
        }
        let template = Self {
            text: text.to_owned(),
            insecure,
            authority: parts(authority, host_place)?,
            path: parts(path, |_, _| Place::Path)?,
            query: query.map(|query| parts(query, |_, _| Place::Query)).transpose()?,
        };
        // Any letter will do for every hole; what cannot be filled in with it could never be filled in.
        template.fill(&|_| Some("x".to_owned())).map_err(|_| "is not a URL".to_owned())?;
        Ok(template)
    }

    /// The URL as the file has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for plain http.
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// The names of the holes, and where each is.
    pub fn holes(&self) -> impl Iterator<Item = (&str, Place)> {
        let query = self.query.iter().flatten();
        self.authority.iter().chain(&self.path).chain(query).filter_map(|part| match part {
            Part::Hole(name, place) => Some((name.as_str(), *place)),
            Part::Literal(_) => None,
        })
    }

    /// The URL with its holes filled from `value_of`.
    pub(super) fn fill(&self, value_of: &dyn Fn(&str) -> Option<String>) -> Result<Url, FillError> {
        self.compose(value_of).map(|(_, url)| url)
    }

    /// As [`Self::fill`], but not brought into the normal form of URLs.
    pub(super) fn fill_text(&self, value_of: &dyn Fn(&str) -> Option<String>) -> Result<String, FillError> {
        self.compose(value_of).map(|(text, _)| text)
    }

    fn compose(&self, value_of: &dyn Fn(&str) -> Option<String>) -> Result<(String, Url), FillError> {
        let authority = join(&self.authority, value_of)?;
        let path = join(&self.path, value_of)?;
        let query = self.query.as_ref().map(|query| join(query, value_of)).transpose()?;
        let mut text = format!("{}://{authority}{path}", if self.insecure { "http" } else { "https" });
        if let Some(query) = &query {
            text.push('?');
            text.push_str(query);
        }
        let shape = || FillError::Shape(self.text.clone());
        let url = Url::parse(&text).map_err(|_| shape())?;
        let named = authority.starts_with('[')
            || split_port(&authority).is_some_and(|(host, _)| is_host_name(&host.to_ascii_lowercase()));
        let same_path = url.path() == path || (path.is_empty() && url.path() == "/");
        if named && same_path && url.query() == query.as_deref() { Ok((text, url)) } else { Err(shape()) }
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

fn join(parts: &[Part], value_of: &dyn Fn(&str) -> Option<String>) -> Result<String, FillError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Hole(name, place) => {
                let value = value_of(name).ok_or_else(|| FillError::Missing(name.clone()))?;
                place.admits(&value).map_err(|why| FillError::Value { name: name.clone(), why })?;
                if place.in_host() {
                    text.push_str(&value);
                } else {
                    text.extend(utf8_percent_encode(&value, RESERVED));
                }
            }
        }
    }
    Ok(text)
}

fn parts(text: &str, place: impl Fn(bool, &str) -> Place) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or("has a `{` without its `}`")?;
        if !super::variables::is_name(name) {
            return Err(format!("`{{{name}}}` is not a placeholder: letters, digits, `_` and `-`"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(checked(literal)?));
        }
        let whole = text.len() == name.len() + 2;
        parts.push(Part::Hole(name.to_owned(), place(whole, after)));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(checked(rest)?));
    }
    Ok(parts)
}

fn checked(literal: &str) -> Result<String, String> {
    if literal.contains('}') { Err("has a `}` without its `{`".to_owned()) } else { Ok(literal.to_owned()) }
}

/// A suffix of one label is none: whoever fills `{x}.com` picks the host.
fn host_place(whole: bool, after: &str) -> Place {
    let fixed = after.strip_prefix('.').is_some_and(|suffix| suffix.contains('.') && is_host_name(suffix));
    match (whole, fixed) {
        (true, _) => Place::Authority,
        (false, true) => Place::Label,
        (false, false) => Place::HostPart,
    }
}

/// Host and port of an authority; `None` where the port is not a number.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.split_once(':') {
        Some((host, port)) => port.parse().ok().map(|port| (host, Some(port))),
        None => Some((authority, None)),
    }
}

/// A DNS name of letters, digits and inner dashes (RFC 1123 section 2.1), or an IPv4 address.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, value: &str) -> Result<String, FillError> {
        Template::parse(template).unwrap().fill(&|_| Some(value.to_owned())).map(String::from)
    }

    #[test]
    fn places_are_told_apart() {
        let place = |text: &str| Template::parse(text).unwrap().holes().next().unwrap().1;
        assert_eq!(place("https://{x}.myshopify.com/a"), Place::Label);
        assert_eq!(place("https://app-{x}.example.com"), Place::Label);
        assert_eq!(place("https://{x}.com/a"), Place::HostPart);
        assert_eq!(place("https://{x}.{y}.example.com"), Place::HostPart);
        assert_eq!(place("https://accounts.zoho.{x}/a"), Place::HostPart);
        assert_eq!(place("https://{x}/a"), Place::Authority);
        assert_eq!(place("https://{x}:8443/a"), Place::HostPart);
        assert_eq!(place("https://a.example/{x}"), Place::Path);
        assert_eq!(place("https://a.example/?a={x}"), Place::Query);
    }

    #[test]
    fn values_cannot_change_the_shape() {
        assert_eq!(
            fill("https://a.example/t/{x}/u", "a/b?c#d e").unwrap(),
            "https://a.example/t/a%2Fb%3Fc%23d%20e/u"
        );
        assert_eq!(fill("https://a.example/?q={x}", "a&b=c").unwrap(), "https://a.example/?q=a%26b%3Dc");
        for climbing in [".", ".."] {
            assert!(fill("https://a.example/t/{x}/u", climbing).is_err(), "{climbing}");
        }
        for not_a_label in ["", "a.b", "a/b", "evil.com#", "a@b", "-a", "a:1", "é", "a\n"] {
            assert!(fill("https://{x}.myshopify.com/", not_a_label).is_err(), "{not_a_label:?}");
        }
        for not_a_host in ["", "a/b", "a@b", "a:b", "a:99999", "user:1@b", "a..b", "?", "[::1]"] {
            assert!(fill("https://{x}/", not_a_host).is_err(), "{not_a_host:?}");
        }
        assert_eq!(fill("https://{x}/", "127.0.0.1:8091").unwrap(), "https://127.0.0.1:8091/");
        assert!(fill("https://accounts.zoho.{x}/", "com@evil.example").is_err());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "",
            "ftp://a.example",
            "a.example/x",
            "https://",
            "https:///a",
            "https://u@a.example",
            "https://a.example/#f",
            "https://a.example/{x",
            "https://a.example/x}",
            "https://a.example/{}",
            "https://a.example/{a b}",
            "https://a.example/a b",
            "https://a.example:x/",
            "https://a.example/../b",
            "https://-a.example/",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_is_not_normalized() {
        let issuer = Template::parse("https://a.example").unwrap();
        assert_eq!(issuer.fill_text(&|_| None).unwrap(), "https://a.example");
    }
}
