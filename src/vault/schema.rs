//! The schema of the records: every kind, every field, and which of them are sealed.
//!
//! Documentation, tests and operators read it; a test writes one of each kind and compares.

/// How a field lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Readable by whoever can read the store.
    Plain,
    /// A digest of a secret; the secret itself is not kept.
    Hashed,
    /// An envelope under the tenant's data key.
    Sealed,
    /// A data key, wrapped by a master key.
    Wrapped,
}

/// One kind of record.
#[derive(Clone, Copy, Debug)]
pub struct RecordSchema {
    /// The kind, as in the record's name.
    pub kind: &'static str,
    /// Its fields, besides `v` and `rev`, which every record has.
    pub fields: &'static [(&'static str, FieldKind)],
}

use FieldKind::{Hashed, Plain, Sealed, Wrapped};

/// Every kind of record there is. Times are milliseconds since 1970 in UTC.
pub const RECORDS: &[RecordSchema] = &[
    RecordSchema {
        kind: "tenant",
        fields: &[
            ("id", Plain),
            ("product", Plain),
            ("status", Plain),
            ("data_key", Wrapped),
            ("created_at", Plain),
            ("deleting_since", Plain),
            ("deleted_by", Plain),
            ("deleted_until", Plain),
            ("revocations", Plain),
        ],
    },
    RecordSchema {
        kind: "member",
        fields: &[
            ("id", Plain),
            ("email", Plain),
            ("password_hash", Hashed),
            ("role", Plain),
            ("created_at", Plain),
        ],
    },
    RecordSchema {
        kind: "api-key",
        fields: &[
            ("id", Plain),
            ("name", Plain),
            ("secret_hash", Hashed),
            ("scopes", Plain),
            ("expires_at", Plain),
            ("providers", Plain),
            ("ips", Plain),
            ("created_at", Plain),
        ],
    },
    RecordSchema {
        kind: "integration",
        fields: &[
            ("provider", Plain),
            ("client_id", Plain),
            ("client_secret", Sealed),
            ("previous_client_secret", Sealed),
            ("previous_until", Plain),
            ("previous_used_at", Plain),
            ("scopes", Plain),
            ("redirect_urls", Plain),
            ("variables", Plain),
            ("finish", Plain),
            ("revision", Plain),
            ("misconfigured_since", Plain),
            ("misconfigured_error", Plain),
            ("created_at", Plain),
            ("updated_at", Plain),
        ],
    },
    RecordSchema {
        kind: "connection",
        fields: &[
            ("id", Plain),
            ("grant", Plain),
            ("status", Plain),
            ("reason", Plain),
            ("generation", Plain),
            ("access_token", Sealed),
            ("refresh_token", Sealed),
            ("previous_refresh_token", Sealed),
            ("previous_until", Plain),
            ("more_tokens", Sealed),
            ("token_type", Plain),
            ("issued_at", Plain),
            ("expires_at", Plain),
            ("refresh_expires_at", Plain),
            ("scopes", Plain),
            ("requested_scopes", Plain),
            ("client_id", Plain),
            ("variables", Plain),
            ("metadata", Plain),
            ("identity_id", Plain),
            ("identity_name", Plain),
            ("attempt_id", Plain),
            ("attempt_generation", Plain),
            ("attempt_started", Plain),
            ("attempt_deadline", Plain),
            ("last_attempt", Plain),
            ("failures", Plain),
            ("retry_at", Plain),
            ("last_error", Plain),
            ("last_error_at", Plain),
            ("failed_revision", Plain),
            ("doubted", Plain),
            ("unknown_since", Plain),
            ("created_at", Plain),
            ("connected_at", Plain),
            ("refreshed_at", Plain),
            ("used_at", Plain),
            ("expiring_told", Plain),
            ("due_at", Plain),
            ("reauthorize_by", Plain),
        ],
    },
    RecordSchema {
        kind: "session",
        fields: &[
            ("id", Plain),
            ("tenant", Plain),
            ("provider", Plain),
            ("end_user", Plain),
            ("account", Plain),
            ("end_user_label", Plain),
            ("scopes", Plain),
            ("redirect_url", Plain),
            ("variables", Plain),
            ("code_challenge", Plain),
            ("integration_rev", Plain),
            ("endpoints", Plain),
            ("state", Plain),
            ("connection", Plain),
            ("problem", Plain),
            ("completion_hash", Hashed),
            ("redirect_uri", Plain),
            ("captured", Plain),
            ("code", Sealed),
            ("pkce_verifier", Sealed),
            ("expires_at", Plain),
        ],
    },
    RecordSchema { kind: "session-id", fields: &[("session", Plain)] },
    RecordSchema {
        kind: "state",
        fields: &[
            ("session", Plain),
            ("tenant", Plain),
            ("cookie_hash", Hashed),
            ("redirect_uri", Plain),
            ("pkce_verifier", Sealed),
        ],
    },
    RecordSchema { kind: "completion", fields: &[("session", Plain), ("tenant", Plain)] },
    // An entry of a stream: it has `v` and no `rev`.
    RecordSchema {
        kind: "audit",
        fields: &[("sequence", Plain), ("event", Plain), ("data_key", Plain), ("mac", Plain)],
    },
    RecordSchema {
        kind: "audit-head",
        fields: &[
            ("sequence", Plain),
            ("mac", Plain),
            ("time", Plain),
            ("checkpoint_sequence", Plain),
            ("checkpoint_mac", Plain),
            ("checkpoint_time", Plain),
            ("checkpoint_made_at", Plain),
            ("checkpoint_retention", Plain),
            ("checkpoint_key", Plain),
            ("checkpoint_seal", Plain),
        ],
    },
    // An entry of a stream, too.
    RecordSchema { kind: "events", fields: &[("type", Plain), ("about", Plain)] },
    RecordSchema {
        kind: "epoch",
        fields: &[
            ("line", Plain),
            ("count", Plain),
            ("ancestors", Plain),
            ("held_since", Plain),
            ("held_because", Plain),
            ("held_by", Plain),
        ],
    },
    RecordSchema { kind: "due-lease", fields: &[("worker", Plain), ("until", Plain)] },
    RecordSchema { kind: "budget", fields: &[("full_at", Plain)] },
    RecordSchema { kind: "email", fields: &[("tenant", Plain), ("member", Plain)] },
    RecordSchema {
        kind: "mail",
        fields: &[
            ("kind", Plain),
            ("to", Plain),
            ("asked_at", Plain),
            ("give_up_at", Plain),
            ("due_at", Plain),
            ("tries", Plain),
            ("password_hash", Hashed),
            ("product", Plain),
            ("asked_from", Plain),
        ],
    },
    RecordSchema {
        kind: "password-reset",
        fields: &[("tenant", Plain), ("member", Plain), ("replaces", Hashed)],
    },
    RecordSchema {
        kind: "pending-signup",
        fields: &[
            ("tenant", Plain),
            ("member", Plain),
            ("email", Plain),
            ("password_hash", Hashed),
            ("product", Plain),
            ("created_at", Plain),
        ],
    },
];
