{{- /* Written by `make generate` from docs/permissions.md. */ -}}

{{- define "jetmill.permission.operator" -}}
publish: {
  allow: [
    "$JS.API.>"
    "$JS.ACK.>"
    "jm.{{ .namespace }}.>"
    "$KV.>"
    "$O.>"
    "$SYS.REQ.USER.INFO"
  ]
}
subscribe: {
  allow: [
    "_INBOX_operator.>"
    "jm.{{ .namespace }}.wake.*"
    "jm.{{ .namespace }}.message.>"
  ]
}
{{- end -}}

{{- define "jetmill.permission.gateway" -}}
publish: {
  allow: [
    "jm.{{ .namespace }}.job.*"
    "jm.{{ .namespace }}.q.*.*.*"
    "jm.{{ .namespace }}.at.*.*"
    "$JS.API.STREAM.INFO.*"
    "$JS.API.STREAM.LIST"
    "$JS.API.STREAM.MSG.GET.*"
    "$JS.API.DIRECT.GET.>"
    "$JS.API.STREAM.PURGE.*"
    "$JS.API.CONSUMER.INFO.*.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_ledger.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_events.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.LIST.jm_{{ .namespace }}_events"
    "jm.{{ .namespace }}.again.*.*"
    "jm.{{ .namespace }}.dead.*.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_trace.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_trace.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_trace.*"
    "$JS.API.CONSUMER.CREATE.KV_jm_{{ .namespace }}_jobs.>"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.CONSUMER.DELETE.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.CONSUMER.CREATE.KV_jm_{{ .namespace }}_workers.>"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_workers.*"
    "$JS.API.CONSUMER.DELETE.KV_jm_{{ .namespace }}_workers.*"
    "$O.jm_{{ .namespace }}_payloads.>"
    "jm.{{ .namespace }}.event.>"
    "jm.{{ .namespace }}.wake.*"
    "jm.{{ .namespace }}.cancel.*"
    "jm.{{ .namespace }}.message.>"
    "$KV.jm_{{ .namespace }}_notes.operations"
    "$KV.jm_{{ .namespace }}_notes.hook.*"
    "$SYS.REQ.USER.INFO"
  ]
  deny: [
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_ledger"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_events"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_trace"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_workers"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_notes"
    "$JS.API.STREAM.PURGE.OBJ_jm_{{ .namespace }}_payloads"
  ]
}
subscribe: {
  allow: [
    "_INBOX_gateway.>"
    "jm.{{ .namespace }}.message.>"
  ]
}
{{- end -}}

{{- define "jetmill.permission.dispatcher" -}}
publish: {
  allow: [
    "jm.{{ .namespace }}.job.*"
    "jm.{{ .namespace }}.hold.*"
    "jm.{{ .namespace }}.q.*.*.*"
    "jm.{{ .namespace }}.at.*.*"
    "$JS.API.CONSUMER.MSG.NEXT.*.*"
    "$JS.ACK.>"
    "$JS.API.STREAM.INFO.*"
    "$JS.API.STREAM.MSG.GET.*"
    "$JS.API.DIRECT.GET.>"
    "$JS.API.STREAM.PURGE.*"
    "$JS.API.CONSUMER.INFO.*.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_ledger.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_events.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.CREATE.KV_jm_{{ .namespace }}_jobs.>"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.CONSUMER.DELETE.KV_jm_{{ .namespace }}_jobs.*"
    "$KV.jm_{{ .namespace }}_workers.*"
    "$KV.jm_{{ .namespace }}_notes.>"
    "$O.jm_{{ .namespace }}_payloads.>"
    "jm.{{ .namespace }}.event.>"
    "jm.{{ .namespace }}.wake.*"
    "jm.{{ .namespace }}.cancel.*"
    "$SYS.REQ.USER.INFO"
  ]
  deny: [
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_ledger"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_events"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_trace"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_workers"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_notes"
    "$JS.API.STREAM.PURGE.OBJ_jm_{{ .namespace }}_payloads"
  ]
}
subscribe: {
  allow: [
    "_INBOX_dispatcher.>"
    "jm.{{ .namespace }}.cancel.*"
    "jm.{{ .namespace }}.drain.*"
    "jm.{{ .namespace }}.undrain.*"
  ]
}
{{- end -}}

{{- define "jetmill.permission.worker" -}}
publish: {
  allow: [
    "jm.{{ .namespace }}.job.*"
    "jm.{{ .namespace }}.hold.*"
    "jm.{{ .namespace }}.q.*.*.*"
    "jm.{{ .namespace }}.at.*.*"
    "$JS.API.CONSUMER.MSG.NEXT.*.*"
    "$JS.ACK.*.>"
    "$JS.ACK.*.*.*.>"
    "$JS.API.STREAM.MSG.GET.jm_{{ .namespace }}_ledger"
    "$KV.jm_{{ .namespace }}_workers.*"
    "$JS.API.STREAM.MSG.GET.KV_jm_{{ .namespace }}_workers"
    "$JS.API.DIRECT.GET.KV_jm_{{ .namespace }}_workers"
    "$JS.API.STREAM.INFO.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.STREAM.MSG.GET.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.CONSUMER.CREATE.KV_jm_{{ .namespace }}_jobs.>"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.CONSUMER.DELETE.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.STREAM.MSG.GET.OBJ_jm_{{ .namespace }}_payloads"
    "$JS.API.DIRECT.GET.OBJ_jm_{{ .namespace }}_payloads"
    "$O.jm_{{ .namespace }}_payloads.>"
    "jm.{{ .namespace }}.progress.*"
    "jm.{{ .namespace }}.log.*"
    "jm.{{ .namespace }}.event.>"
    "$JS.API.STREAM.INFO.jm_{{ .namespace }}_events"
    "$JS.API.CONSUMER.INFO.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_events.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_events.*"
    "$JS.ACK.jm_{{ .namespace }}_events.>"
    "$JS.ACK.*.*.jm_{{ .namespace }}_events.>"
    "jm.{{ .namespace }}.dead.*.*"
    "jm.{{ .namespace }}.wake.*"
    "jm.{{ .namespace }}.cancel.*"
    "jm.{{ .namespace }}.message.>"
    "$SYS.REQ.USER.INFO"
  ]
  deny: [
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_trace.*"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_workers.*"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_notes.*"
    "$JS.API.CONSUMER.MSG.NEXT.OBJ_jm_{{ .namespace }}_payloads.*"
  ]
}
subscribe: {
  allow: [
    "_INBOX_worker.>"
    "jm.{{ .namespace }}.cancel.*"
    "jm.{{ .namespace }}.drain.*"
    "jm.{{ .namespace }}.undrain.*"
  ]
}
{{- end -}}

{{- define "jetmill.permission.producer" -}}
publish: {
  allow: [
    "jm.{{ .namespace }}.job.*"
    "jm.{{ .namespace }}.q.*.*.*"
    "jm.{{ .namespace }}.at.*.*"
    "$JS.API.STREAM.MSG.GET.jm_{{ .namespace }}_ledger"
    "$JS.API.DIRECT.GET.jm_{{ .namespace }}_ledger"
    "$JS.API.STREAM.INFO.jm_{{ .namespace }}_ledger"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_ledger.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_ledger.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_ledger.*"
    "$JS.API.STREAM.INFO.*"
    "$JS.API.STREAM.PURGE.*"
    "$JS.API.STREAM.INFO.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.STREAM.MSG.GET.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.CONSUMER.CREATE.KV_jm_{{ .namespace }}_jobs.>"
    "$JS.API.CONSUMER.MSG.NEXT.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.CONSUMER.DELETE.KV_jm_{{ .namespace }}_jobs.*"
    "$JS.API.STREAM.MSG.GET.OBJ_jm_{{ .namespace }}_payloads"
    "$JS.API.DIRECT.GET.OBJ_jm_{{ .namespace }}_payloads"
    "$O.jm_{{ .namespace }}_payloads.>"
    "$JS.API.CONSUMER.INFO.*.*"
    "$JS.API.DIRECT.GET.KV_jm_{{ .namespace }}_workers"
    "jm.{{ .namespace }}.event.>"
    "jm.{{ .namespace }}.wake.*"
    "jm.{{ .namespace }}.cancel.*"
    "jm.{{ .namespace }}.message.>"
    "$JS.API.STREAM.INFO.jm_{{ .namespace }}_events"
    "$JS.API.CONSUMER.INFO.jm_{{ .namespace }}_events.*"
    "$JS.API.CONSUMER.CREATE.jm_{{ .namespace }}_events.>"
    "$JS.API.CONSUMER.MSG.NEXT.jm_{{ .namespace }}_events.*"
    "$JS.ACK.jm_{{ .namespace }}_events.>"
    "$JS.ACK.*.*.jm_{{ .namespace }}_events.>"
    "jm.{{ .namespace }}.dead.*.*"
    "$JS.API.CONSUMER.DELETE.jm_{{ .namespace }}_events.*"
    "$JS.API.DIRECT.GET.jm_{{ .namespace }}_events"
    "$SYS.REQ.USER.INFO"
  ]
  deny: [
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_ledger"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_events"
    "$JS.API.STREAM.PURGE.jm_{{ .namespace }}_trace"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_jobs"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_workers"
    "$JS.API.STREAM.PURGE.KV_jm_{{ .namespace }}_notes"
    "$JS.API.STREAM.PURGE.OBJ_jm_{{ .namespace }}_payloads"
  ]
}
subscribe: {
  allow: [
    "_INBOX_producer.>"
  ]
}
{{- end -}}
