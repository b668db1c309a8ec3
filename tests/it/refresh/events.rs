//! What tenants are told: each thing once, in the order in which it happened, and never a token.

use super::*;
use futures_util::future::join_all;
use grantkeep::domain::ClientSecret;
use grantkeep::sandbox::Client;

/// All events of a tenant from the first, a few at a time.
async fn events(tenant: &Tenant, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = tenant.get(&format!("/v1/events?limit=3{query}{cursor}")).await.expect(200).body;
        all.extend(page["items"].as_array().expect("items").clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

impl Stage {
    async fn told(&self) -> Vec<Value> {
        events(&self.tenant, "").await
    }

    /// Waits out the pause and asks for a new token.
    async fn again(&self, who: &Connected) -> Answer {
        self.rest(who).await;
        self.forced(&who.user).await
    }
}

fn refused(error: &str) -> Fault {
    Fault::Json { status: 400, body: json!({ "error": error }) }
}

on_both_stores!(a_life_is_told, |stores: Stores| async move {
    let stage = Stage::new(stores, STRICT, &[]).await;
    let who = stage.connect("ada", LONG).await;
    for _ in 0..3 {
        stage.strike(Fault::ServerError);
        assert_eq!(stage.again(&who).await.expect(200).body["refresh"]["state"], "failing");
    }
    let mut tokens = vec![who.token.clone(), stage.again(&who).await.expect(200).text("access_token")];
    stage.strike_after(Fault::Change(serde_json::Map::from_iter([("scope".to_owned(), json!("profile"))])));
    let less = stage.forced("ada").await.expect(200);
    assert_eq!(less.body["missing_scopes"], json!(["offline_access"]));
    tokens.push(less.text("access_token"));
    stage.strike(refused("invalid_grant"));
    for _ in 0..3 {
        assert_eq!(stage.forced("ada").await.expect(409).body["reason"], "revoked");
    }
    let again = stage.tenant.connect("ada").await;
    assert_eq!(again["id"], who.id);
    stage.tenant.delete(&format!("/v1/connections/{}", who.id)).await.expect(200);
    let told = stage.told().await;
    assert_eq!(
        kinds(&told),
        [
            "connection.created",
            "connection.failing",
            "connection.recovered",
            "connection.scopes_reduced",
            "connection.reauthorization_required",
            "connection.created",
            "connection.recovered",
            "connection.deleted",
        ]
    );
    for event in &told {
        assert_eq!(
            (&event["data"]["connection"], &event["data"]["end_user"]),
            (&json!(who.id), &json!("ada"))
        );
        assert!(tokens.iter().all(|token| !event.to_string().contains(token)), "{event}");
    }
    let data = |place: usize| &told[place]["data"];
    assert_eq!((&data(0)["reconnected"], &data(5)["reconnected"]), (&json!(false), &json!(true)));
    assert_eq!((&data(1)["error"], &data(1)["generation"]), (&json!("http_500"), &json!(1)));
    assert_eq!((&data(3)["lost"], &data(3)["generation"]), (&json!(["offline_access"]), &json!(3)));
    assert_eq!((&data(4)["reason"], &data(4)["error"]), (&json!("revoked"), &json!("invalid_grant")));
    let number = |event: &Value| {
        let id = event["id"].as_str().expect("an id");
        let (millis, place) = id.split_once('-').expect("two numbers");
        (millis.parse::<u64>().expect("a number"), place.parse::<u64>().expect("a number"))
    };
    assert!(told.is_sorted_by(|one, other| number(one) < number(other)), "{told:?}");
    // Who has seen some goes on after the last of them; at the end, too.
    let after = |place: usize| format!("&after={}", told[place]["id"].as_str().expect("an id"));
    assert_eq!(events(&stage.tenant, &after(4)).await, told[5..]);
    assert_eq!(events(&stage.tenant, &after(7)).await, [Value::Null; 0]);
    let only = events(&stage.tenant, "&type=connection.created&end_user=ada&provider=sandbox").await;
    assert_eq!(only, [told[0].clone(), told[5].clone()]);
    assert_eq!(events(&stage.tenant, "&connection=another").await, [Value::Null; 0]);
    let other = Tenant::new(&stage.app).await;
    assert_eq!(events(&other, "").await, [Value::Null; 0]);
    for bad in ["after=x", "after=1", "type=connection", "cursor=!", "limit=0"] {
        assert_eq!(
            stage.tenant.get(&format!("/v1/events?{bad}")).await.expect(400).code(),
            "invalid_request"
        );
    }
});

on_both_stores!(each_refresh_is_told_where_that_is_wanted, |stores: Stores| async move {
    let stage = Stage::new(stores, NONE, &[("events.refreshed", "true")]).await;
    stage.connect("ada", LONG).await;
    for _ in 0..2 {
        stage.forced("ada").await.expect(200);
    }
    let told = stage.told().await;
    assert_eq!(kinds(&told), ["connection.created", "connection.refreshed", "connection.refreshed"]);
    assert_eq!(told[2]["data"]["generation"], 3);
});

on_both_stores!(many_callers_are_one_event, |stores: Stores| async move {
    let stage = Stage::new(stores, STRICT, &[]).await;
    stage.connect("ada", LONG).await;
    stage.rule(Rule::new(Endpoint::Token, Fault::ServerError));
    join_all((0..40).map(|_| stage.forced("ada"))).await;
    assert_eq!(kinds(&stage.told().await), ["connection.created", "connection.failing"]);
    stage.sandbox.control().reset();
    stage.rule(Rule::new(Endpoint::Token, refused("invalid_grant")));
    until("it is final", async || stage.forced("ada").await.status == 409).await;
    join_all((0..40).map(|_| stage.forced("ada"))).await;
    assert_eq!(kinds(&stage.told().await)[2..], ["connection.reauthorization_required"]);
});

// The registration is at fault: told once for all its connections, which stay; and nothing rests once it is mended.
on_both_stores!(a_registration_that_is_not_taken_is_told_once, |stores: Stores| async move {
    let slow = [("refresh.backoff_min", "10m"), ("refresh.backoff_max", "10m")];
    let stage = Stage::new(stores, STRICT, &slow).await;
    for user in ["ada", "bob", "cy"] {
        stage.connect(user, LONG).await;
    }
    let register = |secret: &str| {
        let secret = ClientSecret::new(secret);
        stage.sandbox.control().register(&Client { id: "sandbox-client".to_owned(), secret });
    };
    register("another");
    for user in ["ada", "bob", "cy", "ada"] {
        let answer = stage.forced(user).await.expect(200);
        assert_eq!(answer.body["refresh"]["error"], "invalid_client", "{answer:?}");
    }
    let told = events(&stage.tenant, "&type=integration.misconfigured").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        told[0]["data"],
        json!({ "provider": "sandbox", "client_id": "sandbox-client", "error": "invalid_client" })
    );
    let integration = async || stage.tenant.get("/v1/integrations/sandbox").await.expect(200).body;
    assert_eq!(integration().await["misconfigured"]["error"], "invalid_client");
    let listed = stage.tenant.get("/v1/connections?end_user=bob").await.expect(200).body;
    let summary = listed["items"][0]["summary"].as_str().expect("words").to_owned();
    assert!(summary.contains("`invalid_client`") && summary.contains("registration"), "{summary}");
    let mended = json!({ "client_secret": "another" });
    answer(with_json(stage.tenant.request(Method::PATCH, "/v1/integrations/sandbox"), &mended))
        .await
        .expect(200);
    assert_eq!(integration().await["misconfigured"], Value::Null);
    for user in ["ada", "bob", "cy"] {
        assert_eq!(stage.forced(user).await.expect(200).body["refresh"]["state"], "refreshed");
    }
    // Mended at the provider instead: told again once it is refused again, and gone when it is taken.
    register("a third");
    stage.forced("ada").await.expect(200);
    register("another");
    stage.forced("bob").await.expect(200);
    assert_eq!(integration().await["misconfigured"], Value::Null);
    assert_eq!(events(&stage.tenant, "&type=integration.misconfigured").await.len(), 2);
});

on_both_stores!(what_is_old_goes, |stores: Stores| async move {
    let stage = Stage::new(stores, NONE, &[("events.retention", "2s")]).await;
    stage.connect("ada", LONG).await;
    assert_eq!(stage.told().await.len(), 1);
    until("it is gone", async || stage.told().await.is_empty()).await;
    stage.tenant.connect("bob").await;
    assert_eq!(kinds(&stage.told().await), ["connection.created"]);
});
