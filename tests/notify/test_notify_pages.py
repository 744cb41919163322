"""The pages about telling say what the code does."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from pytest_zkrollback.domain.record import Outcome
from support.fake_slack import breach

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "notify.md").read_text(encoding="utf-8")
MESSAGES = Path(__file__).with_name("messages.md")
EXAMPLE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


def load_tool():
    spec = importlib.util.spec_from_file_location("notify_page", ROOT / "tools" / "notify_page.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_messages_are_in_step():
    """Not so? Run tools/notify_page.py."""
    assert MESSAGES.read_text(encoding="utf-8") == load_tool().render_page()


def test_there_is_one_for_every_outcome_that_is_told_and_slack_takes_it():
    kinds = load_tool().KINDS.values()
    told = {news.record.outcome for news in kinds}
    assert set(Outcome) - told == {Outcome.PLANNED, Outcome.REFUSED}, "these tell nobody"
    page = MESSAGES.read_text(encoding="utf-8")
    messages = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [breach(message) for message in messages if "blocks" in message] == [None] * len(kinds)


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_the_documents_hook_gives_channels(environment):
    names = {}
    exec(EXAMPLE, names)
    channels = names["pytest_zkrollback_notify"](environment)
    assert [channel.name for channel in channels] == (["pager"] if environment == "production" else [])
