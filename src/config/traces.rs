//! Traces: where they go, and how many of them. What the settings do not say, OpenTelemetry's own variables may.

use super::{key::section, setting::Setting};
use std::path::PathBuf;
use toml::de::DeValue;

section! {
    /// Traces for a collector of OpenTelemetry, by OTLP over HTTP: spans of requests of REST, sign-ins, commits of the store, questions to
    /// permission services, models and tools, reads of published keys, reloads, upgrades and drains. No span holds a token, or what
    /// somebody said. Only in a homeroom that was built with the feature otlp. What is not set here is taken from OTEL_SERVICE_NAME and
    /// OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS and _TIMEOUT, or those of _TRACES_ENDPOINT and so on.
    Traces at "traces." {
        /// Where the collector is, such as "http://127.0.0.1:4318"; "/v1/traces" is put behind an address without a path. Empty, and
        /// without a variable: nothing is told.
        endpoint: Option<String> = "";
        /// A file with headers for the collector, a line for each, such as "Authorization: Bearer …": a token never stands in the settings.
        headers_file: Option<PathBuf> = "";
        /// What the server is called there ("homeroom").
        service_name: Option<String> = "";
        /// How many of the traces that begin here are told of, from 0 to 1. One that comes with a `traceparent` is told of where that
        /// says so.
        ratio: Ratio = 0.1;
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Ratio(f64);

impl Ratio {
    /// From 0 to 1.
    pub fn of_one(self) -> f64 {
        self.0
    }
}

impl Setting for Ratio {
    const EXPECTED: &'static str = "a number from 0 to 1";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<Ratio, &'static str> {
        let number = match value {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(whole) => whole.as_str().parse::<f64>().ok(),
            _ => None,
        };
        number.filter(|number| (0.0..=1.0).contains(number)).map(Ratio).ok_or(Self::EXPECTED)
    }
}

/// Why `[traces]` is refused, where this program cannot do it.
pub(super) const NOT_BUILT: Option<&str> = if cfg!(feature = "otlp") {
    None
} else {
    Some("this homeroom was built without traces: build it with `cargo build --release --features otlp`")
};

#[cfg(feature = "otlp")]
pub use collector::{CollectorSettings, HeaderList};

#[cfg(feature = "otlp")]
mod collector {
    use super::Traces;
    use percent_encoding::percent_decode_str;
    use std::{fmt, time::Duration};
    use url::Url;

    /// How long one export may take where nothing else is said (OpenTelemetry's own default).
    const TIMEOUT: Duration = Duration::from_secs(10);
    /// Where spans go below a collector's address (OTLP/HTTP).
    const PATH: &str = "/v1/traces";

    /// Names and values for each request. `Debug` shows no value.
    #[derive(Clone, Default, PartialEq, Eq)]
    pub struct HeaderList(pub Vec<(String, String)>);

    impl fmt::Debug for HeaderList {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
        }
    }

    /// Where spans go, and as what.
    #[derive(Clone, PartialEq, Debug)]
    pub struct CollectorSettings {
        /// All of the address. It may hold a secret.
        pub url: String,
        /// What the server is called.
        pub service: String,
        /// Out of variables; those of the file come besides.
        pub headers: HeaderList,
        /// For all of one request.
        pub timeout: Duration,
    }

    impl Traces {
        /// What is to be done, where `variable` looks into the environment. `None`: nothing is told.
        ///
        /// # Errors
        /// What is wrong, in a line that holds no value.
        pub fn collector(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<CollectorSettings>, String> {
            let given = |name: &str| variable(name).filter(|value| !value.is_empty());
            // What is for traces alone goes before what is for all that OpenTelemetry has.
            let said = |what: &str| {
                let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
                names.into_iter().find_map(|name| Some((given(&name)?, name)))
            };
            let url = match (&self.endpoint, given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), given("OTEL_EXPORTER_OTLP_ENDPOINT")) {
                (Some(own), _, _) => completed(own).ok_or("traces.endpoint: expected an http or https address")?,
                (None, Some(whole), _) => completed(&whole)
                    .map(|_| whole)
                    .ok_or("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: expected an http or https address")?,
                (None, None, Some(base)) => {
                    below(&base).ok_or("OTEL_EXPORTER_OTLP_ENDPOINT: expected an http or https address")?
                }
                (None, None, None) => return Ok(None),
            };
            if let Some((protocol, name)) = said("PROTOCOL").filter(|(protocol, _)| protocol != "http/protobuf") {
                return Err(format!("{name} is {protocol:?}: homeroom speaks http/protobuf alone"));
            }
            let headers = match said("HEADERS") {
                Some((list, name)) => header_list(&list).ok_or(format!("{name}: expected name=value,name=value"))?,
                None => Vec::new(),
            };
            let timeout = match said("TIMEOUT") {
                Some((millis, name)) => {
                    let millis = millis.trim().parse().ok().filter(|millis| *millis > 0);
                    Duration::from_millis(millis.ok_or(format!("{name}: expected milliseconds, 1 or more"))?)
                }
                None => TIMEOUT,
            };
            let service = self.service_name.clone().or_else(|| given("OTEL_SERVICE_NAME"));
            let service = service.unwrap_or_else(|| "homeroom".to_owned());
            Ok(Some(CollectorSettings { url, service, headers: HeaderList(headers), timeout }))
        }
    }

    fn web(address: &str) -> Option<Url> {
        Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    }

    /// An address with the path of spans, where it has none.
    fn completed(address: &str) -> Option<String> {
        let mut url = web(address)?;
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Some(url.into())
    }

    /// The path of spans behind that of the address, as the variable for all wants it.
    fn below(address: &str) -> Option<String> {
        let mut url = web(address)?;
        let path = format!("{}{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url.into())
    }

    /// As W3C's Baggage has it, without properties: `name=value,name=value`, values percent-encoded.
    fn header_list(list: &str) -> Option<Vec<(String, String)>> {
        let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
            Some((name.trim().to_owned(), value))
        };
        pairs.map(pair).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::config::{Layers, Loaded};

        fn collector(text: &str, variables: &[(&str, &str)]) -> Result<Option<CollectorSettings>, String> {
            let file = format!("[traces]\n{text}\n");
            let traces = Loaded::of(&Layers::default().file("homeroom.toml", file)).unwrap().settings.traces;
            traces.collector(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
        }

        fn url(text: &str, variables: &[(&str, &str)]) -> Option<String> {
            collector(text, variables).unwrap().map(|collector| collector.url)
        }

        #[test]
        fn the_settings_go_before_the_variables_and_those_for_traces_before_those_for_all() {
            let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/x/");
            let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own:4318");
            assert_eq!(url("", &[]), None);
            assert_eq!(url("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
            assert_eq!(url("", &[all]).as_deref(), Some("http://all:4318/x/v1/traces"));
            assert_eq!(url("", &[all, own]).as_deref(), Some("http://own:4318"), "as it stands");
            assert_eq!(url("endpoint = \"https://c\"", &[all, own]).as_deref(), Some("https://c/v1/traces"));
            assert_eq!(url("endpoint = \"https://c/otlp\"", &[]).as_deref(), Some("https://c/otlp"));
            let named = |text: &str, name: &str| collector(text, &[all, ("OTEL_SERVICE_NAME", name)]).unwrap().unwrap().service;
            assert_eq!((named("", ""), named("", "s")), ("homeroom".to_owned(), "s".to_owned()));
            assert_eq!(named("service_name = \"own\"", "s"), "own");
        }

        #[test]
        fn headers_and_times_are_read_and_slips_told_without_a_value() {
            let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
            let with = |name: &'static str, value: &'static str| collector("", &[at, (name, value)]);
            let headers = with("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c, d=e=f,").unwrap().unwrap().headers;
            assert_eq!(headers.0, [("a".to_owned(), "b c".to_owned()), ("d".to_owned(), "e=f".to_owned())]);
            assert!(!format!("{headers:?}").contains("b c"));
            assert_eq!(with("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500").unwrap().unwrap().timeout.as_millis(), 1_500);
            assert_eq!(with("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").unwrap().unwrap().timeout, TIMEOUT);
            for (name, value) in [
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "secret"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "secret"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://secret"),
            ] {
                let fault = collector("", &[(name, value), at]).unwrap_err();
                assert!(fault.contains(name) && !fault.contains("secret"), "{fault}");
            }
            assert!(collector("endpoint = \"c:4318\"", &[]).unwrap_err().contains("traces.endpoint"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    fn loaded(text: &str) -> Result<Loaded, String> {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).map_err(|faults| faults.to_string())
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn a_ratio_is_a_part_of_one() {
        for (text, expected) in
            [("0", Some(0.0)), ("1", Some(1.0)), ("0.25", Some(0.25)), ("1.5", None), ("-0.1", None), ("nan", None)]
        {
            let read = loaded(&format!("[traces]\nratio = {text}\n"));
            assert_eq!(read.as_ref().ok().map(|read| read.settings.traces.ratio.of_one()), expected, "{text}: {read:?}");
        }
    }

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_program_without_traces_says_so() {
        for text in ["[traces]\nendpoint = \"http://c\"\n", "[traces]\nratio = 0.1\n"] {
            let fault = loaded(text).unwrap_err();
            assert!(fault.contains("built without traces") && fault.contains("homeroom.toml"), "{fault}");
        }
        let layers = Layers::default().flag("traces.ratio", "0.5");
        assert!(Loaded::of(&layers).is_err_and(|faults| faults.to_string().contains("--traces.ratio")));
    }

    #[test]
    fn without_a_word_of_it_nothing_is_told() {
        let traces = loaded("").unwrap().settings.traces;
        assert_eq!((traces.endpoint, traces.ratio), (None, Ratio(0.1)));
    }
}
