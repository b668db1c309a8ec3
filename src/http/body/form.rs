//! `application/x-www-form-urlencoded` (WHATWG URL standard section 5.1), strict about UTF-8.
//!
//! A name that comes twice makes a list; `variables[shop]` and `variables.shop` make an object.

use super::node::{MOST_MEMBERS, Members, Node};
use super::wrong::short;
use crate::domain::Refusal;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Reads a form or the query of a URL.
pub(super) fn parse(bytes: &[u8]) -> Result<Members<'_>, Refusal> {
    let mut members = Members::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(parts.next().unwrap_or_default())?;
        let value = Node::Text(decode(parts.next().unwrap_or_default())?);
        match inner(&name) {
            None => add(&mut members, name, value)?,
            Some((outer, inner)) => add_inner(&mut members, outer, inner, value)?,
        }
    }
    Ok(members)
}

fn decode(part: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    let not_text = |_| Refusal::request("The form is not percent-encoded UTF-8.");
    if part.contains(&b'+') {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        let text = percent_decode(&spaced).decode_utf8().map_err(not_text)?;
        return Ok(Cow::Owned(text.into_owned()));
    }
    percent_decode(part).decode_utf8().map_err(not_text)
}

fn inner(name: &str) -> Option<(&str, &str)> {
    let (outer, inner) = match name.strip_suffix(']') {
        Some(rest) => rest.split_once('[')?,
        None => name.split_once('.')?,
    };
    (!outer.is_empty() && !inner.is_empty()).then_some((outer, inner))
}

fn add<'a>(members: &mut Members<'a>, name: Cow<'a, str>, value: Node<'a>) -> Result<(), Refusal> {
    let full = members.len() == MOST_MEMBERS;
    match members.iter_mut().find(|(known, _)| *known == name) {
        None if full => Err(Refusal::request(format!("The form has more than {MOST_MEMBERS} fields."))),
        None => {
            members.push((name, value));
            Ok(())
        }
        Some((_, Node::List(list))) => {
            list.push(value);
            Ok(())
        }
        Some((_, Node::Object(_))) => Err(both(&name)),
        Some((_, first)) => {
            let one = std::mem::replace(first, Node::Null);
            *first = Node::List(vec![one, value]);
            Ok(())
        }
    }
}

fn add_inner<'a>(
    members: &mut Members<'a>,
    outer: &str,
    inner: &str,
    value: Node<'a>,
) -> Result<(), Refusal> {
    let inner = Cow::Owned(inner.to_owned());
    match members.iter_mut().find(|(known, _)| known == outer) {
        None => add(members, Cow::Owned(outer.to_owned()), Node::Object(vec![(inner, value)])),
        Some((_, Node::Object(object))) => add(object, inner, value),
        Some(_) => Err(both(outer)),
    }
}

fn both(name: &str) -> Refusal {
    Refusal::field(&short(name), "is given as a value and as an object")
}
