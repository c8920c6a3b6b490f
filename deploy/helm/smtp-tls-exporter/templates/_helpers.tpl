{{/* The value of app.kubernetes.io/name. */}}
{{- define "smtp-tls-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
The name that the names of all objects begin with. With the longest suffix it has at most 63 characters, and the name of a
StatefulSet at most 52, because Kubernetes adds a hash to it in a label. The hash keeps apart long names that begin alike.
*/}}
{{- define "smtp-tls-exporter.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name = contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) -}}
{{- end -}}
{{- $name = $name | replace "." "-" -}}
{{- if gt (len $name) 40 -}}
{{- printf "%s-%s" ($name | trunc 31 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "smtp-tls-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Selectors of workloads are immutable: these labels must not change between versions of the chart. */}}
{{- define "smtp-tls-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "smtp-tls-exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/*
The metadata of an object: "root", and if needed "suffix" of the name, or "name", "namespace", "component", "labels",
"annotations".
*/}}
{{- define "smtp-tls-exporter.metadata" -}}
{{- $own := include "smtp-tls-exporter.selectorLabels" .root | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- with .component }}{{ $_ := set $own "app.kubernetes.io/component" . }}{{ end -}}
name: {{ .name | default (list (include "smtp-tls-exporter.fullname" .root) .suffix | compact | join "-") | quote }}
namespace: {{ .namespace | default (include "smtp-tls-exporter.namespace" .root) | quote }}
labels:
  {{- toYaml (mergeOverwrite (dict) .root.Values.commonLabels (.labels | default dict) $own) | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "smtp-tls-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "smtp-tls-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "smtp-tls-exporter.image" -}}
{{- with .Values.global.imageRegistry | default .Values.image.registry }}{{ . }}/{{ end -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion -}}
{{ with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* --- values */}}

{{/*
Sets values without a value to an empty one. Helm removes keys that are null, such as a section of which all lines are comments. The
schema requires the keys whose default is not empty. All templates begin with this, because their order is not defined.
*/}}
{{- define "smtp-tls-exporter.emptyValues" -}}
{{- $maps := `
    global commonLabels config targetFiles webConfig strategy updateStrategy annotations podLabels podAnnotations resources
    podSecurityContext securityContext nodeSelector affinity dnsConfig podDisruptionBudget serviceAccount.annotations
    service.labels service.annotations ingress.labels ingress.annotations serviceMonitor.additionalLabels
    serviceMonitor.annotations serviceMonitor.tlsConfig serviceMonitor.basicAuth podMonitor.additionalLabels
    podMonitor.annotations podMonitor.tlsConfig podMonitor.basicAuth probe.additionalLabels probe.annotations probe.labels
    probe.tlsConfig probe.basicAuth prometheusRule.additionalLabels prometheusRule.annotations
    prometheusRule.additionalRuleLabels dashboards.labels dashboards.annotations
` -}}
{{- $lists := `
    imagePullSecrets targetFilesExistingConfigMaps extraSecretMounts extraConfigMapMounts web.allowedHosts tolerations
    topologySpreadConstraints extraArgs extraEnv extraEnvFrom extraVolumes extraVolumeMounts extraContainers
    extraInitContainers service.ipFamilies ingress.hosts ingress.tls networkPolicy.ingressFrom networkPolicy.extraIngress
    networkPolicy.dnsTo networkPolicy.smtpTo networkPolicy.extraEgress serviceMonitor.relabelings
    serviceMonitor.metricRelabelings podMonitor.relabelings podMonitor.metricRelabelings probe.targets
    probe.metricRelabelings prometheusRule.disabledAlerts prometheusRule.additionalGroups extraManifests
` -}}
{{- $texts := `
    nameOverride fullnameOverride namespaceOverride image.registry image.tag image.digest configExistingConfigMap
    configExistingSecret webConfigExistingSecret web.externalUrl web.routePrefix priorityClassName dnsPolicy
    serviceAccount.name service.ipFamilyPolicy ingress.className jobName serviceMonitor.namespace podMonitor.namespace
    probe.namespace probe.jobName prometheusRule.namespace dashboards.namespace
` -}}
{{- $values := .Values -}}
{{- range tuple (tuple dict $maps) (tuple list $lists) (tuple "" $texts) -}}
{{- $empty := first . -}}
{{- range regexSplit "\\s+" (last . | trim) -1 -}}
{{- $keys := splitList "." . -}}
{{- $section := $values -}}
{{- range initial $keys }}{{ $section = get $section . }}{{ end -}}
{{- if kindIs "invalid" (index $section (last $keys)) }}{{ $_ := set $section (last $keys) (deepCopy $empty) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The milliseconds of a duration, whose form the schema checks. */}}
{{- define "smtp-tls-exporter.milliseconds" -}}
{{- $units := dict "y" 31536000000 "w" 604800000 "d" 86400000 "h" 3600000 "m" 60000 "s" 1000 "ms" 1 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 -}}
{{- /* A leading 0 would make the number octal. */ -}}
{{- $number := regexReplaceAll "^0+([0-9])" (regexFind "^[0-9]+" .) "${1}" -}}
{{- $sum = add $sum (mul (int64 $number) (get $units (regexFind "[a-z]+$" .) | int64)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* --- configuration */}}

{{/* The configuration of the exporter. Target files of the chart are added to `target_files`. */}}
{{- define "smtp-tls-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $files := $config.target_files | default list -}}
{{- if or .Values.targetFiles (include "smtp-tls-exporter.hasNoTargets" .) -}}
{{- $files = append $files "/etc/smtp-tls-exporter/targets/*" -}}
{{- end -}}
{{- range .Values.targetFilesExistingConfigMaps -}}
{{- $files = append $files (printf "/etc/smtp-tls-exporter/target-files/%s/*" .) -}}
{{- end -}}
{{- if $files }}{{ $_ := set $config "target_files" $files }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* "true" if the values name no target. The exporter then gets a pattern of target files, without which it does not start. */}}
{{- define "smtp-tls-exporter.hasNoTargets" -}}
{{- $config := .Values.config -}}
{{- if not (or .Values.configExistingConfigMap .Values.configExistingSecret .Values.targetFiles
    .Values.targetFilesExistingConfigMaps $config.targets $config.target_files ($config.probe | default dict).allow) -}}
true
{{- end -}}
{{- end -}}

{{/* --- web interface */}}

{{- define "smtp-tls-exporter.hasWebConfig" -}}
{{- if or .Values.webConfig .Values.webConfigExistingSecret }}true{{ end -}}
{{- end -}}

{{/* "https" or "http". As in the exporter, TLS is on if one of these keys has a value. */}}
{{- define "smtp-tls-exporter.scheme" -}}
{{- $tls := pick (.Values.webConfig.tls_server_config | default dict)
    "cert" "cert_file" "key" "key_file" "client_ca" "client_ca_file" "client_auth_type" | values | compact -}}
{{- if .Values.webConfigExistingSecret }}{{ $tls = .Values.webConfigExistingSecretTLS }}{{ end -}}
{{- empty $tls | ternary "http" "https" -}}
{{- end -}}

{{/* "true" if connections without a client certificate are refused, such as those of the kubelet. */}}
{{- define "smtp-tls-exporter.requiresClientCertificate" -}}
{{- if .Values.webConfigExistingSecret -}}
{{- if .Values.webConfigExistingSecretClientCertificates }}true{{ end -}}
{{- else -}}
{{- $tls := .Values.webConfig.tls_server_config | default dict -}}
{{- if or $tls.client_allowed_sans (has $tls.client_auth_type (list "RequireAnyClientCert" "RequireClientCert" "RequireAndVerifyClientCert")) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* The prefix of all paths, without a slash at its end. */}}
{{- define "smtp-tls-exporter.prefix" -}}
{{- $prefix := .Values.web.routePrefix -}}
{{- if not $prefix }}{{ $prefix = regexReplaceAll "^https?://[^/]*" .Values.web.externalUrl "" }}{{ end -}}
{{- $prefix | trimAll "/" | printf "/%s" | trimSuffix "/" -}}
{{- end -}}

{{/* The hosts that requests may be sent to, comma-separated; empty if any. */}}
{{- define "smtp-tls-exporter.allowedHosts" -}}
{{- if or .Values.web.allowedHosts .Values.web.externalUrl .Values.ingress.enabled -}}
{{- $service := include "smtp-tls-exporter.fullname" . -}}
{{- $namespace := include "smtp-tls-exporter.namespace" . -}}
{{- $hosts := .Values.web.allowedHosts -}}
{{- range gt (int .Values.shards) 1 | ternary (list $service (printf "*.%s-headless" $service)) (list $service) -}}
{{- $hosts = concat $hosts (list . (printf "%s.%s" . $namespace) (printf "%s.%s.svc" . $namespace)) -}}
{{- $hosts = append $hosts (printf "%s.%s.svc.%s" . $namespace $.Values.clusterDomain) -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts }}{{ $hosts = append $hosts .host }}{{ end -}}
{{- end -}}
{{- $hosts | uniq | join "," -}}
{{- end -}}
{{- end -}}

{{/* --- monitoring */}}

{{/* The job of monitors. The default matches the selector of the alert rules: it contains smtp-tls, and not probe. */}}
{{- define "smtp-tls-exporter.jobName" -}}
{{- $name := include "smtp-tls-exporter.fullname" . -}}
{{- if .Values.jobName -}}
{{- .Values.jobName -}}
{{- else if contains "probe" $name -}}
{{- fail (printf "set jobName: the default, %s, contains \"probe\", which the alert rules take for a job that scrapes /probe" $name) -}}
{{- else if regexMatch "smtp[-_]tls" $name -}}
{{- $name -}}
{{- else -}}
{{- printf "smtp-tls-%s" $name -}}
{{- end -}}
{{- end -}}

{{/* The job of the Probe. */}}
{{- define "smtp-tls-exporter.probeJobName" -}}
{{- .Values.probe.jobName | default (printf "%s-probe" (include "smtp-tls-exporter.jobName" .)) -}}
{{- end -}}

{{/*
"true" if matchers of PromQL, of a form that the schema checks, select a job: "matchers" and "job". Only those of the label job are
evaluated. Fails if a regular expression is invalid: the engine is that of Prometheus.
*/}}
{{- define "smtp-tls-exporter.selects" -}}
{{- $selects := true -}}
{{- $job := .job -}}
{{- range regexFindAll `[a-zA-Z0-9_]+ *[=!~]+ *("([^"\\]|\\.)*"|'([^'\\]|\\.)*')` .matchers -1 -}}
{{- $operator := regexFind "[=!~]+" . -}}
{{- $text := regexReplaceAll `^[^"']*` . "" -}}
{{- if hasPrefix "'" $text -}}
{{- $text = $text | trimPrefix "'" | trimSuffix "'" | replace `\'` "'" | replace `"` `\"` | printf `"%s"` -}}
{{- end -}}
{{- /* The escape sequences of YAML are those of PromQL, except for octal ones, which are not evaluated. */ -}}
{{- $value := printf "value: %s" $text | fromYaml -}}
{{- if not $value.Error -}}
{{- $is := eq $value.value $job -}}
{{- if hasSuffix "~" $operator }}{{ $is = mustRegexMatch (printf "^(?s:%s)$" $value.value) $job }}{{ end -}}
{{- if and (regexMatch "^job *[=!]" .) (eq $is (hasPrefix "!" $operator)) }}{{ $selects = false }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $selects }}true{{ end -}}
{{- end -}}

{{/* What is wrong with the jobs of monitors: their names, which the alert rules do not select. */}}
{{- define "smtp-tls-exporter.unselectedJobs" -}}
{{- $selectors := .Values.prometheusRule.parameters.selectors -}}
{{- if or .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- $job := include "smtp-tls-exporter.jobName" . -}}
{{- if not (include "smtp-tls-exporter.selects" (dict "matchers" $selectors.exporter "job" $job)) -}}
jobName: the alert rules (selectors.exporter) do not select the job {{ $job }}
{{ end -}}
{{- end -}}
{{- if .Values.probe.enabled -}}
{{- $job := include "smtp-tls-exporter.probeJobName" . -}}
{{- if not (include "smtp-tls-exporter.selects" (dict "matchers" $selectors.probe "job" $job)) -}}
probe.jobName: the alert rules (selectors.probe) do not select the job {{ $job }}
{{ end -}}
{{- end -}}
{{- end -}}

{{/* The relabelings of a monitor: "root" and "relabelings". */}}
{{- define "smtp-tls-exporter.relabelings" -}}
{{- toYaml (prepend .relabelings (dict "targetLabel" "job" "replacement" (include "smtp-tls-exporter.jobName" .root))) -}}
{{- end -}}

{{/* The credentials of a monitor: "root", "monitor", and "key", the path of its values. */}}
{{- define "smtp-tls-exporter.access" -}}
{{- if and (eq (include "smtp-tls-exporter.scheme" .root) "https") (not .monitor.tlsConfig) -}}
{{- fail (printf "set %s.tlsConfig: the exporter serves HTTPS, and Prometheus needs the CA and the name of its certificate" .key) -}}
{{- end -}}
{{- if and .root.Values.webConfig.basic_auth_users (not .monitor.basicAuth) -}}
{{- fail (printf "set %s.basicAuth: webConfig has users, and Prometheus needs the name and the password of one" .key) -}}
{{- end -}}
{{- with .monitor.tlsConfig -}}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
