//! Every fuzz target over its corpus, and over what comes of that by chance: the same in every run. What libFuzzer finds besides
//! (`fuzz/run`, in the long tests) is put into the corpus.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::{fs, path::Path, time::Instant};

/// Changed inputs of each target, where the time allows.
const CHANGED: usize = 3_000;
/// What a target may take at most, in seconds: those that are left then are left out.
const SECONDS: u64 = 2;

/// Inputs as long as what a test takes in.
const LONGEST: usize = 4 << 10;

/// A generator of numbers that are the same everywhere (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpora").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One of them, changed here and there, or with a piece of another.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => input.insert(at, dice.below(256) as u8),
            1 if at < input.len() => drop(input.remove(at)),
            2 if at < input.len() => input[at] ^= 1 << dice.below(8),
            3 if at < input.len() => input[at] = [0, 0x7f, 0x80, 0xff, b'"', b'\n'][dice.below(6)],
            4 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len() + 1);
                let piece = other[from..(from + dice.below(64)).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(LONGEST);
    input
}

#[test]
fn no_target_fails_on_its_corpus_or_near_it() {
    for (place, (name, target)) in targets::ALL.iter().enumerate() {
        let inputs = corpus(name);
        assert!(inputs.len() >= 3, "{name}: a corpus");
        let said = |input: &[u8]| {
            let ran = std::panic::catch_unwind(|| target(input));
            assert!(ran.is_ok(), "{name} fails on {}", input.escape_ascii());
        };
        inputs.iter().for_each(|input| said(input));
        said(b"");
        let (mut dice, began) = (Dice(0x9e37_79b9_7f4a_7c15 + place as u64), Instant::now());
        for _ in 0..CHANGED {
            if began.elapsed().as_secs() >= SECONDS {
                break;
            }
            said(&changed(&inputs, &mut dice));
        }
    }
}

#[test]
fn corpora_are_small_and_of_a_target_each() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpora");
    let mut folders: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut names: Vec<_> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    folders.sort();
    names.sort();
    assert_eq!(folders, names);
    let bytes: usize = names.iter().flat_map(|name| corpus(name)).map(|input| input.len()).sum();
    assert!(bytes < 200_000, "{bytes}");
}
