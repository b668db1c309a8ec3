//! What every store must do, run on every store there is. A case is written once, and each adapter has a test of its name.

/// Makes of each case one test for each adapter.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&crate::store_contract::bench::Bench::embedded()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&crate::store_contract::bench::Bench::redis()).await;
            })+
        }
    };
}

mod bench;
mod embedded_only;
mod guards;
mod indexes;
mod property;
mod races;
mod records;
mod redis_faults;
mod redis_only;
mod streams;
