//! What every store must do, run on every store there is. A case is written once, and each adapter has a test of its name.

/// Makes of each case one test for each adapter, and for each form of Redis.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        on_store!(maps, Bench::maps(), $($case),+);
        on_store!(embedded, Bench::embedded(), $($case),+);
        on_store!(redis, Bench::redis(), $($case),+);
        on_store!(redis_tls, Bench::redis_form("tls"), $($case),+);
        on_store!(redis_acl, Bench::redis_form("acl"), $($case),+);
        on_store!(redis_sentinel, Bench::redis_form("sentinel"), $($case),+);
        on_store!(redis_cluster, Bench::redis_form("cluster"), $($case),+);
    };
}

macro_rules! on_store {
    ($store:ident, $bench:expr, $($case:ident),+) => {
        mod $store {
            use crate::store_contract::bench::Bench;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&$bench).await;
            })+
        }
    };
}

mod bench;
mod embedded_only;
mod guards;
mod indexes;
mod notices;
mod property;
mod races;
mod records;
mod redis_cluster;
mod redis_faults;
mod redis_index;
mod redis_inspect;
mod redis_only;
mod redis_sentinel;
mod streams;
