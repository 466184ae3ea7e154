//! Which form whoever reads metrics can read (RFC 9110, section 12.5.1).

use super::Form;

/// The one with the greatest weight; of equals what is named first here.
pub(super) fn best<'a>(accept: impl IntoIterator<Item = &'a str>) -> Form {
    let ranges: Vec<Range<'_>> = accept.into_iter().flat_map(|line| line.split(',')).map(Range::read).collect();
    let mut best = (Form::OpenMetrics, 0);
    for form in [Form::Protobuf, Form::OpenMetrics, Form::Text] {
        let weight = ranges.iter().filter(|range| range.is_of(form)).map(|range| range.weight).max().unwrap_or(0);
        if weight > best.1 {
            best = (form, weight);
        }
    }
    best.0
}

struct Range<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// In thousandths.
    weight: u32,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Range<'a> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let pairs = parts.filter_map(|part| part.split_once('='));
        let (weights, parameters): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name.eq_ignore_ascii_case("q"));
        let weight = weights.first().and_then(|(_, weight)| weight.parse::<f32>().ok()).unwrap_or(1.0);
        Range { kind, parameters, weight: (weight.clamp(0.0, 1.0) * 1000.0) as u32 }
    }

    fn says(&self, name: &str, wanted: &str) -> bool {
        let said = self.parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        said.is_none_or(|(_, value)| value.trim_matches('"') == wanted)
    }

    /// Protocol buffers have to be asked for: nobody who reads anything wants them.
    fn is_of(&self, form: Form) -> bool {
        let is = |kind: &str| self.kind.eq_ignore_ascii_case(kind);
        match form {
            Form::Protobuf => {
                is("application/vnd.google.protobuf")
                    && self.says("proto", "io.prometheus.client.MetricFamily")
                    && self.says("encoding", "delimited")
            }
            Form::OpenMetrics => {
                is("application/openmetrics-text") && (self.says("version", "1.0.0") || self.says("version", "0.0.1"))
            }
            Form::Text => (is("text/plain") && self.says("version", "0.0.4")) || is("text/*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus sends, with native histograms and without.
    const NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
        application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const CLASSIC: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

    #[test]
    fn the_form_is_what_was_asked_for() {
        for (accept, form) in [
            (NATIVE, Form::Protobuf),
            (CLASSIC, Form::OpenMetrics),
            ("", Form::OpenMetrics),
            ("*/*", Form::OpenMetrics),
            ("text/plain", Form::Text),
            ("text/plain;version=0.0.4", Form::Text),
            ("text/plain;version=1.0.0", Form::OpenMetrics),
            ("text/plain;q=0.3, application/openmetrics-text; version=1.0.0; q=0.2", Form::Text),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Form::OpenMetrics),
            (
                "application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\"; encoding=delimited; q=0.9, text/plain;q=0.1",
                Form::Protobuf,
            ),
            ("application/vnd.google.protobuf;q=0, text/plain;q=0.1", Form::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::OpenMetrics),
        ] {
            assert_eq!(best([accept]), form, "{accept}");
        }
        assert_eq!(best(["text/plain;q=0.1", "application/openmetrics-text"]), Form::OpenMetrics, "two lines are one list");
    }
}
