import pytest

from pytest_zkrollback.release import documents
from pytest_zkrollback.release.documents import read_manifest
from pytest_zkrollback.release.manifest import (
    container_images,
    identity,
    manifest_images,
    manifest_workloads,
    object_diffs,
    pod_template,
    render_diffs,
)
from pytest_zkrollback.release.quantity import parse_quantity
from support.manifests import parse_manifest

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
        ("0X1F", 31),
        ("0o8", "0o8"),
        ("1e400", "1e400"),
        ("99999999999999999999", 1e20),
        ("!!float 1", 1.0),
        ("!foo bar", "bar"),
        ("!!python/object:os.system {}", {}),
        ("!!set {a, b}", {"a": None, "b": None}),
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
    assert one("x: {y: a, 1: b, 1e3: c, 1e7: d, 1.0: e}")["x"] == {
        "true": "a",
        "1": "e",
        "1000": "c",
        "1e+07": "d",
    }


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


def a_map(name):
    return f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}\n"


@pytest.mark.parametrize("text", ["x: {<<: 1}", "x: {<<: [1]}"])
def test_what_cannot_be_merged_is_said(text):
    found = read_manifest(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{text}", "n")
    assert "map merge requires map or sequence of maps" in str(found.unread[0])


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said", "helm_fails"),
    [
        ("a: b: c", "is no YAML in line 1: mapping values are not allowed in this context", True),
        ("# x\na:\n\t- b", "is no YAML in line 3: ", True),
        ("{a: 1", "is no YAML in line ", False),  # it may be JSON, which helm reads otherwise
        ("x: \0", "is no YAML", True),
        (laughs(9), "holds more than 500,000 values, which is more than is read", False),
        ("x: " + "[" * 1_000_000, "is nested too deep, or holds a value", False),
        ("- " * 100_000 + "1", "is nested too deep, or holds a value", False),
        ("a: " + "{a: " * 100_000, "is nested too deep, or holds a value", False),
        ("&a [*a]", "is nested too deep, or holds a value", False),
        ("x: " + "[" * 300 + "]" * 300, "is nested too deep, or holds a value", False),
        ("a: &x 1\nb: &x 2", "is no YAML in line 2: second occurrence", False),
        ("a: *x", "is no YAML in line 1: found undefined alias", True),
        ("a: .inf", "is no YAML in line 1: a number that JSON does not have", True),
        ("~: 1", "is no YAML in line 1: a key that is null, a list or a map", True),
        ("a: !!binary '*'", "is no YAML in line 1: binary data that is not base64", True),
        ("a: !!int x", "is no YAML in line 1: a value that is not of its type int", True),
        ("\ufeffkind: Pod", "holds a byte order mark", False),
        ("--- a\nkind: Pod", "begins with a separator that something follows", True),
        ("- a", "holds a list where an object has to be", True),
        ("text", "holds a text where an object has to be", True),
        ("apiVersion: v1", "holds an object without kind", True),
        ("kind: 5", "has a number as kind", True),
        ("kind: Pod", "holds an object of kind Pod without a name", True),
        ("{kind: Pod, metadata: {name: a}}", "holds an object without apiVersion (Pod/a)", False),
        ("{apiVersion: v1, kind: Pod, metadata: []}", "has a list as metadata", True),
        ("{apiVersion: v1, kind: Pod, metadata: {name: 5}}", "has a number as metadata.name", True),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {b: 1}}}",
            "has a number as metadata.labels b, where text has to be",
            True,
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {generateName: job-}}",
            "holds an object of kind Pod without a name, only generateName job-",
            True,
        ),
        ("{apiVersion: v1, kind: List, items: x}", "is a List whose items are a text", True),
        ("{apiVersion: v1, kind: List, items: [1]}", "holds a number where an object has to be", True),
        ("{apiVersion: v1, kind: List, items: [{kind: List, items: []}]}", "holds a List in a List", True),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: []}}",
            "holds Deployment/a, whose spec.template is a list",
            False,
        ),
    ],
)
def test_what_cannot_be_read_is_a_sentence_and_hides_nothing_else(text, said, helm_fails):
    """A document for itself; and the same among others, with its number, its template and its line."""
    (unread,) = read_manifest(text, "n").unread
    assert unread.why.startswith(said)
    assert unread.helm_fails is helm_fails
    if text.startswith("---"):
        return
    among = f"---\n# Source: web/a.yaml\n{a_map('a')}---\n# Source: web/b.yaml\n{text}\n---\n{a_map('c')}"
    found = read_manifest(among, "n")
    assert [item["metadata"]["name"] for item in found.objects] == ["a", "c"]
    (unread,) = found.unread
    assert (unread.number, unread.source) == (2, "web/b.yaml")
    if "in line" in said:
        line = int(unread.why.split("in line ")[1].split(":")[0])
        start = among.split(text, maxsplit=1)[0].count("\n") + 1
        assert start <= line <= start + text.count("\n") + 1


ONE = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "%s"}}'


@pytest.mark.parametrize("between", ["", " ", "\n", "\n\n"])
def test_text_in_braces_is_a_stream_of_json_of_which_helm_reads_all(between):
    """A post-renderer may write one (yq -o=json); found by a critic: the second object was not seen."""
    found = read_manifest(between.join(ONE % name for name in "abc") + "\n", "n")
    assert [item["metadata"]["name"] for item in found.objects] == ["a", "b", "c"]
    assert found.unread == ()


def test_what_follows_an_object_of_a_json_stream_and_is_none_is_said():
    found = read_manifest(ONE % "a" + "\n{broken", "n")
    assert found.objects == ()
    assert len(found.unread) == 1


def test_fields_of_a_charts_own_are_no_wrong_shapes():
    longhorn = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a}, parameters: {nodeSelector: x}}"
    assert read_manifest(longhorn, "n").unread == ()


DEEP = "metadata: {name: a, labels: {b: c}}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("apiVersion: v1\nkind: List\nitems:\n", []),
        ("apiVersion: v1\nkind: List\nitems: []\n", []),
        ("apiVersion: v1\nkind: List\nmetadata: {}\nitems: null\n", []),
        (f"apiVersion: v1\nkind: ConfigMapList\nitems: [{{{DEEP}}}]\n", ["a"]),
        (f"apiVersion: v1\nkind: List\nitems: [{{apiVersion: v1, kind: Secret, {DEEP}}}]\n", ["a"]),
    ],
)
def test_case_p3_a_list_is_what_helm_reads_in_it(text, names):
    """Null is an empty one; items without a kind have that of their List."""
    found = read_manifest(f"{text}---\n{a_map('last')}", "n")
    assert found.unread == ()
    assert [item["metadata"]["name"] for item in found.objects] == [*names, "last"]
    assert all(item["kind"] in ("ConfigMap", "Secret") for item in found.objects)


def test_what_repeats_itself_half_a_million_times_is_not_read():
    found = read_manifest("---\n1\n" * 510_000, "n")
    assert "more than 20,000 are not" in str(found.unread[-1])


def test_each_document_is_parsed_once_in_whichever_revisions_it_stands(monkeypatch):
    parsed, really = [], documents.load_first
    monkeypatch.setattr(documents, "load_first", lambda text: parsed.append(text) or really(text))
    shared, older, newer = (a_map(f"once-{name}") for name in ("shared", "older", "newer"))
    for _ in range(3):
        for own in (older, newer):
            assert len(read_manifest(f"---\n{shared}---\n{own}", "once").objects) == 2
    assert len(parsed) == 3


def test_the_diff_shows_what_changes_per_object():
    bad = parse_manifest(DEPLOYMENT.replace("backend:5", "backend:6") + LIST, "n")
    target = parse_manifest(DEPLOYMENT + CRON.replace("other", "'n'"), "n")
    diff = render_diffs(object_diffs(bad, target))
    assert diff.startswith("--- /dev/null\n+++ CronJob/c (target)\n@@ -0,0 +1,")
    assert (
        "--- Deployment/backend (live before)\n+++ Deployment/backend (target)\n@@ -7,7 +7,7 @@\n"
        "   template:\n     spec:\n       containers:\n"
        "-      - image: backend:6\n+      - image: backend:5\n"
    ) in diff
    assert "--- ServiceAccount/a (live before)\n+++ /dev/null\n" in diff


def test_equal_manifests_have_no_diff():
    objects = parse_manifest(DEPLOYMENT, "n")
    assert render_diffs(object_diffs(objects, objects)) == ""


def test_secret_values_are_never_in_the_diff_fault_49():
    def secret(**data: str) -> tuple:
        pairs = ", ".join(f"{key}: {value}" for key, value in data.items())
        return parse_manifest(
            f"{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, data: {{{pairs}}}, stringData: {{p: {data['a']}}}}}",
            "n",
        )

    bad, target = secret(a="hunter1", same="hunter0", gone="hunter3"), secret(a="hunter2", same="hunter0")
    diff = render_diffs(object_diffs(bad, target))
    assert "hunter" not in diff
    assert "-  a: '(hidden: the value before)'\n-  gone: (hidden)\n+  a: '(hidden: another value)'" in diff
    assert "   same: (hidden)" in diff
    assert "hunter" not in render_diffs(object_diffs((), target)) + render_diffs(object_diffs(bad, ()))


@pytest.mark.parametrize(
    ("left", "right"),
    [("1000m", 1), ("0.5", "500m"), ("1Gi", "1024Mi"), ("1k", 1000), ("1e3", "1k"), (0.5, "500m"), ("1.", 1)],
)
def test_equal_quantities(left, right):
    assert parse_quantity(left) == parse_quantity(right) is not None


@pytest.mark.parametrize("value", ["", "m", "1x", "1 Gi", "1gi", True, None, [], "1e9999", "٣"])
def test_no_quantities(value):
    assert parse_quantity(value) is None
