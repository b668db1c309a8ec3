//! What a source file says: every path in it, whether in code, in a `use` group, in a macro or in an attribute.
//!
//! It reads tokens and not syntax, because syntax ends at the first macro, and a path inside `json!` counts as well.

use proc_macro2::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};
use std::iter::Peekable;

/// A path as written: `crate::http::Problem` has three segments, a lone word one.
#[derive(Debug)]
pub struct Said {
    pub path: Vec<String>,
    pub line: usize,
    pub place: Place,
    /// It began with `::`, so the first segment is a crate.
    pub rooted: bool,
    /// `!` follows: a macro is called.
    pub called: bool,
    /// What the path is called from here on: `use path as alias`.
    pub alias: Option<String>,
}

/// Where in the file something stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Inline modules around it.
    pub depth: usize,
    /// Inside an item under `#[cfg(test)]`.
    pub test: bool,
    /// Inside a `use` item.
    pub import: bool,
    /// Inside `#[…]`.
    pub attribute: bool,
}

/// Words after which a `::` begins a path of its own: `use ::config::Config`.
const KEYWORDS: &[&str] = &[
    "as", "await", "break", "const", "dyn", "else", "for", "if", "impl", "in", "match", "move", "mut", "pub",
    "ref", "return", "static", "unsafe", "use", "where", "while", "yield",
];

/// Every path of a file.
pub fn of(source: &str) -> Result<Vec<Said>, String> {
    let tokens: TokenStream = source.parse().map_err(|e| format!("is no Rust: {e}"))?;
    let mut reader = Reader::default();
    reader.read(tokens, &[], Place::default());
    Ok(reader.said)
}

/// The names that a file declares as modules or imports; a path that begins with one of them begins at home.
pub fn local_names(said: &[Said]) -> Vec<&str> {
    let modules = said.windows(2).filter_map(|pair| match pair {
        [word, name] if word.path == ["mod"] => name.path.first(),
        _ => None,
    });
    let imports = said.iter().filter(|one| one.place.import).filter_map(|one| match &one.alias {
        Some(alias) => Some(alias),
        // `use a::b::{self}` brings in `b`; `use a;` nothing that was not there.
        None if one.path.len() > 1 => one.path.iter().rfind(|part| *part != "self"),
        None => None,
    });
    modules.chain(imports).map(String::as_str).collect()
}

type Tokens = Peekable<proc_macro2::token_stream::IntoIter>;

#[derive(Default)]
struct Reader {
    said: Vec<Said>,
}

impl Reader {
    fn read(&mut self, stream: TokenStream, prefix: &[String], mut place: Place) {
        let mut tokens = stream.into_iter().peekable();
        // What the tokens just before say about the next one.
        let (mut rooted, mut hash, mut in_module, mut under_test) = (false, false, false, false);
        while let Some(token) = tokens.next() {
            let (was_rooted, was_hash) = (std::mem::take(&mut rooted), std::mem::take(&mut hash));
            match token {
                TokenTree::Ident(word) => {
                    in_module |= word == "mod";
                    // `impl Trait + use<'a>` imports nothing.
                    place.import |= word == "use" && !is_mark(tokens.peek(), '<');
                    let line = word.span().start().line;
                    let word = word.to_string();
                    if KEYWORDS.contains(&word.as_str()) {
                        continue;
                    }
                    self.finish([prefix, &[word]].concat(), line, was_rooted, &place, &mut tokens);
                }
                TokenTree::Group(group) if was_hash => {
                    under_test |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                    self.read(group.stream(), &[], Place { attribute: true, ..place.clone() });
                }
                TokenTree::Group(group) => {
                    let mut inside = place.clone();
                    if group.delimiter() == Delimiter::Brace && !place.import {
                        inside.depth += usize::from(std::mem::take(&mut in_module));
                        inside.test |= std::mem::take(&mut under_test);
                    }
                    self.read(group.stream(), if place.import { prefix } else { &[] }, inside);
                }
                TokenTree::Punct(mark) => {
                    if mark.as_char() == ';' {
                        (place.import, in_module, under_test) = (false, false, false);
                    }
                    hash = mark.as_char() == '#' || (was_hash && mark.as_char() == '!');
                    rooted = double_colon(&mark, &mut tokens);
                }
                // serde and clap take paths in strings.
                TokenTree::Literal(text) if place.attribute => {
                    let plain = text.to_string();
                    let path: Vec<String> = plain.trim_matches('"').split("::").map(String::from).collect();
                    if path.len() > 1 && path.iter().all(|part| is_word(part)) {
                        self.push(path, text.span().start().line, false, &place);
                    }
                }
                TokenTree::Literal(_) => {}
            }
        }
    }

    /// Reads on from the first word to the path's end, into the group of a `use a::{…}`.
    fn finish(
        &mut self,
        mut path: Vec<String>,
        line: usize,
        rooted: bool,
        place: &Place,
        tokens: &mut Tokens,
    ) {
        while let Some(mark) = next_if_mark(tokens, ':') {
            if !double_colon(&mark, tokens) {
                break;
            }
            match tokens.peek() {
                Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' && place.import => {
                    path.push("*".into());
                }
                Some(TokenTree::Group(group)) if place.import => {
                    let stream = Group::stream(group);
                    tokens.next();
                    return self.read(stream, &path, place.clone());
                }
                _ => break,
            }
            tokens.next();
        }
        let called = is_mark(tokens.peek(), '!');
        self.push(path, line, rooted, place);
        let Some(last) = self.said.last_mut() else { return };
        last.called = called;
        if place.import
            && tokens.next_if(|next| matches!(next, TokenTree::Ident(word) if word == "as")).is_some()
        {
            last.alias = tokens.next().map(|alias| alias.to_string());
        }
    }

    fn push(&mut self, path: Vec<String>, line: usize, rooted: bool, place: &Place) {
        self.said.push(Said { path, line, place: place.clone(), rooted, called: false, alias: None });
    }
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

fn next_if_mark(tokens: &mut Tokens, mark: char) -> Option<Punct> {
    match tokens.next_if(|next| is_mark(Some(next), mark)) {
        Some(TokenTree::Punct(found)) => Some(found),
        _ => None,
    }
}

/// After a colon: takes the second one of `::`, if there is one.
fn double_colon(first: &Punct, tokens: &mut Tokens) -> bool {
    first.as_char() == ':' && first.spacing() == Spacing::Joint && next_if_mark(tokens, ':').is_some()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
