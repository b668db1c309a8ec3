//! Forms, read out of pages as a browser reads them.

use html5gum::{HtmlString, StartTag, Token, Tokenizer};
use url::Url;

/// A form as it stands in a page: filled in with what the page says.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it goes.
    pub action: Url,
    /// It is sent with POST, and not with GET.
    pub post: bool,
    /// What is sent unless somebody fills in something else; hidden fields among them.
    pub fields: Vec<(String, String)>,
    /// Buttons that send it: name (empty when it has none), value.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// All forms of a page that came from `base`.
    pub fn all(page: &str, base: &Url) -> Vec<Self> {
        let mut forms = Vec::new();
        let mut open: Option<Self> = None;
        for Ok(token) in Tokenizer::new(page) {
            match token {
                Token::StartTag(tag) if is(&tag.name, "form") => open = Some(Self::begin(&tag, base)),
                Token::StartTag(tag) => {
                    if let Some(form) = &mut open {
                        form.add(&tag);
                    }
                }
                Token::EndTag(tag) if is(&tag.name, "form") => forms.extend(open.take()),
                _ => {}
            }
        }
        forms
    }

    fn begin(tag: &StartTag<()>, base: &Url) -> Self {
        let action = base.join(&attribute(tag, "action").unwrap_or_default()).expect("the action is a URL");
        let post = attribute(tag, "method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
        Self { action, post, fields: Vec::new(), buttons: Vec::new() }
    }

    fn add(&mut self, tag: &StartTag<()>) {
        let kind = attribute(tag, "type").unwrap_or_default().to_ascii_lowercase();
        let (name, value) =
            (attribute(tag, "name").unwrap_or_default(), attribute(tag, "value").unwrap_or_default());
        match (String::from_utf8_lossy(&tag.name).as_ref(), kind.as_str()) {
            ("button", "" | "submit") | ("input", "submit") => self.buttons.push((name, value)),
            ("input", "checkbox" | "radio") if attribute(tag, "checked").is_none() => {}
            ("input" | "textarea" | "select", _) if !name.is_empty() => self.fields.push((name, value)),
            _ => {}
        }
    }

    /// With a field filled in, whether or not the page has it.
    pub fn fill(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the button of this value pressed.
    pub fn press(self, value: &str) -> Self {
        let button = self.buttons.iter().find(|(_, known)| known == value);
        let (name, value) = button.unwrap_or_else(|| panic!("no button {value}: {:?}", self.buttons)).clone();
        self.fill(&name, &value)
    }
}

fn is(name: &HtmlString, expected: &str) -> bool {
    name.as_slice() == expected.as_bytes()
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}
