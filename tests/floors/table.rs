//! The house as tables: who may name whom, which crate belongs where, who opens secrets. ARCHITECTURE.md draws it.

/// The floors from the roof down. A room names only rooms of lower floors.
pub const FLOORS: &[&[&str]] = &[
    &["app"],
    &["http", "jobs", "cli", "sandbox", "demo"],
    &["broker", "issuer", "accounts"],
    &["vault", "wire", "admission"],
    &["crypto"],
    &["ports", "catalog", "config"],
    &["domain", "telemetry"],
];

/// The wing stands beside the floors: it fills in the ports, and only the roof knows it.
pub const WING: &str = "adapters";

/// Room, and the rooms it may name. `main` is the binary, `lib` the list of rooms.
pub const MAY_NAME: &[(&str, &[&str])] = &[
    ("main", &["app", "cli"]),
    ("lib", &[]),
    (
        "app",
        &[
            "http",
            "jobs",
            "sandbox",
            "demo",
            "broker",
            "issuer",
            "accounts",
            "vault",
            "wire",
            "admission",
            "crypto",
            "ports",
            "catalog",
            "config",
            "domain",
            "telemetry",
            "adapters",
        ],
    ),
    ("http", DOORS_NAME),
    ("jobs", DOORS_NAME),
    ("cli", DOORS_NAME),
    ("sandbox", DOORS_NAME),
    ("demo", DOORS_NAME),
    ("broker", WORK_NAMES),
    ("issuer", WORK_NAMES),
    ("accounts", WORK_NAMES),
    ("vault", CRAFT_NAMES),
    ("wire", CRAFT_NAMES),
    ("admission", &["ports", "domain", "telemetry"]),
    ("crypto", &["ports", "catalog", "config", "domain", "telemetry"]),
    ("ports", &["domain", "telemetry"]),
    ("catalog", &["domain", "telemetry"]),
    ("config", &["domain", "telemetry"]),
    ("domain", &[]),
    ("telemetry", &[]),
    ("adapters", &["ports", "domain", "telemetry"]),
];

const DOORS_NAME: &[&str] = &[
    "broker",
    "issuer",
    "accounts",
    "vault",
    "wire",
    "admission",
    "crypto",
    "ports",
    "catalog",
    "config",
    "domain",
    "telemetry",
];
const WORK_NAMES: &[&str] =
    &["vault", "wire", "admission", "crypto", "ports", "catalog", "config", "domain", "telemetry"];
const CRAFT_NAMES: &[&str] = &["crypto", "ports", "catalog", "config", "domain", "telemetry"];

/// What one room may name although the tables say no: room, room or crate, reason.
pub const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("telemetry", "domain", "labels are words of the domain, which in turn names nothing"),
    ("cli", "app", "a command line starts the whole; app in turn may not name cli"),
    ("sandbox", "actix_web", "the sandbox is a server of its own, an upstream and no door of ours"),
    ("demo", "reqwest", "the demo plays the tenant's backend and the end user's browser over real HTTP"),
    ("demo", "tokio::net", "the demo picks free ports"),
];

/// Crates (or parts of one) that have rooms, and those rooms; what is not listed may be used anywhere.
pub const CRATES: &[(&str, &[&str])] = &[
    ("actix_web", &["http", "app"]),
    ("redis", &["adapters"]),
    ("rusqlite", &["adapters"]),
    ("reqwest", &["adapters"]),
    ("lettre", &["adapters"]),
    ("rustls", &["adapters", "app"]),
    ("getrandom", &["adapters"]),
    ("aes_gcm", &["crypto"]),
    ("argon2", &["crypto"]),
    ("sha2", &["crypto"]),
    ("hmac", &["crypto"]),
    ("subtle", &["crypto"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("config", &["config"]),
    ("toml", &["catalog", "config"]),
    // accounts: its mails are templates beside it.
    ("askama", &["http", "sandbox", "accounts"]),
    // The schema of an answer is derived where the answer's struct is; the catalog has one, `Summary`.
    ("utoipa", &["http", "catalog"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_http", &["telemetry", "adapters"]),
    ("metrics_exporter_prometheus", &["telemetry", "app"]),
    // Doing I/O. The ground, the tools and the craft are told things; they do not go and look.
    ("tokio::net", &["adapters", "http", "app", "sandbox"]),
    ("tokio::fs", &["adapters"]),
    ("std::fs", &["adapters", "config", "catalog", "app", "cli", "demo"]),
    ("std::process::Command", &["cli"]),
    ("std::process::exit", &["main", "cli"]),
];

/// Files, or rooms that need not keep them from themselves, that open secrets (`expose`), and where the plain text goes
/// from there. Unit tests may open their own.
pub const OPENS_SECRETS: &[(&str, &str)] = &[
    ("src/domain/secret.rs", "the types themselves"),
    ("src/accounts/api_key.rs", "hashed; a new key once, to whoever made it"),
    ("src/accounts/authenticate.rs", "into the name of a memo, under a key of this process"),
    ("src/accounts/letters.rs", "into the link of a mail"),
    ("src/accounts/password.rs", "looked at for what makes it easy to guess, and into its one form"),
    ("src/adapters/http/mod.rs", "into the request that goes out"),
    ("src/adapters/redis/sentinel.rs", "into the greeting of a connection to a sentinel"),
    ("src/adapters/otlp.rs", "into the headers of what goes to the operator's collector"),
    ("src/app/compose.rs", "the master keys into the vault"),
    ("src/app/store.rs", "the store's address into its adapter"),
    ("src/adapters/smtp/mod.rs", "into the connection to the mail server"),
    ("src/broker/authorize.rs", "the ticket and the cookie, to the browser that is to hold them"),
    ("src/broker/callback.rs", "the completion, to the browser that came back"),
    ("src/broker/imports.rs", "nowhere: looked at for characters that no token may hold"),
    ("src/broker/integrations.rs", "nowhere: looked at for characters that cannot be sent"),
    ("src/broker/page.rs", "the cookie of a page, as the key of what its button proves"),
    ("src/broker/refresh/attempt.rs", "into another secret: the refresh token before, for a last try"),
    ("src/broker/refresh/claimed.rs", "into another secret: whichever token renews this grant"),
    ("src/config/mod.rs", "the type of a master key"),
    ("src/config/parse.rs", "taken apart into an address and its password, which is a secret again"),
    ("src/crypto/password.rs", "into argon2"),
    ("src/http/handlers/api_keys.rs", "the new key, shown once"),
    ("src/http/handlers/authorize.rs", "the cookie of an opening, to its browser"),
    ("src/http/handlers/tokens.rs", "the access token, to the caller it belongs to"),
    ("src/http/pages/mod.rs", "the mail token or the ticket, back into the form of the page it opened"),
    ("src/http/pages/passwords.rs", "the mail token, back into the form of the page it opened"),
    ("src/sandbox/", "a provider of its own: the tokens are its answers"),
    ("src/vault/connections/sealed.rs", "sealed into the record, alone or as a list"),
    ("src/vault/resets.rs", "hashed into the record's name"),
    ("src/vault/integrations/secrets.rs", "sealed into the record"),
    ("src/vault/sessions/mod.rs", "sealed into the record; the ticket hashed into its name"),
    ("src/vault/sign_ups.rs", "hashed into the record's name"),
    ("src/wire/authorize.rs", "the state, into the address the browser is sent to"),
    ("src/wire/callback.rs", "the key of a provider's HMAC"),
    ("src/wire/client.rs", "into the request that proves who we are"),
    ("src/wire/pkce.rs", "hashed into the challenge"),
    ("src/wire/profile.rs", "into the Authorization header, as a secret again"),
    ("src/wire/revoke.rs", "into the body of the revocation request"),
    ("src/wire/token_request.rs", "into the body of the token request"),
];

/// Files that say that a caller acts for a tenant (`Authority::proven`), and what was proven there.
pub const PROVES: &[(&str, &str)] = &[
    ("src/accounts/authenticate.rs", "a key or a password was good"),
    (
        "src/accounts/reset.rs",
        "a link that only the owner's mailbox got; or an address led to its owner, of whom only an audit record is written",
    ),
    (
        "src/vault/leaving.rs",
        "its record says that the tenant is being deleted: nobody else acts for it any more",
    ),
    ("src/accounts/sign_up.rs", "the link of a mail was followed, and made the tenant"),
    (
        "src/broker/refresh/pending.rs",
        "new tokens of a tenant's connection are there, which only its refresh can have brought",
    ),
    ("src/broker/refresh/rounds.rs", "the tenant's own index says that something of it is due"),
    ("src/vault/sessions/mod.rs", "a state was taken, or a ticket led to a session"),
];

/// Crate roots, whose lints are switched for a whole crate of tests.
pub const MAY_ALLOW: &[&str] = &["src/lib.rs", "tests/floors.rs", "tests/it/main.rs"];

/// Macros that have no place: unfinished work, print-outs beside the one place that prints, code without a module.
pub const NO_MACROS: &[&str] =
    &["todo", "unimplemented", "dbg", "print", "println", "eprint", "eprintln", "include"];

/// Lines a file stays under.
pub const TOWER: usize = 400;
