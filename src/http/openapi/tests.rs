//! The document holds together: every name in it leads somewhere, and everything in it is described.

use super::document::operation_id;
use super::refusals;
use crate::http::routes::{ROUTES, allowed};
use crate::http::{handlers, problem};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

fn members(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// Each operation with the route it is of.
fn operations(document: &Value) -> Vec<(&'static crate::http::Route, Value)> {
    let operation = |route: &crate::http::Route| {
        document["paths"][route.path][route.method.as_str().to_lowercase()].clone()
    };
    ROUTES.iter().map(|route| (route, operation(route))).collect()
}

/// Calls `each` on every object in a value, with the path to it.
fn walk(value: &Value, at: &str, each: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            each(at, object);
            for (name, member) in object {
                walk(member, &format!("{at}/{name}"), each);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, at, each)),
        _ => {}
    }
}

/// What is said of a property: by itself, or by what it may be.
fn is_described(schema: &Value) -> bool {
    let said = |schema: &Value| schema["description"].as_str().is_some_and(|words| !words.is_empty());
    said(schema) || schema["oneOf"].as_array().is_some_and(|all| all.iter().any(said))
}

#[test]
fn every_route_is_in_it_and_nothing_else() {
    let document = super::document();
    let of_document: usize = members(&document["paths"]).values().map(|item| members(item).len()).sum();
    assert_eq!(of_document, ROUTES.len());
    let mut ids = BTreeSet::new();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (route, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].to_string()), "{route:?}");
        assert_eq!(operation["operationId"], operation_id(route.name));
        assert!(operation["summary"].as_str().is_some_and(|words| !words.ends_with('.')), "{route:?}");
        assert!(tags.contains(&&operation["tags"][0]), "{route:?}");
        assert_eq!(operation["security"].is_array(), route.access.wants_caller(), "{route:?}");
    }
}

#[test]
fn parameters_of_paths_are_those_of_the_table() {
    for (route, operation) in operations(&super::document()) {
        let holes = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let declared =
            parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap().to_owned());
        assert_eq!(declared.collect::<Vec<_>>(), holes.collect::<Vec<_>>(), "{route:?}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_field_is_described() {
    let document = super::document();
    let mut faults = Vec::new();
    walk(&document, "", &mut |at, object| {
        if let Some(Value::String(to)) = object.get("$ref")
            && document.pointer(to.trim_start_matches('#')).is_none()
        {
            faults.push(format!("{at}: {to} leads nowhere"));
        }
        if let Some(Value::Object(properties)) = object.get("properties") {
            let vague = properties.iter().filter(|(_, schema)| !is_described(schema));
            // The narrowing of a problem to its codes says nothing that the problem does not.
            let vague = vague.filter(|_| !at.ends_with("/allOf"));
            faults.extend(vague.map(|(name, _)| format!("{at}: {name} is not described")));
        }
    });
    for (route, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let vague = parameters.filter(|one| !is_described(one));
        faults.extend(vague.map(|one| format!("{route:?}: {} is not described", one["name"])));
    }
    assert_eq!(faults, Vec::<String>::new());
    let (said, unsaid) =
        (serde_json::json!({ "description": "A thing." }), serde_json::json!({ "type": "string" }));
    assert!(is_described(&said) && !is_described(&unsaid));
}

/// Two structs of one name would silently become one schema.
#[test]
fn a_name_means_one_schema() {
    let mut known = BTreeMap::new();
    for route in ROUTES {
        let described = handlers::described(route.name);
        let body = described.body.map(|(name, fields)| (name, serde_json::to_value(fields).unwrap()));
        let others = described
            .schemas
            .iter()
            .map(|(name, schema)| (name.clone(), serde_json::to_value(schema).unwrap()));
        for (name, schema) in others.chain(body) {
            let before = known.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "{name} of {route:?}");
        }
    }
}

/// A route names only what is its own, and says each once.
#[test]
fn refusals_are_named_once() {
    for route in ROUTES {
        let kind = |refusal: &crate::domain::Refusal| {
            (problem::status_and_title(refusal).0.as_u16(), refusal.code())
        };
        let own: Vec<_> = handlers::described(route.name).refusals.iter().map(kind).collect();
        let distinct: BTreeSet<_> = own.iter().collect();
        assert_eq!(distinct.len(), own.len(), "{route:?}");
        let common: Vec<_> = refusals::common(route).iter().map(kind).collect();
        let twice: Vec<_> =
            own.iter().filter(|one| common.contains(one) && one.1 != "invalid_request").collect();
        assert!(twice.is_empty(), "{route:?} need not name {twice:?}");
    }
}

#[test]
fn a_refusal_is_shown_as_it_would_be_told() {
    let document = super::document();
    let delete = &document["paths"]["/v1/connections/{id}"]["delete"]["responses"];
    let refused = &delete["404"]["content"]["application/problem+json"];
    assert_eq!(
        refused["schema"]["allOf"][1]["properties"]["code"]["enum"],
        serde_json::json!(["connection_not_found"])
    );
    insta::assert_snapshot!(refused["examples"]["connection_not_found"]["value"], @r#"{"code":"connection_not_found","detail":"There is no such connection: send the end user through /authorize-<provider> to make one.","request_id":"019ac0de-0000-7000-8000-000000000000","status":404,"title":"No such connection","type":"about:blank"}"#);
    let allow = &delete["405"]["headers"]["Allow"];
    assert_eq!(
        (&allow["schema"]["enum"][0], &allow["required"]),
        (&allowed("/v1/connections/{id}").into(), &true.into())
    );
    assert_eq!(delete["503"]["$ref"], "#/components/responses/StoreUnavailable");
    let shared = &document["components"]["responses"]["StoreUnavailable"]["headers"];
    assert_eq!(shared["x-request-id"]["$ref"], "#/components/headers/RequestId");
    assert_eq!(shared["Retry-After"]["schema"]["minimum"], 1);
}
