//! Name constraints (RFC 5280 §4.2.1.10) of CA certificates. Only checked for a path that does not verify: webpki may
//! have stopped there before it checked them.

use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

use super::budget::Budget;

/// Whether one of `names` violates `constraints`. As in webpki, a name of a kind that is constrained but not supported
/// does. What exceeds the budget is not compared.
pub(super) fn are_violated<'n>(
    constraints: &NameConstraints<'_>,
    mut names: impl Iterator<Item = &'n GeneralName<'n>>,
    budget: &Budget,
) -> bool {
    type Matches = fn(&GeneralName<'_>, &GeneralName<'_>) -> bool;
    let is_in = |name: &GeneralName<'_>, subtrees: &Option<Vec<GeneralSubtree<'_>>>, matches: Matches| {
        let subtrees = subtrees.iter().flatten().take_while(|subtree| budget.spend(cost(name) + cost(&subtree.base)));
        let of_kind = subtrees.filter(|subtree| same_kind(name, &subtree.base));
        of_kind.map(|subtree| matches(name, &subtree.base)).reduce(|any, matches| any || matches)
    };
    names.any(|name| {
        let is_supported = matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
        let permitted = is_in(name, &constraints.permitted_subtrees, is_within);
        let excluded =
            is_in(name, &constraints.excluded_subtrees, |name, base| is_within(name, base) || covers(name, base));
        // The subtrees that were not compared may permit the name.
        let is_not_permitted = permitted == Some(false) && !budget.is_exhausted();
        match (permitted, excluded) {
            (None, None) => false,
            _ if !is_supported => true,
            (_, excluded) => is_not_permitted || excluded == Some(true),
        }
    })
}

/// The cost of comparing this name with another one.
fn cost(name: &GeneralName<'_>) -> usize {
    let length = if let GeneralName::DNSName(name) = name { name.len() } else { 0 };
    COMPARISON + length
}

fn same_kind(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    std::mem::discriminant(name) == std::mem::discriminant(base)
}

fn is_within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => is_dns_within(name, base),
        (GeneralName::IPAddress(address), GeneralName::IPAddress(base)) => is_ip_within(address, base),
        _ => false,
    }
}

/// Whether `name` is `base` or a subdomain of it. A base that begins with a dot, which RFC 5280 does not define but
/// some roots have, matches subdomains only.
fn is_dns_within(name: &str, base: &str) -> bool {
    let split = name.len().checked_sub(base.len()).and_then(|at| name.split_at_checked(at));
    split.is_some_and(|(before, end)| {
        let is_whole_label = before.is_empty() || base.is_empty() || base.starts_with('.') || before.ends_with('.');
        is_whole_label && end.eq_ignore_ascii_case(base)
    })
}

/// Whether the wildcard `name` matches `base`.
fn covers(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    let (GeneralName::DNSName(name), GeneralName::DNSName(base)) = (name, base) else { return false };
    let parent = name.strip_prefix("*.");
    parent.zip(base.split_once('.')).is_some_and(|(parent, (_, above))| parent.eq_ignore_ascii_case(above))
}

/// `base` is an address followed by a mask of the same length.
fn is_ip_within(address: &[u8], base: &[u8]) -> bool {
    let Some((network, mask)) = base.split_at_checked(address.len()).filter(|(_, mask)| mask.len() == address.len())
    else {
        return false;
    };
    address.iter().zip(network).zip(mask).all(|((address, network), mask)| address & mask == network & mask)
}

const COMPARISON: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn subtrees<'a>(bases: &[GeneralName<'a>]) -> Option<Vec<GeneralSubtree<'a>>> {
        let subtrees: Vec<_> = bases.iter().map(|base| GeneralSubtree { base: base.clone() }).collect();
        (!subtrees.is_empty()).then_some(subtrees)
    }

    #[track_caller]
    fn check(permitted: &[GeneralName<'_>], excluded: &[GeneralName<'_>], name: GeneralName<'_>, is_violated: bool) {
        let constraints =
            NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) };
        assert_eq!(are_violated(&constraints, std::iter::once(&name), &Budget::default()), is_violated);
    }

    #[test]
    fn checks_permitted_and_excluded_subtrees() {
        use GeneralName::{DNSName, IPAddress, URI};
        let example = &[DNSName("example.com")];
        let network = &[IPAddress(&[192, 0, 2, 0, 255, 255, 255, 0])];
        check(example, &[], DNSName("example.com"), false);
        check(example, &[], DNSName("SMTP.example.COM"), false);
        check(example, &[], DNSName("badexample.com"), true);
        check(example, &[], DNSName("example.net"), true);
        check(&[DNSName(".example.com")], &[], DNSName("smtp.example.com"), false);
        check(&[DNSName(".example.com")], &[], DNSName("example.com"), true);
        check(&[DNSName("")], &[], DNSName("example.com"), false);
        check(&[], &[DNSName("")], DNSName("example.com"), true);
        check(&[], example, DNSName("smtp.example.com"), true);
        check(&[], example, DNSName("example.net"), false);
        check(&[DNSName("example.com"), DNSName("example.net")], &[], DNSName("example.net"), false);
        check(example, example, DNSName("example.com"), true);
        check(example, &[], DNSName("*.example.com"), false);
        check(&[], &[DNSName("smtp.example.com")], DNSName("*.example.com"), true);
        check(&[], &[DNSName("smtp.example.com")], DNSName("*.example.net"), false);
        check(network, &[], IPAddress(&[192, 0, 2, 7]), false);
        check(network, &[], IPAddress(&[192, 0, 3, 7]), true);
        check(network, &[], IPAddress(&[0; 16]), true);
        check(&[], network, IPAddress(&[192, 0, 2, 7]), true);
        // Other kinds of names: not constrained, or constrained and not supported.
        check(example, &[], IPAddress(&[192, 0, 2, 7]), false);
        check(example, &[], URI("https://example.net"), false);
        check(&[URI("example.com")], &[], URI("https://example.com"), true);
        check(&[], &[URI("example.net")], URI("https://example.com"), true);
    }

    #[test]
    fn stops_when_the_budget_is_spent() {
        let bases = vec![GeneralName::DNSName("a"); 10_000];
        let constraints = NameConstraints { permitted_subtrees: subtrees(&bases), excluded_subtrees: None };
        let names = vec![GeneralName::DNSName("a"); 1_000];
        let budget = Budget::default();
        assert!(!are_violated(&constraints, names.iter(), &budget));
        assert!(budget.is_exhausted());
    }
}
