//! PromQL, read for the names in it: which metrics, and which labels its result can have.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{
    self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use super::known::{Known, Names, Series};

/// Stands for a value that is known only when the query is made; no series has it.
pub(super) const ANY: &str = "\u{e000}";

/// What a query says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The metrics that it selects.
    pub(super) metrics: Names,
    pub(super) labels: Labels,
    pub(super) complaints: Vec<String>,
}

/// The labels that the result of an expression can have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels {
    pub(super) names: Names,
    /// Not known, because something below is not.
    pub(super) any: bool,
    /// A number.
    pub(super) is_scalar: bool,
}

impl Labels {
    pub(super) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    pub(super) fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    fn scalar() -> Self {
        Self { is_scalar: true, ..Self::default() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.any || self.names.contains(name)
    }

    fn with<'a>(&self, more: impl IntoIterator<Item = &'a String>) -> Self {
        let mut with = self.clone();
        with.names.extend(more.into_iter().cloned());
        with
    }

    fn without(&self, less: &[String]) -> Self {
        let mut without = self.clone();
        without.names.retain(|name| !less.contains(name));
        without
    }
}

/// Reads `text`; `origin` stands in complaints only where the text is no PromQL.
pub(super) fn read(text: &str, known: &Known) -> Reading {
    let mut reader = Reader { known, metrics: Names::new(), complaints: Vec::new() };
    let labels = match parser::parse(text) {
        Ok(expr) => reader.labels(&expr, Consumer::Other),
        Err(error) => {
            reader.complaints.push(format!("`{text}` is no PromQL: {error}"));
            Labels::any()
        }
    };
    Reading { metrics: reader.metrics, labels, complaints: reader.complaints }
}

/// What a matcher such as `severity="critical"` says.
pub(super) fn matcher(text: &str) -> Option<Matcher> {
    match parser::parse(&format!("x{{{text}}}")).ok()? {
        Expr::VectorSelector(selector) => selector.matchers.matchers.into_iter().next(),
        _ => None,
    }
}

/// The values of `matcher` that no series with these `words` has.
pub(super) fn strange(of: &Matcher, words: &Names) -> Vec<String> {
    let parts: Vec<&str> = match of.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![&of.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) if of.value.contains(['(', '[']) => vec![&of.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) => of.value.split('|').collect(),
    };
    let is_there = |part: &str| match of.op {
        MatchOp::Equal | MatchOp::NotEqual => words.contains(part),
        MatchOp::Re(_) | MatchOp::NotRe(_) => {
            let pattern = matcher(&format!("x=~{part:?}"));
            pattern.is_some_and(|pattern| words.iter().any(|word| pattern.is_match(word)))
        }
    };
    let strange = parts.into_iter().filter(|part| !part.is_empty() && !part.contains(ANY) && !is_there(part));
    strange.map(str::to_owned).collect()
}

/// What is done with a selector: only some of it makes sense of a counter.
#[derive(Clone, Copy, PartialEq)]
enum Consumer {
    /// `rate` and its kin.
    Rate,
    /// What asks only whether there are series.
    Presence,
    Other,
}

struct Reader<'a> {
    known: &'a Known,
    metrics: Names,
    complaints: Vec<String>,
}

impl Reader<'_> {
    fn labels(&mut self, expr: &Expr, consumer: Consumer) -> Labels {
        match expr {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call(call) => self.call(call),
            Expr::Unary(unary) => self.labels(&unary.expr, Consumer::Other),
            Expr::Paren(paren) => self.labels(&paren.expr, consumer),
            Expr::Subquery(subquery) => self.labels(&subquery.expr, consumer),
            Expr::VectorSelector(selector) => self.selector(selector, consumer),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs, consumer),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Labels::scalar(),
            Expr::Extension(_) => Labels::any(),
        }
    }

    fn selector(&mut self, selector: &VectorSelector, consumer: Consumer) -> Labels {
        let Some(name) = &selector.name else {
            self.complain("a selector without a metric".to_owned());
            return Labels::any();
        };
        self.metrics.insert(name.clone());
        let known = self.known;
        let Some(series) = known.series.get(name) else {
            self.complain(format!("no metric {name}"));
            return Labels::any();
        };
        for matcher in selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten()) {
            self.matcher(name, series, matcher);
        }
        match (series.is_counter, consumer) {
            (true, Consumer::Other) => self.complain(format!("{name} is a counter: rate or increase")),
            (false, Consumer::Rate) => self.complain(format!("{name} is no counter: neither rate nor increase")),
            _ => {}
        }
        Labels::new(series.labels.clone())
    }

    fn matcher(&mut self, name: &str, series: &Series, matcher: &Matcher) {
        if !series.labels.contains(&matcher.name) {
            self.complain(format!("{name} has no label {}", matcher.name));
        } else if let Some(words) = series.words.get(&matcher.name) {
            for word in strange(matcher, words) {
                self.complain(format!("{} of {name} is never {word}", matcher.name));
            }
        }
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Labels {
        let operator = aggregate.op.to_string();
        let counts = matches!(operator.as_str(), "count" | "group");
        let inner = self.labels(&aggregate.expr, if counts { Consumer::Presence } else { Consumer::Other });
        let mut made = Names::new();
        if let Some(parameter) = &aggregate.param {
            match &**parameter {
                Expr::StringLiteral(label) => made.extend([label.val.clone()]),
                other => drop(self.labels(other, Consumer::Other)),
            }
        }
        if let Some(modifier) = &aggregate.modifier {
            let word = if modifier.is_include() { "by" } else { "without" };
            for label in modifier.labels().labels.iter().filter(|label| !inner.has(label)) {
                self.complain(format!("{operator} {word} ({label}): nothing below has this label"));
            }
        }
        let keeps = matches!(operator.as_str(), "topk" | "bottomk" | "limitk" | "limit_ratio");
        match &aggregate.modifier {
            _ if keeps => inner,
            Some(LabelModifier::Exclude(labels)) => inner.without(&labels.labels).with(&made),
            Some(LabelModifier::Include(labels)) => Labels::default().with(&labels.labels).with(&made),
            None => Labels::new(made),
        }
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Labels {
        let left = self.labels(&binary.lhs, Consumer::Other);
        let right = self.labels(&binary.rhs, Consumer::Other);
        if left.is_scalar || right.is_scalar {
            return if left.is_scalar { right } else { left };
        }
        let operator = binary.op.to_string();
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        let (left_key, right_key) = self.keys(&operator, matching, &left, &right);
        if operator != "or" && !left.any && !right.any && left_key.names != right_key.names {
            let only = |these: &Labels, those: &Labels| {
                these.names.difference(&those.names).cloned().collect::<Vec<_>>().join(", ")
            };
            let (left, right) = (only(&left_key, &right_key), only(&right_key, &left_key));
            self.complain(format!("the sides of {operator} never match: one has [{left}], the other [{right}]"));
        }
        let card = binary.modifier.as_ref().map(|modifier| &modifier.card);
        match (operator.as_str(), card) {
            ("and" | "unless", _) => left,
            ("or", _) => Labels { any: left.any || right.any, ..left.with(&right.names) },
            (_, Some(VectorMatchCardinality::ManyToOne(more))) => self.grouped(&left, &right, &more.labels),
            (_, Some(VectorMatchCardinality::OneToMany(more))) => self.grouped(&right, &left, &more.labels),
            _ => left_key,
        }
    }

    /// The labels by which the two sides are matched.
    fn keys(
        &mut self,
        operator: &str,
        matching: Option<&LabelModifier>,
        left: &Labels,
        right: &Labels,
    ) -> (Labels, Labels) {
        match matching {
            Some(LabelModifier::Include(on)) => {
                for label in on.labels.iter().filter(|label| !left.has(label) || !right.has(label)) {
                    self.complain(format!("{operator} on ({label}): a side has no such label"));
                }
                let on = Labels::new(on.labels.iter().cloned().collect());
                (on.clone(), on)
            }
            Some(LabelModifier::Exclude(ignored)) => {
                for label in ignored.labels.iter().filter(|label| !left.has(label) && !right.has(label)) {
                    self.complain(format!("{operator} ignoring ({label}): neither side has such a label"));
                }
                (left.without(&ignored.labels), right.without(&ignored.labels))
            }
            None => (left.clone(), right.clone()),
        }
    }

    fn grouped(&mut self, many: &Labels, one: &Labels, more: &[String]) -> Labels {
        for label in more.iter().filter(|label| !one.has(label)) {
            self.complain(format!("group ({label}): the one side has no such label"));
        }
        many.with(more)
    }

    fn call(&mut self, call: &Call) -> Labels {
        let name = call.func.name;
        let consumer = match name {
            "rate" | "increase" | "irate" | "resets" => Consumer::Rate,
            "absent" | "absent_over_time" | "present_over_time" => Consumer::Presence,
            _ => Consumer::Other,
        };
        let arguments = &call.args.args;
        let text = |at: usize| match arguments.get(at).map(|argument| &**argument) {
            Some(Expr::StringLiteral(text)) => text.val.clone(),
            _ => String::new(),
        };
        let mut labels: Option<Labels> = None;
        for argument in arguments {
            let each = self.labels(argument, consumer);
            if !each.is_scalar && labels.is_none() {
                labels = Some(each);
            }
        }
        let inner = labels.unwrap_or_else(Labels::scalar);
        let (made, read): (Vec<String>, Vec<String>) = match name {
            "label_replace" => (vec![text(1)], vec![text(3)]),
            "label_join" => (vec![text(1)], (3..arguments.len()).map(text).collect()),
            "sort_by_label" | "sort_by_label_desc" => (Vec::new(), (1..arguments.len()).map(text).collect()),
            _ => (Vec::new(), Vec::new()),
        };
        for label in read.iter().filter(|label| !label.is_empty() && !inner.has(label)) {
            self.complain(format!("{name} reads the label {label}, which nothing below has"));
        }
        match name {
            "time" | "scalar" | "pi" => Labels::scalar(),
            "vector" => Labels::default(),
            "absent" | "absent_over_time" => Labels::new(arguments.first().map(|of| equals(of)).unwrap_or_default()),
            _ => inner.with(&made),
        }
    }

    fn complain(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }
}

/// The labels that a selector demands to be equal to something: what `absent` gives.
fn equals(expr: &Expr) -> Names {
    let selector = match expr {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(matrix) => &matrix.vs,
        _ => return Names::new(),
    };
    let matchers = selector.matchers.matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal);
    matchers.map(|matcher| matcher.name.clone()).collect()
}
