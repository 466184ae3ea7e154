//! The hot paths that are counted. Each is prepared, walked once so that buffers have their sizes and tables their places, and walked
//! again while instructions are counted. What is proved by an assertion is proved outside of that.

mod protocols;
mod realtime;
mod texts;
mod wire;

use std::hint::black_box;

/// One of them.
pub(crate) struct Path {
    /// What the baseline calls it.
    pub(crate) name: &'static str,
    /// How often one walk does what it is about.
    pub(crate) operations: u32,
    prepare: fn() -> Walk,
}

/// What is counted.
type Walk = Box<dyn FnMut()>;

/// Every path, by room.
pub(crate) fn all() -> Vec<Path> {
    [wire::PATHS, realtime::PATHS, texts::PATHS, protocols::PATHS]
        .into_iter()
        .flatten()
        .map(|(name, operations, prepare)| Path { name, operations: *operations, prepare: *prepare })
        .collect()
}

/// A line of a room's table: name, operations, preparation.
type Line = (&'static str, u32, fn() -> Walk);

/// Walks a path twice: the second time inside of [`measured`].
///
/// # Errors
/// No such path.
pub(crate) fn run(name: &str) -> Result<(), String> {
    let path = all().into_iter().find(|path| path.name == name).ok_or(format!("there is no path `{name}`"))?;
    let mut walk = (path.prepare)();
    walk();
    measured(&mut walk);
    Ok(())
}

/// The function between whose beginning and end valgrind counts. Its name is what `counting` asks for.
#[inline(never)]
fn measured(walk: &mut Walk) {
    walk();
    // So that the call above is no jump, and the end of this function its own.
    black_box(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_can_be_walked_more_than_once() {
        for path in all() {
            let mut walk = (path.prepare)();
            (0..2).for_each(|_| walk());
        }
    }

    #[test]
    fn no_two_paths_have_one_name() {
        let names: BTreeSet<&str> = all().iter().map(|path| path.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(run("there is none").is_err());
    }
}
