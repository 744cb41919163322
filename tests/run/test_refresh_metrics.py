"""Asking Prometheus again when the run is over: the curve goes on, the verdict stays."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_zkrollback.domain.metric import MetricSeries, PointOrigin
from pytest_zkrollback.domain.record import Outcome, Record
from pytest_zkrollback.report.__main__ import main
from pytest_zkrollback.report.files import render_json
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from support.example_records import at, with_metrics
from support.fake_prometheus import FakePrometheus

ENDED = at(281)


def course(seconds: float) -> float | None:
    """Errors until helm; a bad quarter of an hour comes back 20 minutes after the run."""
    since = seconds - at(0).timestamp()
    return 40.0 if -760 < since < 60 or 1500 < since < 2400 else 0.25


@pytest.fixture
def prometheus():
    fake = FakePrometheus(17.0)
    fake.course = course
    yield fake
    fake.kill()


def recorded(**changes: object) -> Record:
    """With one metric, of an environment that is in the configuration."""
    series = with_metrics().metrics[0].model_copy(update={"query": 'rate(x{ns="shop"})'})
    return with_metrics().model_copy(update={"environment": "staging", "metrics": (series,), **changes})


class Folder:
    """A report and a configuration in one folder."""

    def __init__(self, path: Path, url: str, record: Record, check: str = "", table: str = "") -> None:
        self.json = path / "one.json"
        self.json.write_text(render_json(record), encoding="utf-8")
        self.json.with_suffix(".html").write_text(render_page(record), encoding="utf-8")
        self.json.with_suffix(".md").write_text(render_markdown(record), encoding="utf-8")
        self.config = path / "zkrollback.toml"
        keys = check or (
            "id = 'error-rate'\ntitle = 'Errors'\nquery = 'rate(x{ns=\"{namespace}\"})'\nmax = 99\n"
            "count_query = 'increase(x[{range}])'\n"
        )
        self.config.write_text(
            "[environments.staging]\ncontext = 'x'\nnamespace = 'shop'\n"
            "workloads = { a = 'deployment/a' }\nslack = false\n"
            f"[environments.staging.metrics]\nurl = '{url}'\ntimeout_s = 1\n{table}"
            f"[[environments.staging.metrics.checks]]\n{keys}",
            encoding="utf-8",
        )
        self.before = {each: each.read_bytes() for each in path.iterdir()}

    def refresh(self, *more: str) -> int:
        argv = ["render", str(self.json), "--refresh-metrics", "--zkrollback-config", str(self.config)]
        return main([*argv, *more])

    def is_as_before(self) -> bool:
        return {each: each.read_bytes() for each in self.json.parent.iterdir()} == self.before

    @property
    def record(self) -> Record:
        return Record.model_validate_json(self.json.read_bytes())


def test_the_curve_goes_on_for_an_hour_after_the_run_and_the_verdict_stays(tmp_path, prometheus, capsys):
    folder = Folder(tmp_path, prometheus.url, recorded())
    assert folder.refresh() == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("metric-error-rate: read from 2026-11-23 11:2")
    assert said.err.endswith(" to 2026-11-23 12:55:20 UTC.\n")
    record = folder.record
    (series,) = record.metrics
    assert series.curve.end == ENDED + timedelta(hours=1)
    assert len(series.curve.points) <= 240
    for point in series.curve.points:
        assert (point.value, point.origin) == (course(point.at.timestamp()), PointOrigin.RANGE_QUERY)
        assert point.within == (point.value <= 1)  # by the run's limit, not by today's 99
    assert series.count.value == 17.0 and series.count.end == ENDED
    without = {"metrics": ()}
    assert record.model_copy(update=without) == recorded().model_copy(update=without)
    page, text = (folder.json.with_suffix(each).read_text("utf-8") for each in (".html", ".md"))
    for rendering in (page, text):
        assert "out of bounds for 28 min" in rendering and "in 2 stretches" in rendering
        assert "Asked again at " in rendering
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".tmp"] == []


def test_it_can_be_rendered_in_the_same_breath(tmp_path, prometheus, capsys):
    folder = Folder(tmp_path, prometheus.url, recorded())
    assert folder.refresh("--format", "text") == 0
    assert "VERIFIED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"environment": "drill"}, "The record of a drill is not read again: its Prometheus goes with it.\n"),
        (
            {"outcome": Outcome.RUNNING},
            "This run has not ended, or was killed: its metrics cannot be read again.\n",
        ),
        ({"metrics": ()}, "This record holds no metrics: the run asked for none.\n"),
    ],
)
def test_what_cannot_be_refreshed_is_refused(tmp_path, prometheus, capsys, changes, said):
    folder = Folder(tmp_path, prometheus.url, recorded(**changes))
    assert folder.refresh() == 2
    assert capsys.readouterr().err == said
    assert folder.is_as_before()
    assert prometheus.asked == []


def test_without_metrics_in_the_configuration_or_without_the_environment_nobody_is_asked(
    tmp_path, prometheus, capsys
):
    folder = Folder(tmp_path, prometheus.url, recorded())
    whole = folder.config.read_text("utf-8")
    folder.config.write_text(whole[: whole.index("[environments.staging.metrics]")], encoding="utf-8")
    assert folder.refresh() == 2
    assert capsys.readouterr().err == "[environments.staging] has no metrics: nobody can be asked.\n"
    folder.config.write_text(whole.replace("environments.staging", "environments.other"), encoding="utf-8")
    assert folder.refresh() == 2
    assert "staging" in capsys.readouterr().err
    assert main(["render", str(tmp_path / "none.json"), "--refresh-metrics"]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none.json'}: No such file or directory\n"
    assert folder.json.read_bytes() == folder.before[folder.json]


def test_without_its_token_nobody_is_asked(tmp_path, prometheus, capsys, monkeypatch):
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    url = prometheus.url.replace("http:", "https:")
    folder = Folder(tmp_path, url, recorded(), table="token_env = 'NO_SUCH_TOKEN'\n")
    assert folder.refresh() == 2
    assert capsys.readouterr().err == (
        "The environment variable NO_SUCH_TOKEN is not set, so metrics cannot be asked for.\n"
    )
    assert folder.is_as_before()


def test_a_server_that_is_gone_changes_nothing(tmp_path, prometheus, capsys):
    prometheus.kill()
    folder = Folder(tmp_path, prometheus.url, recorded())
    assert folder.refresh() == 2
    assert capsys.readouterr().err == (
        f"metric-error-rate stays as it was: {prometheus.url} refuses connections.\nNothing was changed.\n"
    )
    assert folder.is_as_before()


def test_one_that_hangs_is_not_waited_for_long(tmp_path, prometheus):
    prometheus.hangs = True
    folder = Folder(tmp_path, prometheus.url, recorded())
    begun = time.monotonic()
    assert folder.refresh() == 2
    assert time.monotonic() - begun < 10
    assert folder.is_as_before()


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            "id = 'error-rate'\ntitle = 'E'\nquery = 'rate(y)'\nmax = 1\n",
            "its query in the configuration is another one now",
        ),
        (
            "id = 'other'\ntitle = 'E'\nquery = 'rate(x)'\nmax = 1\n",
            "the configuration has no such check any more",
        ),
    ],
)
def test_another_question_is_no_continuation(tmp_path, prometheus, capsys, check, said):
    folder = Folder(tmp_path, prometheus.url, recorded(), check)
    assert folder.refresh() == 2
    assert capsys.readouterr().err == f"metric-error-rate stays as it was: {said}.\nNothing was changed.\n"
    assert folder.is_as_before()
    assert prometheus.asked == []


@pytest.mark.parametrize(
    ("forgets", "said"),
    [
        (lambda seconds: None, "the query has no series in that time"),
        (
            lambda seconds: 0.5 if seconds > ENDED.timestamp() - 300 else None,
            "Prometheus has less of it now than the record",
        ),
        (lambda seconds: float("nan"), "Prometheus has no value of that time"),
    ],
)
def test_a_server_that_has_forgotten_takes_nothing_out_of_the_record(
    tmp_path, prometheus, capsys, forgets, said
):
    prometheus.course = forgets
    folder = Folder(tmp_path, prometheus.url, recorded())
    assert folder.refresh() == 2
    assert said in capsys.readouterr().err
    assert folder.is_as_before()


def test_what_could_be_read_is_kept_where_something_else_could_not(tmp_path, prometheus, capsys):
    known = recorded().metrics[0]
    gone = MetricSeries(id="metric-gone", title="Gone", query="q", max=1)
    folder = Folder(tmp_path, prometheus.url, recorded(metrics=(known, gone)))
    assert folder.refresh() == 1
    assert "metric-gone stays as it was: the configuration has no such check any more." in (
        capsys.readouterr().err
    )
    first, second = folder.record.metrics
    assert first.curve.end == ENDED + timedelta(hours=1)
    assert second == gone


def test_a_count_that_is_not_known_now_takes_no_place(tmp_path, prometheus):
    prometheus.value = None
    folder = Folder(tmp_path, prometheus.url, recorded())
    assert folder.refresh() == 0
    assert folder.record.metrics[0].count == recorded().metrics[0].count


def test_a_secret_in_a_servers_words_is_in_no_record(tmp_path, prometheus, monkeypatch, capsys):
    monkeypatch.setenv("ORG", "hunter2-hunter2")
    url = prometheus.url.replace("http:", "https:")
    folder = Folder(tmp_path, url, recorded(), table="headers_env = { X-Scope-OrgID = 'ORG' }\n")
    assert folder.refresh() == 2
    assert "hunter2" not in capsys.readouterr().err
