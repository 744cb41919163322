"""The checklist as tests. A repository gets them with one line: ``from pytest_zkrollback.items import *``."""

from .plugin.checklist_tests import *  # noqa: F403
