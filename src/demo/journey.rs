//! The steps, in the order of the README.

use super::play::{Answer, Play, Stumble, mask};
use super::{Stage, page};
use std::io::Write;
use std::time::Duration;

const EMAIL: &str = "ada@example.com";
const END_USER: &str = "user-42";

/// What the journey brought.
pub struct Summary {
    /// The address and password that were signed up.
    pub login: (String, String),
    /// The first token, masked.
    pub first: String,
    /// The second token, masked.
    pub second: String,
    /// True when they differ.
    pub differ: bool,
}

/// Makes the whole journey, telling each step on `out`.
pub async fn journey(stage: &Stage, out: &mut dyn Write) -> Result<Summary, Stumble> {
    let mut play = Play::new(out)?;
    let server = stage.server.as_str().trim_end_matches('/');
    play.say(&format!("Grantkeep   {server}   (health and metrics: {})", stage.admin))?;
    play.say(&format!("Sandbox     {}", stage.sandbox))?;
    play.say(&format!("Folder      {} (with a master key made for this demo)", stage.folder.display()))?;
    sign_up(&mut play, stage, server).await?;
    let key = api_key(&mut play, stage, server).await?;
    enable(&mut play, stage, server, &key).await?;
    connect(&mut play, server, &key).await?;
    play.step("Ask for a working access token, and use it")?;
    let first = token(&mut play, stage, server, &key).await?;
    play.step("Wait until that token has expired")?;
    wait_for_expiry(&mut play, stage, &first).await?;
    play.step("Ask again: refreshed once, and only then handed out")?;
    let second = token(&mut play, stage, server, &key).await?;
    Ok(Summary {
        login: (EMAIL.to_owned(), stage.password.clone()),
        differ: first != second,
        first: mask(&first),
        second: mask(&second),
    })
}

async fn sign_up(play: &mut Play<'_>, stage: &Stage, server: &str) -> Result<(), Stumble> {
    play.step("Sign up; a mail with a link arrives")?;
    let form = [("email", EMAIL), ("password", stage.password.as_str()), ("product", "Demo CRM")];
    let answer = play.call(&format!("{server}/signup"), None, &form).await?;
    expect(&answer, 202, "sign-up")?;
    let link = mailed_link(stage, server).await?;
    play.say(&format!("mail     in {}", stage.outbox.display()))?;
    play.step("Follow the link and press the button")?;
    let shown = play.open(&link).await?;
    let token =
        page::field(&shown.body, "token").ok_or_else(|| stumble("verification", "the page has no button"))?;
    let answer = play.submit(&format!("{server}/verify-email"), &[("token", &token)]).await?;
    expect(&answer, 200, "verification")
}

/// The link in the newest mail. The mail is written in the background, so it may come a moment later.
async fn mailed_link(stage: &Stage, server: &str) -> Result<String, Stumble> {
    let start = format!("{server}/verify-email?token=");
    for _ in 0..200 {
        for entry in std::fs::read_dir(&stage.outbox).into_iter().flatten().flatten() {
            let mail = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let link = mail.split_whitespace().find(|word| word.starts_with(&start));
            if let Some(link) = link.filter(|_| entry.path().extension().is_some_and(|end| end == "eml")) {
                return Ok(link.to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(stumble("sign-up", "no mail with a link came"))
}

async fn api_key(play: &mut Play<'_>, stage: &Stage, server: &str) -> Result<String, Stumble> {
    play.step("Make an API key; it is shown once")?;
    let url = format!("{server}/v1/api-keys");
    let answer = play.call_as(&url, (EMAIL, &stage.password), &[("name", "demo backend")]).await?;
    expect(&answer, 201, "API key")?;
    answer.text("API key", "key")
}

async fn enable(play: &mut Play<'_>, stage: &Stage, server: &str, key: &str) -> Result<(), Stumble> {
    play.step("Enable a provider with your own client id")?;
    let host = stage.sandbox.trim_start_matches("http://");
    let form = [
        ("provider", "sandbox"),
        ("client_id", "sandbox-client"),
        ("client_secret", "sandbox-secret"),
        ("scopes", "profile offline_access"),
        ("redirect_url", "http://localhost:3000/connected"),
        ("variables.host", host),
    ];
    let answer = play.call(&format!("{server}/enable-provider"), Some(key), &form).await?;
    expect(&answer, 201, "enable")
}

async fn connect(play: &mut Play<'_>, server: &str, key: &str) -> Result<(), Stumble> {
    play.step("Begin a session for an end user of yours")?;
    let url = format!("{server}/authorize-sandbox");
    let answer = play.call(&url, Some(key), &[("end_user", END_USER)]).await?;
    expect(&answer, 201, "session")?;
    let link = answer.text("session", "authorize_url")?;
    play.step("The end user's browser goes to the provider, agrees, and comes back")?;
    let consent = play.open(&link).await?.redirect("opening the link")?;
    let shown = play.open(&consent).await?;
    let request =
        page::field(&shown.body, "request").ok_or_else(|| stumble("consent", "the page has no form"))?;
    let action = consent.split('?').next().unwrap_or(&consent);
    let form = [
        ("request", request.as_str()),
        ("user", "ada"),
        ("scope", "profile"),
        ("scope", "offline_access"),
        ("decision", "allow"),
    ];
    let callback = play.submit(action, &form).await?.redirect("consent")?;
    let back = play.open(&callback).await?.redirect("callback")?;
    let completion = form_urlencoded::parse(back.split_once('?').map_or("", |(_, query)| query).as_bytes())
        .find(|(name, _)| name == "completion")
        .map(|(_, value)| value.into_owned())
        .ok_or_else(|| stumble("callback", "no completion came back"))?;
    play.step("Your backend says whose browser that was; only now is the code exchanged")?;
    let form = [("completion", completion.as_str()), ("end_user", END_USER)];
    let answer = play.call(&format!("{server}/complete-authorization"), Some(key), &form).await?;
    expect(&answer, 201, "completion")
}

async fn token(play: &mut Play<'_>, stage: &Stage, server: &str, key: &str) -> Result<String, Stumble> {
    let form = [("provider", "sandbox"), ("end_user", END_USER)];
    let answer = play.call(&format!("{server}/get-access-token"), Some(key), &form).await?;
    expect(&answer, 200, "access token")?;
    let token = answer.text("access token", "access_token")?;
    let answer = play.upstream(&format!("{}/me", stage.sandbox), &token).await?;
    expect(&answer, 200, "upstream call")?;
    Ok(token)
}

async fn wait_for_expiry(play: &mut Play<'_>, stage: &Stage, token: &str) -> Result<(), Stumble> {
    // The provider is asked, not the clock: only its word counts.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if play.upstream(&format!("{}/me", stage.sandbox), token).await?.status == 401 {
            return Ok(());
        }
    }
    Err(stumble("expiry", "the token goes on living"))
}

fn expect(answer: &Answer, status: u16, step: &'static str) -> Result<(), Stumble> {
    if answer.status == status {
        return Ok(());
    }
    Err(Stumble::Unexpected {
        step,
        what: format!("answered {} instead of {status}: {}", answer.status, answer.body),
    })
}

fn stumble(step: &'static str, what: &str) -> Stumble {
    Stumble::Unexpected { step, what: what.to_owned() }
}
