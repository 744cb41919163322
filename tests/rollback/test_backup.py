import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_zkrollback.domain.errors import BadAnswer
from pytest_zkrollback.rollback.backup import save_backup

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)


def secret(number: int) -> dict:
    metadata = {"name": f"v{number}", "uid": "u", "resourceVersion": "1", "labels": {"version": str(number)}}
    return {"metadata": metadata, "data": {"release": "x"}}


class FakeKube:
    def __init__(self, *pages: tuple[dict, ...] | BadAnswer) -> None:
        self.answers, self.asked = pages, []

    def pages(self, path, query):
        self.asked.append((path, query))
        for page in self.answers:
            if isinstance(page, BadAnswer):
                raise page
            yield page, "7"


def save(kube: FakeKube, folder: Path, each_bytes: int = 10_000):
    return save_backup(kube, "n", "web", folder, AT, "run", each_bytes, cluster="c1")


@pytest.mark.parametrize("pages", [(), ((secret(1),),), ((secret(1), secret(2)), (secret(3),))])
def test_the_pages_become_one_list_that_kubectl_takes(pages, tmp_path):
    saved = save(FakeKube(*pages), tmp_path)
    text = Path(saved.path).read_text()
    items = json.loads(text)["items"]
    assert [one["metadata"]["name"] for one in items] == [one["metadata"]["name"] for p in pages for one in p]
    assert all(one["kind"] == "Secret" and set(one["metadata"]) == {"name", "labels"} for one in items)
    assert (saved.revisions, saved.digest) == (len(items), hashlib.sha256(text.encode()).hexdigest())
    assert Path(saved.path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("each_bytes", "limit"), [(10_000, "100"), (1_300_000, "1"), (0, "1000000")])
def test_of_large_records_there_are_few_in_a_page(each_bytes, limit, tmp_path):
    kube = FakeKube()
    save(kube, tmp_path, each_bytes)
    query = {"labelSelector": "owner=helm,name=web", "limit": limit}
    assert kube.asked == [("/api/v1/namespaces/n/secrets", query)]


def test_half_a_backup_is_none(tmp_path):
    with pytest.raises(BadAnswer):
        save(FakeKube((secret(1),), BadAnswer("expired", status=410)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def older(folder: Path, stem: str, count: int = 10, year: int = 2025) -> list[str]:
    names = [f"{stem}.{year}1101T0000{number:02}Z.0a1b2c3d.json" for number in range(count)]
    for name in names:
        (folder / name).write_text("older")
    return names


def test_case_a13_ten_are_kept_and_the_oldest_goes(tmp_path):
    names = older(tmp_path, "c1.n.web")
    saved = save(FakeKube((secret(1),)), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], Path(saved.path).name}


@pytest.mark.parametrize(
    "stem", ["c1.n.web.api", "c1.n.web2", "c1.m.web", "c2.n.web", "n.web", "drill.n.web"]
)
def test_case_a13_another_releases_backups_are_neither_counted_nor_deleted(stem, tmp_path):
    others = older(tmp_path, stem)
    names = older(tmp_path, "c1.n.web", count=9)
    saved = save(FakeKube((secret(1),)), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, *names, Path(saved.path).name}


def test_case_a13_what_was_just_written_stays_also_where_the_clock_went_back(tmp_path):
    names = older(tmp_path, "c1.n.web", year=2027)
    saved = save(FakeKube((secret(1),)), tmp_path)
    assert Path(saved.path).exists()
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], Path(saved.path).name}
