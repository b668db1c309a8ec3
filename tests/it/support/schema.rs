//! Does a value fit a schema? JSON Schema 2020-12, as much of it as the document of the API uses; another keyword is a panic.

use regex_lite::Regex;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The members of an object; none where it is none.
pub fn members(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// What a reference leads to.
pub fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut value = value;
    while let Some(to) = value["$ref"].as_str() {
        let pointer = to.strip_prefix('#').expect("a reference within the document");
        value = document.pointer(pointer).unwrap_or_else(|| panic!("{to} leads nowhere"));
    }
    value
}

/// What of a schema a value does not fit; `at` says where it stands.
pub fn fits(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, said) in members(schema) {
        let good = match keyword.as_str() {
            "$ref" => {
                fits(document, resolved(document, schema), value, at)?;
                true
            }
            "properties" | "additionalProperties" | "items" | "allOf" => {
                parts(document, schema, (keyword, said), value, at)?;
                true
            }
            "anyOf" => all(said).any(|one| fits(document, one, value, at).is_ok()),
            "oneOf" => all(said).filter(|one| fits(document, one, value, at).is_ok()).count() == 1,
            "required" => all(said).all(|name| {
                value.as_object().is_none_or(|object| object.contains_key(name.as_str().expect("a name")))
            }),
            keyword => keeps(keyword, said, value),
        };
        if !good {
            return Err(format!("{at} is against `{keyword}: {said}`: {value}"));
        }
    }
    Ok(())
}

fn all(said: &Value) -> std::slice::Iter<'_, Value> {
    said.as_array().expect("a list").iter()
}

/// Keywords whose schemas are for parts of the value, or for all of it.
fn parts(
    document: &Value,
    schema: &Value,
    (keyword, said): (&str, &Value),
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let member = |name: &str, schema: &Value, member: &Value| {
        if schema == false {
            return Err(format!("{at} has a member `{name}` that is not allowed"));
        }
        fits(document, schema, member, &format!("{at}.{name}"))
    };
    match keyword {
        "properties" => members(said)
            .iter()
            .filter_map(|(name, schema)| Some((name, schema, value.get(name)?)))
            .try_for_each(|(name, schema, value)| member(name, schema, value)),
        "additionalProperties" => {
            let known = members(&schema["properties"]);
            let others = members(value).iter().filter(|(name, _)| !known.contains_key(*name));
            others.into_iter().try_for_each(|(name, value)| member(name, said, value))
        }
        "items" => {
            let mut items = value.as_array().into_iter().flatten();
            items.try_for_each(|item| fits(document, said, item, &format!("{at}[]")))
        }
        _ => all(said).try_for_each(|one| fits(document, one, value, at)),
    }
}

/// Keywords about the value itself.
fn keeps(keyword: &str, said: &Value, value: &Value) -> bool {
    let text = value.as_str();
    let number = || said.as_f64().expect("a number");
    let count = || usize::try_from(said.as_u64().expect("a number")).expect("it fits");
    match keyword {
        "type" if said.is_array() => all(said).any(|one| is_of(value, one)),
        "type" => is_of(value, said),
        "enum" => all(said).any(|one| one == value),
        "pattern" => {
            let pattern = Regex::new(said.as_str().expect("a text")).expect("a pattern");
            text.is_none_or(|text| pattern.is_match(text))
        }
        "minLength" => text.is_none_or(|text| text.chars().count() >= count()),
        "maxLength" => text.is_none_or(|text| text.chars().count() <= count()),
        "minItems" => value.as_array().is_none_or(|items| items.len() >= count()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() <= count()),
        "minimum" => value.as_f64().is_none_or(|value| value >= number()),
        "maximum" => value.as_f64().is_none_or(|value| value <= number()),
        "uniqueItems" => value.as_array().is_none_or(|items| {
            items.iter().enumerate().all(|(n, item)| !items.iter().take(n).any(|other| other == item))
        }),
        "format" if said == "date-time" => text.is_none_or(is_time),
        // These say nothing about values, or what a string already is.
        "description" | "format" | "example" | "examples" | "default" | "propertyNames" => true,
        unknown => panic!("a keyword that this check does not know: {unknown}"),
    }
}

fn is_of(value: &Value, r#type: &Value) -> bool {
    match r#type.as_str().expect("a type") {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    }
}

fn is_time(text: &str) -> bool {
    Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$").expect("a pattern").is_match(text)
}
