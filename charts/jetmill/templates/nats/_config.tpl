{{- /* What a restart takes to change. Users and routes are files beside it, read again while the server runs. */ -}}
{{- define "jetmill.natsConfig" -}}
server_name: $POD_NAME
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
pid_file: /run/nats/nats.pid
max_payload: 1MB
{{- if gt (int .Values.nats.replicas) 1 }}
lame_duck_grace_period: 5s
lame_duck_duration: 30s
{{- end }}
jetstream {
  store_dir: /data
  {{- with .Values.nats.syncInterval | default (ternary "always" "" (eq (int .Values.nats.replicas) 1)) }}
  sync_interval: {{ . }}
  {{- end }}
  max_memory_store: {{ .Values.nats.maxMemoryStore }}
  {{- if .Values.nats.persistence.enabled }}
  max_file_store: {{ .Values.nats.persistence.size }}
  {{- end }}
}
include "users.conf"
{{- if gt (int .Values.nats.replicas) 1 }}
include "cluster.conf"
{{- end }}
{{- with .Values.nats.extraConfig }}
{{ . }}
{{- end }}
{{- end -}}

{{- /* An account for each namespace: whatever a login of `shop` names, the streams of others are not there. JetStream's API
names a stream in one token, so subjects alone cannot tell the queues of one namespace from those of another.
Call with (dict "root" $ "passwords" {...}). */ -}}
{{- define "jetmill.natsUsers" -}}
{{- $passwords := .passwords -}}
{{- $gateway := include "jetmill.gatewayMode" .root -}}
{{- $dispatcher := include "jetmill.dispatcherEnabled" .root -}}
accounts {
  jetmill {
    jetstream: enabled
    users: [
      {user: "operator", password: {{ $passwords.operator | quote }}, permissions: {
        {{- include "jetmill.permission.operator" (dict "namespace" "*") | nindent 8 }}
      }}
      {{- if $gateway }}
      # It only knocks here: what it serves has accounts.
      {user: "gateway", password: {{ $passwords.gateway | quote }}, permissions: {
        publish: {allow: ["$SYS.REQ.USER.INFO"]}
        subscribe: {allow: ["_INBOX_gateway.>"]}
      }}
      {{- end }}
      {{- if $dispatcher }}
      # The same.
      {user: "dispatcher", password: {{ $passwords.dispatcher | quote }}, permissions: {
        publish: {allow: ["$SYS.REQ.USER.INFO"]}
        subscribe: {allow: ["_INBOX_dispatcher.>"]}
      }}
      {{- end }}
    ]
  }
  {{- range .root.Values.namespaces }}
  "ns-{{ .name }}" {
    jetstream: enabled
    users: [
      {user: "operator-{{ .name }}", password: {{ $passwords.operator | quote }}, permissions: {
        {{- include "jetmill.permission.operator" (dict "namespace" .name) | nindent 8 }}
      }}
      {{- if $gateway }}
      {user: "gateway-{{ .name }}", password: {{ $passwords.gateway | quote }}, permissions: {
        {{- include "jetmill.permission.gateway" (dict "namespace" .name) | nindent 8 }}
      }}
      {{- end }}
      {{- if $dispatcher }}
      {user: "dispatcher-{{ .name }}", password: {{ $passwords.dispatcher | quote }}, permissions: {
        {{- include "jetmill.permission.dispatcher" (dict "namespace" .name) | nindent 8 }}
      }}
      {{- end }}
      {user: "worker-{{ .name }}", password: {{ index $passwords (printf "worker-%s" .name) | quote }}, permissions: {
        {{- include "jetmill.permission.worker" (dict "namespace" .name) | nindent 8 }}
      }}
      {user: "producer-{{ .name }}", password: {{ index $passwords (printf "producer-%s" .name) | quote }}, permissions: {
        {{- include "jetmill.permission.producer" (dict "namespace" .name) | nindent 8 }}
      }}
    ]
  }
  {{- end }}
}
{{- end -}}

{{- define "jetmill.natsCluster" -}}
{{- $name := include "jetmill.fullname" .root -}}
cluster {
  name: {{ $name }}
  listen: "0.0.0.0:6222"
  authorization {user: "route", password: {{ .password | quote }}, timeout: 5}
  routes: [
    {{- range $number := until (int .root.Values.nats.replicas) }}
    "nats://route:{{ $.password }}@{{ $name }}-nats-{{ $number }}.{{ $name }}-nats-headless.{{ $.root.Release.Namespace }}.svc:6222"
    {{- end }}
  ]
}
{{- end -}}
