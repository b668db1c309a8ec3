//! Folders, replacement, what is listed, and what a provider tells about itself.

use super::{LEAST, least_and, provider};
use crate::catalog::{AskedAt, BUILT_IN, BuiltIn, Catalog, Values, VariableFault, lint};
use crate::domain::ProviderId;
use std::path::Path;
use std::time::Duration;

fn ids(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().map(|provider| provider.id.as_str()).collect()
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_list_is_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let listed: Vec<String> = BUILT_IN.iter().map(|file| format!("{}.toml", file.id)).collect();
    assert_eq!(files, listed);
}

#[test]
fn every_built_in_file_is_good_and_http_is_not_listed() {
    let all = Catalog::load(BUILT_IN, &[], true).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        ids(&all),
        [
            "atlassian",
            "github",
            "google",
            "hubspot",
            "microsoft",
            "notion",
            "salesforce",
            "sandbox",
            "shopify",
            "slack",
            "twitter"
        ]
    );
    let safe = Catalog::load(BUILT_IN, &[], false).unwrap();
    assert_eq!(
        ids(&safe),
        [
            "atlassian",
            "github",
            "google",
            "hubspot",
            "microsoft",
            "notion",
            "salesforce",
            "shopify",
            "slack",
            "twitter"
        ]
    );
}

#[test]
fn later_folders_replace_earlier_ones_by_name() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(first.path().join("slack.toml"), LEAST).unwrap();
    std::fs::write(first.path().join("mine.toml"), LEAST).unwrap();
    std::fs::write(first.path().join("README.md"), "not a provider").unwrap();
    std::fs::write(second.path().join("mine.toml"), LEAST.replace("Some", "Mine")).unwrap();
    let dirs = [first.path().to_owned(), second.path().to_owned()];
    let catalog = Catalog::load(BUILT_IN, &dirs, false).unwrap();
    let name = |id| catalog.get(&ProviderId::parse(id).unwrap()).map(|provider| provider.name.as_str());
    assert_eq!((name("slack"), name("mine"), name("google")), (Some("Some"), Some("Mine"), Some("Google")));
}

#[test]
fn all_faults_of_all_files_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one.toml"), LEAST.replace("https", "http")).unwrap();
    std::fs::write(dir.path().join("two.toml"), "name = ").unwrap();
    std::fs::write(dir.path().join("Three.toml"), LEAST).unwrap();
    let missing = dir.path().join("missing");
    let faults = Catalog::load(&[], &[dir.path().to_owned(), missing.clone()], false).unwrap_err();
    let text = faults.to_string();
    for part in [
        "one.toml:5:7: must start with https://",
        "one.toml:7:7: ",
        "two.toml:1:",
        "Three.toml: the file name is",
        "missing: cannot be read",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let lines = lint(&dir.path().join("one.toml"), false);
    assert_eq!(lines.len(), 2);
    assert_eq!(lint(&dir.path().join("one.toml"), true), Vec::<String>::new());
    assert_eq!(lint(&missing, true).len(), 1);
}

#[test]
fn margins() {
    let usual = least_and("");
    let seconds =
        |provider: &crate::catalog::Provider, life| provider.margin(Duration::from_secs(life)).as_secs();
    assert_eq!(seconds(&usual, 3600), 300, "five minutes at most");
    assert_eq!(seconds(&usual, 600), 60, "a tenth");
    assert_eq!(seconds(&usual, 120), 30, "half a minute at least");
    assert_eq!(seconds(&usual, 40), 20, "never over half");
    assert_eq!(seconds(&usual, 0), 0);
    let explicit = least_and("[refresh]\nmargin = \"10m\"");
    assert_eq!(seconds(&explicit, 3600), 600);
    assert_eq!(seconds(&explicit, 600), 300, "never over half");
}

#[test]
fn the_canonical_text_follows_the_definition_and_nothing_else() {
    let text = |more: &str| least_and(more).canonical_text();
    let other_prose = provider(
        "docs = \"https://a.example\"\nprotocol = \"oauth2\"\nname = \"Other\"\n[token]\nurl = 'https://a.example/token' # x\n[authorize]\nurl = 'https://a.example/authorize'",
    );
    assert_eq!(text(""), other_prose.canonical_text());
    for change in [
        "params = { a = \"b\" }",
        "auth = \"post\"",
        "[refresh]\nrotation = \"strict\"",
        "[callback]\ncapture = [\"x\"]",
        "[revoke]\nurl = \"https://a.example/revoke\"",
        "[variables.x]\npattern = \"a\"",
    ] {
        assert_ne!(text(""), text(change), "{change}");
    }
}

#[test]
fn variables_are_checked_where_they_are_asked() {
    let shop = provider(
        r#"
        name = "Some"
        protocol = "oauth2"
        [variables.shop]
        pattern = "[a-z0-9][a-z0-9-]*"
        default = ""
        at = "authorize"
        [variables.region]
        default = "eu"
        pattern = "eu|us"
        [authorize]
        url = "https://{shop}.{region}.example.com/authorize"
        [token]
        url = "https://{shop}.shops.example.com/token/{region}"
        "#
        .replace("{shop}.{region}.example", "{shop}.shops.example")
        .leak(),
    );
    assert_eq!(shop.check_variables(AskedAt::Integration, &Values::new()), Ok(values(&[("region", "eu")])));
    let fault = |at, given: &[(&str, &str)]| {
        shop.check_variables(at, &values(given))
            .unwrap_err()
            .iter()
            .map(VariableFault::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(fault(AskedAt::Integration, &[("region", "mars")]), ["variables.region must match eu|us"]);
    assert_eq!(fault(AskedAt::Authorize, &[]), ["variables.shop is required"]);
    assert_eq!(
        fault(AskedAt::Authorize, &[("shop", "a\nb"), ("region", "us")]),
        [
            "variables.region is not one of the variables asked here",
            "variables.shop must be 255 bytes at most, without control characters"
        ]
    );
    // The pattern would let it through; the place does not.
    assert_eq!(
        fault(AskedAt::Authorize, &[("shop", "a-")]),
        ["variables.shop must be one DNS label: letters, digits and inner dashes"]
    );
    let good = shop.check_variables(AskedAt::Authorize, &values(&[("shop", "acme")])).unwrap();
    let url = shop.fill(&shop.authorize.url, &good).unwrap();
    assert_eq!(url.as_str(), "https://acme.shops.example.com/authorize");
}

#[test]
fn a_summary_tells_what_a_tenant_must_know() {
    let slack = BUILT_IN.iter().find(|file| file.id == "slack").unwrap();
    let catalog = Catalog::load(&[BuiltIn { ..*slack }], &[], false).unwrap();
    let summary = catalog.iter().next().unwrap().summary();
    insta::assert_json_snapshot!(summary, @r#"
        {
          "id": "slack",
          "name": "Slack",
          "categories": [
            "communication"
          ],
          "docs": "https://docs.slack.dev/authentication/installing-with-oauth",
          "protocol": "oauth2",
          "needs_secret": true,
          "variables": [
            {
              "name": "bot_scopes",
              "title": "Bot scopes, separated by commas",
              "pattern": "[a-z0-9._:,-]*",
              "default": "",
              "example": "chat:write,channels:read",
              "at": "integration",
              "required": false
            }
          ],
          "tokens": [
            "bot"
          ],
          "pkce": "S256",
          "rotation": "strict",
          "revocation": true
        }
        "#);
}
