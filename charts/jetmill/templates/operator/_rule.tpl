{{- /* What the operator does, verb by verb. Reasons: tests/chart/test_rbac.py; held to its requests: tests/cluster/test_rights.py. */ -}}

{{- /* In every namespace that is watched. */ -}}
{{- define "jetmill.rules" -}}
- apiGroups: [jetmill.dev]
  resources: [jobs, scheduledjobs, webhooks]
  verbs: [get, list, watch]
- apiGroups: [jetmill.dev] # the finalizer
  resources: [jobs, scheduledjobs, webhooks]
  verbs: [patch]
- apiGroups: [jetmill.dev]
  resources: [jobs/status, scheduledjobs/status, webhooks/status]
  verbs: [patch]
- apiGroups: [jetmill.dev] # to own children with blockOwnerDeletion
  resources: [jobs/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
- apiGroups: [""] # patch: which pod goes first (pod-deletion-cost)
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* The copies of Secrets, by their names: create is asked by name as well, for server-side apply creates. */ -}}
{{- define "jetmill.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "jetmill.fullname" . }}-nats-worker, {{ include "jetmill.fullname" . }}-nats-producer]
  verbs: [get, create, patch]
{{- end -}}

{{- /* What the clean-up before an uninstall does, in every namespace that is watched. */ -}}
{{- define "jetmill.cleanupRules" -}}
- apiGroups: [jetmill.dev] # finalizers come off
  resources: [jobs, scheduledjobs, webhooks]
  verbs: [get, list, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [list, delete]
{{- if include "jetmill.secretNamespaces" . }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "jetmill.fullname" . }}-nats-worker, {{ include "jetmill.fullname" . }}-nats-producer]
  verbs: [get, delete]
{{- end }}
{{- end -}}
