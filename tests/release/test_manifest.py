import pytest

from pytest_zkrollback.domain.errors import HelmProblem
from pytest_zkrollback.release.manifest import (
    container_images,
    identity,
    manifest_images,
    manifest_workloads,
    parse_manifest,
    pod_template,
    render_manifest_diff,
)
from pytest_zkrollback.release.quantity import parse_quantity

DEPLOYMENT = """
---
# Source: zkprova/templates/backend.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: backend
spec:
  template:
    spec:
      initContainers:
        - {name: init, image: "busybox:1"}
      containers:
        - {name: app, image: "backend:5"}
        - {name: side, image: "busybox:1"}
"""
CRON = """
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: c, namespace: other}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: x, image: "cron:1"}]}}}}}
"""
LIST = """
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: b}}
---
---
# only a comment
"""


def one(body: str) -> dict:
    (item,) = parse_manifest(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{body}", "n")
    return item


def test_objects_with_their_identity_in_order():
    objects = parse_manifest(DEPLOYMENT + CRON + LIST, "prod")
    assert [tuple(identity(item)) for item in objects] == [
        ("apps/v1", "Deployment", "prod", "backend"),
        ("batch/v1", "CronJob", "other", "c"),
        ("v1", "ServiceAccount", "prod", "a"),
        ("v1", "ServiceAccount", "prod", "b"),
    ]
    assert identity(objects[0]).label == "Deployment/backend"
    assert manifest_workloads(objects) == (objects[0],)
    assert manifest_images(objects) == ("backend:5", "busybox:1", "cron:1")
    template = pod_template(objects[0])
    assert template is not None
    assert container_images(template) == {"init": "busybox:1", "app": "backend:5", "side": "busybox:1"}
    assert pod_template(objects[2]) is None


def test_an_empty_manifest_has_no_objects():
    assert parse_manifest("", "n") == ()
    assert parse_manifest("---\n# nothing\n---\n", "n") == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30", "12:30"),
        ("12:30:45.5", "12:30:45.5"),
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23T07:00:00Z", "2026-11-23T07:00:00Z"),
        ("=", "="),
        ("y", True),
        ("N", False),
        ("on", True),
        ("Off", False),
        ("yep", "yep"),
        ("0777", 511),
        ("0o777", 511),
        ("08", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-1", -1),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ("!!binary aGk=", "hi"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_scalars_are_what_go_reads(text, value):
    found = one(f"x: {text}")["x"]
    assert found == value
    assert type(found) is type(value) or value == 1000 or text == "08"


def test_keys_are_strings_as_in_json():
    assert one("x: {on: 1, 2: b, 1.5: d, k: e}")["x"] == {"true": 1, "2": "b", "1.5": "d", "k": "e"}


def test_anchors_and_merges_are_resolved_into_separate_copies():
    found = one("x: &a {k: v}\nm: {<<: *a, z: 1}\nw: *a")
    assert found["m"] == {"k": "v", "z": 1}
    assert found["w"] == found["x"] and found["w"] is not found["x"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x: {a: explicit, <<: {a: merged}}", {"a": "merged"}),
        ("x: {<<: {a: merged}, a: explicit}", {"a": "explicit"}),
        ("x: {<<: [{a: 1}, {a: 2, b: 2}], c: 3}", {"a": 1, "b": 2, "c": 3}),
        ("x: {a: 0, <<: [{b: 1}, {a: 2}]}", {"a": 2, "b": 1}),
        ("x: {<<: {<<: {a: 1}, b: 1}, b: 2}", {"a": 1, "b": 2}),
    ],
)
def test_case_p21_what_comes_later_wins_merged_or_not_as_go_reads_it(text, found):
    assert one(text)["x"] == found


def test_merges_of_merges_do_not_explode():
    lines = ["m0: &m0 {k: 1}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, 20)]
    assert len(one("\n".join(lines))["m19"]) == 20


@pytest.mark.parametrize("text", ["x: {<<: 1}", "x: {<<: [1]}"])
def test_what_cannot_be_merged_is_said(text):
    with pytest.raises(HelmProblem, match="map merge requires map or sequence of maps"):
        one(text)


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "The manifest is no YAML in line 1: mapping values are not allowed in this context."),
        ("a:\n\t- b", "The manifest is no YAML in line 2: "),
        ("x: !!python/object:os.system {}", "The manifest is no YAML in line 1: could not determine"),
        ("{a: 1", "The manifest is no YAML in line "),
        ("x: \0", "The manifest is no YAML"),
        (laughs(9), "The manifest holds more than 500,000 values, which is more than is read."),
        ("&a [*a]", "The manifest is nested too deep, or holds a value"),
        ("x: " + "[" * 300 + "]" * 300, "The manifest is nested too deep, or holds a value"),
        ("x: " + "[" * 1_000_000, "The manifest is nested too deep, or holds a value"),
        ("- " * 100_000 + "1", "The manifest is nested too deep, or holds a value"),
        ("{a: " * 100_000, "The manifest is nested too deep, or holds a value"),
        ("---\n1\n" * 510_000, "The manifest holds more than 500,000 values, which is more than is read."),
        ("x: !!set {a, b}", "The manifest is nested too deep, or holds a value"),
        ("- a", "The manifest holds a list where an object has to be."),
        ("text", "The manifest holds a str where an object has to be."),
        (
            "kind: Pod",
            "The manifest holds an object without apiVersion, kind or name (its kind is Pod, its name None).",
        ),
        ("{apiVersion: v1, kind: Pod, metadata: []}", "The manifest holds an object without apiVersion"),
        ("{kind: List, items: [1]}", "The manifest holds a int where an object has to be."),
    ],
)
def test_broken_and_hostile_manifests_are_a_sentence(text, said):
    with pytest.raises(HelmProblem) as caught:
        parse_manifest(text, "n")
    assert str(caught.value).startswith(said)


def test_the_diff_shows_what_changes_per_object():
    bad = parse_manifest(DEPLOYMENT.replace("backend:5", "backend:6") + LIST, "n")
    target = parse_manifest(DEPLOYMENT + CRON.replace("other", "n"), "n")
    diff = render_manifest_diff(bad, target)
    assert diff.startswith("--- /dev/null\n+++ CronJob/c (target)\n@@ -0,0 +1,")
    assert (
        "--- Deployment/backend (live before)\n+++ Deployment/backend (target)\n@@ -7,7 +7,7 @@\n"
        "   template:\n     spec:\n       containers:\n"
        "-      - image: backend:6\n+      - image: backend:5\n"
    ) in diff
    assert "--- ServiceAccount/a (live before)\n+++ /dev/null\n" in diff


def test_equal_manifests_have_no_diff():
    objects = parse_manifest(DEPLOYMENT, "n")
    assert render_manifest_diff(objects, objects) == ""


def test_secret_values_are_never_in_the_diff_fault_49():
    def secret(**data: str) -> tuple:
        pairs = ", ".join(f"{key}: {value}" for key, value in data.items())
        return parse_manifest(
            f"{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, data: {{{pairs}}}, stringData: {{p: {data['a']}}}}}",
            "n",
        )

    bad, target = secret(a="hunter1", same="hunter0", gone="hunter3"), secret(a="hunter2", same="hunter0")
    diff = render_manifest_diff(bad, target)
    assert "hunter" not in diff
    assert "-  a: '(hidden: the value before)'\n-  gone: (hidden)\n+  a: '(hidden: another value)'" in diff
    assert "   same: (hidden)" in diff
    assert "hunter" not in render_manifest_diff((), target) + render_manifest_diff(bad, ())


@pytest.mark.parametrize(
    ("left", "right"),
    [("1000m", 1), ("0.5", "500m"), ("1Gi", "1024Mi"), ("1k", 1000), ("1e3", "1k"), (0.5, "500m"), ("1.", 1)],
)
def test_equal_quantities(left, right):
    assert parse_quantity(left) == parse_quantity(right) is not None


@pytest.mark.parametrize("value", ["", "m", "1x", "1 Gi", "1gi", True, None, [], "1e9999", "٣"])
def test_no_quantities(value):
    assert parse_quantity(value) is None
