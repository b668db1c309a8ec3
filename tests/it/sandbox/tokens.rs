//! `/token` and `/revoke`: codes, clients, rotation.

use super::*;
use futures_util::future::join_all;

#[tokio::test]
async fn a_code_wants_all_its_proofs() {
    let world = World::new().await;
    let code = world.code().await;
    let cases = [
        ("code_verifier", "", "invalid_request"),
        ("code_verifier", "not-the-verifier-the-challenge-was-made-of", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:1/back", "invalid_grant"),
        ("code", "sandbox-code-guessed", "invalid_grant"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "", "invalid_request"),
    ];
    for (name, value, error) in cases {
        let seen = world.exchange(&code, &[(name, value)]).await;
        assert_eq!(seen.refusal(), (400, error.to_owned()), "{name}={value}");
    }
    assert_eq!(world.exchange(&code, &[]).await.status, 200);
    let late = world.code().await;
    world.wait(60);
    assert_eq!(world.exchange(&late, &[]).await.refusal(), invalid_grant());
}

#[tokio::test]
async fn a_code_used_twice_ends_what_grew_out_of_it() {
    let world = World::new().await;
    let code = world.code().await;
    let tokens = Tokens::of(&world.exchange(&code, &[]).await);
    assert!(world.alive(&tokens.access).await);
    assert_eq!(world.exchange(&code, &[]).await.refusal(), invalid_grant());
    assert!(!world.alive(&tokens.access).await);
    assert_eq!(world.refresh(&tokens.refresh).await.refusal(), invalid_grant());
    let counts = world.sandbox.control().counts();
    assert_eq!((counts.exchange_requests, counts.exchanges, counts.reuses), (2, 1, 1));
}

#[tokio::test]
async fn a_client_proves_itself_in_one_way() {
    let world = World::new().await;
    let id = ("client_id", "sandbox-client");
    let secret = ("client_secret", "sandbox-secret");
    let newcomer = ("client_id", "newcomer");
    let cases: [(&str, Pairs, &str); 12] = [
        // Past the client's proof the token is found wanting.
        (BASIC, &[], "invalid_grant"),
        (BASIC, &[id], "invalid_grant"),
        ("", &[id, secret], "invalid_grant"),
        (BASIC, &[id, secret], "invalid_request"),
        (BASIC, &[newcomer], "invalid_request"),
        (BASIC, &[("scope", "a"), ("scope", "b")], "invalid_request"),
        ("", &[], "invalid_client"),
        ("", &[id], "invalid_client"),
        ("Bearer x", &[], "invalid_client"),
        ("", &[id, ("client_secret", "wrong")], "invalid_client"),
        // Any other client is known by the secret it shows first.
        ("", &[newcomer, ("client_secret", "one")], "invalid_grant"),
        ("", &[newcomer, ("client_secret", "two")], "invalid_client"),
    ];
    for (basic, form, error) in cases {
        let form = changed(&[("grant_type", "refresh_token"), ("refresh_token", "none")], form);
        let seen = world.try_post("/token", basic, &form).await.unwrap();
        assert_eq!(seen.refusal().1, error, "{basic} {form:?}");
        assert_eq!(seen.status, if error == "invalid_client" { 401 } else { 400 });
        assert_eq!(seen.headers.contains_key("www-authenticate"), seen.status == 401);
    }
}

#[tokio::test]
async fn the_tokens_of_one_client_are_nothing_to_another() {
    let world = World::new().await;
    let tokens = world.connect().await;
    let thief = [("client_id", "thief"), ("client_secret", "x"), ("grant_type", "refresh_token")];
    for (path, name) in [("/token", "refresh_token"), ("/revoke", "token")] {
        let form = changed(&thief, &[(name, &tokens.refresh)]);
        assert_eq!(world.try_post(path, "", &form).await.unwrap().refusal(), invalid_grant());
    }
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "nothing was lost");
}

#[tokio::test]
async fn an_access_token_is_revoked_alone() {
    let world = World::new().await;
    let tokens = world.connect().await;
    assert_eq!(world.post("/revoke", &[("token", &tokens.access)]).await.status, 200);
    assert_eq!(world.post("/revoke", &[("token", "unknown")]).await.status, 200);
    assert!(!world.alive(&tokens.access).await);
    let next = Tokens::of(&world.refresh(&tokens.refresh).await);
    assert!(world.alive(&next.access).await);
    assert_eq!(world.sandbox.control().counts().revocations, 1);
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let world = World::rotating(Rotation::None).await;
    let tokens = world.connect().await;
    for _ in 0..3 {
        let answer = world.refresh(&tokens.refresh).await;
        assert!(answer.json().get("refresh_token").is_none());
        assert!(world.alive(&Tokens::of(&answer).access).await);
    }
    assert_eq!(world.sandbox.control().counts().families[&1].most_requests_of_one_token, 3);
}

#[tokio::test]
async fn strict_rotation_ends_the_family_at_a_second_use() {
    let world = World::rotating(Rotation::Strict).await;
    let first = world.connect().await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    let third = Tokens::of(&world.refresh(&second.refresh).await);
    assert!(world.alive(&first.access).await, "a refresh leaves the old access token alone");
    assert_eq!(world.refresh(&first.refresh).await.refusal(), invalid_grant());
    assert!(!world.alive(&third.access).await);
    assert_eq!(world.refresh(&third.refresh).await.refusal(), invalid_grant());
    assert_eq!(world.sandbox.control().counts().families[&1].reuses, 1);
}

#[tokio::test]
async fn of_many_strict_refreshes_at_once_one_wins_and_all_lose() {
    let world = World::rotating(Rotation::Strict).await;
    let tokens = world.connect().await;
    let answers = join_all((0..8).map(|_| world.refresh(&tokens.refresh))).await;
    let won: Vec<_> = answers.iter().filter(|seen| seen.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(!world.alive(&Tokens::of(won[0]).access).await);
    let counts = world.sandbox.control().counts();
    assert_eq!((counts.refresh_requests, counts.refreshes, counts.reuses), (8, 1, 1));
    assert_eq!(counts.families[&1].most_requests_of_one_token, 8);
}

#[tokio::test]
async fn under_grace_the_old_token_leads_to_the_same_successor_for_a_while() {
    let world = World::rotating(Rotation::Grace).await;
    let first = world.connect().await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    world.wait(9);
    let again = Tokens::of(&world.refresh(&first.refresh).await);
    assert_eq!(again.refresh, second.refresh);
    assert_ne!(again.access, second.access);
    world.wait(1);
    assert_eq!(world.refresh(&first.refresh).await.refusal(), invalid_grant());
    assert!(!world.alive(&again.access).await, "past the grace it counts as stolen");
}

#[tokio::test]
async fn under_grace_many_refreshes_at_once_all_win() {
    let world = World::rotating(Rotation::Grace).await;
    let tokens = world.connect().await;
    let answers = join_all((0..8).map(|_| world.refresh(&tokens.refresh))).await;
    let successors: Vec<_> = answers.iter().map(|seen| Tokens::of(seen).refresh).collect();
    assert!(successors.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.sandbox.control().counts().reuses, 0);
}

#[tokio::test]
async fn a_refresh_may_kill_the_old_access_token() {
    let world = World::behaving(Behaviour { old_access_killed: true, ..Behaviour::default() }).await;
    let first = world.connect().await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert!(!world.alive(&first.access).await && world.alive(&second.access).await);
}

#[tokio::test]
async fn a_refresh_token_may_expire() {
    let refresh_lifetime = Some(Duration::from_secs(100));
    let world = World::behaving(Behaviour { refresh_lifetime, ..Behaviour::default() }).await;
    let tokens = world.connect().await;
    world.wait(99);
    let next = Tokens::of(&world.refresh(&tokens.refresh).await);
    world.wait(100);
    assert_eq!(world.refresh(&next.refresh).await.refusal(), invalid_grant());
    assert!(world.sandbox.control().counts().families[&1].alive, "expiry is no reuse");
}

#[tokio::test]
async fn a_refresh_narrows_scopes_and_never_widens() {
    let world = World::new().await;
    let tokens = world.connect().await;
    let ask = async |scope: &str, token: &str| {
        world
            .post("/token", &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)])
            .await
    };
    assert_eq!(ask("mail.write", &tokens.refresh).await.refusal(), (400, "invalid_scope".to_owned()));
    let narrow = ask("profile", &tokens.refresh).await;
    assert_eq!(narrow.json()["scope"], "profile");
    let wide = world.refresh(&Tokens::of(&narrow).refresh).await;
    assert_eq!(wide.json()["scope"], "profile mail.read offline_access");
}
