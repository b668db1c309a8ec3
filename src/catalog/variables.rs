//! Variables: what a provider's URLs leave open, asked of the tenant or at authorize.
//!
//! A value given at authorize comes from a request about an end user. It may never pick the host, because the client secret is
//! sent there; the loader refuses files that would let it ([`super::Place::picks_host`]).

use super::provider::Provider;
use super::template::{Place, Template};
use regex_lite::Regex;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is known for the holes in URLs, by name: variables, captured callback parameters and metadata of the connection.
pub type Values = BTreeMap<String, String>;

const LONGEST: usize = 255;

/// When a variable is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedAt {
    /// When the tenant enables the provider.
    Integration,
    /// When a session is made.
    Authorize,
}

/// One variable.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// What it is called in a form.
    pub title: String,
    /// What the whole value must match.
    pub pattern: Option<Pattern>,
    /// What it is where nothing is given. Empty, and not matching the pattern: it must be given.
    pub default: String,
    /// For a form.
    pub example: String,
    /// When it is asked.
    pub at: AskedAt,
}

impl Variable {
    /// True where nothing can stand in for a value.
    pub fn is_required(&self) -> bool {
        self.default.is_empty() && !self.pattern.as_ref().is_some_and(|pattern| pattern.matches(""))
    }
}

/// A regular expression that matches whole values only.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles `text`, alone first, so that no `)` of it can close the group it is put into.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |fault: regex_lite::Error| format!("is not a regular expression: {fault}");
        Regex::new(text).map_err(wrong)?;
        let regex = Regex::new(&format!(r"\A(?:{text})\z")).map_err(wrong)?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// True when the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

/// A value that was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("variables.{name} {what}")]
pub struct VariableFault {
    /// The variable.
    pub name: String,
    /// What is wrong, to be read behind the name.
    pub what: String,
}

impl Provider {
    /// The variables asked at that moment, with defaults filled in; all faults at once.
    pub fn check_variables(&self, at: AskedAt, given: &Values) -> Result<Values, Vec<VariableFault>> {
        let asked = || self.variables.iter().filter(|(_, variable)| variable.at == at);
        let mut values = Values::new();
        let mut faults = Vec::new();
        let unknown = given.keys().filter(|name| !asked().any(|(known, _)| known == *name));
        faults.extend(unknown.map(|name| VariableFault {
            name: name.clone(),
            what: "is not one of the variables asked here".to_owned(),
        }));
        for (name, variable) in asked() {
            let value = given.get(name).filter(|value| !value.is_empty()).unwrap_or(&variable.default);
            match self.check_variable(name, variable, value) {
                Ok(()) => drop(values.insert(name.clone(), value.clone())),
                Err(what) => faults.push(VariableFault { name: name.clone(), what }),
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
    }

    fn check_variable(&self, name: &str, variable: &Variable, value: &str) -> Result<(), String> {
        if value.is_empty() && variable.is_required() {
            return Err("is required".to_owned());
        }
        if value.len() > LONGEST || value.chars().any(char::is_control) {
            return Err(format!("must be {LONGEST} bytes at most, without control characters"));
        }
        if let Some(pattern) = variable.pattern.as_ref().filter(|pattern| !pattern.matches(value)) {
            return Err(format!("must match {}", pattern.text));
        }
        let places = self.templates().flat_map(Template::holes).filter(|(hole, _)| *hole == name);
        places.map(|(_, place)| place).try_for_each(|place: Place| place.admits(value)).map_err(str::to_owned)
    }
}

/// A name of a variable, of metadata or of a captured parameter: letters, digits, `_` and `-`, 64 at most.
pub(super) fn is_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(letter)
}
