//! Passwords that guessers try first.
//!
//! Lists of common passwords hold hardly any of 15 characters or more; what is common at that length is put together from
//! short pieces. So this counts the choices that went into a password: a common word, a year, a run along the alphabet or the
//! keyboard, a repetition of what stood before, and a word about its owner are one choice each, any other character is one.
//! That is a net for the worst ones, no measure of strength.

/// Fewer choices than this are too few.
const ENOUGH: usize = 8;
/// Shorter runs and repetitions happen in every text.
const SHORTEST_RUN: usize = 3;

/// Runs may go along these, forwards, backwards and around.
const ROWS: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "!@#$%^&*()",
];

/// Common pieces, lower case.
const WORDS: &[&str] = &[
    "account",
    "admin",
    "administrator",
    "angel",
    "april",
    "august",
    "autumn",
    "baseball",
    "basketball",
    "batman",
    "change",
    "changeme",
    "charlie",
    "company",
    "computer",
    "december",
    "default",
    "demo",
    "dragon",
    "example",
    "february",
    "football",
    "forever",
    "freedom",
    "friday",
    "grantkeep",
    "guest",
    "hello",
    "iloveyou",
    "internet",
    "january",
    "july",
    "june",
    "killer",
    "letmein",
    "liverpool",
    "login",
    "love",
    "march",
    "master",
    "michael",
    "monday",
    "monkey",
    "november",
    "october",
    "p@ssw0rd",
    "p@ssword",
    "pa55word",
    "pass",
    "passphrase",
    "passw0rd",
    "passwd",
    "password",
    "passwort",
    "please",
    "pokemon",
    "princess",
    "root",
    "saturday",
    "secret",
    "security",
    "september",
    "server",
    "shadow",
    "spring",
    "starwars",
    "summer",
    "sunday",
    "sunshine",
    "superman",
    "system",
    "temp",
    "test",
    "testing",
    "thursday",
    "trustno1",
    "tuesday",
    "user",
    "wednesday",
    "welcome",
    "whatever",
    "winter",
];

/// Long ones that are common as a whole: letters and digits, lower case, digits at the end left out.
const WHOLE: &[&str] = &[
    "allyourbasearebelongtous",
    "averylongpassword",
    "becauseican",
    "correcthorsebatterystaple",
    "correcthorsebatterystable",
    "donttellanyone",
    "doyouloveme",
    "fuckyoufuckyou",
    "godisgoodallthetime",
    "hellohowareyou",
    "humptydumptysatonawall",
    "ihatepasswords",
    "ihaveforgottenit",
    "ilovemyboyfriend",
    "ilovemychildren",
    "ilovemydaughter",
    "ilovemyfamily",
    "ilovemygirlfriend",
    "ilovemyhusband",
    "ilovemymother",
    "iloveyouforever",
    "iloveyousomuch",
    "itsasecret",
    "iwillalwaysloveyou",
    "jesusismysavior",
    "jesuslovesme",
    "letmeinplease",
    "liverpoolfootballclub",
    "maryhadalittlelamb",
    "maythefourthbewithyou",
    "maytheforcebewithyou",
    "mypasswordispassword",
    "mypasswordissecure",
    "nevergonnagiveyouup",
    "onceuponatime",
    "opensesameopensesame",
    "supercalifragilisticexpialidocious",
    "thequickbrownfox",
    "thequickbrownfoxjumpsoverthelazydog",
    "thisisapassword",
    "thisismypassword",
    "thisisnotapassword",
    "thisisthepassword",
    "tobeornottobe",
    "tobeornottobethatisthequestion",
    "twinkletwinklelittlestar",
    "youllneverwalkalone",
    "youwillneverguess",
];

/// True when a guesser would come to `password` soon. `about` is what is known of its owner.
pub(super) fn guessable(password: &str, about: &[&str]) -> bool {
    let folded = password.to_lowercase();
    let plain: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    if WHOLE.contains(&plain.trim_end_matches(|c: char| c.is_ascii_digit())) {
        return true;
    }
    let text: Vec<char> = folded.chars().collect();
    let words = words(about);
    let (mut at, mut choices) = (0, 0);
    while at < text.len() && choices < ENOUGH {
        at += piece(&text, at, &words).max(1);
        choices += 1;
    }
    choices < ENOUGH
}

/// The common words, what is known of the owner, and the words in it.
fn words(about: &[&str]) -> Vec<Vec<char>> {
    let about: Vec<String> = about.iter().map(|text| text.to_lowercase()).collect();
    let parts = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let known =
        about.iter().map(String::as_str).chain(parts).filter(|word| word.chars().count() >= SHORTEST_RUN);
    WORDS.iter().copied().chain(known).map(|word| word.chars().collect()).collect()
}

/// How many characters from `at` on are one choice; 0 where none is known.
fn piece(text: &[char], at: usize, words: &[Vec<char>]) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let word = words.iter().filter(|word| rest.starts_with(word)).map(Vec::len).max().unwrap_or(0);
    let copy = (0..at).map(|from| common(rest, text.get(from..).unwrap_or_default())).max().unwrap_or(0);
    let run = same_character(rest).max(run(rest));
    let pattern = if run.max(copy) >= SHORTEST_RUN { run.max(copy) } else { 0 };
    word.max(pattern).max(year(rest))
}

fn common(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn same_character(rest: &[char]) -> usize {
    rest.iter().take_while(|c| Some(*c) == rest.first()).count()
}

/// The longest run along a row.
fn run(rest: &[char]) -> usize {
    let along = |row: Vec<char>| {
        let start = rest.first().and_then(|first| row.iter().position(|c| c == first)).unwrap_or(0);
        rest.iter().zip(row.iter().cycle().skip(start)).take_while(|(a, b)| a == b).count()
    };
    ROWS.iter()
        .map(|row| along(row.chars().collect()).max(along(row.chars().rev().collect())))
        .max()
        .unwrap_or(0)
}

/// 4 where a year of the last or this century stands here.
fn year(rest: &[char]) -> usize {
    match rest {
        ['1', '9', a, b, ..] | ['2', '0', a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => 4,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ABOUT: &[&str] = &["ada.lovelace@example.com", "Analytical Engine"];

    #[test]
    fn what_guessers_try_is_refused() {
        for common in [
            "aaaaaaaaaaaaaaa",
            "               ",
            "123456789012345",
            "987654321098765",
            "abcdefghijklmnop",
            "passwordpassword1",
            "Password1234567",
            "P@ssw0rdP@ssw0rd",
            "xkcdxkcdxkcdxkcd",
            "qwertyuiopasdfgh",
            "1qaz2wsx3edc4rfv",
            "1q2w3e4r5t6y7u8i",
            "Summer2026Summer!",
            "welcome-welcome-welcome",
            "Correct Horse Battery Staple",
            "correcthorsebatterystaple1",
            "This is my password 123",
            "ada.lovelace@example.com",
            "AdaLovelace2026!",
            "lovelacelovelace",
            "analyticalengine",
            "Analytical Engine 1",
            "grantkeepgrantkeep",
            "grantkeep-admin-2026",
        ] {
            assert!(guessable(common, ABOUT), "{common}");
        }
    }

    #[test]
    fn what_people_make_up_is_accepted() {
        for good in [
            "seven tulips in a green vase",
            "kettle orbit lantern moss",
            "my grandmother's blue tractor",
            "pferdeapfelmuskuchen",
            "x7Qv2mLr9TzKp4w",
            "0f8a6c1e9b3d7452",
            "password manager made this",
            "七つのチューリップが緑の花瓶に咲く",
        ] {
            assert!(!guessable(good, ABOUT), "{good}");
        }
    }

    #[test]
    fn the_lists_are_in_their_form() {
        assert!(WHOLE.iter().all(|whole| whole.chars().all(|c| c.is_ascii_lowercase())));
        assert!(WORDS.iter().chain(ROWS).all(|word| *word == word.to_lowercase()));
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in ".{0,60}", about in ".{0,20}") {
            let answer = guessable(&text, &[&about]);
            prop_assert!(answer || text.to_lowercase().chars().count() >= ENOUGH);
        }

        #[test]
        fn what_repeats_seven_letters_is_refused(unit in "[a-z0-9]{1,6}", times in 3_usize..20) {
            prop_assert!(guessable(&unit.repeat(times), &[]));
        }
    }
}
