//! Log lines on standard error, for people or as one JSON object a line.

use super::traces::Traces;
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

/// Starts logging, and traces where there are to be some, for the whole process. Called again it does nothing: the first
/// call stays.
pub fn init(json: bool, level: Level, traces: Option<&Traces>) {
    let colours = std::io::stderr().is_terminal();
    let lines = lines(json, level, colours, std::io::stderr, traces);
    // An error says that logging was started before.
    if tracing::subscriber::set_global_default(lines).is_ok()
        && let Some(traces) = traces
    {
        traces.begin();
    }
}

/// The span of one request: whatever is logged within it, on any runtime that carries it on, bears the request's id.
/// `route` is the pattern, not the path: paths hold ids of end users.
pub fn request_span(id: &str, method: &str, route: &str) -> Span {
    // Of the highest level, so that the id is there also where only errors are logged.
    tracing::error_span!("request", id, method, route)
}

/// What writes the lines.
fn lines<W>(
    json: bool,
    level: Level,
    colours: bool,
    to: W,
    traces: Option<&Traces>,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Libraries say at debug what they send and receive, and there are secrets in it.
    let ours = LevelFilter::from_level(level);
    let filter = Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("grantkeep", ours);
    let layer = tracing_subscriber::fmt::layer().with_writer(to).with_ansi(colours && !json);
    if json {
        // The whole list of spans: the current one may be a child of the request's.
        let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(true);
        with_traces(tracing_subscriber::registry().with(filter).with(layer), traces)
    } else {
        with_traces(tracing_subscriber::registry().with(filter).with(layer), traces)
    }
}

fn with_traces<S>(lines: S, traces: Option<&Traces>) -> Box<dyn Subscriber + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
{
    match traces {
        Some(traces) => Box::new(lines.with(traces.layer())),
        None => Box::new(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, level: Level, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = super::lines(json, level, false, move || to.clone(), None);
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn every_line_of_a_request_bears_its_id() {
        let work = || {
            let _request = request_span("r-1", "POST", "/get-access-token").entered();
            let _inner = tracing::info_span!("refresh").entered();
            tracing::info!(provider = "slack", secret = ?Secret::new("hunter2"), "first");
            tracing::warn!("second");
        };
        let text = logged(false, Level::INFO, work);
        assert_eq!(text.lines().filter(|line| line.contains(r#"id="r-1""#)).count(), 2, "{text}");
        let json = logged(true, Level::INFO, work);
        assert_eq!(json.lines().count(), 2, "{json}");
        for line in json.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["spans"][0]["id"], "r-1", "{line}");
        }
        let quiet = logged(true, Level::WARN, work);
        assert!(quiet.lines().count() == 1 && quiet.contains("r-1") && quiet.contains("second"), "{quiet}");
        assert!(!format!("{text}{json}{quiet}").contains("hunter2"));
    }

    #[test]
    fn libraries_never_log_below_warn() {
        let work = || {
            tracing::debug!("ours");
            tracing::info!(target: "hyper_util::client", "a secret");
            tracing::warn!(target: "hyper_util::client", "trouble");
        };
        let text = logged(false, Level::TRACE, work);
        assert!(text.contains("ours") && text.contains("trouble") && !text.contains("a secret"), "{text}");
        assert_eq!(logged(false, Level::ERROR, work), "");
    }

    #[test]
    fn starting_twice_is_harmless() {
        init(false, Level::ERROR, None);
        init(true, Level::ERROR, None);
        assert!(tracing::dispatcher::has_been_set());
    }
}
