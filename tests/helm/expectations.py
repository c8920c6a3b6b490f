"""What the values of each case cause, which values are refused, and which changes replace pods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import facts
from helm import rendered

Json = dict[str, Any]


# --- what the values of a case must cause


def at(value: Any, path: str) -> Any:
    """Parts of a path are keys, indexes, and `key=value` for the item of a list that has it."""
    for part in path.split(" "):
        if isinstance(value, list) and "=" in part:
            key, _, wanted = part.partition("=")
            value = next((each for each in value if str(each.get(key)) == wanted), None)
        elif isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def expectation_errors(objects: list[Json], path: str, expected: Any) -> Iterator[str]:
    found = at(objects, path)
    if isinstance(expected, re.Pattern):
        is_equal = bool(expected.search(found if isinstance(found, str) else json.dumps(found)))
    else:
        is_equal = found == expected
    if not is_equal:
        yield f"expected {expected}, got {found}"


_POD = "kind=Deployment spec template spec"
_CONTAINER = f"{_POD} containers 0"
_SET = "kind=StatefulSet spec"
LABELS = {"app.kubernetes.io/name": "smtp-tls-exporter", "app.kubernetes.io/instance": "mail"}
EXPECTED: dict[str, dict[str, Any]] = {
    "default": {
        # Selectors are immutable: a change would break upgrades.
        "kind=Deployment spec selector": {"matchLabels": LABELS},
        "kind=Deployment spec replicas": 1,
        f"{_CONTAINER} livenessProbe httpGet": {"path": "/-/healthy", "port": "http", "scheme": "HTTP"},
        f"{_CONTAINER} readinessProbe httpGet": {"path": "/-/ready", "port": "http", "scheme": "HTTP"},
        f"{_CONTAINER} startupProbe": None,
        f"{_CONTAINER} image": re.compile(r"^smtp-tls-exporter:\d+\.\d+\.\d+$"),
        f"{_CONTAINER} args": re.compile(r"--config.auto-reload-interval=30s"),
        f"{_POD} dnsPolicy": None,
        "kind=Deployment spec template metadata annotations": None,
        "kind=NetworkPolicy": None, "kind=Ingress": None, "kind=PodDisruptionBudget": None, "kind=PrometheusRule": None,
        "kind=ServiceMonitor": None, "kind=PodMonitor": None, "kind=Probe": None, "kind=StatefulSet": None, "kind=Secret": None,
    },
    "basic-auth": {
        f"{_CONTAINER} livenessProbe httpGet scheme": "HTTP",
        f"{_CONTAINER} args": re.compile(r"--web.config.file=/etc/smtp-tls-exporter/web/webconfig.yaml"),
        "kind=Secret stringData webconfig.yaml": re.compile(r"basic_auth_users:\n  prometheus: \$2b"),
        "kind=ServiceMonitor spec endpoints 0 scheme": "http",
        "kind=ServiceMonitor spec endpoints 0 basicAuth username name": "smtp-tls-exporter-user",
    },
    "tls": {
        f"{_CONTAINER} livenessProbe httpGet": {"path": "/smtp/-/healthy", "port": "http", "scheme": "HTTPS"},
        f"{_CONTAINER} readinessProbe httpGet": {"path": "/smtp/-/ready", "port": "http", "scheme": "HTTPS"},
        f"{_CONTAINER} args": re.compile(
            r"--web.allowed-hosts=exporter.example.net,mail-smtp-tls-exporter,mail-smtp-tls-exporter.mail-monitoring,"
            r"mail-smtp-tls-exporter.mail-monitoring.svc,mail-smtp-tls-exporter.mail-monitoring.svc.cluster.local\""
        ),
        "kind=PodMonitor spec podMetricsEndpoints 0 scheme": "https",
        "kind=PodMonitor spec podMetricsEndpoints 0 path": "/smtp/metrics",
        "kind=Service spec ports 0 appProtocol": "https",
    },
    "mtls": {
        f"{_CONTAINER} livenessProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} readinessProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} startupProbe tcpSocket": {"port": "http"},
        f"{_CONTAINER} livenessProbe httpGet": None,
        "kind=ServiceMonitor spec endpoints 0 tlsConfig keySecret name": "prometheus-client",
    },
    "shards": {
        f"{_SET} replicas": 3,
        f"{_SET} selector matchLabels": {**LABELS, "app.kubernetes.io/component": "replica-0"},
        f"{_SET} template spec containers 0 args": re.compile(r'"--shard=from-hostname", "--total-shards=3"'),
        "kind=StatefulSet metadata name": "mail-smtp-tls-exporter",
        "kind=Deployment": None,
    },
    "shards-replicas": {
        "kind=StatefulSet metadata name": "mail-smtp-tls-exporter",
        f"{_SET} template spec topologySpreadConstraints 0 labelSelector matchLabels": {
            **LABELS, "app.kubernetes.io/component": "replica-0",
        },
        f"{_SET} template metadata annotations": re.compile("checksum/config"),
    },
    "existing": {
        "kind=ConfigMap": None, "kind=Secret": None, "kind=ServiceAccount": None,
        f"{_POD} serviceAccountName": "mail",
        f"{_POD} volumes name=config secret secretName": "mail-config",
        f"{_POD} volumes name=web-config secret secretName": "mail-web",
        f"{_POD} volumes name=target-files-1 configMap name": "team-b",
        f"{_CONTAINER} livenessProbe tcpSocket": {"port": "http"},
    },
    "secret": {
        "kind=Secret metadata name": "mail-smtp-tls-exporter-config",
        "kind=Secret stringData config.yaml": re.compile(
            r"target_files:\n- /etc/smtp-tls-exporter/targets/\*\n- /etc/smtp-tls-exporter/target-files/other-team/\*"
        ),
        "kind=ConfigMap data discovered.json": re.compile("smtp.example.net:465"),
        f"{_POD} volumes name=client secret secretName": "probe-client-certificate",
        f"{_POD} volumes name=ca configMap items 0": {"key": "root.pem", "path": "ca.crt"},
        f"{_CONTAINER} volumeMounts name=client mountPath": "/etc/smtp-tls-exporter/client",
    },
    "monitors": {
        "kind=ServiceMonitor metadata namespace": "monitoring",
        "kind=ServiceMonitor metadata labels release": "kube-prometheus-stack",
        "kind=ServiceMonitor spec endpoints 0 relabelings 0": {"targetLabel": "job", "replacement": "mail/smtp_tls"},
        "kind=ServiceMonitor spec endpoints 0 relabelings 1 targetLabel": "k8s_cluster",
        "kind=ServiceMonitor spec sampleLimit": 100000,
        "kind=Probe spec jobName": "mail/smtp_tls-probe",
        "kind=Probe spec prober": {
            "url": "mail-smtp-tls-exporter.mail-monitoring.svc:10465", "path": "/probe", "scheme": "http",
        },
        "kind=PrometheusRule metadata namespace": "monitoring",
        "kind=PrometheusRule spec groups": re.compile(
            r'^(?!.*"alert": "SmtpTls(CertificatesDiffer|BackendFlapping)")(?=.*30 \* 86400)(?=.*"alert": "MailQueueGrows").*'
            r'"environment": "production"'
        ),
        "kind=ConfigMap data config.yaml": re.compile("^probe:"),
    },
    "everything": {
        f"{_CONTAINER} image": re.compile(r"^registry.example.net/mail/smtp-tls-exporter:v0.1.0@sha256:e3b0"),
        f"{_CONTAINER} args": re.compile(
            r"--web.telemetry-path=/smtp-metrics.*--web.enable-lifecycle.*--web.route-prefix=/smtp.*status.example.net.*--log.level"
            r"=debug.*--log.format=json.*:8081"
        ),
        f"{_CONTAINER} readinessProbe exec command 1": "health",
        f"{_CONTAINER} livenessProbe httpGet path": "/smtp/-/healthy",
        f"{_POD} dnsPolicy": "ClusterFirstWithHostNet",
        f"{_POD} topologySpreadConstraints 1 labelSelector": {"matchLabels": {"app.kubernetes.io/name": "smtp-tls"}},
        f"{_POD} containers 1 securityContext capabilities drop": ["ALL"],
        f"{_POD} initContainers 0 securityContext readOnlyRootFilesystem": True,
        f"{_POD} serviceAccountName": "mail-exporter",
        "kind=ServiceAccount metadata name": "mail-exporter",
        "kind=Deployment spec strategy": {"type": "Recreate"},
        "kind=Service spec ports 0": {
            "name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http", "nodePort": 30465,
        },
        "kind=Service spec ipFamilies": ["IPv6", "IPv4"],
        "kind=ServiceMonitor spec endpoints 0 path": "/smtp/smtp-metrics",
        "kind=Ingress spec rules 0 http paths 0 path": "/smtp",
        "kind=Ingress spec rules 1 http paths 0 path": "/smtp/",
        "kind=NetworkPolicy spec ingress 0": {
            "ports": [{"port": "http", "protocol": "TCP"}],
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
        "kind=NetworkPolicy spec egress 1 ports": [{"port": 25, "protocol": "TCP"}, {"port": 587, "protocol": "TCP"}],
        "kind=PodDisruptionBudget spec minAvailable": 1,
        "kind=Deployment metadata labels example.com/cost-center": "42",
        "kind=Deployment spec template metadata labels example.com/cost-center": "42",
        "kind=ConfigMap metadata name": re.compile("^mail-smtp-tls-"),
    },
}


# --- further values that are accepted, and what they cause

_SELECTORS = "prometheusRule: {enabled: true, parameters: {selectors: {exporter: 'job=~\"mail|a\",env=\"b\"', probe: 'job=\"b\"'}}}"
ACCEPTED: dict[str, tuple[str, str, Any]] = {
    "client certificates by the other name": (
        "webConfig: {tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireClientCert}}",
        f"{_CONTAINER} livenessProbe", {"failureThreshold": 6, "periodSeconds": 10, "tcpSocket": {"port": "http"}, "timeoutSeconds": 5},
    ),
    "an Ingress for all names of a domain": (
        "ingress: {enabled: true, hosts: [{host: '*.example.com'}]}", f"{_CONTAINER} args", re.compile(r",\*\.example\.com\""),
    ),
    "allowed hosts": (
        "web: {allowedHosts: ['*', '*.a_b.test:1', 'a:65535', '[::1]:80', 192.0.2.1, A.]}",
        f"{_CONTAINER} args", re.compile(r"=\*,\*\.a_b\.test:1,a:65535,\[::1\]:80,192\.0\.2\.1,A\.,mail"),
    ),
    "the hosts of shards": (
        "{web: {allowedHosts: [a]}, shards: 2, clusterDomain: k8s.test}", f"{_SET} template spec containers 0 args",
        re.compile(r"\*\.mail-smtp-tls-exporter-headless\.mail-monitoring\.svc\.k8s\.test"),
    ),
    "an escape in the path of the URL": (
        "web: {externalUrl: 'https://a.test:1/%61/'}", f"{_CONTAINER} livenessProbe httpGet path", "/%61/-/healthy",
    ),
    "an external URL with an address": (
        "web: {externalUrl: 'http://[::1]:8080'}", f"{_CONTAINER} livenessProbe httpGet path", "/-/healthy",
    ),
    "no reloads, in other units": ("autoReloadInterval: 0m", f"{_CONTAINER} args", re.compile(r"^(?!.*auto-reload)")),
    "no reloads, without a unit": ("autoReloadInterval: '0'", f"{_CONTAINER} args", re.compile(r"^(?!.*auto-reload)")),
    "an interval of several units": ("autoReloadInterval: 1m08s", f"{_CONTAINER} args", re.compile(r"interval=1m08s")),
    "the longest interval": ("autoReloadInterval: 1d", f"{_CONTAINER} args", re.compile(r"interval=1d")),
    "another strategy": ("strategy: {type: Recreate}", "kind=Deployment spec strategy", {"type": "Recreate"}),
    "a rolling update of another size": (
        "strategy: {rollingUpdate: {maxSurge: 0}}", "kind=Deployment spec strategy rollingUpdate", {"maxSurge": 0, "maxUnavailable": 0},
    ),
    "jobs that other selectors select": (
        f"{{jobName: mail, serviceMonitor: {{enabled: true}}, {_SELECTORS}}}",
        "kind=ServiceMonitor spec endpoints 0 relabelings 0 replacement", "mail",
    ),
    "a second listener": (
        "extraArgs: ['--web.listen-address=127.0.0.1:1']", f"{_CONTAINER} args", re.compile(r"=:10465.*127\.0\.0\.1:1"),
    ),
    "a group of rules": (
        "prometheusRule: {enabled: true, additionalGroups: [{name: a, rules: []}]}",
        "kind=PrometheusRule spec groups name=a", {"name": "a", "rules": []},
    ),
}


# --- values that are refused


def refusal_errors(result: tuple[int, str, str], words: str) -> Iterator[str]:
    status, _, err = result
    if status == 0:
        yield "rendered"
    elif words not in err.replace("/", "."):
        yield f"expected {words}: {err}"


# Title: values, and a part of the error.
REFUSED: dict[str, tuple[str, str]] = {
    "an unknown key": ("replicaCount: 2", "replicaCount"),
    "an unknown key in a map": ("serviceMonitor: {enable: true}", "serviceMonitor"),
    "an unknown key of a monitor": ("serviceMonitor: {enabled: true, labels: {a: b}}", "serviceMonitor"),
    "an unknown section of the web configuration": ("webConfig: {basic_auth: {a: b}}", "webConfig"),
    "an unknown threshold": ("prometheusRule: {parameters: {thresholds: {days: 1}}}", "thresholds"),
    "text for a number": ("replicas: two", "replicas"),
    "a number for text": ("image: {tag: 1}", "image.tag"),
    "text for a list": ("extraArgs: --log.level=debug", "extraArgs"),
    "text for the configuration": ("config: 'targets: []'", "config"),
    "no shards": ("shards: 0", "shards"),
    "half a shard": ("shards: 1.5", "shards"),
    "too many shards": ("shards: 1025", "shards"),
    "a port that does not exist": ("containerPort: 65536", "containerPort"),
    "a digest without an algorithm": ("image: {digest: e3b0c442}", "image.digest"),
    "a sub-path": ("extraSecretMounts: [{name: a, secretName: a, subPath: tls.crt}]", "subPath"),
    "a mount with the name of another": ("extraSecretMounts: [{name: config, secretName: a}]", "extraSecretMounts"),
    "a mount without a Secret": ("extraSecretMounts: [{name: ca, configMap: a}]", "extraSecretMounts"),
    "an argument without dashes": ("extraArgs: [debug]", "extraArgs"),
    "an interval that is no duration": ("autoReloadInterval: 30", "autoReloadInterval"),
    "a target file that is not YAML or JSON": ("targetFiles: {a.txt: []}", "a.txt"),
    "an external URL without a scheme": ("web: {externalUrl: mail.example.net}", "externalUrl"),
    "a prefix without a slash": ("web: {routePrefix: smtp}", "routePrefix"),
    "a selector with braces": ("prometheusRule: {parameters: {selectors: {exporter: '{job=\"a\"}'}}}", "selectors"),
    "a label that differs between replicas": ("prometheusRule: {parameters: {labels: {kept: [pod]}}}", "kept"),
    "a ratio above 1": ("prometheusRule: {parameters: {thresholds: {certificate_expiring_lifetime_ratio: 25}}}", "thresholds"),
    "both limits of a disruption budget": ("podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}", "podDisruptionBudget"),
    "two configurations": ("{config: {targets: []}, configExistingSecret: a}", "set only one of config"),
    "two existing configurations": ("{configExistingConfigMap: b, configExistingSecret: a}", "set only one of config"),
    "a ConfigMap as a Secret": ("{configExistingConfigMap: b, secretConfig: true}", "secretConfig"),
    "target files that nothing names": ("{configExistingConfigMap: b, targetFiles: {a.yaml: []}}", "targetFilesInExistingConfig"),
    "two web configurations": ("{webConfig: {rate_limit: {}}, webConfigExistingSecret: a}", "set only one of webConfig"),
    "TLS of a web configuration that does not exist": ("webConfigExistingSecretTLS: true", "webConfigExistingSecret"),
    "client certificates without TLS": (
        "{webConfigExistingSecret: a, webConfigExistingSecretClientCertificates: true}", "webConfigExistingSecretTLS",
    ),
    "another interval than the exporter accepts": ("autoReloadInterval: 2d", "1s to 1d"),
    "too short an interval": ("autoReloadInterval: 999ms", "1s to 1d"),
    "units in another order": ("autoReloadInterval: 1s1m", "autoReloadInterval"),
    "a host with a path": ("web: {allowedHosts: [a/]}", "allowedHosts"),
    "a host with a port that does not exist": ("web: {allowedHosts: ['a:65536']}", "allowedHosts"),
    "a host with an asterisk inside": ("web: {allowedHosts: [a.*]}", "allowedHosts"),
    "what is below an address": ("web: {allowedHosts: ['*.192.0.2.1']}", "allowedHosts"),
    "two hosts in one text": ("web: {allowedHosts: ['a,b']}", "allowedHosts"),
    "a host of an Ingress with a port": ("ingress: {enabled: true, hosts: [{host: 'a.test:80'}]}", "ingress"),
    "the path of another endpoint": ("web: {telemetryPath: /probe/}", "telemetryPath"),
    "a reserved path": ("web: {telemetryPath: /api/metrics}", "telemetryPath"),
    "an external URL with a query": ("web: {externalUrl: 'https://a.test?x=/y'}", "externalUrl"),
    "an external URL with a user": ("web: {externalUrl: 'https://u@a.test/'}", "externalUrl"),
    "an external URL without a host": ("web: {externalUrl: 'https:///a'}", "externalUrl"),
    "an argument of another value": ("extraArgs: [--log.level=debug]", "extraArgs"),
    "a switch of another value": ("extraArgs: [--web.enable-lifecycle]", "extraArgs"),
    "a job that the rules do not select": (
        "{jobName: mail, serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}", "do not select the job mail",
    ),
    "a job of probes that the rules do not select": (
        "{probe: {enabled: true, targets: [a], jobName: smtp-tls}, prometheusRule: {enabled: true}}", "do not select the job smtp-tls",
    ),
    "a timeout above the interval": ("serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 1m}", "serviceMonitor.scrapeTimeout"),
    "two volumes with one name": (
        "{extraSecretMounts: [{name: ca, secretName: a}], extraConfigMapMounts: [{name: ca, configMap: b}]}", "the name ca",
    ),
    "a volume with the name of one of the chart": ("extraVolumes: [{name: config, emptyDir: {}}]", "the name config"),
    "two volumes in one folder": (
        "extraSecretMounts: [{name: a, secretName: a}, {name: b, secretName: b, mountPath: /etc/smtp-tls-exporter/a}]", "mounted at",
    ),
    "a group with the name of a shipped one": (
        "prometheusRule: {enabled: true, additionalGroups: [{name: smtp-tls-dns, rules: []}]}", "a group smtp-tls-dns already",
    ),
    "another severity": ("prometheusRule: {additionalRuleLabels: {severity: page}}", "additionalRuleLabels"),
    "two monitors": ("{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}", "twice"),
    "a monitor without a CA": (
        "{serviceMonitor: {enabled: true}, webConfig: {tls_server_config: {cert_file: a}}}", "set serviceMonitor.tlsConfig",
    ),
    "a monitor without a password": (
        "{podMonitor: {enabled: true}, webConfig: {basic_auth_users: {a: b}}}", "set podMonitor.basicAuth",
    ),
    "probes without a CA": (
        "{probe: {enabled: true, targets: [a]}, webConfigExistingSecret: a, webConfigExistingSecretTLS: true}",
        "set probe.tlsConfig",
    ),
    "probes without targets": ("probe: {enabled: true}", "set probe.targets"),
    "a job that the rules take for another kind": ("{fullnameOverride: smtp-tls-prober, podMonitor: {enabled: true}}", "jobName"),
    "shards in the network of the node": ("{shards: 2, hostNetwork: true}", "hostNetwork"),
    "an Ingress for all hosts": ("ingress: {enabled: true}", "ingress.hosts"),
    "an alert that does not exist": ("prometheusRule: {enabled: true, disabledAlerts: [SmtpTlsUnknown]}", "SmtpTlsUnknown"),
    "a critical threshold above the warning": (
        "prometheusRule: {enabled: true, parameters: {thresholds: {certificate_about_to_expire_days: 30}}}",
        "certificate_about_to_expire_days must be less",
    ),
}


# --- which changes replace pods


def restart_errors(before: str, after: str, restarts: bool) -> Iterator[str]:
    templates = [list(facts.pods(rendered(values=each))) for each in (before, after)]
    if (templates[0] != templates[1]) != restarts:
        yield "the pods are replaced" if not restarts else "the pods are not replaced"


_TLS = "tls_server_config: {cert_file: a, key_file: b}"
RESTARTS: dict[str, tuple[str, str, bool]] = {
    "not for another configuration": ("config: {targets: [{host: a}]}", "config: {targets: [{host: b}]}", False),
    "for another configuration without reloads": (
        "{autoReloadInterval: 0s, config: {targets: [{host: a}]}}",
        "{autoReloadInterval: 0s, config: {targets: [{host: b}]}}",
        True,
    ),
    "not for other target files": ("targetFiles: {a.yaml: []}", "targetFiles: {a.yaml: [{host: b}]}", False),
    "not for other users": ("webConfig: {basic_auth_users: {a: b}}", "webConfig: {basic_auth_users: {a: c}}", False),
    "not for another certificate": (f"webConfig: {{{_TLS}}}", f"webConfig: {{{_TLS.replace('a,', 'c,')}}}", False),
    "for TLS": ("webConfig: {basic_auth_users: {a: b}}", f"webConfig: {{basic_auth_users: {{a: b}}, {_TLS}}}", True),
    "for TLS, with health checks of your own": (
        "{webConfig: {basic_auth_users: {a: b}}, livenessProbe: &probe {tcpSocket: {port: http}}, readinessProbe: *probe}",
        f"{{webConfig: {{basic_auth_users: {{a: b}}, {_TLS}}}, livenessProbe: &probe {{tcpSocket: {{port: http}}}},"
        " readinessProbe: *probe}",
        True,
    ),
    "not for settings of TLS that do not switch it on": (
        "webConfig: {basic_auth_users: {a: b}}", "webConfig: {basic_auth_users: {a: b}, tls_server_config: {min_version: TLS13}}",
        False,
    ),
    "for client certificates": (
        f"webConfig: {{{_TLS}}}", f"webConfig: {{{_TLS.replace('}', ', client_allowed_sans: [a]}')}}}", True,
    ),
    "not for another version of HTTP": (
        f"webConfig: {{{_TLS}}}", f"webConfig: {{{_TLS}, http_server_config: {{http2: false}}}}", False,
    ),
    "not for a label of the Service": ("service: {labels: {a: b}}", "service: {labels: {a: c}}", False),
}
