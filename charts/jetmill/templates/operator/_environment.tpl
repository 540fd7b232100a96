{{- /* The settings of the operator (docs/operator.md), for it and for the hook that cleans up. */ -}}
{{- define "jetmill.operatorEnv" -}}
- name: JETMILL_NATS_URL
  value: {{ include "jetmill.natsUrl" . | quote }}
- name: JETMILL_WORKER_NATS_URL
  value: {{ include "jetmill.workerUrl" . | quote }}
{{- with include "jetmill.operatorSecret" . }}
- name: JETMILL_NATS_USER
  valueFrom: {secretKeyRef: {name: {{ . }}, key: user}}
- name: JETMILL_NATS_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}
- name: JETMILL_NATS_INBOX_PREFIX
  valueFrom: {secretKeyRef: {name: {{ . }}, key: inboxPrefix}}
{{- end }}
{{- if and (or .Values.nats.enabled .Values.nats.accounts) .Values.namespaces }}
- name: JETMILL_NATS_ACCOUNTS
  value: {{ include "jetmill.namespaceNames" . | quote }}
{{- end }}
{{- with include "jetmill.secretNamespaces" . }}
- name: JETMILL_WORKER_SECRET
  value: {{ include "jetmill.fullname" $ }}-nats-worker
- name: JETMILL_SECRET_NAMESPACES
  value: {{ . | quote }}
{{- end }}
- name: JETMILL_STREAM_REPLICAS
  value: {{ ternary .Values.nats.replicas .Values.nats.streamReplicas .Values.nats.enabled | quote }}
- name: JETMILL_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: JETMILL_POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: JETMILL_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: JETMILL_LEASE_NAME
  value: {{ include "jetmill.fullname" . }}-operator
- name: JETMILL_LEASE_SECONDS
  value: {{ .Values.operator.lease.seconds | quote }}
- name: JETMILL_RENEW_SECONDS
  value: {{ .Values.operator.lease.renewSeconds | quote }}
- name: JETMILL_RETRY_SECONDS
  value: {{ .Values.operator.lease.retrySeconds | quote }}
- name: JETMILL_SENTINEL_SECONDS
  value: {{ .Values.operator.sentinelSeconds | quote }}
- name: JETMILL_HEALTH_PORT
  value: "8081"
- name: JETMILL_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: JETMILL_LOG_FORMAT
  value: {{ .Values.operator.logFormat | quote }}
{{- with .Values.operator.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "jetmill.namespaceNames" -}}
{{- $names := list -}}
{{- range .Values.namespaces -}}{{- $names = append $names .name -}}{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- /* Where pods go. Call with (dict "root" $ "part" "operator" "values" .Values.operator). */ -}}
{{- define "jetmill.placement" -}}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
{{ toYaml .values.topologySpreadConstraints | indent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "jetmill.selector" . | nindent 8 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
