//! Advice on small fleets, word for word.

use std::sync::Arc;
use std::time::Duration;

use smtp_fleet::Extension;
use smtp_fleet::forge::{Ca, Forge, Key, Kind, Name};

use super::*;
use crate::observation::{LookupFailure, LookupReport};
use crate::reason::{LookupReason, ProbeReason, SkipReason, Stage};
use crate::snapshot::fixture::{Court, Set, between, leaf, name, now, past, unnamed, with_shared};
use crate::snapshot::{BackendReport, Held};
use crate::target::{MxTarget, Policy, Target, TargetKind, TlsMode};
use crate::verdict::Certificate;
use crate::verdict::certificate::hex;

mod facts;

/// All advice, a line each: severity, kind, backends in brackets, text.
#[track_caller]
fn check(report: &TargetReport, expected: &[&str]) {
    let found: Vec<String> = advise(report, now()).iter().map(line).collect();
    assert_eq!(found, expected, "\n{}", found.join("\n"));
}

/// The text of the only advice of a kind.
#[track_caller]
fn check_text(report: &TargetReport, kind: AdviceKind, expected: &str) {
    let found: Vec<_> = advise(report, now()).into_iter().filter(|advice| advice.kind == kind).collect();
    let texts: Vec<&str> = found.iter().map(|advice| advice.text.as_str()).collect();
    assert_eq!(texts, [expected]);
}

fn line(advice: &Advice) -> String {
    let places: Vec<String> = advice.backends.iter().map(|backend| backend.address.to_string()).collect();
    format!("{} {} [{}] {}", advice.severity, advice.kind, places.join(" "), advice.text)
}

/// Three backends, `mail` on all, `smtp` on one.
fn classic(court: &Court, set: &Set) -> TargetReport {
    let (good, bad) = (leaf(&["smtp.example.com", "mail.example.com"]), leaf(&["mail.example.com"]));
    set.report(vec![
        set.shows(court, "192.0.2.10", &court.chain(&good)),
        set.shows(court, "192.0.2.11", &court.chain(&bad)),
        set.shows(court, "192.0.2.12", &court.chain(&bad)),
    ])
}

const ALL: &[&str] = &["192.0.2.10", "192.0.2.11", "192.0.2.12"];
const LACK: &str = "critical reissue [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12 lack smtp.example.com, they \
                    present mail.example.com: have their certificates reissued with smtp.example.com added to the names \
                    they have.";
const QUEUED: &str = "info queued_mail [] After a change from smtp.example.com to another name, mail already queued keeps \
                      the old name: purge or requeue, then test again and watch.";
const USE_MAIL: &str = "info use_shared_name [192.0.2.10 192.0.2.11 192.0.2.12] Let clients use mail.example.com: valid on \
                        all 3 and resolves to them.";

#[test]
fn the_classic_case() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let report = with_shared(classic(&court, &set), &[("mail.example.com", Some(ALL))]);
    check(&report, &[LACK, USE_MAIL, QUEUED]);
    let advice = advise(&report, now());
    let reissue = advice.first().expect("a reissue");
    assert_eq!(reissue.clients.map(|clients| clients.dotnet.texts[0]), Some("RemoteCertificateNameMismatch"));
    let leaf = |place: usize| hex(&report.endpoints[0].backends[place].leaf().expect("a leaf").fingerprint());
    let expected = format!(
        "Subject: 192.0.2.11 and 192.0.2.12: certificate without smtp.example.com\n\
         \n\
         Clients that connect to smtp.example.com on port 587 (STARTTLS) reach these servers:\n\
         \n\
         192.0.2.11:587, seen on 2026-05-31 23:59 UTC\n\
         \u{20} certificate (SHA-256): {}\n\
         \u{20} names: mail.example.com\n\
         \u{20} issuer: CN=Example Intermediate\n\
         \u{20} valid: 2026-05-01 00:00 UTC to 2026-09-01 00:00 UTC\n\
         192.0.2.12:587, seen on 2026-05-31 23:59 UTC\n\
         \u{20} certificate (SHA-256): {}\n\
         \u{20} names: mail.example.com\n\
         \u{20} issuer: CN=Example Intermediate\n\
         \u{20} valid: 2026-05-01 00:00 UTC to 2026-09-01 00:00 UTC\n\
         \n\
         The certificate does not carry smtp.example.com. The certificate lists other names.\n\
         Clients report:\n\
         \u{20} .NET/MailKit: RemoteCertificateNameMismatch\n\
         \u{20} OpenSSL: verify error:num=62:hostname mismatch\n\
         \u{20} Postfix: server certificate verification failed for <server>: num=62:hostname mismatch\n\
         \u{20} Go: x509: certificate is valid for <presented>, not <name>\n\
         \n\
         Please: have the certificate reissued with the subject alternative names that it has, and add smtp.example.com; \
         then reload the server.\n\
         \n\
         To check it afterwards:\n\
         \u{20} openssl s_client -connect 192.0.2.11:587 -starttls smtp -servername smtp.example.com -verify_hostname smtp.example.com\n\
         \u{20} openssl s_client -connect 192.0.2.12:587 -starttls smtp -servername smtp.example.com -verify_hostname smtp.example.com\n\
         It must show the certificate, and say: Verify return code: 0 (ok)\n\
         (with -CAfile and the root's file, where the root is a private one)\n",
        leaf(1),
        leaf(2)
    );
    assert_eq!(reissue.request.as_deref(), Some(expected.as_str()));
}

#[test]
fn shared_names_lead_where_they_lead() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let report = classic(&court, &set);
    let astray = |leads: &str| {
        format!(
            "info shared_name_elsewhere [192.0.2.10 192.0.2.11 192.0.2.12] mail.example.com is valid on all 3, but {leads}."
        )
    };
    let told = |addresses: Option<&[&str]>, leads: &str| {
        let report = with_shared(report.clone(), &[("mail.example.com", addresses)]);
        check(&report, &[LACK, &astray(leads), QUEUED]);
    };
    told(
        Some(&["192.0.2.10", "192.0.2.11"]),
        "resolves to 192.0.2.10 and 192.0.2.11 only: give it records for 192.0.2.12, too, then let clients use it",
    );
    told(
        Some(&["192.0.2.10", "198.51.100.7"]),
        "resolves also to 198.51.100.7, where smtp.example.com does not: let clients use it only once it leads to the same \
         addresses",
    );
    told(
        Some(&["198.51.100.7"]),
        "resolves to 198.51.100.7, where smtp.example.com does not: let clients use it only once it leads to the same \
         addresses",
    );
    told(
        Some(&[]),
        "has no address: give it records for 192.0.2.10, 192.0.2.11 and 192.0.2.12, then let clients use it",
    );
    let unknown = "whether it resolves to them and nowhere else is not known: look that up before clients use it";
    told(None, unknown);
    // Not looked up yet.
    check(&report, &[LACK, &astray(unknown), QUEUED]);
}

#[test]
fn valid_is_said_of_valid_chains_only() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let good = court.chain(&leaf(&["smtp.example.com", "mail.example.com"]));
    let expired = between(leaf(&["mail.example.com"]), "20260101000000Z", "20260501000000Z");
    let shows = |address, chain: &[_]| set.shows(&court, address, chain);
    let two = |second: BackendReport| {
        let report = set.report(vec![shows("192.0.2.10", &good), second]);
        with_shared(report, &[("mail.example.com", Some(&["192.0.2.10", "192.0.2.11"]))])
    };
    let bad = court.chain(&leaf(&["mail.example.com"]));
    let use_mail = |text: &str, report: &TargetReport| check_text(report, AdviceKind::UseSharedName, text);
    use_mail("Let clients use mail.example.com: valid on both and resolves to them.", &two(shows("192.0.2.11", &bad)));
    use_mail(
        "The certificates of both carry mail.example.com, and it resolves to them; but the chain of 192.0.2.11 is not \
         valid. Mend that, then let clients use mail.example.com.",
        &two(shows("192.0.2.11", &court.chain(&expired))),
    );
    let mut unproved = shows("192.0.2.11", &bad);
    if let Some(held) = &mut unproved.held {
        held.assessment.proof = None;
    }
    use_mail(
        "The certificates of both carry mail.example.com, and it resolves to them; but whether the chain of 192.0.2.11 is \
         valid is not known. Mend that, then let clients use mail.example.com.",
        &two(unproved),
    );
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 192.0.2.11 (as last seen at 2026-05-31 22:59 \
         UTC) cannot be probed now.",
        &two(past(shows("192.0.2.11", &bad))),
    );
    let several = shows("192.0.2.11", &bad);
    let held = several.held.clone().map(|held| Held { distinct: 2, ..held });
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 192.0.2.11 showed more than one certificate \
         lately, of which one was looked at for this.",
        &two(BackendReport { held, ..several }),
    );
    let mut capped = two(shows("192.0.2.11", &bad));
    capped.endpoints[0].skipped = vec![(SkipReason::Cap, 2)];
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 2 more addresses of smtp.example.com are not \
         probed, and nothing is known of what is there.",
        &capped,
    );
    let alone = set.report(vec![shows("192.0.2.11", &bad), unnamed(shows("192.0.2.10", &good))]);
    let alone = with_shared(alone, &[("mail.example.com", Some(&["192.0.2.11"]))]);
    use_mail("Let clients use mail.example.com: valid on 192.0.2.11 and resolves to it.", &alone);
}

#[test]
fn one_backend_costs_redundancy() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let shows = |address, names: &[&str]| set.shows(&court, address, &court.chain(&leaf(names)));
    let one = shows("192.0.2.10", &["smtp.example.com", "mx1.example.com"]);
    let two = shows("192.0.2.11", &["mx2.example.com"]);
    let end = "Until the certificates are reissued, clients can use mx1.example.com, which is valid on 192.0.2.10, if it \
               resolves to that and nowhere else. All mail then depends on this one server: redundancy is lost.";
    let use_one = |backends: Vec<BackendReport>, why: &str| {
        check_text(&set.report(backends), AdviceKind::UseBackendName, &format!("{why} {end}"));
    };
    use_one(vec![one.clone(), two.clone()], "No name was found that all backends carry.");
    let unknown =
        "Whether all backends carry a name in common is not known, since no certificate of 192.0.2.12 could be read.";
    use_one(vec![one.clone(), two.clone(), set.fresh("192.0.2.12")], unknown);
    let refused = set.fails("192.0.2.12", Stage::Connect, ProbeReason::Refused, "");
    use_one(vec![one.clone(), two.clone(), refused], unknown);
    // One that fails now is no way out.
    let report = set.report(vec![past(one), past(two)]);
    assert!(advise(&report, now()).iter().all(|advice| advice.kind != AdviceKind::UseBackendName));
}

#[test]
fn mismatches_are_told_by_their_reason() {
    let court = Court::new();
    let told = |server_name: &str, forges: &[(&str, Forge)], expected: &[&str]| {
        let set = Set::of(server_name);
        let shows = |(address, forge): &(&str, Forge)| set.shows(&court, address, &court.chain(forge));
        let report = set.report(forges.iter().map(shows).collect());
        let found: Vec<String> = advise(&report, now())
            .iter()
            .filter(|advice| {
                use AdviceKind::{IpReference, Reissue, WildcardDepth};
                matches!(advice.kind, Reissue | WildcardDepth | IpReference)
            })
            .map(line)
            .collect();
        assert_eq!(found, expected, "\n{}", found.join("\n"));
    };
    told(
        "smtp.example.com",
        &[("192.0.2.11", leaf(&["mail.example.com"])), ("192.0.2.12", leaf(&["a.test", "b.test", "192.0.2.12"]))],
        &["critical reissue [192.0.2.11 192.0.2.12] 192.0.2.11 (mail.example.com) and 192.0.2.12 (a.test, b.test and \
           192.0.2.12) lack smtp.example.com, they present the names in parentheses: have their certificates reissued with \
           smtp.example.com added to the names they have."],
    );
    told(
        "a.smtp.example.com",
        &[("192.0.2.11", leaf(&["*.example.com"]))],
        &[
            "critical reissue [192.0.2.11] 192.0.2.11 lacks a.smtp.example.com, it presents *.example.com: have its \
             certificate reissued with a.smtp.example.com added to the names it has.",
            "info wildcard_depth [192.0.2.11] *.example.com on 192.0.2.11 stands for exactly one label (RFC 9525 §6.3): it \
             covers names such as mail.example.com, not a.smtp.example.com, which lies 2 labels below example.com. Have \
             a.smtp.example.com or *.smtp.example.com added, or let clients use a name one label below example.com that \
             leads there.",
        ],
    );
    told(
        "example.com",
        &[("192.0.2.11", leaf(&["*.example.com"]))],
        &[
            "critical reissue [192.0.2.11] 192.0.2.11 lacks example.com, it presents *.example.com: have its certificate \
             reissued with example.com added to the names it has.",
            "info wildcard_depth [192.0.2.11] *.example.com on 192.0.2.11 stands for exactly one label (RFC 9525 §6.3): it \
             covers names such as mail.example.com, not example.com, which has no label before example.com. Have \
             example.com added, or let clients use a name one label below example.com that leads there.",
        ],
    );
    let common = leaf(&[]).common_name("smtp.example.com");
    let bare = common.without(&Extension::alternative_names(&[]));
    let none = leaf(&[]).without(&Extension::alternative_names(&[]));
    told(
        "smtp.example.com",
        &[
            ("192.0.2.11", bare),
            ("192.0.2.12", leaf(&["mail.example.com"]).common_name("smtp.example.com")),
            ("192.0.2.13", none),
        ],
        &[
            "critical reissue [192.0.2.12] 192.0.2.12 has smtp.example.com as common name only, which clients read no longer \
             (RFC 9525 §2): have its certificate reissued with smtp.example.com as a subject alternative name.",
            "critical reissue [192.0.2.13] 192.0.2.13 presents a certificate without any DNS name: have its certificate \
             reissued with smtp.example.com as a subject alternative name.",
            "warning reissue [192.0.2.11] 192.0.2.11 has smtp.example.com as common name only, which clients read no longer \
             (RFC 9525 §2): have its certificate reissued with smtp.example.com as a subject alternative name.",
        ],
    );
    told(
        "192.0.2.11",
        &[("192.0.2.11", leaf(&["mail.example.com"]))],
        &["critical ip_reference [192.0.2.11] 192.0.2.11 does not carry 192.0.2.11 as an IP address, it presents \
           mail.example.com: let clients use a DNS name, or have its certificate reissued with the address as a subject \
           alternative name of its own."],
    );
}

#[test]
fn chains_are_told_by_their_reason() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let good = leaf(&["smtp.example.com"]);
    let full = set.shows(&court, "192.0.2.10", &court.chain(&good));
    let only = |chain: &[_], expected: &str| {
        check(&set.report(vec![full.clone(), set.shows(&court, "192.0.2.11", chain)]), &[expected]);
    };
    let intermediate = Certificate::new(court.intermediate.der());
    only(
        &[court.intermediate.issue(&good, &court.key)],
        &format!(
            "critical missing_intermediate [192.0.2.11] 192.0.2.11: the intermediate CN=Example Intermediate (SHA-256 {}) is \
             not sent, though a path needs it. Append the missing certificate after the server's own in the file that it \
             presents (Postfix `smtpd_tls_chain_files`, Exim `tls_certificate`), and reload the server.",
            hex(&intermediate.fingerprint())
        ),
    );
    only(
        &[good.sign_itself(&court.key)],
        "critical self_signed [192.0.2.11] 192.0.2.11: the certificate is signed with its own key, so that clients have no \
         reason to trust it. Have a CA that clients trust issue one for smtp.example.com; if it is meant to be like this, \
         give the certificate to the clients. Where it is to be trusted here as well, name it in `trust_stores`.",
    );
    let stranger = between(Forge::authority("Stranger"), "20200101000000Z", "20400101000000Z");
    let stranger = Ca::root(&stranger, &Key::generate(Kind::P256));
    only(
        &[stranger.issue(&good, &court.key), stranger.der()],
        "critical unknown_issuer [192.0.2.11] 192.0.2.11: no path leads from the certificate, issued by CN=Stranger, to a \
         root of the trust store `test`. Present a certificate of a CA that clients trust; if this is a private CA's, give its root to the clients. Where that root is to be trusted here as well, name it in `trust_stores`.",
    );
    only(
        &[stranger.issue(&good, &court.key)],
        "critical unknown_issuer [192.0.2.11] 192.0.2.11: no path leads from the certificate, issued by CN=Stranger, to a \
         root of the trust store `test`. Send the CA's intermediates along with the certificate, which comes alone; if that \
         is not it, present a certificate of a CA that clients trust; if this is a private CA's, give its root to the clients. Where that root is to be trusted here as well, name it in `trust_stores`.",
    );
    let forged = good.sign(&court.key, &Name::common("Example Intermediate"), &court.key);
    only(
        &[forged, court.intermediate.der()],
        "critical bad_chain [192.0.2.11] 192.0.2.11: a signature in the chain was not made with its issuer's key. Present \
         the chain as the CA gives it, the server's certificate first.",
    );
    let old = between(Forge::authority("Old"), "20200101000000Z", "20260101000000Z");
    let old = court.root.sub(&old, &Key::generate(Kind::P256));
    only(
        &[old.issue(&good, &court.key), old.der()],
        &format!(
            "critical expired [192.0.2.11] 192.0.2.11: the intermediate CN=Old (SHA-256 {}) has expired; replace it by the \
             CA's current one in the file that the server presents, and reload the server.",
            hex(&Certificate::new(old.der()).fingerprint())
        ),
    );
    only(
        &court.chain(&good.with(Extension::must_staple())),
        "warning staple [192.0.2.11] 192.0.2.11: the certificate demands a stapled OCSP response (RFC 7633), and none is \
         sent. Switch stapling on, or have the certificate issued anew without that demand where the server cannot staple.",
    );
}

#[test]
fn times_are_told() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let valid =
        |from, until| set.shows(&court, "192.0.2.11", &court.chain(&between(leaf(&["smtp.example.com"]), from, until)));
    let only = |backend: BackendReport, expected: &[&str]| check(&set.report(vec![backend]), expected);
    only(valid("20260501000000Z", "20260615000000Z"), &[]);
    only(
        valid("20260101000000Z", "20260531000000Z"),
        &[
            "critical expired [192.0.2.11] The certificate of 192.0.2.11 expired 24 hours ago, on 2026-05-31 00:00 UTC: renew \
           what has expired, and reload the server; where that happens by itself, see why it did not.",
        ],
    );
    only(
        past(valid("20260101000000Z", "20260529000000Z")),
        &[
            "critical unreachable [192.0.2.11] 192.0.2.11: nothing answers on port 587 in time. See whether the server is up \
             and a firewall drops the connection, or stop sending clients to this address.",
            "critical expired [192.0.2.11] The certificate of 192.0.2.11 (as last seen at 2026-05-31 22:59 UTC) expired 3 \
             days ago, on 2026-05-29 00:00 UTC: renew what has expired, and reload the server; where that happens by itself, \
             see why it did not.",
        ],
    );
    only(
        valid("20260101000000Z", "20260607000000Z"),
        &[
            "warning expires_soon [192.0.2.11] The certificate of 192.0.2.11 expires in 6 days, on 2026-06-07 00:00 UTC: renew \
           and reload in time; where that happens by itself, see why it has not.",
        ],
    );
    only(
        valid("20260527000000Z", "20260602000000Z"),
        &[
            "warning expires_soon [192.0.2.11] The certificate of 192.0.2.11 expires in 24 hours, on 2026-06-02 00:00 UTC with \
           less than a fifth of 6 days left: renew and reload in time; where that happens by itself, see why it has not.",
        ],
    );
    only(valid("20260529000000Z", "20260604000000Z"), &[]);
    only(
        valid("20260601000700Z", "20260901000000Z"),
        &[
            "critical clock [192.0.2.11] The certificate of 192.0.2.11 begins only in 7 minutes, on 2026-06-01 00:07 UTC: a \
           clock is wrong, this machine's or that of whoever issued it; check both against NTP. If they are right, clients \
           have to wait that long.",
        ],
    );
    only(
        valid("20260701000000Z", "20260901000000Z"),
        &[
            "critical not_yet_valid [192.0.2.11] The certificate of 192.0.2.11 begins only in 30 days, on 2026-07-01 00:00 UTC: \
           it is issued for later; present the one before it until then, or have one issued that is valid now.",
        ],
    );
    let ending = between(Forge::authority("Ending"), "20200101000000Z", "20260605000000Z");
    let ending = court.root.sub(&ending, &Key::generate(Kind::P256));
    let chain = [ending.issue(&leaf(&["smtp.example.com"]), &court.key), ending.der()];
    only(
        set.shows(&court, "192.0.2.11", &chain),
        &[
            "warning expires_soon [192.0.2.11] An intermediate in the chain of 192.0.2.11 expires in 4 days, on 2026-06-05 \
           00:00 UTC, before the server's own certificate: replace it by the CA's current one in the file that the server \
           presents.",
        ],
    );
}

#[test]
fn renewals_that_did_not_arrive() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let forge = |from, until| between(leaf(&["smtp.example.com"]), from, until);
    let (old, new) =
        (court.chain(&forge("20260326000000Z", "20260624000000Z")), court.chain(&leaf(&["smtp.example.com"])));
    let own = court.chain(&forge("20260415000000Z", "20260801000000Z"));
    let shows = |address, chain: &[_]| set.shows(&court, address, chain);
    let both = |chain: &[_]| set.report(vec![shows("192.0.2.10", &new), shows("192.0.2.11", chain)]);
    // A certificate of its own that is not due yet.
    check(&both(&own), &[]);
    check(
        &both(&old),
        &["info renewed_partly [192.0.2.11] 192.0.2.10 presents a renewed certificate (until 2026-09-01 00:00 UTC), \
           192.0.2.11 an older one for the same names (until 2026-06-24 00:00 UTC): renew there, too, or put the new one \
           there, and reload the server."],
    );
    let with_file = |mut report: TargetReport, file: Option<&[_]>| {
        let policy = Policy {
            certificate_file: Some(std::path::Path::new("/etc/ssl/mail.pem").into()),
            ..(*report.target.policy).clone()
        };
        report.target = Arc::new(Target { policy: Arc::new(policy), ..(*report.target).clone() });
        report.file = file
            .map(|chain: &[rustls_pki_types::CertificateDer<'static>]| Arc::new(Certificate::new(chain[0].clone())));
        report
    };
    let one = |chain: &[_]| set.report(vec![shows("192.0.2.11", chain)]);
    check(&with_file(one(&new), Some(&new)), &[]);
    check(
        &with_file(one(&old), Some(&new)),
        &[
            "warning not_reloaded [192.0.2.11] The file /etc/ssl/mail.pem holds a newer certificate (until 2026-09-01 00:00 UTC) \
           than 192.0.2.11 presents (until 2026-06-24 00:00 UTC): reload the server.",
        ],
    );
    check(
        &with_file(one(&old), Some(&court.chain(&leaf(&["mail.example.com"])))),
        &[
            "warning not_reloaded [192.0.2.11] The file /etc/ssl/mail.pem holds a newer certificate (until 2026-09-01 00:00 UTC) \
           than 192.0.2.11 presents (until 2026-06-24 00:00 UTC): reload the server. But mind that the new one lacks \
           smtp.example.com.",
        ],
    );
    check(
        &with_file(one(&new), Some(&old)),
        &[
            "warning not_reloaded [192.0.2.11] 192.0.2.11 presents another certificate than the file /etc/ssl/mail.pem holds: \
           see which file the server presents, or mend `certificate_file`.",
        ],
    );
    check(
        &with_file(one(&new), None),
        &[
            "warning file_unreadable [] `certificate_file` /etc/ssl/mail.pem cannot be read, or holds no certificate: mend the \
           file, its rights or the config.",
        ],
    );
    check(&TargetReport { last_round: None, ..with_file(one(&new), None) }, &[]);
}

#[test]
fn expected_names_that_are_missing() {
    let court = Court::new();
    let set =
        Set { expect_names: vec![name("smtp.example.com"), name("mx.example.com")], ..Set::of("smtp.example.com") };
    let report = set.report(vec![set.shows(&court, "192.0.2.11", &court.chain(&leaf(&["smtp.example.com"])))]);
    check(
        &report,
        &[
            "warning expected_name [192.0.2.11] 192.0.2.11 lacks mx.example.com, which the config expects (`expect_names`): have \
           its certificate reissued with what is missing added.",
        ],
    );
    let report = set.report(vec![set.shows(&court, "192.0.2.11", &court.chain(&leaf(&["mail.example.com"])))]);
    let request = advise(&report, now()).remove(0).request.unwrap_or_default();
    assert!(request.contains("and add smtp.example.com and mx.example.com; then"), "{request}");
}

#[test]
fn probes_that_stop() {
    let stopped = |set: &Set, stage, reason, detail: &str, expected: &str| {
        let backends =
            vec![set.fails("192.0.2.11", stage, reason, detail), set.fails("192.0.2.12", stage, reason, detail)];
        check(&set.report(backends), &[expected]);
    };
    let (starttls, implicit) = (Set::of("smtp.example.com"), Set::at("smtp.example.com", 465, TlsMode::Implicit));
    stopped(
        &starttls,
        Stage::StartTls,
        ProbeReason::StartTlsNotOffered,
        "",
        "critical starttls [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: STARTTLS is not offered on port 587, so that \
         clients which demand TLS fail, and others send in the clear. Switch it on (Postfix `smtpd_tls_security_level = \
         may`, Exim `tls_advertise_hosts = *`); if it is on, look for a firewall or proxy that takes it out.",
    );
    stopped(
        &starttls,
        Stage::StartTls,
        ProbeReason::StartTlsRefused,
        "454 4.7.0 TLS not available",
        "critical starttls [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: STARTTLS is offered, and refused when it is \
         asked for (454 4.7.0 TLS not available). See the server's log: most often it could not load its certificate or \
         key.",
    );
    stopped(
        &implicit,
        Stage::Handshake,
        ProbeReason::NotTls,
        "",
        "critical handshake [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: what port 465 says at once is not TLS. If STARTTLS is meant to be spoken there, tell clients so; else switch TLS on. The target says `tls: starttls` then.",
    );
    stopped(
        &starttls,
        Stage::Session,
        ProbeReason::ClientCertificateRequired,
        "",
        "warning handshake [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: a client certificate is demanded, so that \
         clients without one fail. If that is not meant so, let the server ask for none. If it is, give the target a `client_certificate`, and it is probed as such clients see it.",
    );
    stopped(
        &starttls,
        Stage::Greeting,
        ProbeReason::Timeout,
        "",
        "critical unreachable [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: no greeting comes on port 587, nothing comes \
         in time. See the server's log, and whether TLS is spoken at once on this port, as on 465. The target says `tls: implicit` then.",
    );
    let limited = starttls.fails("192.0.2.11", Stage::Greeting, ProbeReason::Rejected4xx, "421 too many connections");
    let probe = limited.probe.clone().map(|probe| crate::snapshot::ProbeReport { rate_limited: true, ..probe });
    check(
        &starttls.report(vec![BackendReport { probe, ..limited }, starttls.fresh("192.0.2.12")]),
        &[
            "warning rate_limited [192.0.2.11] 192.0.2.11: the server limits how often it may be asked from here (421). It is \
           probed less often until it no longer does: allow this machine there, or lengthen `interval`.",
        ],
    );
}

#[test]
fn every_stop_has_words() {
    let set = Set::of("smtp.example.com");
    for stage in Stage::ALL {
        for reason in ProbeReason::ALL {
            let advice = advise(&set.report(vec![set.fails("192.0.2.11", *stage, *reason, "detail")]), now());
            let [advice] = advice.as_slice() else { panic!("{stage} {reason}: {advice:?}") };
            assert!(!advice.text.contains("  ") && !advice.text.contains(",,"), "{}", advice.text);
            assert!(advice.request.is_some(), "{stage} {reason}");
        }
    }
}

#[test]
fn lookups_that_fail() {
    let set = Set::of("smtp.example.com");
    let failures = |types: &[&'static str], reason| -> Vec<LookupFailure> {
        let failure =
            |record_type: &&'static str| LookupFailure { name: name("smtp.example.com"), record_type, reason };
        types.iter().map(failure).collect()
    };
    let looked_up = |failures: Vec<LookupFailure>, disagree| {
        let (success, duration) = (failures.is_empty(), Duration::ZERO);
        let lookup = LookupReport { success, hosts: None, duration, failures, disagree };
        TargetReport { lookup: Some(Arc::new(lookup)), ..set.report(vec![]) }
    };
    check(
        &looked_up(failures(&["A", "AAAA"], LookupReason::NxDomain), None),
        &["critical dns [] smtp.example.com does not exist in DNS (asked for A and AAAA): mend the name, or its zone."],
    );
    check(
        &looked_up(failures(&["AAAA"], LookupReason::ServFail), Some(true)),
        &[
            "warning dns [] The resolver `system` fails on smtp.example.com (AAAA; SERVFAIL, REFUSED or the like): see to the \
             zone's servers, its delegation and its DNSSEC signatures.",
            "warning nameservers_disagree [] The name servers of the resolver `system` give different answers for relay, so \
             that clients meet different servers: compare the zone on each (its serial, first).",
        ],
    );
}

#[test]
fn a_null_mx_is_no_fault() {
    let set = Set::at("example.com", 25, TlsMode::StartTls);
    let report = TargetReport { endpoints: vec![], ..set.report(vec![]) };
    let target = Target { kind: TargetKind::Mx(MxTarget::new(name("example.com"))), ..(*report.target).clone() };
    let lookup = LookupReport {
        success: true,
        hosts: Some(0),
        duration: Duration::ZERO,
        failures: vec![],
        disagree: Some(false),
    };
    check(
        &TargetReport { target: Arc::new(target), lookup: Some(Arc::new(lookup)), ..report },
        &["info dns [] example.com says by a null MX that it takes no mail (RFC 7505): nothing is probed."],
    );
}

#[test]
fn an_address_of_several_servers_is_told_as_such() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let report = set.shows(&court, "192.0.2.11", &court.chain(&leaf(&["mail.example.com"])));
    let held = report.held.clone().map(|held| Held { distinct: 2, mismatched_samples: Some(1), ..held });
    check_text(
        &set.report(vec![BackendReport { held, ..report }]),
        AdviceKind::Reissue,
        "192.0.2.11 lacks smtp.example.com, it presents mail.example.com on 1 connection of its latest: have its certificate \
         reissued with smtp.example.com added to the names it has.",
    );
}

#[test]
fn mail_exchangers_are_named_by_records() {
    let (court, set) = (Court::new(), Set::at("mx1.example.com", 25, TlsMode::StartTls));
    let kind = TargetKind::Mx(MxTarget::new(name("example.com")));
    let bad = court.chain(&leaf(&["mail.example.com"]));
    let report = with_shared(
        set.report(vec![set.shows(&court, "192.0.2.11", &bad)]),
        &[("mail.example.com", Some(&["192.0.2.11"]))],
    );
    let other = Set::at("mx2.example.com", 25, TlsMode::StartTls);
    let mut report = TargetReport { target: Arc::new(Target { kind, ..(*report.target).clone() }), ..report };
    report.endpoints.push(other.endpoint_report(vec![other.fails(
        "192.0.2.12",
        Stage::Connect,
        ProbeReason::Refused,
        "",
    )]));
    check(
        &report,
        &[
            "critical unreachable [192.0.2.12] mx2.example.com:25: 192.0.2.12: connections to port 25 are refused. Start the \
             server, or stop sending clients to this address until it is back.",
            "warning reissue [192.0.2.11] mx1.example.com:25: 192.0.2.11 lacks mx1.example.com, it presents mail.example.com: \
             have its certificate reissued with mx1.example.com added to the names it has.",
            "info use_shared_name [192.0.2.11] mx1.example.com:25: Let the MX records of example.com use mail.example.com: \
             valid on 192.0.2.11 and resolves to it.",
        ],
    );
}

#[test]
fn commands_fit_the_endpoint() {
    let check = |set: &Set, address: &str, expected: &str| {
        assert_eq!(letter::command(&set.fresh(address).backend), format!("openssl s_client -connect {expected}"));
    };
    let named = "-servername smtp.example.com -verify_hostname smtp.example.com";
    let implicit = Set::at("smtp.example.com", 465, TlsMode::Implicit);
    check(&Set::of("smtp.example.com"), "192.0.2.11", &format!("192.0.2.11:587 -starttls smtp {named}"));
    check(&implicit, "192.0.2.11", &format!("192.0.2.11:465 {named}"));
    check(&implicit, "2001:db8::1", &format!("'[2001:db8::1]:465' {named}"));
    check(&Set::of("192.0.2.11"), "192.0.2.11", "192.0.2.11:587 -starttls smtp -noservername -verify_ip 192.0.2.11");
}

#[test]
fn hostile_fleets_are_told_in_few_printable_words() {
    let (court, set) = (Court::new(), Set::of("smtp.example.com"));
    let long: Vec<String> = (0..800).map(|n| format!("{}{n}.example.com", "x".repeat(50))).collect();
    let mut names: Vec<&str> = vec!["\u{1b}[31m<script>", "a\u{202e}b.example.com", "a\rb"];
    names.extend(long.iter().map(String::as_str));
    let forge = leaf(&names).common_name("\u{1b}]0;x\u{7}<b>\n\u{202e}");
    let backends: Vec<_> =
        (1..=24).map(|n| set.shows(&court, &format!("192.0.2.{n}"), &[forge.sign_itself(&court.key)])).collect();
    let advice = advise(&set.report(backends), now());
    assert!(advice.iter().any(|advice| advice.kind == AdviceKind::Reissue));
    for advice in &advice {
        assert!(advice.text.chars().count() <= words::MAX_TEXT + 100, "{}", advice.text.len());
        assert!(advice.backends.len() <= 24);
        let request = advice.request.as_deref().unwrap_or_default();
        assert!(request.len() < 64 * 1024, "{}", request.len());
        let lines = advice.text.chars().chain(request.chars().filter(|c| *c != '\n'));
        let odd: Vec<char> = lines.filter(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c)).collect();
        assert!(odd.is_empty(), "{odd:?} in {}", advice.text);
    }
    let reissue = advice.iter().find(|advice| advice.kind == AdviceKind::Reissue).map(|advice| advice.text.as_str());
    assert!(reissue.is_some_and(|text| text.ends_with("added to the names they have.")), "{reissue:?}");
}
