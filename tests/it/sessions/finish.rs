//! The finish: who may complete a session, with what, and how often.

use super::{World, authorized, depart, problem};
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::{Browser, http};
use crate::support::tenant::{Answer, PASSWORD, Tenant, answer, with_json};
use serde_json::{Value, json};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

on_both_stores!(a_wrong_finisher_destroys_the_session, |stores: Stores| async move {
    let world = World::new(stores).await;
    for wrong in ["other", "U", "u ", " u", "u\0", "u\u{301}"] {
        let completion = world.completion("u").await;
        problem(world.tenant.complete(&completion, wrong).await, 409, "end_user_mismatch");
        problem(world.tenant.complete(&completion, "u").await, 410, "session_expired");
    }
    // The same letters in another normal form are another end user.
    let completion = world.completion("\u{e9}").await;
    problem(world.tenant.complete(&completion, "e\u{301}").await, 409, "end_user_mismatch");
    world.expect_untouched().await;
});

async fn completion_with_challenge(world: &World) -> String {
    let fields = json!({ "end_user": "u", "code_challenge": CHALLENGE });
    let link = world.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url");
    let mut browser = Browser::new();
    let back = depart(&mut browser, &link).await;
    authorized(&browser.get(back.as_str()).await)
}

async fn complete_with(world: &World, completion: &str, verifier: Value) -> Answer {
    let fields = json!({ "completion": completion, "end_user": "u", "code_verifier": verifier });
    world.tenant.post("/complete-authorization", &fields).await
}

on_both_stores!(a_challenge_wants_its_verifier, |stores: Stores| async move {
    let world = World::new(stores).await;
    let other = "a".repeat(43);
    for wrong in [Value::Null, "".into(), CHALLENGE.into(), other.into(), format!("{VERIFIER}=").into()] {
        let completion = completion_with_challenge(&world).await;
        problem(complete_with(&world, &completion, wrong).await, 409, "end_user_mismatch");
        problem(complete_with(&world, &completion, VERIFIER.into()).await, 410, "session_expired");
    }
    world.expect_untouched().await;
    let completion = completion_with_challenge(&world).await;
    complete_with(&world, &completion, VERIFIER.into()).await.expect(201);
    for bad in ["plain", &"a".repeat(44), "", &"+".repeat(43)] {
        let fields = json!({ "end_user": "u", "code_challenge": bad });
        let body = problem(world.tenant.post("/authorize-sandbox", &fields).await, 400, "invalid_request");
        assert_eq!(body["field"], "code_challenge");
    }
});

// RFC 9700 section 2.1.1: a verifier for which there was no challenge says that the challenge was taken away on the way.
on_both_stores!(a_verifier_wants_its_challenge, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    problem(complete_with(&world, &completion, VERIFIER.into()).await, 409, "end_user_mismatch");
    problem(world.tenant.complete(&completion, "u").await, 410, "session_expired");
    world.expect_untouched().await;
});

on_both_stores!(a_completion_of_another_tenant_is_absent, |stores: Stores| async move {
    let world = World::new(stores).await;
    let stranger = Tenant::new(&world.app).await;
    stranger.enable(&world.sandbox).await.expect(201);
    let completion = world.completion("u").await;
    let mut foreign = problem(stranger.complete(&completion, "u").await, 404, "not_found");
    let mut wrong = problem(stranger.complete(&completion, "other").await, 404, "not_found");
    let mut absent = problem(stranger.complete(&"A".repeat(43), "u").await, 404, "not_found");
    for body in [&mut foreign, &mut wrong, &mut absent] {
        body["request_id"].take();
    }
    assert!(foreign == absent && wrong == absent, "a completion of somebody else's looks like none");
    world.expect_untouched().await;
    world.tenant.complete(&completion, "u").await.expect(201);
    problem(stranger.complete(&completion, "u").await, 404, "not_found");
});

on_both_stores!(a_completion_is_good_once, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    world.tenant.complete(&completion, "u").await.expect(201);
    problem(world.tenant.complete(&completion, "u").await, 410, "session_expired");
    // A wrong finisher after the end undoes nothing.
    problem(world.tenant.complete(&completion, "other").await, 410, "session_expired");
    world.tenant.token("u").await.expect(200);
    assert_eq!(world.exchange_requests(), 1);
});

on_both_stores!(a_completion_wants_its_fields, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    for (fields, field) in [
        (json!({ "completion": completion }), "end_user"),
        (json!({ "end_user": "u" }), "completion"),
        (json!({ "completion": completion, "end_user": "" }), "end_user"),
        (json!({ "completion": completion, "end_user": 7 }), "end_user"),
        (json!({ "completion": completion, "end_user": "u", "session": "x" }), "session"),
    ] {
        let body =
            problem(world.tenant.post("/complete-authorization", &fields).await, 400, "invalid_request");
        assert_eq!(body["field"], field, "{body}");
    }
    for odd in ["", "\0", "gk:session:*", &"A".repeat(5000)] {
        problem(world.tenant.complete(odd, "u").await, 404, "not_found");
    }
    // Nothing of that spent it.
    world.tenant.complete(&completion, "u").await.expect(201);
});

async fn limited(tenant: &Tenant, limits: Value) -> Tenant {
    let mut fields = json!({ "name": "limited" });
    fields.as_object_mut().expect("an object").extend(limits.as_object().expect("an object").clone());
    let request =
        http().post(format!("{}/v1/api-keys", tenant.url)).basic_auth(&tenant.email, Some(PASSWORD));
    let made = answer(with_json(request, &fields)).await.expect(201);
    Tenant { key: made.text("key"), ..tenant.clone() }
}

on_both_stores!(a_key_completes_only_what_it_is_for, |stores: Stores| async move {
    let world = World::new(stores).await;
    let completion = world.completion("u").await;
    for limits in
        [json!({ "scopes": ["tokens:read", "connections:read"] }), json!({ "providers": ["slack"] })]
    {
        let key = limited(&world.tenant, limits).await;
        problem(key.complete(&completion, "u").await, 403, "insufficient_scope");
        problem(key.complete(&completion, "other").await, 403, "insufficient_scope");
        let begun = key.post("/authorize-sandbox", &json!({ "end_user": "u" })).await;
        problem(begun, 403, "insufficient_scope");
    }
    world.expect_untouched().await;
    let key =
        limited(&world.tenant, json!({ "scopes": "connections:write", "providers": ["sandbox"] })).await;
    key.complete(&completion, "u").await.expect(201);
});
