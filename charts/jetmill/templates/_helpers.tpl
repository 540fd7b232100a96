{{- define "jetmill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 40 characters: the longest suffix is that of a namespace's Secret, and a name has 253, a label 63. */ -}}
{{- define "jetmill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "jetmill.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Labels that never change: what selectors look for. Call with (dict "root" $ "part" "operator"). */ -}}
{{- define "jetmill.selector" -}}
app.kubernetes.io/name: {{ include "jetmill.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "jetmill.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "jetmill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: jetmill
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Labels of pods: without versions, so that an upgrade of the chart alone restarts nothing. */ -}}
{{- define "jetmill.podLabels" -}}
{{ include "jetmill.selector" . }}
app.kubernetes.io/part-of: jetmill
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* registry/repository:tag or @digest. Call with (dict "root" $ "image" .Values.operator.image). */ -}}
{{- define "jetmill.image" -}}
{{- with .image.registry | default .root.Values.global.imageRegistry -}}{{ . }}/{{- end -}}
{{- .image.repository -}}
{{- if .image.digest -}}@{{ .image.digest }}{{- else -}}:{{ .image.tag | default .root.Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "jetmill.serviceAccount" -}}
{{- if .Values.operator.serviceAccount.create -}}
{{- .Values.operator.serviceAccount.name | default (printf "%s-operator" (include "jetmill.fullname" .)) -}}
{{- else -}}
{{- .Values.operator.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "jetmill.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "jetmill.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "jetmill.natsUrl" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "jetmill.fullname" . }}-nats.{{ .Release.Namespace }}.svc:4222
{{- else -}}
{{ .Values.nats.url }}
{{- end -}}
{{- end -}}

{{- define "jetmill.workerUrl" -}}
{{- .Values.nats.workerUrl | default (include "jetmill.natsUrl" .) -}}
{{- end -}}

{{- /* The Secret with the operator's login; empty if the external NATS wants none. */ -}}
{{- define "jetmill.operatorSecret" -}}
{{- if .Values.nats.enabled -}}
{{- .Values.nats.auth.operatorSecret | default (printf "%s-nats-operator" (include "jetmill.fullname" .)) -}}
{{- else -}}
{{- .Values.nats.existingSecret -}}
{{- end -}}
{{- end -}}

{{- /* The Secret of a namespace's worker or producer in the release's namespace; empty: there is none.
Call with (dict "root" $ "namespace" {name: shop} "part" "worker"). */ -}}
{{- define "jetmill.namespaceSecret" -}}
{{- $given := dig .part "existingSecret" "" .namespace -}}
{{- if $given -}}
{{- $given -}}
{{- else if and .root.Values.nats.enabled (not .root.Values.nats.auth.existingSecret) -}}
{{- printf "%s-nats-%s-%s" (include "jetmill.fullname" .root) .part .namespace.name -}}
{{- end -}}
{{- end -}}

{{- /* What the operator copies: "shop=jetmill-nats-worker-shop:jetmill-nats-worker,…". */ -}}
{{- define "jetmill.secretNamespaces" -}}
{{- $all := list -}}
{{- range $namespace := .Values.namespaces -}}
{{- range $part := list "worker" "producer" -}}
{{- with include "jetmill.namespaceSecret" (dict "root" $ "namespace" $namespace "part" $part) -}}
{{- $all = append $all (printf "%s=%s:%s-nats-%s" $namespace.name . (include "jetmill.fullname" $) $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join "," $all -}}
{{- end -}}

{{- /* sidecar or deployment; empty: there is no gateway, for it is switched off or there is no namespace to serve. */ -}}
{{- define "jetmill.gatewayMode" -}}
{{- if and .Values.gateway.enabled (include "jetmill.gatewayNamespaces" .) -}}{{ .Values.gateway.mode }}{{- end -}}
{{- end -}}

{{- /* The namespaces that the gateway serves: those where it has a login to NATS. */ -}}
{{- define "jetmill.gatewayNamespaces" -}}
{{- include "jetmill.namespaceNames" . | default (ternary "" (join "," .Values.watchNamespaces) .Values.nats.enabled) -}}
{{- end -}}

{{- /* The component in whose pods it runs. */ -}}
{{- define "jetmill.gatewayPart" -}}
{{- ternary "operator" "gateway" (eq (include "jetmill.gatewayMode" .) "sidecar") -}}
{{- end -}}

{{- define "jetmill.gatewayAccount" -}}
{{- if eq (include "jetmill.gatewayMode" .) "sidecar" -}}
{{- include "jetmill.serviceAccount" . -}}
{{- else if .Values.gateway.serviceAccount.create -}}
{{- .Values.gateway.serviceAccount.name | default (printf "%s-gateway" (include "jetmill.fullname" .)) -}}
{{- else -}}
{{- .Values.gateway.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- /* The Secret with its login; empty if the external NATS wants none. */ -}}
{{- define "jetmill.gatewaySecret" -}}
{{- if and .Values.nats.enabled (not .Values.nats.auth.existingSecret) -}}
{{- printf "%s-nats-gateway" (include "jetmill.fullname" .) -}}
{{- else -}}
{{- .Values.gateway.nats.existingSecret | default (include "jetmill.operatorSecret" .) -}}
{{- end -}}
{{- end -}}

{{- /* Anything if there is a dispatcher: it is switched on, and there is a namespace to serve. */ -}}
{{- define "jetmill.dispatcherEnabled" -}}
{{- if and .Values.dispatcher.enabled (include "jetmill.gatewayNamespaces" .) -}}true{{- end -}}
{{- end -}}

{{- define "jetmill.dispatcherAccount" -}}
{{- if .Values.dispatcher.serviceAccount.create -}}
{{- .Values.dispatcher.serviceAccount.name | default (printf "%s-dispatcher" (include "jetmill.fullname" .)) -}}
{{- else -}}
{{- .Values.dispatcher.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- /* The Secret with its login; empty if the external NATS wants none. */ -}}
{{- define "jetmill.dispatcherSecret" -}}
{{- if and .Values.nats.enabled (not .Values.nats.auth.existingSecret) -}}
{{- printf "%s-nats-dispatcher" (include "jetmill.fullname" .) -}}
{{- else -}}
{{- .Values.dispatcher.nats.existingSecret | default (include "jetmill.operatorSecret" .) -}}
{{- end -}}
{{- end -}}

{{- define "jetmill.gatewayKey" -}}
{{- .Values.gateway.key.existingSecret | default (printf "%s-gateway-key" (include "jetmill.fullname" .)) -}}
{{- end -}}

{{- /* Combinations that no schema can refuse. */ -}}
{{- define "jetmill.check" -}}
{{- $names := list -}}
{{- range .Values.namespaces -}}
{{- if has .name $names -}}{{- fail (printf "namespaces: %s is there twice; keep one of them" .name) -}}{{- end -}}
{{- $names = append $names .name -}}
{{- if and $.Values.watchNamespaces (not (has .name $.Values.watchNamespaces)) -}}
{{- fail (printf "namespaces: %s is not among watchNamespaces, so the operator may not go there; add it to watchNamespaces or take it off" .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.nats.enabled .Values.nats.url -}}
{{- fail "nats.enabled and nats.url exclude each other: set nats.enabled to false to use the NATS at nats.url" -}}
{{- end -}}
{{- if and .Values.nats.enabled .Values.nats.existingSecret -}}
{{- fail "nats.existingSecret is the login to an external NATS: with nats.enabled use nats.auth.existingSecret" -}}
{{- end -}}
{{- if and (not .Values.nats.enabled) (not .Values.nats.url) -}}
{{- fail "nats.url is missing: where is the external NATS? Or set nats.enabled to true" -}}
{{- end -}}
{{- if and .Values.nats.auth.existingSecret (not .Values.nats.auth.operatorSecret) -}}
{{- fail "nats.auth.operatorSecret is missing: with nats.auth.existingSecret the chart makes no login for the operator" -}}
{{- end -}}
{{- if and .Values.nats.auth.operatorSecret (not .Values.nats.auth.existingSecret) -}}
{{- fail "nats.auth.operatorSecret goes with nats.auth.existingSecret: the chart's own users have the chart's own passwords" -}}
{{- end -}}
{{- if and .Values.operator.serviceAccount.create (not .Values.rbac.create) (not .Values.operator.serviceAccount.name) -}}
{{- fail "operator.serviceAccount.name is missing: with rbac.create false somebody else binds its roles, to a name that you know" -}}
{{- end -}}
{{- range $namespace := .Values.namespaces -}}
{{- range $part := list "worker" "producer" -}}
{{- if and $.Values.nats.enabled (not $.Values.nats.auth.existingSecret) (dig $part "existingSecret" "" $namespace) -}}
{{- fail (printf "namespaces: %s.existingSecret of %s goes with nats.auth.existingSecret or an external NATS: the chart's own users have the chart's own passwords" $part $namespace.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.nats.enabled (not .Values.nats.auth.existingSecret) .Values.gateway.nats.existingSecret -}}
{{- fail "gateway.nats.existingSecret goes with nats.auth.existingSecret or an external NATS: the chart's own users have the chart's own passwords" -}}
{{- end -}}
{{- if and .Values.nats.enabled (not .Values.nats.auth.existingSecret) .Values.dispatcher.nats.existingSecret -}}
{{- fail "dispatcher.nats.existingSecret goes with nats.auth.existingSecret or an external NATS: the chart's own users have the chart's own passwords" -}}
{{- end -}}
{{- if and .Values.dispatcher.serviceAccount.create (not .Values.rbac.create) (not .Values.dispatcher.serviceAccount.name) -}}
{{- fail "dispatcher.serviceAccount.name is missing: with rbac.create false somebody else binds its roles, to a name that you know" -}}
{{- end -}}
{{- if and (eq .Values.gateway.mode "sidecar") (gt (int .Values.gateway.replicas) 1) -}}
{{- fail "gateway.replicas goes with gateway.mode deployment: as a sidecar there is one in each of operator.replicas" -}}
{{- end -}}
{{- if and .Values.gateway.ingress.enabled (not .Values.gateway.ingress.hosts) -}}
{{- fail "gateway.ingress.hosts is missing: under which names is it reached?" -}}
{{- end -}}
{{- if and (eq .Values.gateway.mode "deployment") .Values.gateway.serviceAccount.create (not .Values.rbac.create) (not .Values.gateway.serviceAccount.name) -}}
{{- fail "gateway.serviceAccount.name is missing: with rbac.create false somebody else binds its roles, to a name that you know" -}}
{{- end -}}
{{- $lease := .Values.operator.lease -}}
{{- if not (and (lt (int $lease.retrySeconds) (int $lease.renewSeconds)) (lt (int $lease.renewSeconds) (int $lease.seconds))) -}}
{{- fail "operator.lease: retrySeconds < renewSeconds < seconds must hold" -}}
{{- end -}}
{{- end -}}

{{- define "jetmill.cleanupHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "jetmill.selectorText" -}}
{{- $all := list -}}
{{- range $key, $value := include "jetmill.selector" . | fromYaml -}}
{{- $all = append $all (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $all -}}
{{- end -}}

{{- define "jetmill.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
