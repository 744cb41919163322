"""docs/migrations.md: its configuration loads, its hook runs, its tools are the ones there are."""

import re
from pathlib import Path

import pytest

from pytest_zkrollback.config.loader import load_environment
from pytest_zkrollback.domain.errors import MigrationProblem, UsageProblem
from pytest_zkrollback.domain.migration import MigrationFinding, RevisionContent, Span
from pytest_zkrollback.migrations.custom import HOOK, ask_own, parse_own_sources
from pytest_zkrollback.migrations.tools import TOOL_NAMES
from pytest_zkrollback.plugin import hookspecs

PAGE = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_configuration_loads(tmp_path):
    path = tmp_path / "zkrollback.toml"
    path.write_text("\n".join(blocks("toml")))
    staging, production = (load_environment(path, name) for name in ("staging", "production"))
    assert (staging.migrations.kind, staging.migrations.health) == ("alembic", "schema.version")
    assert staging.git.ref == "v{app_version}"
    assert production.migrations.expected == "ConfigMap/zkprova-zkprova-config/SCHEMA_VERSION"


def test_it_names_every_tool():
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == ["kind", *TOOL_NAMES]


def revision(number, index=None):
    data = {} if index is None else {"INDEX_VERSION": index}
    return RevisionContent(number, ({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": data},), ())


@pytest.mark.parametrize(
    ("versions", "ran", "said"),
    [
        ((None, None), None, "No revision says which index it needs."),
        (("3", "3"), False, "The index stays at 3."),
        (("3", "4"), True, "The index was rebuilt (3, 4)."),
    ],
)
def test_its_hook_answers(versions, ran, said):
    names = {}
    exec(blocks("python")[0], names)
    sources = parse_own_sources([names["pytest_zkrollback_migration_sources"]("staging"), None])
    target, later = (revision(number, index) for number, index in zip((5, 6), versions, strict=True))
    finding = ask_own(sources["search index"], Span(target, (later,)))
    assert (finding.ran, finding.observed) == (ran, said)


@pytest.mark.parametrize("answer", [[1], "x", {"a": 1}, {1: print}, {"": print}])
def test_a_hook_that_gives_something_else_is_refused_before_helm(answer):
    with pytest.raises(UsageProblem, match="return a dictionary of name -> function; helm did not run"):
        parse_own_sources([answer])


def test_of_two_sources_with_one_name_none_hides_the_other():
    with pytest.raises(UsageProblem, match="gave two sources named 'schema', and one would hide the other"):
        parse_own_sources([{"schema": print}, {"schema": repr}])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda span: span.nothing, "Its code raised AttributeError: "),
        (lambda span: pytest.fail("no"), "Its code raised Failed: no"),
        (lambda span: True, "It gave True, which is no MigrationFinding."),
        (lambda span: None, "It gave None, which is no MigrationFinding."),
        (lambda span: MigrationFinding("x", False, None), "It gave MigrationFinding(source='x', ran=False"),
        (
            lambda span: MigrationFinding("x", False, "no", ("text",)),
            "It gave MigrationFinding(source='x', ran=False",
        ),
    ],
)
def test_whatever_a_sources_code_does_is_not_known(ask, said):
    with pytest.raises(MigrationProblem) as caught:
        ask_own(ask, Span(revision(5), ()))
    assert str(caught.value).startswith(said)


def test_the_hook_is_one_of_the_plugins():
    assert hasattr(hookspecs, HOOK)
    assert f"def {HOOK}(environment)" in PAGE
