//! R9: the owner of an attempt is stopped past its deadline and goes on.

use super::*;

/// Stops the owner while the provider works, lets another server take over, and lets the owner go on; what the other one was
/// answered, and the owner.
async fn overtaken(mode: Mode) -> (Fleet, Connected, Answer, Answer) {
    let fleet = Fleet::new(mode, 2, HASTY).await;
    let stage = &fleet.stage;
    let who = stage.connect("ada", LONG).await;
    expire_now(&fleet.redis, stage, "ada");
    stage.strike(Fault::Delay(1000));
    let (late, taken) = tokio::join!(stage.token("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        stage.app.process().signal("STOP");
        let taken = fleet.survivor().token("ada").await;
        stage.app.process().signal("CONT");
        taken
    });
    (fleet, who, taken, late)
}

#[tokio::test]
async fn r9_a_late_owner_overwrites_nothing_newer() {
    for (name, mode) in [("none", NONE), ("grace", GRACE)] {
        let (fleet, who, taken, late) = overtaken(mode).await;
        let (taken, late) = (taken.expect(200), late.expect(200));
        assert_eq!((&taken.body["generation"], &late.body["generation"]), (&2.into(), &2.into()));
        assert_eq!(taken.text("access_token"), late.text("access_token"), "{name}: the newer one is kept");
        let after = fleet.survivor().token("ada").await.expect(200);
        assert_eq!(after.text("access_token"), taken.text("access_token"));
        assert!(fleet.stage.works(&after.text("access_token")).await);
        assert_eq!(fleet.stage.family(&who).refresh_requests, 2);
    }
    figures::note(
        "R9: an owner stopped past its deadline: its late write is refused, the newer token kept (none, grace)",
    );
}

/// Where the other one was told that the token is spent, what it was spent for is the newest there is.
#[tokio::test]
async fn r9_a_late_owner_brings_back_what_counted_as_lost() {
    let (fleet, who, taken, late) = overtaken(CAREFUL).await;
    assert_eq!(taken.expect(409).body["reason"], "refresh_outcome_unknown");
    let late = late.expect(200);
    assert_eq!(late.body["generation"], 2);
    let after = fleet.survivor().token("ada").await.expect(200);
    assert_eq!(after.text("access_token"), late.text("access_token"));
    assert!(fleet.stage.works(&after.text("access_token")).await);
    let family = fleet.stage.family(&who);
    assert_eq!((family.refresh_requests, family.reuses), (1, 0));
    let told = fleet.stage.tenant.get("/v1/events").await.expect(200).body;
    let kinds: Vec<&str> =
        told["items"].as_array().expect("items").iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["connection.created", "connection.reauthorization_required", "connection.recovered"]);
    figures::note(
        "R9: strict: the late tokens of a connection that counted as lost are stored, and that is told",
    );
}

/// Its own answer has ended meanwhile: whoever waits is given no token that is known to be dead.
#[tokio::test]
async fn r9_what_a_late_owner_brings_is_not_handed_out_dead() {
    let fleet = Fleet::new(NONE, 1, HASTY).await;
    let stage = &fleet.stage;
    stage.connect("ada", LONG).await;
    // Longer than a request may take, and not as long as the owner is stopped.
    let life = Duration::from_secs(4);
    stage.behave(life);
    expire_now(&fleet.redis, stage, "ada");
    stage.strike(Fault::Delay(1000));
    let (late, ()) = tokio::join!(stage.token("ada"), async {
        until("the refresh is under way", async || stage.counts().refreshes == 1).await;
        stage.behave(LONG);
        stage.app.process().signal("STOP");
        tokio::time::sleep(life).await;
        stage.app.process().signal("CONT");
    });
    let late = late.expect(200);
    assert_eq!(late.body["generation"], 3, "what ended on the way is refreshed again");
    assert!(stage.works(&late.text("access_token")).await);
}
