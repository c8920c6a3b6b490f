//! What `--help` says beyond the flags.

pub(super) const VERIFY: &str = "Exit codes: 0 all is well, 1 something is wrong with the chain or a name, \
                                 2 wrong usage or a file that cannot be read.";

pub(super) const HEALTH: &str = "Exit codes: 0 it is ready, 1 it is not, or does not answer, 2 wrong usage.";

pub(super) const CHECK_TARGET: &str = "\
What to probe: HOST, HOST:PORT, [IPv6]:PORT, mx:DOMAIN or submission:DOMAIN; the port of a host is 587 where none is given. \
With --config.file also the name of one of its targets";

pub(super) const CHECK_ABOUT: &str = "\
Probe every backend of mail servers once and tell what is wrong, and what to do about it.

A name is looked up, and every address behind it is probed on its own, with the name as SNI and as the name that the \
certificate must carry: by STARTTLS, or with TLS at once on port 465. For each backend it tells whether the name matches, \
whether the chain leads to a trusted root, and when the certificate ends; then what is wrong, what to do about it, and \
what mail clients say of it. No mail is sent.";

pub(super) const CHECK: &str = "\
Exit codes: 0 all is well, 1 something is found (a backend that cannot be reached, too), 2 wrong usage or config.
--help tells more than -h, with examples.";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  A mail failed. Is every server behind the name all right?
    smtp-tls-exporter check smtp.example.com
  Another port; 465 means TLS at once
    smtp-tls-exporter check smtp.example.com:465
  All servers that take a domain's mail; those that its users hand theirs to
    smtp-tls-exporter check mx:example.com submission:example.com
  One server by its address, held against the name that clients ask for
    smtp-tls-exporter check 192.0.2.11:587 --name=smtp.example.com
  A company's own root
    smtp-tls-exporter check smtp.example.com --ca-file=/etc/ssl/corp-root.pem
  All targets of the exporter's config, or one by its name
    smtp-tls-exporter check --config.file=config.yaml
    smtp-tls-exporter check --config.file=config.yaml relay
  For a ticket: everything, and the certificates as files
    smtp-tls-exporter check smtp.example.com --show-certs --export=certificates > findings.txt
  For programs
    smtp-tls-exporter check smtp.example.com --output=json | jq '.targets[].healthy'

Exit codes:
  0  all is well
  1  something is found: a backend that cannot be reached or lacks the name, a chain that is not
     trusted or not valid now, a lookup that fails, no backend at all, a target that was not finished
  2  wrong usage, a config that cannot be used, or a file that cannot be written";
