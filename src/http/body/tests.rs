//! Bodies and queries as callers send them, good and bad.

use super::*;
use crate::domain::{EndUserId, ProviderId, Scopes, Secret};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    provider: ProviderId,
    end_user: Option<EndUserId>,
    min_ttl: Option<Seconds>,
    #[serde(default)]
    force_refresh: bool,
    scopes: Option<Scopes>,
    secret: Option<Secret>,
    #[serde(default)]
    redirect_url: Several,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const JSON: Option<&str> = Some("application/json");

fn read(content_type: Option<&str>, body: &[u8]) -> Result<Sample, String> {
    let sample = Fields::of_body(content_type, body).and_then(Fields::typed);
    sample.map_err(|refusal| match refusal {
        Refusal::InvalidRequest { field, detail } => format!("{}: {detail}", field.unwrap_or_default()),
        other => format!("{other:?}"),
    })
}

fn fault(content_type: Option<&str>, body: &str) -> String {
    read(content_type, body.as_bytes()).unwrap_err()
}

#[test]
fn both_encodings_say_the_same() {
    let form = b"provider=slack&end_user=J%C3%B6+A%2B&min_ttl=30&force_refresh=true&scopes=a+b&secret=s%26t\
                 &redirect_url=https://a.example&redirect_url=https://b.example&variables[shop]=x&variables.zone=y";
    let json = r#"{"provider": "slack", "end_user": "Jö A+", "min_ttl": 30, "force_refresh": true,
        "scopes": ["a", "b"], "secret": "s&t", "redirect_url": ["https://a.example", "https://b.example"],
        "variables": {"shop": "x", "zone": "y"}}"#;
    let charset = Some("Application/JSON; charset=\"UTF-8\"");
    for (content_type, body) in [(FORM, &form[..]), (JSON, json.as_bytes()), (charset, json.as_bytes())] {
        let sample = read(content_type, body).unwrap();
        assert_eq!(sample.provider.as_str(), "slack");
        assert_eq!(sample.end_user.unwrap().as_str(), "Jö A+");
        assert_eq!(sample.min_ttl.unwrap().0.as_secs(), 30);
        assert!(sample.force_refresh);
        assert_eq!(sample.scopes.unwrap().join(","), "a,b");
        assert!(!sample.secret.unwrap().is_empty());
        assert_eq!(sample.redirect_url.0, ["https://a.example", "https://b.example"]);
        assert_eq!(
            sample.variables,
            BTreeMap::from([("shop".into(), "x".into()), ("zone".into(), "y".into())])
        );
    }
}

#[test]
fn what_is_absent_stays_absent() {
    let sample =
        read(JSON, br#"{"provider": "x", "min_ttl": null, "redirect_url": "https://a.example"}"#).unwrap();
    assert!(sample.end_user.is_none() && sample.min_ttl.is_none() && !sample.force_refresh);
    assert_eq!(sample.redirect_url.0, ["https://a.example"]);
}

#[test]
fn a_fault_names_its_field_and_what_is_accepted() {
    insta::assert_snapshot!(fault(JSON, r#"{"end_user": "u"}"#), @"provider: is missing");
    insta::assert_snapshot!(fault(FORM, "provider=X"), @"provider: must be a provider id: lower-case letters, digits and dashes");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "end_user": 42}"#), @"end_user: must be a string, not a number");
    insta::assert_snapshot!(fault(FORM, "provider=x&min_ttl=soon"), @"min_ttl: must be a whole number of seconds, not this text");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "min_ttl": -3}"#), @"min_ttl: must be a whole number of seconds, not a negative number");
    insta::assert_snapshot!(fault(FORM, "provider=x&force_refresh=maybe"), @"force_refresh: must be a boolean, not this text");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "scopes": [1]}"#), @"scopes: must be an array of strings or a space-separated string");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "variables": {"shop": 1}}"#), @"variables.shop: must be a string, not a number");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "redirect_url": 7}"#), @"redirect_url: must be a string or a list of strings");
    insta::assert_snapshot!(fault(FORM, "provider=x&provider=y"), @"provider: must be a string, not a list");
    insta::assert_snapshot!(fault(FORM, "provider=x&variables=1&variables[a]=2"), @"variables: is given as a value and as an object");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "provider": "y"}"#), @": The body is not good JSON: `provider` is given twice at line 1 column 28.");
    insta::assert_snapshot!(fault(JSON, r#"{"provider": "x", "variables": {"a": "1", "a": "2"}}"#), @": The body is not good JSON: `a` is given twice at line 1 column 45.");
    insta::assert_snapshot!(fault(FORM, "provider=x&api_key=1"), @"api_key: is not a field of this request; known are provider, end_user, min_ttl, force_refresh, scopes, secret, redirect_url, variables");
}

#[test]
fn a_body_that_is_none_is_said_to_be_none() {
    insta::assert_snapshot!(fault(JSON, ""), @": The body is empty. Send the fields as `application/json` or `application/x-www-form-urlencoded`.");
    insta::assert_snapshot!(fault(None, "provider=x"), @": There is no Content-Type. Send the fields as `application/json` or `application/x-www-form-urlencoded`.");
    insta::assert_snapshot!(fault(Some("text/plain"), "provider=x"), @": This Content-Type is not accepted. Send the fields as `application/json` or `application/x-www-form-urlencoded`.");
    insta::assert_snapshot!(fault(Some("application/json; charset=latin1"), "{}"), @": The body must be UTF-8, and its Content-Type must not say otherwise.");
    insta::assert_snapshot!(fault(JSON, "[]"), @": The body must be a JSON object.");
    insta::assert_snapshot!(fault(JSON, "{\"a\""), @": The body is not good JSON: EOF while parsing an object at line 1 column 4.");
    insta::assert_snapshot!(fault(FORM, "provider=%ff"), @": The form is not percent-encoded UTF-8.");
    let raw = read(JSON, b"{\"provider\": \"\xff\"}").unwrap_err();
    insta::assert_snapshot!(raw, @": The body is not good JSON: invalid unicode code point at line 1 column 15.");
    assert!(fault(JSON, &format!("{{\"a\":{}", "[".repeat(50_000))).contains("recursion limit"));
}

#[test]
fn many_members_do_not_make_much_work() {
    let json = (0..5_000).fold(String::new(), |all, n| all + &format!("\"k{n}\":1,"));
    assert!(fault(JSON, &format!("{{{json}\"z\":1}}")).contains("more than 100 members"));
    let form = (0..5_000).fold(String::new(), |all, n| all + &format!("k{n}=1&"));
    assert!(fault(FORM, &form).contains("more than 100 fields"));
}

#[test]
fn no_fault_tells_a_value_back() {
    let bodies = [
        (JSON, r#"{"provider": "hunter2!"}"#),
        (JSON, r#"{"provider": "x", "secret": ["hunter2!"]}"#),
        (JSON, r#"{"provider": "x", "min_ttl": "hunter2!"}"#),
        (JSON, r#"{"provider": "x", "force_refresh": "hunter2!"}"#),
        (JSON, r#"{"provider": "x", "variables": "hunter2!"}"#),
        (JSON, r#"{"provider": "x", "redirect_url": {"a": "hunter2!"}}"#),
        (JSON, r#""hunter2!""#),
        (JSON, "hunter2!"),
        (FORM, "provider=x&scopes[a]=hunter2!"),
    ];
    for (content_type, body) in bodies {
        assert!(!fault(content_type, body).contains("hunter2"), "{body}");
    }
}

#[test]
fn a_field_can_be_taken_out() {
    let mut fields = Fields::of_body(FORM, b"provider=x&username=ada").unwrap();
    assert_eq!(fields.take("username").unwrap().as_deref(), Some("ada"));
    assert_eq!(fields.take("username").unwrap(), None);
    assert!(fields.typed::<Sample>().is_ok());
    let mut twice = Fields::of_body(FORM, b"username=a&username=b").unwrap();
    assert_eq!(twice.take("username").unwrap_err(), Refusal::field("username", "must be a string"));
}
