{{- /* The container, in the operator's pod or in one of its own (docs/gateway.md has its settings). */ -}}
{{- define "jetmill.gatewayContainer" -}}
{{- $gateway := .Values.gateway -}}
- name: gateway
  image: {{ include "jetmill.image" (dict "root" $ "image" .Values.operator.image) }}
  imagePullPolicy: {{ .Values.operator.image.pullPolicy }}
  command: [jetmill, gateway]
  env: {{- include "jetmill.gatewayEnv" . | nindent 4 }}
  ports:
    - {name: gateway, containerPort: 8420, protocol: TCP}
  startupProbe:
    httpGet: {path: /livez, port: gateway}
    periodSeconds: 2
    failureThreshold: 30
  livenessProbe:
    httpGet: {path: /livez, port: gateway}
    periodSeconds: 10
    timeoutSeconds: 5
  readinessProbe:
    httpGet: {path: /readyz, port: gateway}
    periodSeconds: 5
    timeoutSeconds: 5
  resources: {{- toYaml $gateway.resources | nindent 4 }}
  securityContext: {{- include "jetmill.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: gateway-tmp, mountPath: /tmp}
    - {name: gateway-lists, mountPath: /var/lib/jetmill}
    - {name: gateway-key, mountPath: /etc/jetmill/gateway, readOnly: true}
{{- end -}}

{{- define "jetmill.gatewayEnv" -}}
{{- $gateway := .Values.gateway -}}
- name: JETMILL_NATS_URL
  value: {{ include "jetmill.natsUrl" . | quote }}
{{- with include "jetmill.gatewaySecret" . }}
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
- name: JETMILL_WATCH_NAMESPACES
  value: {{ include "jetmill.gatewayNamespaces" . | quote }}
- name: JETMILL_GATEWAY_HOST
  value: "0.0.0.0"
- name: JETMILL_GATEWAY_PORT
  value: "8420"
- name: JETMILL_GATEWAY_KEY_FILE
  value: /etc/jetmill/gateway/key
- name: JETMILL_GATEWAY_PROJECTION
  value: /var/lib/jetmill/lists.db
- name: JETMILL_GATEWAY_AUDIENCES
  value: {{ join "," $gateway.audiences | quote }}
- name: JETMILL_GATEWAY_ORIGINS
  value: {{ join "," $gateway.origins | quote }}
- name: JETMILL_GATEWAY_PROXIES
  value: {{ join "," $gateway.proxies | quote }}
- name: JETMILL_GATEWAY_SESSION_SECONDS
  value: {{ $gateway.sessionSeconds | int | quote }}
- name: JETMILL_LOG_LEVEL
  value: {{ .Values.operator.logLevel | quote }}
- name: JETMILL_LOG_FORMAT
  value: {{ .Values.operator.logFormat | quote }}
{{- with $gateway.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "jetmill.gatewayVolumes" -}}
- name: gateway-tmp
  emptyDir: {sizeLimit: 256Mi}
- name: gateway-lists # built anew from the ledger wherever the pod starts
  emptyDir: {sizeLimit: {{ .Values.gateway.lists.sizeLimit }}}
- name: gateway-key
  secret:
    secretName: {{ include "jetmill.gatewayKey" . }}
    items: [{key: key, path: key}]
{{- end -}}
