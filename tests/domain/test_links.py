"""Templates of links: what is refused, in whole sentences, and how values are filled in."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.links import filled, is_address, template_problem


@pytest.mark.parametrize(
    ("name", "template", "sentence"),
    [
        ("dashboard", "javascript:alert(1)", "dashboard: the address has to begin with https:// or http://"),
        ("dashboard", "ftp://x.example/", "dashboard: the address has to begin with https:// or http://"),
        (
            "dashboard",
            "https://g.example/d?from={from}",
            "dashboard: {from} is no field of this link: {from_ms}, {to_ms}, {namespace}, {release}, {revision} "
            "can be filled in, and a brace of the address itself is written %7B or %7D",
        ),
        (
            "logs",
            "https://l.example/{commit}",
            "logs: {commit} is no field of this link: {from_ms}, {to_ms}, {namespace}, {release}, {revision} "
            "can be filled in, and a brace of the address itself is written %7B or %7D",
        ),
        (
            "commit",
            "https://c.example/{from_ms}/{commit}",
            "commit: {from_ms} is no field of this link: {commit} can be filled in, and a brace of the address "
            "itself is written %7B or %7D",
        ),
        ("commit", "https://c.example/", "commit: it needs {commit}, where the commit's SHA belongs"),
        ("logs", "https://l.example/a b", "logs: an address cannot hold ' ': it is written %20"),
        ("logs", "https://l.example/{from_ms", "logs: an address cannot hold '{': it is written %7B"),
        ("logs", 'https://l.example/"x', "logs: an address cannot hold '\"': it is written %22"),
        ("logs", "https:///x", "logs: the address names no host"),
        (
            "logs",
            "https://me:secret@l.example/",
            "logs: the address may hold no user and no password: it stands in every report",
        ),
        (
            "logs",
            "https://l.example/?q=1&auth_token=abc",
            "logs: the address may hold no auth_token: it stands in every report",
        ),
        (
            "logs",
            "https://l.example/?sig=0123456789",
            "logs: the address may hold no sig: it stands in every report",
        ),
        ("logs", "https://{namespace}.example?x", "logs: the host may hold no field"),
        (
            "<b>",
            "https://l.example/",
            "'<b>' is no name for a link: a letter first, then letters, digits, spaces and dashes",
        ),
    ],
)
def test_what_is_no_link_is_said(name, template, sentence):
    assert template_problem(name, template) == sentence


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("dashboard", "https://g.example:3000/d/x?from={from_ms}&to={to_ms}&var-ns={namespace}"),
        ("Log search", "http://kibana/app#/?_a=(query:(query:'app%20{release}'))"),
        ("commit", "https://github.example/o/r/commit/{commit}"),
    ],
)
def test_what_is_a_link_is_taken(name, template):
    assert template_problem(name, template) == ""


@given(st.text(min_size=1))
def test_whatever_the_value_it_stays_one_parameter_of_one_address(value):
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    url = filled("https://g.example/d?ns={namespace}&to=1#top", {"namespace": value})
    assert is_address(url)
    parts = urlsplit(url)
    assert (parts.netloc, parts.path, parts.fragment) == ("g.example", "/d", "top")
    assert parse_qs(parts.query, keep_blank_values=True) == {"ns": [value], "to": ["1"]}


def test_a_link_without_its_value_is_none():
    assert filled("https://g.example/{revision}", {"revision": ""}) == ""
    assert filled("https://g.example/{other}", {"revision": "7"}) == ""
