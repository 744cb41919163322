"""A large release: each of its documents is parsed once per run, and a plan takes as long as its size allows."""

import base64
import copy
import random
import time
from collections import Counter

import pytest

from pytest_zkrollback.release import documents
from pytest_zkrollback.release import manifest as release_manifest
from pytest_zkrollback.run.preflight_step import run_preflight
from pytest_zkrollback.run.results import PreflightResult, RunState
from pytest_zkrollback.run.rollback_step import RollbackStep
from support.fake_release import MAPS, Release, manifest
from support.sequences import ITEMS, Tally, World

PROPERTY = (
    "                property{}:\n                  description: number {} of the thing, as generated from Go comments\n"
    "                  nullable: true\n                  type: string\n"
)
DEFINITION = """---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: things{0}.large.example.org}}
spec:
  group: large.example.org
  scope: Namespaced
  names: {{kind: Thing{0}, plural: things{0}, singular: thing{0}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
"""
# Records, the lock, the two small objects, rights that no dry run shows.
OTHERS = 20
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definitions(count, properties):
    """As argo-cd has them: most of the manifest."""
    body = "".join(PROPERTY.format(number, number) for number in range(properties))
    return "".join(DEFINITION.format(number) + body for number in range(count))


def blobs(kilobytes, seed):
    """ConfigMaps of random base64, as truststores are."""
    chance = random.Random(seed)
    found = []
    for number in range(kilobytes // 100):
        text = base64.b64encode(chance.randbytes(75_000)).decode()
        found.append(
            f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: blob-{number}}}\ndata: {{a: {text}}}\n"
        )
    return "".join(found)


class LargeRelease(Release):
    """Serves definitions, too."""

    definitions = {}  # noqa: RUF012 - replaced in each test
    asked = ()

    def resource_path(self, api_version, kind, namespace, name=""):
        if kind == "CustomResourceDefinition":
            return f"{DEFINITIONS}/{name}" if name else DEFINITIONS
        return super().resource_path(api_version, kind, namespace, name)

    def _get(self, path):
        self.asked.append(("GET", path))
        if path.startswith(DEFINITIONS):
            return {"metadata": {"name": path.rpartition("/")[2]}}
        return super()._get(path)

    def list(self, path, query=None, timeout_s=5.0):
        self.asked.append(("LIST", path))
        if path == MAPS:
            return tuple(copy.deepcopy(tuple(self.maps.values())))
        return super().list(path, query, timeout_s)

    def send(self, method, path, body, content_type="application/json", query=None, timeout_s=5.0):
        self.asked.append((method, path))
        if path.startswith(DEFINITIONS):
            return body
        return super().send(method, path, body, content_type, query, timeout_s)


@pytest.fixture
def new_world(tmp_path):
    helm_file = tmp_path / "helm"
    helm_file.write_text("")
    helm_file.chmod(0o755)

    def make():
        found = World(1, helm_file, Tally())
        found.release.__class__ = LargeRelease
        found.release.asked = []
        return found

    return make


@pytest.fixture
def world(new_world):
    """Four revisions with two ConfigMaps each."""
    return new_world()


def add(world, *more):
    """Revisions 5 and so on, each with one of ``more``."""
    for each in more:
        world.release.upgrade()
        number = world.release.head()[0]
        world.release.store(number, "deployed", manifest(number) + each)
    return world.release.head()[0]


def preflight(world, target):
    context = world._context(world._recorder("00000001", "ann"), target, {"data-loss": "x", "target": "x"})
    return context, run_preflight(context)


def test_case_c1_each_document_of_a_large_release_is_parsed_once(world, monkeypatch):
    parsed, really = [], documents.load_first
    monkeypatch.setattr(documents, "load_first", lambda text: parsed.append(text) or really(text))
    shared = definitions(3, 40)
    add(world, shared, shared.replace("property7", "property8"))
    _, known = preflight(world, 5)
    assert isinstance(known, PreflightResult), known
    assert len(parsed) > 6
    assert sorted(parsed) == sorted(set(parsed))


def test_nobody_changes_what_was_parsed(world, monkeypatch):
    """The objects are shared by all who ask, in every thread."""
    read, really = [], documents._parse

    def parse(text, namespace):
        found = really(text, namespace)
        read.append((found, copy.deepcopy(found)))
        return found

    monkeypatch.setattr(documents, "_parse", parse)
    add(world, definitions(1, 7).replace("things", "own"), "")
    preflight(world, 5)
    assert read
    assert all(found == before for found, before in read)


def test_case_c1_a_plan_of_two_megabytes_takes_a_few_times_as_long_as_to_read_it_once(world):
    """In CPU time of this process, beside that of the reading at the same time: a busy machine slows both.

    On a quiet one the reading takes 0.3 s.
    """
    shared = definitions(3, 4_000)
    assert len(shared) > 2_000_000
    began_s = time.process_time()
    documents.read_manifest(shared, "elsewhere")
    read_s = time.process_time() - began_s
    add(world, shared, shared + "# 2\n")
    began_s = time.process_time()
    _, known = preflight(world, 5)
    spent_s = time.process_time() - began_s
    assert isinstance(known, PreflightResult), known
    assert spent_s < 5 * read_s + 0.5


def spent_until_helm(world, kilobytes, seed):
    """CPU time from the command to helm's first step."""
    target = add(world, blobs(kilobytes, seed), blobs(kilobytes, seed + 1)) - 1
    for name in range(kilobytes // 100):
        world.release.apply(f"blob-{name}", "x")
    began_s = time.process_time()
    context, known = preflight(world, target)
    assert isinstance(known, PreflightResult), known
    at, really = [], world.release.store

    def store(*arguments):
        at.append(time.process_time())
        return really(*arguments)

    world.release.store = store
    RollbackStep(context, RunState(ITEMS), known, known.history, target, known.helm_version).run()
    return at[0] - began_s


def test_random_base64_costs_little_and_twice_as_much_twice_that(new_world):
    """From the command to helm's exec; the first one also pays for what is loaded once."""
    spent_until_helm(new_world(), 0, 1)
    without, some, twice = (
        min(spent_until_helm(new_world(), size, seed) for seed in (3, 5, 7)) for size in (0, 300, 600)
    )
    assert some - without <= 1.0
    assert twice - without <= 2.2 * max(some - without, 0.2)


def settings(count, text):
    """ConfigMaps that say ``text``."""
    return "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: n{number}}}\ndata: {{a: {text}, b: once}}\n"
        for number in range(count)
    )


def deploy_settings(world, count):
    """Two revisions whose ``count`` ConfigMaps all differ, the newer one live; returns the older's number."""
    newest = add(world, settings(count, "older"), settings(count, "newer"))
    for number in range(count):
        world.release.apply(f"n{number}", "newer")
    return newest - 1


def test_a_large_manifest_is_taken_apart_and_each_object_written_down_once(world, monkeypatch):
    """However many questions ask for its objects; diff and change summary need the same lines."""
    split, dumped = [], []
    really_split, really_dump = documents._documents, release_manifest._dumped
    monkeypatch.setattr(documents, "_documents", lambda text: split.append(text) or really_split(text))
    monkeypatch.setattr(release_manifest, "_dumped", lambda item: dumped.append(item) or really_dump(item))
    _, known = preflight(world, deploy_settings(world, 300))
    assert isinstance(known, PreflightResult), known
    assert known.plan.diff.count("+  a: older") == 300
    assert known.plan.change_summary.objects[0].live == "1 line"
    large = [text for text in split if len(text) > 10_000]
    assert list(Counter(large).values()) == [2, 2]  # for its objects, and for the names of its images
    named = [item["metadata"]["name"] for item in dumped if item and item["metadata"]["name"].startswith("n")]
    assert len(named) == 2 * 300


@pytest.mark.parametrize("count", [60, 300])
def test_what_is_asked_before_helm_grows_by_one_dry_run_for_each_object(world, count):
    target = deploy_settings(world, count)
    world.release.asked.clear()
    _, known = preflight(world, target)
    assert isinstance(known, PreflightResult), known
    asked = Counter(world.release.asked)
    dry_runs = {
        path: asked.pop((method, path)) for method, path in tuple(asked) if path.startswith(f"{MAPS}/n")
    }
    assert len(dry_runs) == count
    assert set(dry_runs.values()) == {1}
    assert asked.pop(("LIST", MAPS)) == 1
    assert sum(asked.values()) <= OTHERS, asked
