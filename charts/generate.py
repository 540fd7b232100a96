"""What the chart takes from elsewhere, written from its source: CRDs, NATS permissions, the table of values.

`make generate` runs it, and tests/chart says when something is stale. Pure but for reading and writing files:
`build_all()` gives each file's text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from dashboard import build_dashboard

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "jetmill"
HEADER = "{{{{- /* Written by `make generate` from {source}. */ -}}}}\n"


def build_all() -> dict[Path, str]:
    """The text of every generated file of the chart."""
    return {
        CHART / "templates/nats/_permission.tpl": build_permissions((ROOT / "docs/permissions.md").read_text()),
        CHART / "files/dashboard.json": build_dashboard(),
        CHART / "README.md": fill_table(
            (CHART / "README.md").read_text(), build_table((CHART / "values.yaml").read_text())
        ),
        **{
            CHART / "templates/crds" / path.name: build_crd(path.read_text(), source=f"crds/{path.name}")
            for path in sorted((ROOT / "crds").glob("*.yaml"))
        },
    }


# CRDs


_METADATA = """
  labels: {{- include "jetmill.labels" (dict "root" $ "part" "crd") | nindent 4 }}
  {{- if or .Values.crds.keep .Values.crds.annotations }}
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.crds.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
"""


def build_crd(text: str, *, source: str) -> str:
    """A CRD as a template that values switch. What looks like a template inside it is quoted."""
    metadata = yaml.safe_load(text)["metadata"]
    assert list(metadata) == ["name"], f"{source}: metadata holds more than the name"
    quoted = re.sub(r"\{\{|\}\}", lambda match: "{{ `" + match[0] + "` }}", text)
    body = quoted.replace(f"\n  name: {metadata['name']}\n", f"\n  name: {metadata['name']}{_METADATA}", 1)
    return HEADER.format(source=source) + "{{- if .Values.crds.enabled }}\n" + body.rstrip() + "\n{{- end }}\n"


# NATS permissions

_STREAMS = (
    *("jm_NS_ledger", "jm_NS_events", "jm_NS_trace"),
    *("KV_jm_NS_jobs", "KV_jm_NS_workers", "KV_jm_NS_notes", "OBJ_jm_NS_payloads"),
)
"""The streams of a namespace that are no queues."""
_READ_BY_WORKERS = ("KV_jm_NS_jobs", "jm_NS_events")
_DENIED = {
    "operator": [],
    "worker": [f"$JS.API.CONSUMER.MSG.NEXT.{name}.*" for name in _STREAMS if name not in _READ_BY_WORKERS],
    "producer": [f"$JS.API.STREAM.PURGE.{name}" for name in _STREAMS],
    "gateway": [f"$JS.API.STREAM.PURGE.{name}" for name in _STREAMS],
    "dispatcher": [f"$JS.API.STREAM.PURGE.{name}" for name in _STREAMS],
}
"""What a star in place of one Job would allow beyond the queues."""


def build_permissions(guide: str) -> str:
    """The blocks of docs/permissions.md as templates, for all Jobs of a namespace: every JOB becomes a star."""
    parts = [HEADER.format(source="docs/permissions.md")]
    blocks = {part: part for part in ("gateway", "dispatcher", "worker")}
    blocks = {"operator": "reconciler", **blocks, "producer": "client"}
    for part, block in blocks.items():
        found = re.search(rf"^:name: {block}\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
        assert found, f"docs/permissions.md has no block {block}"
        publish, subscribe = found[1].split("subscribe:")
        lines = [f'{{{{- define "jetmill.permission.{part}" -}}}}', "publish: {"]
        lines += _rule("allow", _subjects(publish, part))
        if _DENIED[part]:
            lines += _rule("deny", _subjects(" ".join(f'"{subject}"' for subject in _DENIED[part]), part))
        lines += ["}", "subscribe: {", *_rule("allow", _subjects(subscribe, part)), "}", "{{- end -}}"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _rule(word: str, subjects: list[str]) -> list[str]:
    return [f"  {word}: [", *(f'    "{subject}"' for subject in subjects), "  ]"]


def _subjects(text: str, part: str) -> list[str]:
    found = []
    for subject in re.findall(r'"([^"]+)"', text):
        tokens = ["*" if "JOB" in token else token for token in subject.split(".")]
        if tokens[0] == "INBOX":
            tokens[0] = f"_INBOX_{part}"
        found.append(re.sub(r"\bNS\b|(?<=_)NS(?=_)", "{{ .namespace }}", ".".join(tokens)))
    return list(dict.fromkeys(found))


# The table of values

_BEGIN, _END = "<!-- values: begin -->\n", "<!-- values: end -->\n"


def fill_table(readme: str, table: str) -> str:
    """README.md with the table between its two marks."""
    head, begin, rest = readme.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    assert begin, "README.md of the chart has no mark for the begin of the table"
    assert end, "README.md of the chart has no mark for the end of the table"
    return head + begin + table + end + tail


def build_table(values: str) -> str:
    """A row for each value that a comment describes: its path, its default, and the comment."""
    rows = ["| value | default | what |", "|---|---|---|"]
    for path, default, comment in read_values(values):
        shown = yaml.safe_dump(default, default_flow_style=True, width=10_000).strip().removesuffix("\n...")
        rows.append(f"| `{path}` | `{shown}` | {comment.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def read_values(text: str) -> Iterator[tuple[str, object, str]]:
    """Path, default and description of each value with a comment above it."""
    defaults = yaml.safe_load(text)
    comment: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        found = re.match(r"( *)([A-Za-z]\w*):", line)
        if found:
            path = [item for item in path if item[0] < len(found[1])] + [(len(found[1]), found[2])]
            if comment:
                value = defaults
                for _, key in path:
                    value = value[key]
                yield ".".join(key for _, key in path), value, " ".join(comment)
        comment = []


def main(*, check: bool) -> int:
    """Write what differs, or (`--check`) say so and give 1."""
    stale = [(path, text) for path, text in build_all().items() if not path.exists() or path.read_text() != text]
    for path, text in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
