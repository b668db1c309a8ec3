//! `/authorize`, and the whole journey.

use super::*;
use grantkeep::domain::ClientSecret;
use grantkeep::sandbox::Client;

#[tokio::test]
async fn the_whole_journey() {
    let world = World::new().await;
    let metadata = world.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["issuer"], world.sandbox.base_url());
    assert_eq!(metadata["token_endpoint"], world.url("/token"));

    let page = world.open(&[]).await;
    let all = [("scope", "profile"), ("scope", "mail.read"), ("scope", "offline_access")];
    let back = world.decide(&page, &all).await.back();
    assert_eq!((back["state"].as_str(), back["kept"].as_str()), ("s&t", "1"));
    assert_eq!(back["iss"], world.sandbox.base_url());

    let answer = world.exchange(&back["code"], &[]).await;
    let body = answer.json();
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("Bearer"), Some(60)));
    assert_eq!(body["scope"], "profile mail.read offline_access");
    assert_eq!(answer.header("cache-control"), "no-store");
    let first = Tokens::of(&answer);
    let me = world.me(&first.access).await.json();
    assert_eq!((me["name"].as_str(), me["client_id"].as_str()), (Some("ada"), Some("sandbox-client")));

    world.wait(60);
    let dead = world.me(&first.access).await;
    assert_eq!(dead.status, 401);
    assert!(dead.header("www-authenticate").contains(r#"error="invalid_token""#));
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert_ne!(first.access, second.access);
    assert_eq!(world.me(&second.access).await.json()["sub"], me["sub"], "the same person");

    let gone = world.post("/revoke", &[("token", &second.refresh)]).await;
    assert_eq!((gone.status, gone.text.as_str()), (200, ""));
    assert!(!world.alive(&second.access).await);
    assert_eq!(world.refresh(&second.refresh).await.refusal(), invalid_grant());
    let counts = world.sandbox.control().counts();
    assert_eq!((counts.exchanges, counts.refreshes, counts.refresh_requests), (1, 1, 2));
    assert_eq!((counts.revocations, counts.revoke_requests, counts.me_requests), (1, 1, 4));
    assert_eq!((counts.families[&1].user.as_str(), counts.families[&1].alive), ("ada", false));
    world.sandbox.stop().await;
}

#[tokio::test]
async fn the_page_needs_no_script_and_lets_none_in() {
    let world = World::new().await;
    let page = world.open(&[("client_id", "<script>alert(1)</script>")]).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    assert!(!page.text.contains("<script") && !page.text.contains("style="), "{}", page.text);
    let cookie = page.header(SET_COOKIE);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "a browser would drop it on http: {cookie}");
    assert_eq!(world.get("/sandbox.css").await.header(CONTENT_TYPE), "text/css; charset=utf-8");
}

#[tokio::test]
async fn fewer_scopes_come_back_than_were_asked() {
    let world = World::new().await;
    // mail.write was not asked for, so that ticking it is no use.
    let ticked = [("scope", "mail.read"), ("scope", "mail.write")];
    let back = world.decide(&world.open(&[]).await, &ticked).await.back();
    assert_eq!(world.exchange(&back["code"], &[]).await.json()["scope"], "mail.read");
}

#[tokio::test]
async fn a_person_may_say_no() {
    let world = World::new().await;
    for no in [("decision", "deny"), ("decision", ""), ("scope", "")] {
        let back = world.decide(&world.open(&[]).await, &[no]).await.back();
        assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", "s&t"), "{no:?}");
        assert_eq!(back["iss"], world.sandbox.base_url());
        assert!(!back.contains_key("code"));
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_to_the_client_once_the_way_back_is_known() {
    let world = World::new().await;
    let cases = [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "too-short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "profile launch.missiles"), "invalid_scope"),
    ];
    for (change, error) in cases {
        let back = world.open(&[change]).await.back();
        assert_eq!((back["error"].as_str(), back["state"].as_str()), (error, "s&t"), "{change:?}");
    }
    let twice = world.open(&[("state", "a"), ("state", "b")]).await.back();
    assert_eq!(twice["error"], "invalid_request");
}

#[tokio::test]
async fn without_a_way_back_there_is_a_page() {
    let world = World::new().await;
    let cases: [Pairs; 8] = [
        &[("client_id", "")],
        &[("client_id", "a"), ("client_id", "b")],
        &[("redirect_uri", "")],
        &[("redirect_uri", "http://example.com/back")],
        &[("redirect_uri", "javascript:alert(1)")],
        &[("redirect_uri", "https://example.com/#part")],
        &[("redirect_uri", "https://user@example.com/")],
        &[("redirect_uri", CALLBACK), ("redirect_uri", "https://example.com/")],
    ];
    for changes in cases {
        let page = world.open(changes).await;
        assert_eq!((page.status, page.header(LOCATION)), (400, ""), "{changes:?}");
        assert!(page.text.contains("This cannot go on"));
    }
}

#[tokio::test]
async fn a_form_is_good_once_and_in_its_browser_and_for_ten_minutes() {
    let world = World::new().await;
    let page = world.open(&[]).await;
    let mut foreign = world.open(&[]).await;
    foreign.text.clone_from(&page.text);
    assert_eq!(world.decide(&foreign, &[]).await.status, 400, "another browser");
    assert_eq!(world.decide(&page, &[("request", "guessed")]).await.status, 400);
    assert_eq!(world.decide(&page, &[("user", &"x".repeat(65))]).await.status, 400);
    assert_eq!(world.decide(&page, &[]).await.status, 303, "what was refused spent nothing");
    assert_eq!(world.decide(&page, &[]).await.status, 400, "used");
    let late = world.open(&[]).await;
    world.wait(600);
    assert_eq!(world.decide(&late, &[]).await.status, 400, "too late");
}

#[tokio::test]
async fn only_registered_clients_where_the_options_say_so() {
    let clients = vec![Client { id: "known".to_owned(), secret: ClientSecret::new("s") }];
    let options = SandboxOptions { any_client: false, clients, ..SandboxOptions::default() };
    let world = World::with(options).await;
    assert_eq!(world.open(&[]).await.status, 400);
    assert_eq!(world.open(&[("client_id", "known")]).await.status, 200);
    assert_eq!(world.refresh("any").await.refusal(), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_a_stopped_one_is_free() {
    let first = World::new().await;
    let port = Url::parse(first.sandbox.base_url()).unwrap().port().unwrap();
    let again = async || {
        let options = SandboxOptions { port, ..SandboxOptions::default() };
        Sandbox::start(options, Arc::new(Hand::default()), Arc::new(Seeded::default())).await
    };
    let refused = again().await.err().map(|error| error.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::AddrInUse));
    first.sandbox.stop().await;
    assert!(again().await.is_ok());
}
