"""Nothing but RFC 1123 labels ever becomes a part of a subject."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.errors import InvalidNameError
from jetmill.protocol.name import (
    is_label,
    parse_event_type,
    parse_job_id,
    parse_job_name,
    parse_label,
    parse_namespace,
)
from jetmill.protocol.subject import BANDS, Subjects

ends = st.sampled_from("az09")
labels = ends | st.tuples(ends, st.text("az09-", max_size=61), ends).map("".join)
TOKEN = re.compile(r"[a-z0-9-]{1,63}")
PARSERS: list[Callable[[str], str]] = [
    parse_job_name,
    parse_job_id,
    parse_namespace,
    lambda text: parse_label(text, field="x"),
]
nasty = st.text() | st.text("ab-.*> \t\r\n\0", max_size=10) | labels.map(lambda text: text + "\n")


@given(text=nasty)
def test_what_is_no_label_is_refused(text: str) -> None:
    for parse in PARSERS:
        if is_label(text):
            assert parse(text) == text
            assert TOKEN.fullmatch(text)
            continue
        with pytest.raises(InvalidNameError) as refused:
            parse(text)
        assert refused.value.cure
        assert refused.value.field
        assert str(refused.value).isprintable()


@given(text=labels)
def test_every_label_is_a_name(text: str) -> None:
    assert {parse(text) for parse in PARSERS} == {text}


@pytest.mark.parametrize("text", [None, 7, b"abc", ["a"]])
@pytest.mark.parametrize("parse", [*PARSERS, parse_event_type])
def test_what_is_no_text_is_refused(parse: Callable[[Any], str], text: Any) -> None:
    with pytest.raises(InvalidNameError):
        parse(text)


@given(text=nasty | st.lists(labels, max_size=10).map(".".join))
def test_an_event_type_is_one_to_eight_labels(text: str) -> None:
    try:
        parsed = parse_event_type(text)
    except InvalidNameError:
        assert not 1 <= len(text.split(".")) <= 8 or not all(map(is_label, text.split(".")))
    else:
        assert all(TOKEN.fullmatch(part) for part in parsed.split("."))
        assert parsed.count(".") < 8


@given(namespace=nasty, prefix=nasty)
def test_a_namespace_and_a_prefix_are_labels(namespace: str, prefix: str) -> None:
    try:
        subjects = Subjects(namespace, prefix=prefix)
    except InvalidNameError:
        assert not (is_label(namespace) and is_label(prefix))
    else:
        assert subjects.root == f"{prefix}.{namespace}"


@given(texts=st.tuples(nasty | labels, nasty | labels, nasty | labels, nasty | labels, nasty | labels))
def test_no_dot_wildcard_space_or_control_character_ever_reaches_a_subject(texts: tuple[str, ...]) -> None:
    """Whoever builds a subject parses its parts first: then every token is plain, and none too many."""
    try:
        namespace, job, job_id, key = (parse_label(text, field="x") for text in texts[:4])
        event_type = parse_event_type(texts[4])
    except InvalidNameError:
        return
    subjects = Subjects(namespace)
    built = {
        subjects.job(job_id): 4,
        subjects.hold(key): 4,
        subjects.delayed(job, job_id): 5,
        subjects.cancel(job_id): 4,
        subjects.wake(job): 4,
        subjects.progress(job_id): 4,
        subjects.log(job_id): 4,
        subjects.event(event_type): 4 + event_type.count("."),
        **{subjects.hint(job, band, job_id): 6 for band in BANDS},
    }
    for subject, count in built.items():
        tokens = subject.split(".")
        assert len(tokens) == count
        assert all(TOKEN.fullmatch(token) for token in tokens)


@given(namespace=labels, job=labels, band=st.sampled_from(BANDS), job_id=labels)
def test_a_bands_filter_takes_its_hints_and_no_delayed_ones(namespace: str, job: str, band: str, job_id: str) -> None:
    subjects = Subjects(namespace)
    taken = re.compile(re.escape(subjects.queue_filter(job, band)).replace(r"\*", "[^.]+"))
    assert taken.fullmatch(subjects.hint(job, band, job_id))
    assert not taken.fullmatch(subjects.delayed(job, job_id))
    assert not any(taken.fullmatch(subjects.hint(job, other, job_id)) for other in BANDS if other != band)


@given(first=st.tuples(labels, labels), second=st.tuples(labels, labels))
def test_no_two_namespaces_and_jobs_share_a_queue(first: tuple[str, str], second: tuple[str, str]) -> None:
    """`_` parts the names of streams, for a label may hold `-` but no `_`."""
    streams = [Subjects(namespace).queue_stream(job) for namespace, job in (first, second)]
    assert (streams[0] == streams[1]) == (first == second)
    assert all(re.fullmatch(r"[a-z0-9_-]+", stream) for stream in streams)
