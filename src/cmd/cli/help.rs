//! Help texts that are longer than a doc comment.

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    ended by SIGTERM or SIGINT; with --config.check: the configuration is valid
  1    a failure at run time, for example a listen address that is in use
  2    invalid usage or configuration, or no usable socket of systemd
  101  a panic, which is a defect";

pub(super) const VERIFY: &str = "\
Exit codes:
  0  every name matches and the chain is valid
  1  a name does not match, or the chain is not valid
  2  invalid usage, or a file cannot be read";

pub(super) const RULES_ABOUT: &str = "\
Print alert rules for Prometheus that keep the labels of your targets.

The rules aggregate by job, cluster, namespace, the labels that you name, and the exporter's own labels. They drop all other \
labels, so that replicas of the exporter fire a single alert, whatever labels Prometheus adds to them. Labels that differ \
between replicas, such as pod and node, are refused. The rules in deploy/prometheus are those for the label team.

A file of parameters changes the selectors of scrape jobs, the names of the labels cluster and namespace, thresholds, and the URL of the runbooks. deploy/prometheus/parameters.yaml has all of them with their defaults.";

pub(super) const RULES: &str = "\
Examples:
  Keep the labels of all targets in the configuration and its target files
    smtp-tls-exporter rules --config.file=config.yaml > smtp-tls.rules.yaml
  Keep the labels team and tier
    smtp-tls-exporter rules --label=team --label=tier > smtp-tls.rules.yaml
  Change thresholds, selectors or label names
    smtp-tls-exporter rules --parameters=parameters.yaml > smtp-tls.rules.yaml

Exit codes:
  0  the rules were printed
  2  invalid usage or configuration";

pub(super) const HEALTH: &str = "\
Exit codes:
  0  the exporter is ready
  1  the exporter is not ready, does not respond, or is not trusted
  2  invalid usage, or a file that cannot be used";

pub(super) const COMPLETIONS: &str = "\
Examples:
  bash, with bash-completion
    smtp-tls-exporter completions bash > /usr/share/bash-completion/completions/smtp-tls-exporter
  zsh
    smtp-tls-exporter completions zsh > /usr/local/share/zsh/site-functions/_smtp-tls-exporter
  fish
    smtp-tls-exporter completions fish > ~/.config/fish/completions/smtp-tls-exporter.fish

Exit codes:
  0  the completions were printed
  2  invalid usage";

pub(super) const MAN: &str = "\
Examples:
  Read the man page
    smtp-tls-exporter man | man -l -
  Install all man pages
    smtp-tls-exporter man --dir=/usr/local/share/man/man1

Exit codes:
  0  the pages were printed or written
  2  invalid usage, or a file cannot be written";

pub(super) const CHECK_TARGET: &str = "\
HOST, HOST:PORT, [IPv6]:PORT, mx:DOMAIN or submission:DOMAIN; the default port of a host is 587. With --config.file, also \
the name of a configured target";

pub(super) const CHECK_ABOUT: &str = "\
Probe every backend of mail servers once, and print problems and how to fix them.

Each name is resolved, and each of its addresses is probed separately, with the name as SNI and as the name that the \
certificate must list: with STARTTLS, or with implicit TLS on port 465. The table shows for each backend whether the \
certificate matches the name, whether the chain is valid and builds to a trusted root, and when the certificate expires. \
Below are the problems, what to do about them, and the errors that mail clients report. No mail is sent.";

pub(super) const CHECK: &str = "\
Exit codes: 0 everything is ok, 1 problems found (unreachable backends included), 2 invalid usage or configuration.
With --output=nagios: 0 ok, 1 warning, 2 critical, 3 unknown.
Use --help for details and examples.";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  Check every backend behind a name
    smtp-tls-exporter check smtp.example.com
  Another port (465: implicit TLS)
    smtp-tls-exporter check smtp.example.com:465
  All servers that receive mail for a domain, and those for submission by its users
    smtp-tls-exporter check mx:example.com submission:example.com
  Hosts with loopback addresses, if `defaults` in the file have `allow_addresses`
    smtp-tls-exporter check --config.file=config.yaml mx:example.com
  A single server by address, checked against the name that clients use
    smtp-tls-exporter check 192.0.2.11:587 --name=smtp.example.com
  A private root certificate
    smtp-tls-exporter check smtp.example.com --ca-file=/etc/ssl/corp-root.pem
  All configured targets, or one of them by name
    smtp-tls-exporter check --config.file=config.yaml
    smtp-tls-exporter check --config.file=config.yaml relay
  All details for a ticket, and the certificates as files
    smtp-tls-exporter check smtp.example.com --show-certs --export=certificates > report.txt
  JSON for scripts
    smtp-tls-exporter check smtp.example.com --output=json | jq '.targets[].healthy'
  A plugin for Nagios or Icinga
    smtp-tls-exporter check smtp.example.com --output=nagios --timeout=30s

Exit codes:
  0    everything is ok
  1    problems found: an unreachable backend, a certificate that does not match the name,
       an invalid chain, a failed lookup, no backend, a target not finished in time
  2    invalid usage or configuration, or a file cannot be written
  130  interrupted

Exit codes with --output=nagios:
  0  OK
  1  WARNING: some clients fail, or a certificate expires soon
  2  CRITICAL: clients fail, or a certificate expires in a few days
  3  UNKNOWN: no result, for example because no name server answered; invalid usage or
     configuration; interrupted; help was printed";
