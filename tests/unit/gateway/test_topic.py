"""Topics: one text for each, and what belongs to which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_entry
from jetmill.errors import InputError
from jetmill.protocol.state import State
from jetmill_operator.gateway.stream.topic import (
    Kind,
    Topic,
    find_event_topics,
    find_record_topics,
    parse_topic,
)

GOOD = [
    "namespace",
    "workers",
    "queues",
    "jobs:send-email",
    "state:running",
    "job:018f4e9c-0000-7000-8000-000000000000",
    "log:job-1",
    "progress:job-1",
    "event:doc.created",
    "event:doc.*",
    "event:*",
    "topic:news.sport",
    "user:system:serviceaccount:shop:viewer",
]
BAD = [
    "",
    ":",
    "job",
    "job:",
    "jobs:Send",
    "jobs:*",
    "jobs:>",
    "jobs:a.b",
    "state:done",
    "state:",
    "event:",
    "event:*.a",
    "event:.*",
    "event:**",
    "event:a.>",
    "namespace:shop",
    "workers:",
    "topic:",
    "topic:a b",
    "user:",
    "user:a\nb",
    "nothing:x",
    "JOB:x",
    " job:x",
    "log:*",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_topic_has_one_text(text: str) -> None:
    assert str(parse_topic(text)) == text


@pytest.mark.parametrize("text", BAD)
def test_what_can_be_no_topic_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_topic(text, user="ada")
    assert error.value.field == "topic"


def test_a_bare_user_is_who_asks() -> None:
    assert parse_topic("user", user="ada") == Topic(Kind.USER, "ada")
    with pytest.raises(InputError):
        parse_topic("user", user=None)


@given(st.text())
def test_any_text_is_a_topic_or_an_input_error(text: str) -> None:
    try:
        topic = parse_topic(text, user="ada")
    except InputError:
        return
    assert parse_topic(str(topic), user="ada") == topic


def test_a_record_belongs_to_its_job_its_declaration_its_state_and_its_namespace() -> None:
    entry = make_entry(State.RUNNING, id="job-1", job="mail")
    assert find_record_topics(entry) == ("job:job-1", "jobs:mail", "state:running", "namespace")


def test_an_event_belongs_to_its_type_to_all_above_it_and_to_all() -> None:
    assert find_event_topics("doc.page.created") == (
        "event:doc.page.created",
        "event:doc.*",
        "event:doc.page.*",
        "event:*",
    )
    assert find_event_topics("doc") == ("event:doc", "event:*")
