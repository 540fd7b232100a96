"""The page that shows the API: made of the OpenAPI document, with no script, no font and no address but its own."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
section{border:1px solid var(--line);border-radius:6px;margin:1rem 0;padding:.2rem 1rem}
code,pre{font:13px/1.45 ui-monospace,monospace;background:var(--soft);border-radius:3px;padding:.1em .3em}
pre{padding:.6rem;overflow:auto}
h3 b{display:inline-block;min-width:4.5em}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;border-bottom:1px solid var(--line);padding:.25rem .6rem .25rem 0}
nav a{display:inline-block;margin-right:1rem}
"""
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def render_page(document: dict[str, Any]) -> str:
    """The page as HTML."""
    info = document["info"]
    schemas = document["components"]["schemas"]
    operations = [(path, method, one) for path, item in document["paths"].items() for method, one in item.items()]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{escape(info['title'])} API</title><link rel=icon href='data:,'><style>{STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>",
        *(f"<p>{escape(text)}</p>" for text in str(info.get("description", "")).split("\n\n")),
        "<p>For programs: <a href='openapi.json'>openapi.json</a> (OpenAPI 3.1).</p><main>",
        *(_render_operation(path, method, one) for path, method, one in operations),
        "<h2>Shapes</h2>",
        *(_render_schema(name, schemas[name]) for name in sorted(schemas)),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _render_operation(path: str, method: str, operation: dict[str, Any]) -> str:
    right = operation.get("x-jetmill-right")
    needs = f"<p>Right: <code>{escape(' '.join(right.values()))}</code></p>" if right else ""
    rows = [
        (one["name"], one["in"], str(one.get("description") or ""), _name_shape(one.get("schema") or {}))
        for one in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [
        (code, str(one.get("description", "")), _shape_of(one)) for code, one in sorted(operation["responses"].items())
    ]
    return (
        f"<section id='{escape(operation['operationId'])}'><h3><b>{method.upper()}</b> <code>{escape(path)}</code></h3>"
        f"<p>{escape(str(operation.get('summary', '')))}. {escape(str(operation.get('description') or ''))}</p>{needs}"
        + (_table(("parameter", "in", "meaning", "shape"), rows) if rows else "")
        + (f"<p>Body: {_name_shape(body)}</p>" if body else "")
        + _table(("status", "meaning", "shape"), answers)
        + "</section>"
    )


def _render_schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (field, "required" if field in required else "", str(shape.get("description") or ""), _name_shape(shape))
        for field, shape in schema.get("properties", {}).items()
    ]
    said = f"<p>{escape(str(schema.get('description') or ''))}</p>"
    values = schema.get("enum")
    listed = f"<p>One of {', '.join(f'<code>{escape(str(value))}</code>' for value in values)}.</p>" if values else ""
    table = _table(("name", "", "meaning", "shape"), rows) if rows else ""
    return f"<section id='shape-{escape(name)}'><h3>{escape(name)}</h3>{said}{listed}{table}</section>"


def _shape_of(response: dict[str, Any]) -> str:
    return ", ".join(_name_shape(one.get("schema") or {}) for one in response.get("content", {}).values())


def _name_shape(schema: dict[str, Any]) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return f"<a href='#shape-{escape(name)}'>{escape(name)}</a>"
    if "oneOf" in schema or "anyOf" in schema:
        return " or ".join(_name_shape(one) for one in schema.get("oneOf") or schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_name_shape(schema.get('items') or {})}"
    if "enum" in schema:
        return " | ".join(escape(str(value)) for value in schema["enum"])
    kind = schema.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    return escape(f"{kind} ({schema['format']})" if "format" in schema else str(kind))


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows whose last column is HTML already."""
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[:-1]) + f"<td>{row[-1]}</td></tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
