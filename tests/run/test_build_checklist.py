"""The checklist that every release has."""

from pytest_zkrollback.plugin import DEFAULT_ITEMS
from pytest_zkrollback.run.build_checklist import initial_checklist


def test_what_pytest_collects_without_a_configuration_is_the_runbooks_checklist():
    workloads = {"backend": "deployment/backend", "frontend": "deployment/frontend"}
    assert tuple(item.id for item in initial_checklist(workloads, ())) == DEFAULT_ITEMS
