"""What stands in latest.html while a run goes on."""

import html
import re

from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.unfinished import render_unfinished_page
from support.example_records import running


def test_it_says_that_the_run_is_not_finished_and_holds_the_whole_markdown():
    page = render_unfinished_page(running())
    assert "<h1>NOT FINISHED</h1>" in page
    [shown] = re.findall("<pre>(.*)</pre>", page, re.DOTALL)
    assert html.unescape(shown) == render_markdown(running())
    assert re.findall(r"<script|\ssrc=|\shref=|\son\w+=", page) == []


def test_what_comes_from_outside_is_text_in_it():
    page = render_unfinished_page(
        running().model_copy(update={"release": "</pre><script>alert(1)</script>{release}"})
    )
    assert "<script" not in page
    assert page.count("</pre>") == 1
    assert "alert(1)" in page
