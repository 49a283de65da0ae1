//! All numbers in Prometheus' text format.

use std::fmt::Write;

use portcullis_govern::CacheUse;

use super::{Family, Histogram, Metrics, Now, SECONDS, Usage, lock};

/// A counter by domain: its name, what it is, its value.
type Column = (&'static str, &'static str, fn(&Usage) -> String);

/// A number of a cache, where it has one.
type OfCache = fn(&CacheUse) -> Option<u64>;

impl Metrics {
    /// All numbers, with those of this moment and of what is kept between queries.
    pub(crate) fn text(&self, now: &[Now<'_>], caches: &[CacheUse]) -> String {
        let mut out = String::new();
        family(&mut out, "queries_total", "outcome", "Queries that have ended.", &self.queries);
        family(&mut out, "decisions_total", "decision", "Statements by what was decided.", &self.decisions);
        family(&mut out, "errors_total", "kind", "Refusals and errors, by their kind.", &self.errors);
        family(&mut out, "refusals_total", "what", "Refusals before there was a query.", &self.refusals);
        family(&mut out, "limits_total", "limit", "Times that a limit was met.", &self.limits);
        for (name, help, counter) in [
            ("rows_total", "Rows that have left.", &self.rows),
            ("bytes_total", "Bytes of their values in memory.", &self.bytes),
            ("reloads_refused_total", "Reloads that were refused: the policies do not compile.", &self.reloads_refused),
            ("connections_refused_total", "Connections beyond `limits.connections`.", &self.connections_refused),
            ("traces_lost_total", "Traces that could not be sent.", &self.traces_lost),
        ] {
            head(&mut out, name, "counter", help);
            let _ = writeln!(out, "portcullis_{name} {}", counter.get());
        }
        let connections = ("connections", "Connections that are open.", self.connections.get());
        for (name, help, value) in now.iter().copied().chain([connections]) {
            head(&mut out, name, "gauge", help);
            let _ = writeln!(out, "portcullis_{name} {value}");
        }
        head(&mut out, "query_seconds", "histogram", "How long queries took whose rows were sent.");
        histogram(&mut out, "query_seconds", "", &lock(&self.seconds));
        head(&mut out, "stage_seconds", "histogram", "How long the stages of queries took.");
        for (stage, times) in lock(&self.stages).iter() {
            histogram(&mut out, "stage_seconds", &format!("stage=\"{}\"", stage.replace(' ', "_")), times);
        }
        self.by_domain(&mut out);
        of_caches(&mut out, caches);
        out
    }

    fn by_domain(&self, out: &mut String) {
        let domains = lock(&self.domains);
        let columns: [Column; 4] = [
            ("domain_queries_total", "Answers of which a domain's tables were part.", |usage| {
                usage.queries.to_string()
            }),
            ("domain_rows_total", "Rows of these answers.", |usage| usage.rows.to_string()),
            ("domain_bytes_total", "Bytes of these answers.", |usage| usage.bytes.to_string()),
            ("domain_seconds_total", "How long these answers took.", |usage| seconds(usage.micros)),
        ];
        for (name, help, value) in columns {
            head(out, name, "counter", help);
            for (domain, usage) in domains.iter() {
                let _ = writeln!(out, "portcullis_{name}{{domain=\"{}\"}} {}", escaped(domain), value(usage));
            }
        }
    }
}

fn of_caches(out: &mut String, caches: &[CacheUse]) {
    let rows: [(&str, &str, &str, OfCache); 5] = [
        ("cache_hits_total", "counter", "Times that a cache had what was asked for.", |cache| Some(cache.hits)),
        ("cache_misses_total", "counter", "Times that it had not.", |cache| Some(cache.misses)),
        ("cache_entries", "gauge", "What a cache holds.", |cache| Some(cache.entries)),
        ("cache_bytes", "gauge", "Its size by estimate, of those that are bounded by bytes.", |cache| cache.bytes),
        ("cache_failures_total", "counter", "Times that a cache's disk failed it.", |cache| cache.failures),
    ];
    for (name, kind, help, value) in rows {
        head(out, name, kind, help);
        for cache in caches {
            if let Some(value) = value(cache) {
                let _ = writeln!(out, "portcullis_{name}{{cache=\"{}\"}} {value}", cache.name);
            }
        }
    }
}

fn family(out: &mut String, name: &str, label: &str, help: &str, family: &Family) {
    head(out, name, "counter", help);
    for (word, count) in family.all() {
        let _ = writeln!(out, "portcullis_{name}{{{label}=\"{word}\"}} {count}");
    }
}

fn histogram(out: &mut String, name: &str, label: &str, times: &Histogram) {
    let (braced, comma) = if label.is_empty() { (String::new(), "") } else { (format!("{{{label}}}"), ",") };
    for (bound, count) in SECONDS.iter().zip(&times.buckets) {
        let _ = writeln!(out, "portcullis_{name}_bucket{{{label}{comma}le=\"{bound}\"}} {count}");
    }
    let _ = writeln!(out, "portcullis_{name}_bucket{{{label}{comma}le=\"+Inf\"}} {}", times.count);
    let _ = writeln!(out, "portcullis_{name}_sum{braced} {}", seconds(times.micros));
    let _ = writeln!(out, "portcullis_{name}_count{braced} {}", times.count);
}

fn seconds(micros: u64) -> String {
    (micros as f64 / 1e6).to_string()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP portcullis_{name} {help}");
    let _ = writeln!(out, "# TYPE portcullis_{name} {kind}");
}
