//! Answers of token endpoints that somebody's code once fell over, and what each is read as.

use super::{read, response, with};
use crate::wire::AnswerKind;

/// Checks rows of content type, status, body and what it is read as.
fn check(more: &str, rows: &[(&str, u16, &str, &str)]) {
    let provider = with(more);
    for (media_type, status, body, expected) in rows {
        let answer = response(*status, &[("content-type", media_type)], body);
        assert_eq!(read(&provider, AnswerKind::Code, &answer), *expected, "{status} {media_type}: {body}");
    }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html";
const NO_SENSE: &str = "unreadable 200: neither JSON nor form-encoded";
const NO_TOKEN: &str = "unreadable 200: it has no access token";
const NOT_TEXT: &str = "unreadable 200: a token is not a string";
const BAD_CHARS: &str = "unreadable 200: a token holds characters that no token may hold";

#[test]
fn shapes_of_bodies() {
    check(
        "",
        &[
            (JSON, 200, r#"{"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 201, r#"{"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 200, "\u{feff}{\"access_token\":\"A\"}", "granted Bearer A"),
            (JSON, 200, "\r\n  {\"access_token\":\"A\"}\r\n", "granted Bearer A"),
            (HTML, 200, r#"{"access_token":"A"}"#, "granted Bearer A"),
            ("", 200, r#"{"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 200, r#"{"access_token":"A","access_token":"B"}"#, "granted Bearer B"),
            (JSON, 200, r#"{"access_token":"A"} trailing"#, NO_SENSE),
            (JSON, 200, r#"{"access_token":"A""#, NO_SENSE),
            (JSON, 200, "", NO_SENSE),
            (JSON, 200, "null", NO_SENSE),
            (JSON, 200, "\"A\"", NO_SENSE),
            (JSON, 200, r#"[{"access_token":"A"}]"#, NO_SENSE),
            (JSON, 200, "access_token=A", NO_SENSE),
            (HTML, 200, "<html><a href='?a=b'>sign in</a></html>", NO_SENSE),
            (JSON, 200, "{}", NO_TOKEN),
            (FORM, 200, "access_token=A&scope=a%20b&token_type=bearer", "granted bearer A scopes=a+b"),
            (
                FORM,
                200,
                "access_token=A&expires_in=3600&refresh_token=R",
                "granted Bearer A refresh=R life=3600",
            ),
            ("text/plain; charset=UTF-8", 200, "access_token=A&expires=5108\n", "granted Bearer A"),
            (FORM, 200, "access_token=A&access_token=B", "granted Bearer B"),
            (
                FORM,
                200,
                "error=bad_verification_code&error_description=x",
                "refused grant bad_verification_code 200",
            ),
            (FORM, 200, "hello", NO_SENSE),
            (FORM, 200, "&&==", NO_TOKEN),
            (204_u16.to_string().as_str(), 204, "", "unreadable 204: neither JSON nor form-encoded"),
        ],
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check("", &[(JSON, 200, &deep, NO_SENSE)]);
    check(
        "",
        &[(
            JSON,
            200,
            &format!(r#"{{"access_token":"A","x":{}1{}}}"#, "[".repeat(100), "]".repeat(100)),
            "granted Bearer A",
        )],
    );
}

#[test]
fn tokens() {
    check(
        "",
        &[
            (JSON, 200, r#"{"access_token":null}"#, NO_TOKEN),
            (JSON, 200, r#"{"access_token":""}"#, NO_TOKEN),
            (JSON, 200, r#"{"access_token":false}"#, NO_TOKEN),
            (JSON, 200, r#"{"access_token":42}"#, NOT_TEXT),
            (JSON, 200, r#"{"access_token":true}"#, NOT_TEXT),
            (JSON, 200, r#"{"access_token":{"token":"A"}}"#, NOT_TEXT),
            (JSON, 200, r#"{"access_token":["A"]}"#, NOT_TEXT),
            (JSON, 200, "{\"access_token\":\"A\\r\\nX-Evil: 1\"}", BAD_CHARS),
            (JSON, 200, "{\"access_token\":\"A\\u0000\"}", BAD_CHARS),
            (JSON, 200, "{\"access_token\":\"é\"}", BAD_CHARS),
            (JSON, 200, r#"{"access_token":"A B"}"#, "granted Bearer A B"),
            (JSON, 200, r#"{"access_token":"A","refresh_token":null}"#, "granted Bearer A"),
            (JSON, 200, r#"{"access_token":"A","refresh_token":""}"#, "granted Bearer A"),
            (JSON, 200, r#"{"access_token":"A","refresh_token":false}"#, "granted Bearer A"),
            (JSON, 200, r#"{"access_token":"A","refresh_token":7}"#, NOT_TEXT),
            (JSON, 200, r#"{"access_token":"A","refresh_token":"R\n"}"#, BAD_CHARS),
            (JSON, 200, r#"{"access_token":"A","token_type":"MAC"}"#, "granted MAC A"),
            (JSON, 200, r#"{"access_token":"A","token_type":7}"#, "granted Bearer A"),
            (JSON, 200, r#"{"access_token":"A","token_type":""}"#, "granted Bearer A"),
            (JSON, 200, r#"{"Access_Token":"A"}"#, NO_TOKEN),
        ],
    );
    let fits = "x".repeat(16 * 1024);
    let body = |token: &str| format!(r#"{{"access_token":"{token}"}}"#);
    check(
        "",
        &[
            (JSON, 200, &body(&fits), &format!("granted Bearer {fits}")),
            (JSON, 200, &body(&format!("{fits}x")), "unreadable 200: a token is longer than 16 KiB"),
        ],
    );
}

#[test]
fn lifetimes() {
    for (written, life) in [
        ("3600", Some(3600)),
        ("3600.9", Some(3600)),
        ("\"3600\"", Some(3600)),
        ("\" 3600 \"", Some(3600)),
        ("\"3600.5\"", Some(3600)),
        ("1", Some(1)),
        ("0", None),
        ("-1", None),
        ("\"0\"", None),
        ("0.4", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("\"NaN\"", None),
        ("\"inf\"", Some(315_360_000)),
        ("1e300", Some(315_360_000)),
        ("99999999999999999999999", Some(315_360_000)),
        ("null", None),
        ("true", None),
        ("[3600]", None),
        ("{}", None),
    ] {
        let body = format!(r#"{{"access_token":"A","expires_in":{written}}}"#);
        let expected =
            life.map_or("granted Bearer A".to_owned(), |life| format!("granted Bearer A life={life}"));
        check("", &[(JSON, 200, &body, &expected)]);
    }
    check(
        "token.response.refresh_expires_in = '/x_refresh_token_expires_in'",
        &[(
            JSON,
            200,
            r#"{"access_token":"A","x_refresh_token_expires_in":8726400}"#,
            "granted Bearer A refresh_life=8726400",
        )],
    );
}

#[test]
fn scopes() {
    for (written, scopes) in [
        (r#""a b""#, " scopes=a+b"),
        (r#""a  b\ta""#, " scopes=a+b"),
        (r#"["a","b"]"#, " scopes=a+b"),
        (r#"["a",7,null]"#, " scopes=a"),
        (r#""a,b""#, " scopes=a,b"),
        (r#""""#, ""),
        ("[]", ""),
        ("null", ""),
        ("7", ""),
    ] {
        let body = format!(r#"{{"access_token":"A","scope":{written}}}"#);
        check("", &[(JSON, 200, &body, &format!("granted Bearer A{scopes}"))]);
    }
    check(
        "authorize.scope_separator = ','",
        &[(JSON, 200, r#"{"access_token":"A","scope":"a,b, c"}"#, "granted Bearer A scopes=a+b+c")],
    );
    check(
        "authorize.scope_separator = ','\ntoken.response.scope_separator = ';'",
        &[(JSON, 200, r#"{"access_token":"A","scope":"a,b;c"}"#, "granted Bearer A scopes=a,b+c")],
    );
    check(
        "token.response.refresh_scope = 'offline'",
        &[
            (
                JSON,
                200,
                r#"{"access_token":"A","refresh_token":"R","scope":"a"}"#,
                "granted Bearer A refresh=R scopes=a+offline",
            ),
            (
                JSON,
                200,
                r#"{"access_token":"A","refresh_token":"R","scope":"offline a"}"#,
                "granted Bearer A refresh=R scopes=offline+a",
            ),
            // What is not said to be granted at all is granted as asked.
            (JSON, 200, r#"{"access_token":"A","refresh_token":"R"}"#, "granted Bearer A refresh=R"),
            (JSON, 200, r#"{"access_token":"A","scope":"a"}"#, "granted Bearer A scopes=a"),
        ],
    );
}

#[test]
fn refusals() {
    check(
        "",
        &[
            (JSON, 400, r#"{"error":"invalid_grant"}"#, "refused grant invalid_grant 400"),
            (JSON, 400, r#"{"error":"INVALID_GRANT"}"#, "refused grant INVALID_GRANT 400"),
            (
                JSON,
                200,
                r#"{"error":"bad_refresh_token","access_token":"A"}"#,
                "refused grant bad_refresh_token 200",
            ),
            (JSON, 401, r#"{"error":"invalid_client"}"#, "refused client invalid_client 401"),
            (JSON, 400, r#"{"error":"unauthorized_client"}"#, "refused client unauthorized_client 400"),
            (
                JSON,
                200,
                r#"{"error":"incorrect_client_credentials"}"#,
                "refused client incorrect_client_credentials 200",
            ),
            (JSON, 400, r#"{"error":"invalid_scope"}"#, "refused other invalid_scope 400"),
            (JSON, 400, r#"{"error":"invalid_grant_type"}"#, "refused other invalid_grant_type 400"),
            (
                JSON,
                400,
                r#"{"error":{"type":"OAuthException","code":190,"message":"secret"}}"#,
                "refused other 190 400",
            ),
            (JSON, 400, r#"{"error":{"message":"no code here"}}"#, "refused other unnamed 400"),
            (JSON, 400, r#"{"error":["invalid_grant"]}"#, "refused other unnamed 400"),
            (JSON, 400, r#"{"error":7}"#, "refused other 7 400"),
            (JSON, 400, r#"{"error":true}"#, "refused other unnamed 400"),
            (JSON, 400, "{\"error\":\"a\\u001b[31m\\nb\u{202e}c\"}", "refused other a[31mbc 400"),
            (JSON, 400, r#"{"message":"no"}"#, "refused other http_400 400"),
            (HTML, 403, "<html>Forbidden</html>", "refused other http_403 403"),
            (JSON, 404, "", "refused other http_404 404"),
            (JSON, 200, r#"{"error":null,"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 200, r#"{"error":"","access_token":"A"}"#, "granted Bearer A"),
            (JSON, 200, r#"{"error":false,"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 200, r#"{"error":0,"access_token":"A"}"#, "granted Bearer A"),
            (JSON, 302, r#"{"access_token":"A"}"#, "unreadable 302: neither a success nor an error"),
            (JSON, 100, "", "unreadable 100: neither a success nor an error"),
            (JSON, 999, "", "unreadable 999: neither a success nor an error"),
        ],
    );
    let long = format!(r#"{{"error":"{}"}}"#, "e".repeat(500));
    check("", &[(JSON, 400, &long, &format!("refused other {} 400", "e".repeat(64)))]);
}

#[test]
fn ok_must_be_true() {
    check(
        "token.response.ok = '/ok'",
        &[
            (JSON, 200, r#"{"ok":true,"access_token":"A"}"#, "granted Bearer A"),
            (FORM, 200, "ok=true&access_token=A", "granted Bearer A"),
            (JSON, 200, r#"{"ok":false}"#, "refused other not_ok 200"),
            (JSON, 200, r#"{"ok":false,"error":"ratelimited"}"#, "busy 200 after unsaid"),
            (
                JSON,
                200,
                r#"{"ok":true,"error":"invalid_code","access_token":"A"}"#,
                "refused grant invalid_code 200",
            ),
            (JSON, 200, r#"{"access_token":"A"}"#, "unreadable 200: it does not say that it is a success"),
            (
                JSON,
                200,
                r#"{"ok":1,"access_token":"A"}"#,
                "unreadable 200: it does not say that it is a success",
            ),
        ],
    );
}

#[test]
fn busy() {
    check(
        "",
        &[
            (JSON, 429, r#"{"error":"invalid_grant"}"#, "busy 429 after unsaid"),
            (JSON, 500, r#"{"error":"invalid_grant"}"#, "busy 500 after unsaid"),
            (HTML, 502, "<html>", "busy 502 after unsaid"),
            (JSON, 200, r#"{"error":"temporarily_unavailable"}"#, "busy 200 after unsaid"),
            (JSON, 400, r#"{"error":"slow_down"}"#, "busy 400 after unsaid"),
        ],
    );
    for (after, expected) in [
        ("7", "7"),
        ("86401", "86400"),
        ("Thu, 01 Jan 1970 00:01:00 GMT", "60"),
        ("Thu, 01 Jan 2099 00:00:00 GMT", "86400"),
        ("-5", "unsaid"),
        ("later", "unsaid"),
        ("", "unsaid"),
    ] {
        let answer = response(429, &[("retry-after", after)], "");
        assert_eq!(
            read(&with(""), AnswerKind::Refresh, &answer),
            format!("busy 429 after {expected}"),
            "{after}"
        );
    }
}

#[test]
fn bytes_that_are_no_text() {
    for body in
        [&b"\xff\xfe{\"access_token\":\"A\"}"[..], b"\x1f\x8b\x08\x00", b"access_token=\xff", b"\0\0\0"]
    {
        let answer = response(200, &[("content-type", FORM)], body);
        assert_eq!(read(&with(""), AnswerKind::Code, &answer), NO_SENSE, "{body:?}");
    }
}
