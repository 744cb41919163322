"""Times in the reader's zone, beside UTC."""

import threading
from datetime import UTC, datetime

import pytest

from pytest_zkrollback.report.formatting import moment, of_day, reader_zone
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.terminal import render_text
from support.example_records import at, verified
from support.html_page import Page

NIGHT = datetime(2026, 11, 23, 23, 30, 5, 140_000, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, 11, 50, 39, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "when", "said", "short"),
    [
        ("", NIGHT, "2026-11-23 23:30:05 UTC", "23:30:05.1"),
        ("Europe/Berlin", NIGHT, "2026-11-23 23:30:05 UTC (24 Nov 00:30 CET)", "23:30:05.1 (24 Nov 00:30)"),
        ("Europe/Berlin", SUMMER, "2026-07-01 11:50:39 UTC (13:50 CEST)", "11:50:39.0 (13:50)"),
        ("Asia/Kolkata", SUMMER, "2026-07-01 11:50:39 UTC (17:20 IST)", "11:50:39.0 (17:20)"),
        ("America/New_York", SUMMER, "2026-07-01 11:50:39 UTC (07:50 EDT)", "11:50:39.0 (07:50)"),
        ("Nowhere/Else", SUMMER, "2026-07-01 11:50:39 UTC", "11:50:39.0"),
        ("../../etc/passwd", SUMMER, "2026-07-01 11:50:39 UTC", "11:50:39.0"),
        ("Europe", SUMMER, "2026-07-01 11:50:39 UTC", "11:50:39.0"),
    ],
)
def test_the_readers_time_stands_behind_utc(zone, when, said, short):
    with reader_zone(zone):
        assert (moment(when), of_day(when)) == (said, short)
    assert moment(when).endswith(" UTC")


def test_another_thread_writes_utc_meanwhile():
    found = []
    with reader_zone("Europe/Berlin"):
        thread = threading.Thread(target=lambda: found.append(moment(SUMMER)))
        thread.start()
        thread.join()
    assert found == ["2026-07-01 11:50:39 UTC"]


def test_page_and_markdown_have_both_times_and_say_so():
    record = verified(report_timezone="Europe/Berlin", impact_since=at(-720))
    page, markdown = Page(render_page(record)).text, render_markdown(record)
    for text in (page, markdown):
        assert "Times are UTC; in brackets Europe/Berlin." in text
        assert "from 2026-11-23 11:38:39 UTC (12:38 CET) to 11:50:43 UTC" in text
        assert "11:50:39.0 (12:50)" in text  # the timeline
    assert "CET" not in render_text(record)
    assert moment(at(0)) == "2026-11-23 11:50:39 UTC"


def test_without_a_zone_nothing_is_added():
    assert "in brackets" not in render_page(verified()) + render_markdown(verified())
