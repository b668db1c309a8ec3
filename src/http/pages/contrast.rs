//! The colours of the style sheet, held against each other as WCAG 2.2 computes contrast (success criteria 1.4.3, 1.4.11).

use super::STYLE;
use std::collections::BTreeMap;

type Colours = BTreeMap<String, [f64; 3]>;

/// Text on its ground, and how much it needs.
const TEXT: &[(&str, &str)] = &[
    ("text", "ground"),
    ("text", "sheet"),
    ("text", "heed"),
    ("quiet", "ground"),
    ("quiet", "sheet"),
    ("accent", "ground"),
    ("accent", "sheet"),
    ("accent-over", "sheet"),
    ("on-accent", "accent"),
    ("on-accent", "accent-over"),
];
/// What shows where a control is, or that it has the focus.
const CONTROLS: &[(&str, &str)] =
    &[("edge", "sheet"), ("edge", "ground"), ("accent", "sheet"), ("accent", "heed")];

/// The colours that a block of declarations names.
fn colours(block: &str) -> Colours {
    let declared = block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
    let colour = |hex: &str| {
        let value = u32::from_str_radix(hex, 16).expect("a colour");
        [value >> 16, value >> 8, value].map(|channel| f64::from(channel & 0xff) / 255.0)
    };
    declared.map(|(name, hex)| (name.to_owned(), colour(hex))).collect()
}

/// Of the light scheme and of the dark one.
fn schemes() -> [Colours; 2] {
    let mut blocks =
        STYLE.split(":root {").skip(1).map(|rest| colours(rest.split('}').next().expect("an end")));
    let schemes = [blocks.next().expect("light"), blocks.next().expect("dark")];
    assert!(blocks.next().is_none(), "there are two");
    schemes
}

/// Relative luminance, as WCAG defines it for sRGB.
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], two: [f64; 3]) -> f64 {
    let (one, two) = (luminance(one), luminance(two));
    (one.max(two) + 0.05) / (one.min(two) + 0.05)
}

/// Pairs that have less than they need.
fn too_little(colours: &Colours) -> Vec<String> {
    let needs = TEXT.iter().map(|pair| (pair, 4.5)).chain(CONTROLS.iter().map(|pair| (pair, 3.0)));
    let short = |((over, under), least): (&(&str, &str), f64)| {
        let has = contrast(colours[*over], colours[*under]);
        (has < least).then(|| format!("{over} on {under}: {has:.2}, needs {least}"))
    };
    needs.filter_map(short).collect()
}

#[test]
fn colours_stand_out_in_both_schemes() {
    let [light, dark] = schemes();
    assert_eq!(too_little(&light), Vec::<String>::new());
    assert_eq!(too_little(&dark), Vec::<String>::new());
    let names = |colours: &Colours| colours.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&light), names(&dark), "each has all colours");
    // A line between facts carries no meaning; every other colour is held against something.
    let held =
        |name: &&String| !TEXT.iter().chain(CONTROLS).any(|(over, under)| name == over || name == under);
    assert_eq!(light.keys().filter(held).collect::<Vec<_>>(), ["line"]);
}

#[test]
fn every_colour_has_a_name() {
    let outside =
        STYLE.rsplit_once("--on-accent: ").expect("the last name").1.split_once('}').expect("an end").1;
    assert!(
        !outside.contains('#') && !outside.contains("rgb"),
        "a colour that nothing holds against another"
    );
}

#[test]
fn a_colour_that_is_too_faint_is_caught() {
    let of = |text: &str| colours(text)["x"];
    let (white, black) = (of("--x: #ffffff"), of("--x: #000000"));
    assert!((contrast(white, black) - 21.0).abs() < 1e-9 && (contrast(black, black) - 1.0).abs() < 1e-9);
    // The greys on both sides of 4.5 on white, as WebAIM's checker has them.
    assert!((contrast(white, of("--x: #767676")) - 4.54).abs() < 0.005);
    assert!((contrast(white, of("--x: #777777")) - 4.48).abs() < 0.005);
    let [mut light, _] = schemes();
    light.insert("quiet".to_owned(), of("--x: #8f8172"));
    assert_eq!(too_little(&light).len(), 2, "on ground and on sheet");
}
