//! What is wrong with a body, said so that its sender can mend it, and without the value that was wrong.

use crate::domain::Refusal;
use serde::de::{Error, Expected, Unexpected};
use std::fmt::Display;

/// A field and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// A field of the object at hand; absent where the value at hand itself is wrong.
    field: Option<String>,
    detail: String,
}

/// A name of the sender's own, short enough to be told back.
pub(super) fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn list(names: &[&str]) -> String {
    names.join(", ")
}

fn kind(of: &Unexpected<'_>) -> &'static str {
    match of {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) => "a number",
        Unexpected::Signed(_) => "a negative number",
        Unexpected::Float(_) => "a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "this text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "this",
    }
}

impl Wrong {
    fn here(detail: String) -> Self {
        Self { field: None, detail }
    }

    fn at(field: &str, detail: String) -> Self {
        Self { field: Some(field.to_owned()), detail }
    }

    /// As the doors answer it; `path` is where the value at hand lies, `.` for the whole. No request nests structs, so a field
    /// that is named is a field of the whole.
    pub(super) fn into_refusal(self, path: &str) -> Refusal {
        let at = || (path != "." && path != "?").then(|| short(path));
        Refusal::InvalidRequest { field: self.field.or_else(at), detail: self.detail }
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self::here(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(format!("must be {expected}, not {}", kind(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::here(format!("must be {expected}"))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::here(format!("must be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::here(format!("must be one of {}", list(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = match expected {
            [] => "there are none".to_owned(),
            some => format!("known are {}", list(some)),
        };
        Self::at(&short(field), format!("is not a field of this request; {known}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::at(field, "is missing".to_owned())
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::at(field, "is given twice".to_owned())
    }
}
