//! The pages behind the link of a mail to somebody who forgot a password.

use super::{masked, page, problem};
use crate::domain::{EmailAddress, Refusal, Ticket};
use actix_web::HttpResponse;
use askama::Template;

#[derive(Template)]
#[template(path = "reset_password.html")]
struct ResetPassword<'a> {
    address: &'a str,
    token: &'a str,
    /// What was wrong with the password that was sent; empty at first.
    problem: &'a str,
}

#[derive(Template)]
#[template(path = "password_was_reset.html")]
struct PasswordWasReset;

/// A form for the new password; again with what is wrong where the one before would not do.
pub(in crate::http) fn reset_password(
    address: &EmailAddress,
    token: &Ticket,
    refusal: Option<&Refusal>,
) -> HttpResponse {
    let problem = match refusal {
        Some(Refusal::InvalidRequest { detail, .. }) => detail.as_str(),
        _ => "",
    };
    let response = refusal.map_or_else(HttpResponse::Ok, problem::head);
    let address = masked(address.as_str());
    page(response, &ResetPassword { address: &address, token: token.expose(), problem })
}

/// What the button leads to.
pub(in crate::http) fn password_was_reset() -> HttpResponse {
    page(HttpResponse::Ok(), &PasswordWasReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::MessageBody;

    #[test]
    fn the_form_says_what_is_wrong_and_escapes_everything() {
        let address = EmailAddress::parse("ada'&@example.com").unwrap();
        let refusal = Refusal::field("password", "must be <long>");
        let response = reset_password(&address, &Ticket::new("\"><b>"), Some(&refusal));
        assert_eq!(response.status(), 400);
        let body = response.into_body().try_into_bytes().unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("<b>") && !text.contains("<long>") && !text.contains("style="), "{text}");
        assert!(text.contains("a***@example.com") && text.contains("must be &#60;long&#62;"), "{text}");
        assert!(text.contains("autocomplete=\"new-password\""), "{text}");
        let first = reset_password(&address, &Ticket::new("t"), None);
        assert_eq!(first.status(), 200);
    }
}
