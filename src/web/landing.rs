//! The page at `/`: what is watched, in numbers, and where to go from there.

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use crate::snapshot::{Fleet, TargetReport};

use super::metrics::Counts;

/// The page as HTML without styles or scripts. `links` are paths with their texts.
pub(super) fn page(fleet: &Fleet, links: &[(String, &str)], now: SystemTime) -> String {
    let mut html = String::with_capacity(4096);
    // Writing to a String cannot fail.
    let _ = write_page(&mut html, fleet, links, now);
    html
}

fn write_page(html: &mut String, fleet: &Fleet, links: &[(String, &str)], now: SystemTime) -> fmt::Result {
    html.push_str(HEAD);
    html.push_str("<ul>\n");
    for (path, text) in links {
        writeln!(html, "<li><a href=\"{}\">{}</a></li>", Escaped(path), Escaped(text))?;
    }
    writeln!(html, "</ul>\n<p>{}</p>", Counted(fleet.targets.len(), "target"))?;
    html.push_str("<ul>\n");
    for target in fleet.targets.iter().take(MAX_TARGETS) {
        writeln!(html, "<li>{}</li>", Line(target, now))?;
    }
    html.push_str("</ul>\n");
    if let Some(more @ 1..) = fleet.targets.len().checked_sub(MAX_TARGETS) {
        writeln!(html, "<p>and {}</p>", Counted(more, "more target"))?;
    }
    html.push_str("</body>\n</html>\n");
    Ok(())
}

/// What a target comes to.
struct Line<'a>(&'a TargetReport, SystemTime);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report, now) = self;
        let mut counts = Counts::default();
        for endpoint in &report.endpoints {
            counts.add(endpoint, *now);
        }
        let Counts { resolved, reachable, matched, mismatched, chain_valid } = counts;
        write!(
            f,
            "{}: {}, {reachable} reachable, ",
            Escaped(report.target.name.as_str()),
            Counted(resolved, "backend")
        )?;
        write!(f, "hostname matched by {matched} and mismatched by {mismatched}, chain valid on {chain_valid}")
    }
}

/// A number and what is counted.
struct Counted(usize, &'static str);

impl Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Text that is safe between tags and in quoted attributes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<title>smtp-tls-exporter</title>
</head>
<body>
<h1>smtp-tls-exporter</h1>
<p>The TLS certificate of every backend behind an SMTP name.</p>
";
/// Targets that are listed.
const MAX_TARGETS: usize = 1000;
