//! What our mails say: templates beside this file in `mails/`, each as text and as HTML.
//!
//! The host of a link comes from the configuration and from nowhere else: a request's own `Host` could be anybody's (OWASP
//! Forgot Password cheat sheet). The HTML has no images, nothing that reports back, and no colours of its own, so that it is
//! read in a dark mail program as in a light one.

use crate::domain::{EmailAddress, Ticket, Timestamp};
use crate::ports::Mail;
use askama::Template;
use url::Url;

/// A link, and until when it is good.
pub(super) struct Link {
    pub url: Url,
    pub until: Timestamp,
}

impl Link {
    /// The page at `path` for whoever holds `token`.
    pub fn new(public_url: &Url, path: &str, token: &Ticket, until: Timestamp) -> Self {
        let mut url = public_url.clone();
        url.set_path(path);
        url.query_pairs_mut().clear().append_pair("token", token.expose());
        Self { url, until }
    }
}

macro_rules! letters {
    ($($name:ident: $text:ident $text_path:literal, $html:ident $html_path:literal, { $($field:ident),+ };)+) => {$(
        #[derive(Template)]
        #[template(path = $text_path)]
        struct $text<'a> { $($field: &'a str),+ }

        #[derive(Template)]
        #[template(path = $html_path)]
        struct $html<'a> { subject: &'a str, $($field: &'a str),+ }

        fn $name(to: &EmailAddress, subject: &str, $($field: &str),+) -> Mail {
            // Templates without fallible filters render into memory and cannot fail.
            let text = $text { $($field),+ }.render().unwrap_or_default();
            let html = $html { subject, $($field),+ }.render().unwrap_or_default();
            Mail { to: to.clone(), subject: subject.to_owned(), text, html }
        }
    )+};
}

letters! {
    write_verification: VerificationText "mails/verification.txt", VerificationHtml "mails/verification.html",
        { asked, product, link, until };
    write_reset: ResetText "mails/reset.txt", ResetHtml "mails/reset.html", { asked, link, until };
    write_changed: ChangedText "mails/changed.txt", ChangedHtml "mails/changed.html", { changed, address };
}

/// The mail that verifies an address; a sign-up was asked for at `asked`.
pub(super) fn verification(to: &EmailAddress, product: &str, asked: Timestamp, link: &Link) -> Mail {
    let product = if may_be_repeated(product) { product } else { "" };
    let subject = "Please confirm your address for Grantkeep";
    write_verification(to, subject, &minute(asked), product, link.url.as_str(), &minute(link.until))
}

/// The mail to somebody who forgot a password, and said so at `asked`.
pub(super) fn reset(to: &EmailAddress, asked: Timestamp, link: &Link) -> Mail {
    let subject = "Set a new password for Grantkeep";
    write_reset(to, subject, &minute(asked), link.url.as_str(), &minute(link.until))
}

/// The mail that tells of a new password, so that its owner knows should it have been somebody else. Without a link: nobody
/// shall learn to follow one in a mail of that kind.
pub(super) fn changed(to: &EmailAddress, at: Timestamp) -> Mail {
    write_changed(to, "Your password for Grantkeep was changed", &minute(at), to.as_str())
}

/// Anybody may have a mail sent to anybody, and the product's name is theirs to choose. A name that a mail program could make
/// a link of is left out, so that nobody's bait travels in our mail.
fn may_be_repeated(product: &str) -> bool {
    let mut inner_dots = product.split('.').skip(1).map(|after| after.starts_with(char::is_alphanumeric));
    !product.is_empty()
        && !product.contains(['/', '@', ':', '\\', '"', '<', '>'])
        && !inner_dots.any(|dot| dot)
}

/// Such as `2026-11-22 01:00 UTC`.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |text| format!("{} UTC", text.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn asked() -> Timestamp {
        Timestamp::parse("2026-11-22T01:00:59.5Z").unwrap()
    }

    fn ada() -> EmailAddress {
        EmailAddress::parse("ada@example.com").unwrap()
    }

    fn link(path: &str) -> Link {
        let public = Url::parse("https://vault.example.com").unwrap();
        Link::new(&public, path, &Ticket::new("a_b-c"), asked().plus(Duration::from_hours(24)))
    }

    /// No longer lines than RFC 5322 section 2.1.1 asks for, but for links.
    fn fits(text: &str) -> bool {
        text.lines().all(|line| line.len() <= 78 || line.starts_with("http"))
    }

    #[test]
    fn the_mail_says_who_when_and_what_to_do() {
        let mail = verification(&ada(), "Acme", asked(), &link("/verify-email"));
        let url = "https://vault.example.com/verify-email?token=a_b-c";
        assert!(mail.text.contains(&format!("\n{url}\n")), "{}", mail.text);
        assert!(mail.text.contains("on 2026-11-22 01:00 UTC,\nfor the product \"Acme\".\n"), "{}", mail.text);
        assert!(mail.text.contains("good until 2026-11-23 01:00 UTC."), "{}", mail.text);
        assert!(mail.text.contains("do not follow the link"));
        assert!(fits(&mail.text), "{}", mail.text);
        assert!(!format!("{mail:?}").contains("a_b-c"));
        let none = verification(&ada(), "evil.example", asked(), &link("/verify-email"));
        assert!(none.text.contains("on 2026-11-22 01:00 UTC.\n"), "{}", none.text);
        assert!(!format!("{}{}", none.text, none.html).contains("evil"), "{}", none.text);
    }

    #[test]
    fn the_mails_about_passwords_say_what_they_mean() {
        let mail = reset(&ada(), asked(), &link("/reset-password"));
        assert!(mail.text.contains("\nhttps://vault.example.com/reset-password?token=a_b-c\n"));
        assert!(mail.text.contains("good once, until 2026-11-23 01:00 UTC"), "{}", mail.text);
        let told = changed(&ada(), asked());
        assert!(told.text.contains("ada@example.com") && told.text.contains("2026-11-22 01:00 UTC"));
        assert!(told.text.contains("API keys"), "{}", told.text);
        for text in [&told.text, &told.html] {
            assert!(!text.contains("://") && !text.contains("href"), "no link: {text}");
        }
        assert!(fits(&mail.text) && fits(&told.text));
    }

    #[test]
    fn the_html_is_plain_and_everything_in_it_is_escaped() {
        let mails = [
            verification(&ada(), "Tom & <b>Jerry", asked(), &link("/verify-email")),
            verification(&ada(), "Tom & Jerry's", asked(), &link("/verify-email")),
            reset(&ada(), asked(), &link("/reset-password")),
            changed(&EmailAddress::parse("o'neil&co@example.com").unwrap(), asked()),
        ];
        for mail in &mails {
            for foreign in ["<img", "<script", "style=", "url(", "@import", "<link", "background", "<b>"] {
                assert!(!mail.html.contains(foreign), "{foreign} in {}", mail.html);
            }
            assert!(mail.html.contains("<html lang=\"en\">") && mail.html.contains("color-scheme"));
            let links = mail.html.matches("https://").count();
            // Once as a button and once as text.
            assert_eq!(links, if mail.text.contains("https://") { 2 } else { 0 }, "{}", mail.html);
        }
        assert!(mails[1].html.contains("Tom &#38; Jerry&#39;s"), "{}", mails[1].html);
        assert!(mails[3].html.contains("o&#39;neil&#38;co@example.com"), "{}", mails[3].html);
    }

    #[test]
    fn no_bait_travels_in_the_mail() {
        for harmless in ["Acme", "Dr. Oetker", "Ärzte & Co.", "A-B 2.", "Yahoo!"] {
            assert!(may_be_repeated(harmless), "{harmless}");
        }
        for bait in ["", "evil.example", "go to https://evil", "x@evil", "evil。example/x", "\"quoted\""] {
            assert!(!may_be_repeated(bait), "{bait}");
        }
    }
}
