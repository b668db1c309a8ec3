//! What the loader refuses, where it says that it is, and what it advises.

use super::LEAST;
use crate::catalog::{BuiltIn, Catalog, CatalogFaults};

fn faults(text: String) -> CatalogFaults {
    Catalog::load(&[BuiltIn { id: "some", text: text.leak() }], &[], true).unwrap_err()
}

/// The faults of [`LEAST`] with `more` behind it, which begins at line 8.
fn with(more: &str) -> String {
    faults(format!("{LEAST}{more}")).to_string().replace("providers/some.toml:", "")
}

#[test]
fn several_faults_in_one_file() {
    let text = r#"
name = "Some"
protocol = "oauth2"
colour = "blue"
[authorise]
url = "https://a.example"
[authorize]
url = "http:/a.example"
pcke = "S256"
pkce = "plain"
[token]
url = "https://a.example/{shop}"
auth = ["basic"]
[token.response]
access_token = "access_token"
acess_token = "/x"
[refresh]
grace = "ten minutes"
rotation = "sometimes"
old_access = "dead"
[hosts]
instance_url = [".com"]
"#;
    insta::assert_snapshot!(faults(text.to_owned()), @r"
        providers/some.toml:4:1: unknown key `colour` (known here: name, categories, docs, protocol, issuer, iss_required, variables, authorize, token, tokens, refresh, revoke, callback, identity, after_connect, hosts)
        providers/some.toml:5:2: unknown key `authorise` (did you mean `authorize`?)
        providers/some.toml:8:7: `authorize.url` must start with https://
        providers/some.toml:9:1: unknown key `authorize.pcke` (did you mean `pkce`?)
        providers/some.toml:10:8: `authorize.pkce` cannot be `plain` (one of S256, off)
        providers/some.toml:12:7: nothing fills `{shop}` when this URL is used (declare it: [variables])
        providers/some.toml:13:8: `token.auth` must be a string
        providers/some.toml:15:16: `token.response.access_token` must be a JSON pointer, which begins with `/` (such as /access_token)
        providers/some.toml:16:1: unknown key `token.response.acess_token` (did you mean `access_token`?)
        providers/some.toml:18:9: `refresh.grace`: `ten minutes` is not a duration such as 30s, 10m, 12h or 90d
        providers/some.toml:19:12: `refresh.rotation` cannot be `sometimes` (one of none, grace, strict)
        providers/some.toml:20:14: `refresh.old_access` cannot be `dead` (valid, killed or a duration such as 10m)
        providers/some.toml:22:1: `hosts.instance_url`: nothing of that name comes out of a callback or an answer
        providers/some.toml:22:17: `hosts.instance_url`: `.com` is no suffix such as .example.com
        ");
}

#[test]
fn what_stops_the_parser_has_a_place_too() {
    insta::assert_snapshot!(faults("name = \"x\"\nprotocol = oauth2\n[token\n".to_owned()), @r"
        providers/some.toml:2:12: string values must be quoted, expected literal string
        providers/some.toml:3:7: unclosed table, expected `]`
        ");
    insta::assert_snapshot!(faults("name = \"x\"\nname = \"y\"\n".to_owned()), @"providers/some.toml:2:1: duplicate key");
}

#[test]
fn what_this_version_does_not_serve_is_said_in_so_many_words() {
    for protocol in ["oauth1", "client_credentials"] {
        let text = LEAST.replace("\"oauth2\"", &format!("\"{protocol}\""));
        let said = faults(text).to_string();
        assert!(
            said.contains(&format!("some.toml:3:12: protocol `{protocol}` is not served by this version")),
            "{said}"
        );
    }
    for table in ["exchange", "introspect", "oauth1"] {
        let said = with(&format!("[{table}]\nurl = \"https://a.example\""));
        assert_eq!(said, format!("8:2: `[{table}]` is not served by this version"));
    }
    assert_eq!(
        with("auth = \"private_key_jwt\""),
        "8:8: `token.auth = \"private_key_jwt\"` is not served by this version"
    );
    assert_eq!(
        with("[revoke]\nurl = \"https://a.example\"\nauth = \"private_key_jwt\""),
        "10:8: `revoke.auth = \"private_key_jwt\"` is not served by this version"
    );
    let alone =
        faults("name = \"x\"\nprotocol = \"oauth2\"\nissuer = \"https://a.example\"".to_owned()).to_string();
    assert!(alone.contains("some.toml:3:10: discovery from `issuer` alone is not served"), "{alone}");
}

#[test]
fn an_end_user_may_not_pick_the_host() {
    let file = |url: &str, at: &str| {
        LEAST.replace("https://a.example/token", url) + &format!("[variables.x]\nat = \"{at}\"\n")
    };
    for url in
        ["https://{x}/token", "https://{x}.com/token", "https://shops.{x}/token", "https://{x}:8443/token"]
    {
        let said = faults(file(url, "authorize")).to_string();
        assert!(
            said.contains("some.toml:7:7: `{x}` is asked at authorize and would pick the host"),
            "{said}"
        );
        assert!(
            Catalog::load(&[BuiltIn { id: "some", text: file(url, "integration").leak() }], &[], true)
                .is_ok()
        );
    }
    for url in ["https://{x}.example.com/token", "https://a.example/{x}", "https://a.example/?a={x}"] {
        assert!(
            Catalog::load(&[BuiltIn { id: "some", text: file(url, "authorize").leak() }], &[], true).is_ok()
        );
    }
}

#[test]
fn hosts_out_of_answers_need_a_rule() {
    let metadata = "[token.response]\nmetadata = { at = \"/at\" }\n";
    let said = with(&format!("{metadata}[refresh]\nurl = \"https://{{at}}/token\"\n"));
    assert!(
        said.starts_with("11:7: `{at}` comes from outside and may not pick the host as it likes"),
        "{said}"
    );
    let said = with(&format!(
        "{metadata}[refresh]\nurl = \"https://a.{{at}}/token\"\n[hosts]\nat = [\".example.com\"]"
    ));
    assert!(said.starts_with("11:7: `{at}` comes from outside"), "{said}");
    let said = with("[hosts]\nat = [\".example.com\"]");
    assert_eq!(said, "9:1: `hosts.at`: nothing of that name comes out of a callback or an answer");
    for rule in ["com", ".com", "", ".Example.com", "https://a.example", "*.example.com"] {
        let said = with(&format!("{metadata}[hosts]\nat = [\"{rule}\"]"));
        assert!(said.contains("is no suffix such as .example.com"), "{rule}: {said}");
    }
}

#[test]
fn a_placeholder_is_known_when_its_url_is_used() {
    let early =
        LEAST.replace("a.example/authorize", "a.example/{realm}") + "[callback]\ncapture = [\"realm\"]";
    let said = faults(early).to_string();
    assert!(said.contains("nothing fills `{realm}` when this URL is used (did you mean `realm`?)"), "{said}");
    let said = with("[identity]\nurl = \"https://a.example/{token}\"\nid = \"/id\"");
    assert!(said.contains("nothing fills `{token}`"), "{said}");
    let said = with("[revoke]\nurl = \"https://{token}.a.example.com/\"");
    assert!(said.contains("`{token}` cannot be part of the host"), "{said}");
}

#[test]
fn small_things() {
    for (more, expected) in [
        ("[[after_connect]]\nurl = \"https://a.example\"", "8:1: `after_connect.metadata` copies nothing"),
        ("[identity]\nurl = \"https://a.example\"", "8:2: `identity.id` is missing"),
        (
            "[callback]\nhmac = { algorithm = \"md5\", param = \"h\" }",
            "9:22: `callback.hmac.algorithm` cannot be `md5` (one of sha256)",
        ),
        ("[callback]\ncapture = [\"state\"]", "9:12: `callback.capture` cannot copy `state`"),
        ("rename = { code = \"\" }", "8:12: `code` cannot be dropped: nothing would be exchanged"),
        ("rename = { scope = \"x\" }", "8:12: `token.rename.scope` cannot be renamed (did you mean `code`?)"),
        (
            "params = { grant_type = \"x\" }",
            "8:12: `token.params.grant_type` is sent anyway (`rename` gives a parameter another name or drops it)",
        ),
        ("headers = { \"a b\" = \"x\" }", "8:13: `a b` is not a header with a printable value"),
        (
            "headers = { Content-Type = \"application/json\" }",
            "6:2: `token.headers` cannot say the content type (`token.body` does: form, json or query)",
        ),
        (
            "[revoke]\nurl = \"https://a.example\"\nheaders = { Content-Type = \"text/xml\" }",
            "10:13: `text/xml` is not an encoding of bodies (application/json or application/x-www-form-urlencoded)",
        ),
        (
            "[revoke]\nurl = \"https://a.example\"\nbody = { t = \"{tokne}\" }",
            "10:10: nothing fills `{tokne}` here (did you mean `token`?)",
        ),
        (
            "[variables.a]\npattern = \"(\"",
            "9:11: `variables.a.pattern` is not a regular expression: found open group without closing ')'",
        ),
        (
            "[variables.a]\npattern = \"a)|(b\"",
            "9:11: `variables.a.pattern` is not a regular expression: found closing ')' without matching '('",
        ),
        (
            "[variables.a]\npattern = \"a\"\ndefault = \"b\"",
            "10:11: `variables.a.default` does not match the pattern",
        ),
        (
            "[variables.token]",
            "1:1: `token` is a variable and something else too (give one of them another name)",
        ),
        ("[tokens.bot]", "8:9: `tokens.bot.access_token` is missing"),
        ("[refresh]\nresponse = 3", "9:12: `refresh.response` must be a table"),
        (
            "[token.response]\nscope = \"/a~2\"",
            "9:9: `token.response.scope` must be a JSON pointer, which begins with `/` (such as /access_token)",
        ),
    ] {
        assert_eq!(with(more), expected);
    }
    let required = format!("iss_required = true{LEAST}");
    assert!(faults(required).to_string().contains("`iss_required` needs an `issuer`"));
    let off = LEAST.replace("[token]", "rename = { code_challenge = \"\" }\n[token]");
    assert!(faults(off).to_string().contains("drops `code_challenge` (say `pkce = \"off\"`)"));
}
