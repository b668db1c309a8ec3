//! The provider files compiled into the binary. A test compares the list with the folder.

use super::BuiltIn;

macro_rules! built_in {
    ($($id:literal),+ $(,)?) => {
        /// Every file of the folder `providers`.
        pub const BUILT_IN: &[BuiltIn] = &[
            $(BuiltIn { id: $id, text: include_str!(concat!("../../providers/", $id, ".toml")) }),+
        ];
    };
}

built_in![
    "atlassian",
    "github",
    "google",
    "hubspot",
    "microsoft",
    "notion",
    "salesforce",
    "sandbox",
    "shopify",
    "slack",
    "twitter",
];
