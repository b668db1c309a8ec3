//! The pages a person sees, and their one style sheet.

use crate::domain::{Scopes, Ticket};
use actix_web::HttpResponse;
use askama::Template;
use url::Url;

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · Sandbox</title>
<link rel="stylesheet" href="sandbox.css">
</head>
<body>
<main>
<p class="badge">Sandbox provider · no real account, no password</p>
<h1><span class="client">{{ client }}</span> asks for your permission</h1>
<form method="post" action="authorize">
<input type="hidden" name="request" value="{{ ticket }}">
<label for="user">Sign in as</label>
<input id="user" name="user" value="ada" required maxlength="64" autocomplete="username" autocapitalize="none" spellcheck="false" aria-describedby="user-hint">
<p class="hint" id="user-hint">Any name will do. The same name is the same person.</p>
<fieldset>
<legend>What it may do</legend>
{% for (scope, meaning) in scopes -%}
<label class="scope"><input type="checkbox" name="scope" value="{{ scope }}" checked><span>{{ meaning }} <code>{{ scope }}</code></span></label>
{% endfor -%}
</fieldset>
<p class="buttons">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" class="quiet" formnovalidate>Deny</button>
</p>
<p class="hint">Either way you go back to <strong>{{ host }}</strong>.</p>
</form>
</main>
</body>
</html>
"#
)]
struct Consent<'a> {
    client: &'a str,
    ticket: &'a str,
    scopes: Vec<(&'a str, &'static str)>,
    host: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cannot go on · Sandbox</title>
<link rel="stylesheet" href="sandbox.css">
</head>
<body>
<main>
<p class="badge">Sandbox provider</p>
<h1>This cannot go on</h1>
<p>{{ why }}</p>
</main>
</body>
</html>
"#
)]
struct Stop<'a> {
    why: &'a str,
}

/// The page to sign in and agree.
pub(super) fn consent(client: &str, back: &Url, scopes: &Scopes, ticket: &Ticket) -> String {
    let scopes = scopes.iter().map(|scope| (scope, meaning(scope))).collect();
    let host = back.host_str().unwrap_or_default();
    render(&Consent { client, ticket: ticket.expose(), scopes, host })
}

/// The page that says why the journey ends here.
pub(super) fn stop(why: &str) -> String {
    render(&Stop { why })
}

/// `GET /sandbox.css`
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("sandbox.css"))
}

fn meaning(scope: &str) -> &'static str {
    match scope {
        "profile" => "See your name",
        "mail.read" => "Read your mail",
        "mail.write" => "Send mail as you",
        "offline_access" => "Stay connected while you are away",
        _ => "",
    }
}

fn render(page: &impl Template) -> String {
    // Nothing in these templates can fail but writing, and writing to a String does not.
    page.render().unwrap_or_default()
}
