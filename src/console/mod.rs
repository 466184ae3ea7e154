//! The console's page: its files, embedded, and what each of them is. Which path has which bytes is said here; whoever serves them is
//! elsewhere.
//!
//! Nothing is built: the files are what browsers run, modules of JavaScript that import each other by name, one document and one style.
//! `homeroom.js` among them is the client of the published APIs, without a word about pages, for others to use as it is.

#[cfg(test)]
mod tests;

/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name, with the folders it is in.
    pub name: &'static str,
    /// All of it.
    pub bytes: &'static [u8],
}

/// Embeds files by their names, from the folder of the source that calls it.
macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        &[$($crate::console::Asset { name: $name, bytes: include_bytes!($name) }),*]
    };
}
#[cfg(feature = "server")]
pub(crate) use assets;

/// The document. `{{assets}}` stands for the path of [`ASSETS`], `{{modules}}` for the links to its modules, and `{{presence}}`,
/// `{{quiz}}`, `{{labs}}` and `{{chat}}` for where browsers find these APIs.
pub const PAGE: &str = include_str!("page.html");

/// All that the document may ask for.
pub const ASSETS: &[Asset] = assets![
    "console.css",
    "console.svg",
    "homeroom.js",
    "main.js",
    "parts.js",
    "charts.js",
    "session.js",
    "figures.js",
    "classroom.js",
    "operator.js",
    "quiz.js",
    "labs.js",
    "wall.js",
    "work.js",
];

impl Asset {
    /// Its media type.
    pub fn kind(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(_) | None => "text/plain; charset=utf-8",
        }
    }

    /// Whether it is a module, which pages may begin to fetch before the one that imports it is there.
    pub fn is_module(&self) -> bool {
        self.name.ends_with(".js")
    }
}
