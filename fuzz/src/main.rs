//! libFuzzer at one of the targets, chosen by HOMEROOM_FUZZ_TARGET. `fuzz/run` calls it.

#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("HOMEROOM_FUZZ_TARGET").unwrap_or_default();
        let found = targets::ALL.iter().find(|(own, _)| *own == name);
        found.unwrap_or_else(|| panic!("HOMEROOM_FUZZ_TARGET is none of the targets: {name:?}")).1
    });
    target(bytes);
});
