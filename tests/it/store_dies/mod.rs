//! A store that dies while tenants write, through the front door: what was answered is there, nothing is half there, who
//! could not be served was told so, and the server finds the store again by itself.

mod disk;
mod redis;

use crate::journey::sandbox;
use crate::support::app::App;
use crate::support::browser::http;
use crate::support::tenant::{Answer, Tenant, answer};
use grantkeep::sandbox::Sandbox;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Who write at once.
const WRITERS: usize = 8;

/// A tenant with an end user, whose grant must live through everything.
struct Stage {
    tenants: Vec<Tenant>,
    sandbox: Sandbox,
}

/// An API key that somebody was told they have.
#[derive(Clone)]
struct Made {
    tenant: usize,
    key: String,
    id: String,
}

/// What writers were told.
#[derive(Default)]
struct Told {
    made: Mutex<Vec<Made>>,
    refused: AtomicUsize,
    done: AtomicBool,
}

impl Told {
    fn made(&self) -> usize {
        self.made.lock().unwrap().len()
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

/// Waits half a minute at most.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be that {what}")
}

/// A refusal says that it is the store, and when to come back.
#[track_caller]
fn is_no_answer(refused: &Answer) {
    assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{refused:?}");
    let header = |name: &str| refused.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("content-type"), Some("application/problem+json"));
    assert!(
        header("retry-after").and_then(|wait| wait.parse().ok()).is_some_and(|s: u64| (1..=60).contains(&s))
    );
}

impl Stage {
    async fn new(app: &App, tenants: usize) -> Self {
        let sandbox = sandbox(Duration::from_hours(1)).await;
        let mut all = Vec::new();
        for _ in 0..tenants {
            let tenant = Tenant::new(app).await;
            tenant.enable(&sandbox).await.expect(201);
            tenant.connect("ada").await;
            all.push(tenant);
        }
        Self { tenants: all, sandbox }
    }

    /// Writers make keys, each after the other, while `trouble` goes on.
    async fn during(&self, trouble: impl AsyncFnOnce(&Told)) -> Told {
        let told = Told::default();
        let writer = async |number: usize| {
            let tenant = number % self.tenants.len();
            while !told.done.load(Ordering::SeqCst) {
                let answer = self.tenants[tenant].post("/v1/api-keys", &json!({ "name": "written" })).await;
                if answer.status == 201 {
                    let (key, id) = (answer.text("key"), answer.text("id"));
                    told.made.lock().unwrap().push(Made { tenant, key, id });
                } else {
                    is_no_answer(&answer);
                    told.refused.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let writers = futures_util::future::join_all((0..WRITERS.max(self.tenants.len())).map(writer));
        let troubled = async {
            trouble(&told).await;
            told.done.store(true, Ordering::SeqCst);
        };
        tokio::join!(writers, troubled);
        told
    }

    /// Everything that was said to be there is, each whole; and whose grants these are has them still.
    async fn is_whole(&self, told: &Told) {
        let made = told.made.lock().unwrap().clone();
        for (number, tenant) in self.tenants.iter().enumerate() {
            let listed = all(tenant).await;
            for made in made.iter().filter(|made| made.tenant == number) {
                assert!(listed.iter().any(|key| key["id"] == made.id.as_str()), "{} is not listed", made.id);
            }
        }
        // A few at a time: the timeouts are short, and what is asked here is not how much it can take at once.
        for some in made.chunks(WRITERS) {
            let tries = some.iter().map(|made| {
                let tenant = Tenant { key: made.key.clone(), ..self.tenants[made.tenant].clone() };
                async move { served(async || tenant.get("/v1/connections").await).await }
            });
            futures_util::future::join_all(tries).await;
        }
        for tenant in &self.tenants {
            let before = served(async || tenant.token("ada").await).await.body["generation"]
                .as_u64()
                .expect("a number");
            let forced = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
            let after = tenant.post("/get-access-token", &forced).await.expect(200);
            assert_eq!(after.body["generation"], before + 1);
        }
        let alive = self.sandbox.control().counts().families.values().filter(|family| family.alive).count();
        assert_eq!(alive, self.tenants.len(), "no grant was lost");
    }
}

/// The answer of a store that may be late on a machine with other things to do; late is no answer, and said to be none.
async fn served(ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..100 {
        let answer = ask().await;
        if answer.status == 200 {
            return answer;
        }
        is_no_answer(&answer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not served")
}

/// Every key of a tenant, page by page.
async fn all(tenant: &Tenant) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/api-keys?limit=100{cursor}");
        let page = served(async || tenant.get(&path).await).await;
        items.extend(page.body["items"].as_array().expect("a list").iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn ready(app: &App) -> u16 {
    answer(http().get(format!("{}/readyz", app.admin))).await.status
}
