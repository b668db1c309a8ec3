//! The same end user again, several accounts of one, and ids that are odd.

use super::{World, authorized, decide_on, depart, problem};
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::Browser;
use crate::support::tenant::{Answer, arrive};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use serde_json::{Value, json};

/// The whole way with a slot and a name at the provider; what the completion answers.
async fn connect(world: &World, fields: &Value, name: &str) -> Answer {
    let link = world.tenant.post("/authorize-sandbox", fields).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &link).await;
    let form = page.form().fill("user", name).press("allow");
    let back = browser.send(&page, &form).await.location().expect("a way back");
    let completion = authorized(&browser.get(back.as_str()).await);
    world.tenant.complete(&completion, fields["end_user"].as_str().expect("an end user")).await
}

async fn token(world: &World, end_user: &str, account: &str) -> Answer {
    let fields = json!({ "provider": "sandbox", "end_user": end_user, "account": account });
    world.tenant.post("/get-access-token", &fields).await
}

on_both_stores!(a_reconnection_keeps_the_id_and_has_a_new_grant, |stores: Stores| async move {
    let world = World::new(stores).await;
    let slot = json!({ "end_user": "u" });
    let first = connect(&world, &slot, "ada").await.expect(201);
    let old = world.tenant.token("u").await.expect(200);
    let second = connect(&world, &slot, "ada").await.expect(201);
    let new = world.tenant.token("u").await.expect(200);
    assert_eq!(first.text("id"), second.text("id"));
    assert_eq!((&first.body["generation"], &second.body["generation"]), (&json!(1), &json!(2)));
    assert_eq!(first.body["created_at"], second.body["created_at"]);
    assert_ne!(first.body["connected_at"], second.body["connected_at"]);
    assert_ne!(old.text("access_token"), new.text("access_token"));
    assert_eq!(new.body["generation"], 2);
    assert_eq!(world.connections().await, 1);
    assert_eq!(world.sandbox.control().counts().families.len(), 2);
});

on_both_stores!(another_person_at_the_provider_is_a_conflict, |stores: Stores| async move {
    let world = World::new(stores).await;
    let slot = json!({ "end_user": "u" });
    let first = connect(&world, &slot, "ada").await.expect(201);
    let token = world.tenant.token("u").await.expect(200).text("access_token");
    problem(connect(&world, &slot, "grace").await, 409, "conflict");
    let after = world.tenant.token("u").await.expect(200);
    assert_eq!(after.text("access_token"), token, "the first grant stays");
    assert_eq!((&after.body["generation"], after.text("connection")), (&json!(1), first.text("id")));
    // The same person is welcome, and another one under a label, or after a deletion.
    connect(&world, &slot, "ada").await.expect(201);
    connect(&world, &json!({ "end_user": "u", "account": "work" }), "grace").await.expect(201);
    world.tenant.delete(&format!("/v1/connections/{}", first.text("id"))).await.expect(200);
    let other = connect(&world, &slot, "grace").await.expect(201);
    assert_ne!(other.text("id"), first.text("id"), "a new connection");
});

// Who came back cannot be asked just now: a grant of nobody knows whom does not take the place of a known one.
on_both_stores!(an_unknown_person_does_not_replace_a_known_one, |stores: Stores| async move {
    let world = World::new(stores).await;
    let slot = json!({ "end_user": "u" });
    connect(&world, &slot, "ada").await.expect(201);
    let before = world.tenant.token("u").await.expect(200).text("access_token");
    world.sandbox.control().fault(Rule::new(Endpoint::Me, Fault::ServerError).times(2));
    problem(connect(&world, &slot, "grace").await, 409, "conflict");
    assert_eq!(world.tenant.token("u").await.expect(200).text("access_token"), before);
    problem(connect(&world, &slot, "grace").await, 409, "conflict");
    connect(&world, &slot, "ada").await.expect(201);
});

on_both_stores!(one_end_user_has_several_accounts, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut ids = Vec::new();
    let longest = "é".repeat(127);
    let accounts = ["", "work", "Work", "a:b", " ", &longest];
    for account in accounts {
        let fields = json!({ "end_user": "u", "account": account });
        let connection = connect(&world, &fields, &format!("ada {}", ids.len())).await.expect(201);
        assert_eq!(connection.body["account"], account);
        ids.push(connection.text("id"));
    }
    assert_eq!(world.connections().await, accounts.len());
    for (account, id) in accounts.iter().zip(&ids) {
        let token = token(&world, "u", account).await.expect(200);
        assert_eq!((token.text("connection"), &token.body["account"]), (id.clone(), &json!(account)));
    }
    problem(token(&world, "u", "absent").await, 404, "connection_not_found");
    let too_long = json!({ "end_user": "u", "account": format!("{longest}ab") });
    problem(world.tenant.post("/authorize-sandbox", &too_long).await, 400, "invalid_request");
});

on_both_stores!(end_users_are_opaque, |stores: Stores| async move {
    let world = World::new(stores).await;
    let longest = "a".repeat(255);
    let end_users = [
        "u:v",
        "u%3Av",
        "u/../v",
        "sandbox:u:",
        "{u}",
        "gk:*",
        "u\0",
        "u",
        "U",
        " u",
        "é",
        "e\u{301}",
        "\u{202e}u",
        "用户🦀",
        "\"'`;--",
        "\r\n",
        &longest,
    ];
    for end_user in end_users {
        let connection = connect(&world, &json!({ "end_user": end_user }), "ada").await.expect(201);
        assert_eq!(
            (&connection.body["end_user"], &connection.body["generation"]),
            (&json!(end_user), &json!(1))
        );
    }
    assert_eq!(world.connections().await, end_users.len());
    for end_user in end_users {
        world.tenant.token(end_user).await.expect(200);
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("end_user", end_user).finish();
        let found = world.tenant.get(&format!("/v1/connections?{query}")).await.expect(200);
        let items = found.body["items"].as_array().expect("a list");
        assert_eq!(items.iter().map(|item| &item["end_user"]).collect::<Vec<_>>(), [&json!(end_user)]);
    }
    for bad in ["", &"a".repeat(256), &"é".repeat(128)] {
        let body = problem(
            world.tenant.post("/authorize-sandbox", &json!({ "end_user": bad })).await,
            400,
            "invalid_request",
        );
        assert_eq!(body["field"], "end_user");
    }
});

// A session begun before a deletion may end after it: what it makes is new.
on_both_stores!(a_session_outlives_the_connection_it_would_have_renewed, |stores: Stores| async move {
    let world = World::new(stores).await;
    let first = connect(&world, &json!({ "end_user": "u" }), "ada").await.expect(201).text("id");
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &world.tenant.begin("u").await).await;
    world.tenant.delete(&format!("/v1/connections/{first}")).await.expect(200);
    let back = decide_on(&mut browser, &page, "allow").await;
    let completion = authorized(&browser.get(back.as_str()).await);
    let second = world.tenant.complete(&completion, "u").await.expect(201);
    assert_ne!(second.text("id"), first);
    assert_eq!(world.tenant.get(&format!("/v1/connections/{first}")).await.status, 404);
    let mut again = Browser::new();
    depart(&mut again, &world.tenant.begin("u").await).await;
});
