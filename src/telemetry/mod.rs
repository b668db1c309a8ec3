//! placeholder until merged
/// alarm
pub fn alarm_does_not_open(record: &str, field: &str) {
    tracing::error!(record, field, "a sealed value does not open in its place");
}
