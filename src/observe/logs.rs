//! Log lines on standard error, written by a thread of their own: a shard only formats, and never waits.

mod levels;

use crate::config::{self, LogFormat};
pub use levels::Levels;
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt};

/// Lines that may wait for standard error. Beyond that they are dropped and counted: about 4 MiB of short lines.
const WAITING_LINES: usize = 16_384;

/// The way out of log lines. Dropping it writes what still waits, so it lives until the end of `main`.
#[derive(Debug)]
pub struct Logs {
    dropped: ErrorCounter,
    levels: Levels,
    _writer: WorkerGuard,
}

impl Logs {
    /// How many lines were dropped since the start, because standard error did not take them fast enough.
    pub fn dropped_lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }

    /// Which lines are written, to be changed while the process runs.
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// The same count for whoever outlives this borrow (metrics).
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Starts the log of this process. An error means that the process has one already.
pub fn start(settings: &config::Log) -> Result<Logs, tracing_subscriber::util::TryInitError> {
    let (lines, logs) = writer(std::io::stderr(), WAITING_LINES, settings);
    let colours = std::io::stderr().is_terminal();
    match settings.format {
        LogFormat::Text => text(&logs.levels, lines, colours).try_init()?,
        LogFormat::Json => json(&logs.levels, lines).try_init()?,
    }
    Ok(logs)
}

fn writer(out: impl std::io::Write + Send + 'static, waiting: usize, settings: &config::Log) -> (NonBlocking, Logs) {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(waiting).thread_name("homeroom-logs");
    let (lines, guard) = builder.finish(out);
    let logs = Logs { dropped: lines.error_counter(), levels: Levels::new(settings), _writer: guard };
    (lines, logs)
}

fn text(levels: &Levels, lines: NonBlocking, colours: bool) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let layer = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(lines);
    tracing_subscriber::registry().with(levels.clone()).with(layer)
}

fn json(levels: &Levels, lines: NonBlocking) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(lines);
    tracing_subscriber::registry().with(levels.clone()).with(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};
    use std::{
        io::Write,
        sync::{Arc, Mutex, mpsc},
    };

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn settings(level: &str) -> config::Log {
        Loaded::of(&Layers::default().flag("log.level", level)).unwrap().settings.log
    }

    #[test]
    fn json_lines_are_objects_and_levels_are_kept() {
        let page = Page::default();
        let (lines, logs) = writer(page.clone(), 16, &settings("info"));
        tracing::subscriber::with_default(json(&logs.levels, lines), || {
            tracing::info!(shard = 1, "up");
            tracing::debug!("not written");
        });
        drop(logs);
        let written = page.text();
        let line: serde_json::Value = serde_json::from_str(written.trim_end()).expect("one line, one object");
        assert_eq!((&line["message"], &line["shard"], &line["level"]), (&"up".into(), &1.into(), &"INFO".into()));
    }

    #[test]
    fn what_goes_through_libraries_is_in_no_line_whatever_the_level() {
        let page = Page::default();
        let (lines, logs) = writer(page.clone(), 16, &settings("trace,tokio_postgres::query=debug,tungstenite::protocol=trace"));
        tracing::subscriber::with_default(text(&logs.levels, lines, false), || {
            tracing::trace!(target: "tungstenite::protocol::frame", "payload: 0x736563726574 (secret)");
            tracing::debug!(target: "tokio_postgres::query", "executing statement s0 with parameters: secret");
            tracing::debug!("something else");
        });
        drop(logs);
        assert!(!page.text().contains("secret") && page.text().contains("something else"), "{}", page.text());
    }

    #[test]
    fn text_lines_follow_the_directives() {
        let page = Page::default();
        let (lines, logs) = writer(page.clone(), 16, &settings("warn,homeroom::store=debug"));
        tracing::subscriber::with_default(text(&logs.levels, lines, false), || {
            tracing::info!("quiet");
            tracing::debug!(target: "homeroom::store", "loud");
        });
        drop(logs);
        let written = page.text();
        assert!(written.contains("loud") && !written.contains("quiet"), "{written}");
    }

    #[test]
    fn levels_change_while_lines_are_written() {
        let page = Page::default();
        let (lines, logs) = writer(page.clone(), 16, &settings("info"));
        tracing::subscriber::with_default(text(&logs.levels, lines, false), || {
            let tell = |word: &str| tracing::debug!("{word}");
            tell("first");
            logs.levels().change(&settings("debug"));
            tell("second");
            logs.levels().change(&settings("warn"));
            tell("third");
        });
        drop(logs);
        let written = page.text();
        assert_eq!(["first", "second", "third"].map(|word| written.contains(word)), [false, true, false], "{written}");
    }

    /// Takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_never_the_writer() {
        let (release, stuck) = mpsc::channel();
        let (lines, logs) = writer(Stuck(stuck), 4, &settings("info"));
        tracing::subscriber::with_default(text(&logs.levels, lines, false), || {
            for line in 0..100 {
                tracing::info!(line);
            }
        });
        let dropped = logs.dropped_lines();
        assert!((94..=96).contains(&dropped), "4 wait, 1 is with the writer: {dropped}");
        drop(release);
    }
}
