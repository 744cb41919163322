"""The runbook's checklist, item by item: `pytest --env=NAME [--rollback-to=N]`."""

from pytest_zkrollback.items import *  # noqa: F403
