{{/* The pod template of all workloads: "root", and "component" in StatefulSets. */}}
{{- define "smtp-tls-exporter.pod" -}}
{{- $root := .root -}}
{{- with .root -}}
{{- $labels := include "smtp-tls-exporter.selectorLabels" . | fromYaml -}}
{{- if $.component }}{{ $_ := set $labels "app.kubernetes.io/component" $.component }}{{ end -}}
{{- $annotations := deepCopy .Values.podAnnotations -}}
{{- /* What the exporter does not reload. The rest of the arguments is in the template itself. */ -}}
{{- if not (include "smtp-tls-exporter.reloads" .) -}}
{{- $_ := set $annotations "checksum/config" (list (include "smtp-tls-exporter.config" .) .Values.secretConfig | toJson | sha256sum) -}}
{{- end -}}
{{- if include "smtp-tls-exporter.hasWebConfig" . -}}
{{- $_ := set $annotations "checksum/web-config-scheme" (include "smtp-tls-exporter.scheme" . | sha256sum) -}}
{{- end -}}
metadata:
  labels:
    {{- toYaml (mergeOverwrite (dict) .Values.commonLabels .Values.podLabels $labels) | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "smtp-tls-exporter.serviceAccountName" . | quote }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
  enableServiceLinks: false
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.dnsPolicy | default (.Values.hostNetwork | ternary "ClusterFirstWithHostNet" "") }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $constraint := hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" $labels)) .) }}
    - {{ toYaml $constraint | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- include "smtp-tls-exporter.containers" (dict "root" $root "containers" .) | trim | nindent 4 }}
  {{- end }}
  containers:
    - name: smtp-tls-exporter
      image: {{ include "smtp-tls-exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "smtp-tls-exporter.args" . | nindent 8 }}
      {{- with .Values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.containerPort }}
          protocol: TCP
      {{- range $name, $values := dict "livenessProbe" .Values.livenessProbe "readinessProbe" .Values.readinessProbe "startupProbe" .Values.startupProbe }}
      {{- if $values.enabled }}
      {{ $name }}:
        {{- include "smtp-tls-exporter.probe" (dict "root" $root "name" $name "values" $values) | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # Folders, not single files: the kubelet does not update a file that is mounted with a sub-path.
      volumeMounts:
        {{- include "smtp-tls-exporter.volumeMounts" . | nindent 8 }}
    {{- with .Values.extraContainers }}
    {{- include "smtp-tls-exporter.containers" (dict "root" $root "containers" .) | trim | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "smtp-tls-exporter.volumes" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* "true" if the exporter reloads a changed configuration by itself. */}}
{{- define "smtp-tls-exporter.reloads" -}}
{{- if ne (include "smtp-tls-exporter.milliseconds" .Values.autoReloadInterval) "0" }}true{{ end -}}
{{- end -}}

{{/* Additional containers. Those without a securityContext get that of the exporter. */}}
{{- define "smtp-tls-exporter.containers" -}}
{{- range .containers }}
{{- $container := hasKey . "securityContext" | ternary . (merge (dict "securityContext" $.root.Values.securityContext) .) }}
- {{ toYaml $container | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "smtp-tls-exporter.args" -}}
- --config.file=/etc/smtp-tls-exporter/config/config.yaml
{{- if include "smtp-tls-exporter.reloads" . }}
- --config.auto-reload-interval={{ .Values.autoReloadInterval }}
{{- end }}
- --web.listen-address=:{{ .Values.containerPort }}
{{- if ne .Values.web.telemetryPath "/metrics" }}
- {{ printf "--web.telemetry-path=%s" .Values.web.telemetryPath | quote }}
{{- end }}
{{- if include "smtp-tls-exporter.hasWebConfig" . }}
- --web.config.file=/etc/smtp-tls-exporter/web/webconfig.yaml
{{- end }}
{{- if .Values.web.enableLifecycle }}
- --web.enable-lifecycle
{{- end }}
{{- with .Values.web.externalUrl }}
- {{ printf "--web.external-url=%s" . | quote }}
{{- end }}
{{- with .Values.web.routePrefix }}
- {{ printf "--web.route-prefix=%s" . | quote }}
{{- end }}
{{- with include "smtp-tls-exporter.allowedHosts" . }}
- {{ printf "--web.allowed-hosts=%s" . | quote }}
{{- end }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
{{- if gt (int .Values.shards) 1 }}
- --shard=from-hostname
- --total-shards={{ int .Values.shards }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A probe of the kubelet: "root", "name" and "values". Health checks need no password, and are allowed with any host. */}}
{{- define "smtp-tls-exporter.probe" -}}
{{- $values := omit .values "enabled" -}}
{{- if not (or .values.httpGet .values.tcpSocket .values.exec .values.grpc) -}}
{{- if include "smtp-tls-exporter.requiresClientCertificate" .root -}}
{{- $_ := set $values "tcpSocket" (dict "port" "http") -}}
{{- else -}}
{{- $path := eq .name "readinessProbe" | ternary "/-/ready" "/-/healthy" -}}
{{- $_ := set $values "httpGet" (dict
    "path" (print (include "smtp-tls-exporter.prefix" .root) $path)
    "port" "http"
    "scheme" (include "smtp-tls-exporter.scheme" .root | upper)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $values -}}
{{- end -}}

{{- define "smtp-tls-exporter.volumeMounts" -}}
- name: config
  mountPath: /etc/smtp-tls-exporter/config
  readOnly: true
{{- if .Values.targetFiles }}
- name: targets
  mountPath: /etc/smtp-tls-exporter/targets
  readOnly: true
{{- end }}
{{- range $at, $name := .Values.targetFilesExistingConfigMaps }}
- name: target-files-{{ $at }}
  mountPath: /etc/smtp-tls-exporter/target-files/{{ $name }}
  readOnly: true
{{- end }}
{{- if include "smtp-tls-exporter.hasWebConfig" . }}
- name: web-config
  mountPath: /etc/smtp-tls-exporter/web
  readOnly: true
{{- end }}
{{- range concat .Values.extraSecretMounts .Values.extraConfigMapMounts }}
- name: {{ .name | quote }}
  mountPath: {{ .mountPath | default (printf "/etc/smtp-tls-exporter/%s" .name) }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "smtp-tls-exporter.volumes" -}}
{{- $fullname := include "smtp-tls-exporter.fullname" . -}}
- name: config
  {{- if or .Values.configExistingSecret .Values.secretConfig }}
  secret:
    secretName: {{ .Values.configExistingSecret | default (printf "%s-config" $fullname) | quote }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .Values.configExistingConfigMap | default (printf "%s-config" $fullname) | quote }}
  {{- end }}
{{- if .Values.targetFiles }}
- name: targets
  configMap:
    name: {{ $fullname }}-targets
{{- end }}
{{- range $at, $name := .Values.targetFilesExistingConfigMaps }}
- name: target-files-{{ $at }}
  configMap:
    name: {{ $name | quote }}
{{- end }}
{{- if include "smtp-tls-exporter.hasWebConfig" . }}
- name: web-config
  secret:
    secretName: {{ .Values.webConfigExistingSecret | default (printf "%s-web" $fullname) | quote }}
    defaultMode: 0440
{{- end }}
{{- range .Values.extraSecretMounts }}
- name: {{ .name | quote }}
  secret:
    secretName: {{ .secretName | quote }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- range .Values.extraConfigMapMounts }}
- name: {{ .name | quote }}
  configMap:
    name: {{ .configMap | quote }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
