//! A source file as the rules see it: its lines, and its tokens without comments, each with its line and whether it is test code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{fs, path::Path};

/// What kind of token it is. Literals are kept apart, so that no rule takes a text for code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ident,
    Mark,
    Literal,
    /// The text of a doc comment.
    Doc,
}

/// One token. Brackets are marks.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether it is compiled for tests alone.
    pub test: bool,
    /// The modules written inside the file around it.
    pub modules: Vec<String>,
}

/// A Rust file.
#[derive(Debug)]
pub struct Source {
    /// From the root of the checkout, with slashes.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

impl Source {
    /// Reads one file; `path` is from the root.
    pub fn read(root: &Path, path: &str) -> Source {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Source::new(path, &text)
    }

    /// A file that need not be there.
    pub fn new(path: &str, text: &str) -> Source {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
        let mut tokens = Vec::new();
        // Integration tests and benches are for nobody else; below `src` the attributes say what is.
        let test = !path.starts_with("src/") && path.split('/').any(|folder| matches!(folder, "tests" | "benches"));
        flatten(stream, test, &[], &mut tokens);
        Source { path: path.into(), text: text.into(), tokens }
    }

    /// Where a token stands, for a message.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// The room that the file belongs to: the first name below `src`, none for `main.rs` and `lib.rs`.
    pub fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        below.split_once('/').map(|(room, _)| room)
    }

    /// The module that the file is: `src/http/rooms.rs` → `http`, `rooms`.
    pub fn module(&self) -> Vec<String> {
        let Some(below) = self.path.strip_prefix("src/") else { return Vec::new() };
        let names = below.trim_end_matches(".rs").split('/');
        names.filter(|name| !matches!(*name, "mod" | "lib" | "main")).map(str::to_owned).collect()
    }

    /// The modules that only tests have (`#[cfg(test)] mod name;`), as paths below `src` without `.rs`.
    pub fn test_modules(&self) -> Vec<String> {
        let named = self.tokens.windows(3).filter(|three| three[0].test && three[0].text == "mod" && three[2].text == ";");
        named.map(|three| [self.module(), vec![three[1].text.clone()]].concat().join("/")).collect()
    }

    /// Every path that begins with `crate`, `super` or a name of `roots`, with its token: absolute, `use` groups unfolded.
    pub fn paths(&self, roots: &[&str]) -> Vec<(Vec<String>, &Token)> {
        let mut found = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let begins = token.text == "crate" || token.text == "super" || roots.contains(&token.text.as_str());
            let continues = index >= 2 && self.is_colons(index - 2);
            if token.kind == Kind::Ident && begins && !continues && self.is_colons(index + 1) {
                for path in self.unfold(index, &mut 0) {
                    found.push((self.absolute(path, token), token));
                }
            }
        }
        found
    }

    fn is_colons(&self, index: usize) -> bool {
        let colon = |index: usize| self.tokens.get(index).is_some_and(|token| token.text == ":");
        colon(index) && colon(index + 1)
    }

    /// The paths that begin at `index`; `end` becomes the index behind them.
    fn unfold(&self, index: usize, end: &mut usize) -> Vec<Vec<String>> {
        let name = self.tokens[index].text.clone();
        *end = index + 1;
        if !self.is_colons(index + 1) {
            return vec![vec![name]];
        }
        let mut next = index + 3;
        let mut tails = Vec::new();
        match self.tokens.get(next).map(|token| token.text.as_str()) {
            Some("{") => {
                next += 1;
                while self.tokens.get(next).is_some_and(|token| token.text != "}") {
                    if self.tokens[next].kind == Kind::Ident || self.tokens[next].text == "*" {
                        tails.extend(self.unfold(next, &mut next));
                        // `as other` renames, it names nothing new.
                        if self.tokens.get(next).is_some_and(|token| token.text == "as") {
                            next += 2;
                        }
                    } else {
                        next += 1;
                    }
                }
                *end = next + 1;
            }
            Some(_) if self.tokens[next].kind == Kind::Ident || self.tokens[next].text == "*" => tails = self.unfold(next, end),
            _ => tails.push(Vec::new()), // a turbofish, or the end
        }
        tails.into_iter().map(|tail| [vec![name.clone()], tail].concat()).collect()
    }

    fn absolute(&self, path: Vec<String>, token: &Token) -> Vec<String> {
        let mut module = [self.module(), token.modules.clone()].concat();
        let supers = path.iter().take_while(|name| *name == "super").count();
        if supers == 0 {
            return path.into_iter().skip_while(|name| name == "crate").collect();
        }
        module.truncate(module.len().saturating_sub(supers));
        module.extend(path.into_iter().skip(supers));
        module
    }
}

/// Whether the tokens of an attribute say that what follows is for tests alone.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text == "test" || (text.starts_with("cfg(") && text.contains("test") && !text.contains("not("))
}

fn flatten(stream: TokenStream, test: bool, modules: &[String], out: &mut Vec<Token>) {
    let mut tests_follow = false;
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        let previous = index.checked_sub(1).map(|before| trees[before].to_string());
        let line = tree.span().start().line;
        let mut push = |kind, text: String, line, test| out.push(Token { kind, text, line, test, modules: modules.to_vec() });
        match tree {
            TokenTree::Group(group) => {
                let attribute = group.delimiter() == Delimiter::Bracket && matches!(previous.as_deref(), Some("#" | "!"));
                tests_follow |= attribute && is_for_tests(&group.stream());
                if attribute && group.stream().to_string().starts_with("doc =") {
                    push(Kind::Doc, group.stream().to_string(), line, test);
                    continue;
                }
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let within = test || tests_follow;
                push(Kind::Mark, open.into(), line, within);
                let module = index >= 2 && group.delimiter() == Delimiter::Brace && trees[index - 2].to_string() == "mod";
                let inner = if module { [modules, &[trees[index - 1].to_string()]].concat() } else { modules.to_vec() };
                flatten(group.stream(), within, &inner, out);
                out.push(Token {
                    kind: Kind::Mark,
                    text: close.into(),
                    line: group.span_close().start().line,
                    test: within,
                    modules: modules.to_vec(),
                });
                tests_follow &= group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Ident(ident) => push(Kind::Ident, ident.to_string(), line, test || tests_follow),
            TokenTree::Punct(punct) => {
                push(Kind::Mark, punct.as_char().to_string(), line, test || tests_follow);
                tests_follow &= punct.as_char() != ';';
            }
            TokenTree::Literal(literal) => push(Kind::Literal, literal.to_string(), line, test || tests_follow),
        }
    }
}
