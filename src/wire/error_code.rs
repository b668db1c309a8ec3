//! What a provider's error code means: RFC 6749 section 5.2 and the spellings of vendors.

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// The code or refresh token is no longer good. The only class that may end a connection.
    InvalidGrant,
    /// The provider does not accept the tenant's registration: the integration is at fault, no connection is.
    ClientFault,
    /// Anything else.
    Other,
}

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No.
    Refusal(RefusalClass),
    /// Come back later.
    Later,
}

/// The meaning of a code, whatever its case.
///
/// The list of dead grants is short on purpose: a code that is not known for certain must not end a connection.
pub(super) fn meaning(code: &str) -> Meaning {
    match code.to_ascii_lowercase().as_str() {
        "invalid_grant"
        // Slack, https://docs.slack.dev/reference/methods/oauth.v2.access
        | "invalid_refresh_token" | "invalid_code" | "code_already_used"
        // GitHub, https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
        | "bad_refresh_token" | "bad_verification_code" => Meaning::Refusal(RefusalClass::InvalidGrant),
        "invalid_client" | "unauthorized_client"
        // Slack
        | "invalid_client_id" | "bad_client_secret" | "bad_redirect_uri"
        // GitHub
        | "incorrect_client_credentials" | "redirect_uri_mismatch" => Meaning::Refusal(RefusalClass::ClientFault),
        "temporarily_unavailable" | "server_error" | "slow_down"
        // Slack
        | "ratelimited" | "service_unavailable" | "internal_error" | "fatal_error" | "request_timeout" => Meaning::Later,
        _ => Meaning::Refusal(RefusalClass::Other),
    }
}

/// True for a code that blames the tenant's registration.
pub fn is_client_fault(code: &str) -> bool {
    meaning(code) == Meaning::Refusal(RefusalClass::ClientFault)
}

/// A code fit for logs and answers: printable ASCII, 64 characters at most; `None` where nothing is left.
pub(super) fn sanitized(code: &str) -> Option<String> {
    let clean: String = code.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
