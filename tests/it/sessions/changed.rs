//! An integration that is changed while an end user is on the way: what was begun under the old one is not exchanged.

use super::{World, authorized, depart, problem, refused, sent_back};
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::Browser;
use serde_json::json;

/// Enables the sandbox again, under another client.
async fn change(world: &World) {
    let host = world.sandbox.base_url().trim_start_matches("http://");
    let fields = json!({
        "provider": "sandbox",
        "client_id": "another-client",
        "client_secret": "another-secret",
        "scopes": "profile",
        "redirect_url": crate::support::tenant::HOME,
        "variables": { "host": host },
    });
    world.tenant.post("/enable-provider", &fields).await.expect(200);
}

on_both_stores!(between_start_and_opening, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    change(&world).await;
    refused(&Browser::new().get(&link).await, 409, "conflict");
    world.expect_untouched().await;
});

on_both_stores!(between_opening_and_return, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    change(&world).await;
    sent_back(&browser.get(back.as_str()).await, "failed", Some("conflict"));
    refused(&browser.get(back.as_str()).await, 403, "session_refused");
    world.expect_untouched().await;
});

on_both_stores!(between_return_and_finish, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    change(&world).await;
    for _ in 0..2 {
        problem(world.tenant.complete(&completion, "u").await, 409, "conflict");
    }
    world.expect_untouched().await;
    // Under the new client it goes on.
    world.tenant.connect("u").await;
    let token = world.tenant.token("u").await.expect(200);
    assert_eq!(token.body["scopes"], json!(["profile"]));
});

// A change to the same values is a change all the same: nobody can know what happened at the provider meanwhile.
on_both_stores!(the_same_values_again, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    world.tenant.enable(&world.sandbox).await.expect(200);
    refused(&Browser::new().get(&link).await, 409, "conflict");
});

// What is connected stays connected, and another provider's integration touches nothing.
on_both_stores!(a_change_elsewhere_stops_nobody, |stores: Stores| async move {
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let slack = json!({
        "provider": "slack",
        "client_id": "id",
        "client_secret": "secret",
        "redirect_url": crate::support::tenant::HOME,
    });
    world.tenant.post("/enable-provider", &slack).await.expect(201);
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    let completion = authorized(&browser.get(back.as_str()).await);
    world.tenant.complete(&completion, "u").await.expect(201);
});
