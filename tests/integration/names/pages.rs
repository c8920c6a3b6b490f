//! Pages in Markdown: their blocks, tables, code spans and prose.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeWithOffset};
use smtp_tls_exporter::client_errors;
use smtp_tls_exporter::reason::ChainReason;

use super::known::{Known, Names};
use super::{Complaints, config, query, words};

/// Complains of a page.
pub(super) fn check(text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    let mut table = Table::default();
    let mut block: Option<String> = None;
    let mut link = String::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    for (event, range) in TextMergeWithOffset::new(events) {
        let line = text[..range.start].matches('\n').count() + 1;
        let place = format!("line {line}");
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => block = Some(language.into_string()),
            Event::End(TagEnd::CodeBlock) => block = None,
            Event::Start(Tag::Link { dest_url, .. }) => link = dest_url.into_string(),
            Event::End(TagEnd::Link) => link.clear(),
            Event::Start(Tag::Table(_)) => table = Table::default(),
            Event::Start(Tag::TableRow) => {
                table.column = 0;
                table.alert.clear();
            }
            Event::End(TagEnd::TableHead) => table.is_head = false,
            Event::End(TagEnd::Table) => table = Table::default(),
            Event::End(TagEnd::TableCell) => table.column += 1,
            Event::Text(code) if block.is_some() => {
                check_block(line, block.as_deref().unwrap_or_default(), &code, known, complaints);
            }
            Event::Text(text) => {
                table.head(&text);
                check_severities(&place, &text, &mut table, known, complaints);
                words::prose(&place, &text, known, complaints);
            }
            Event::Code(code) => {
                table.head(&code);
                match table.heading() {
                    Some("reason" | "verdict") if !known.is_reason(&code) => {
                        complaints.one(&place, format!("no reason {code}"));
                    }
                    Some(heading) if is_client(heading) => {}
                    // A file.
                    _ if *code == *link => {}
                    _ => words::span(&place, &code, known, complaints),
                }
            }
            _ => {}
        }
    }
}

/// Where in a table we are.
struct Table {
    headings: Vec<String>,
    is_head: bool,
    column: usize,
    /// What stands in the row's column of alerts.
    alert: String,
}

impl Default for Table {
    fn default() -> Self {
        Self { headings: Vec::new(), is_head: true, column: 0, alert: String::new() }
    }
}

impl Table {
    fn head(&mut self, text: &str) {
        if self.is_head {
            self.headings.resize(self.column + 1, String::new());
            if let Some(heading) = self.headings.last_mut() {
                heading.push_str(text);
            }
        }
    }

    /// What stands above the cell.
    fn heading(&self) -> Option<&str> {
        self.headings.get(self.column).filter(|_| !self.is_head).map(String::as_str)
    }
}

/// In a table of alerts, their severities are those of the rules.
fn check_severities(place: &str, text: &str, table: &mut Table, known: &Known, complaints: &mut Complaints<'_>) {
    match table.heading() {
        Some("alert") => text.clone_into(&mut table.alert),
        Some("severity") => {
            let told: Names = text.split(", ").map(str::to_owned).collect();
            if let Some(alert) = known.alerts.get(&table.alert).filter(|alert| alert.severities != told) {
                let severities = alert.severities.iter().cloned().collect::<Vec<_>>().join(", ");
                complaints.one(place, format!("{} is {severities}, not {text}", table.alert));
            }
        }
        _ => {}
    }
}

/// Whether a column has the words of another program.
fn is_client(heading: &str) -> bool {
    client_errors::for_chain(ChainReason::Expired).clients().iter().any(|(client, _)| *client == heading)
}

/// A block that begins at `line`.
fn check_block(line: usize, language: &str, code: &str, known: &Known, complaints: &mut Complaints<'_>) {
    let lines = || code.lines().enumerate().map(|(at, text)| (format!("line {}", line + at), text));
    match language {
        // A query a line.
        "promql" => lines().filter(|(_, expr)| !expr.is_empty()).for_each(|(place, expr)| {
            complaints.all(&place, query::read(expr, known).complaints);
        }),
        "sh" => {
            let mut command = String::new();
            for (place, line) in lines() {
                match line.strip_suffix('\\') {
                    Some(start) => command.push_str(start),
                    None => words::commands(&place, &(std::mem::take(&mut command) + line), complaints),
                }
            }
        }
        "yaml" => config::check_part(&format!("line {line}"), code, complaints),
        _ => {}
    }
}
