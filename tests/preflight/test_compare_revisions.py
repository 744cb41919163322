"""What going back means: every kind of change, what stays, what is missing, and how it is shown."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.change_summary import Change, ChangeSummary, Skipped, TargetHook
from pytest_zkrollback.domain.errors import Forbidden, Unreachable
from pytest_zkrollback.domain.record import Mode, Outcome, Plan, Revision
from pytest_zkrollback.preflight.compare_revisions import chain_of, gather_change_summary
from pytest_zkrollback.preflight.target import TargetChoice, deployed_spans
from pytest_zkrollback.release.diff import (
    by_identity,
    deleted_objects,
    image_changes,
    object_changes,
    pod_references,
    replica_changes,
    value_changes,
    what_stays,
)
from pytest_zkrollback.release.drift import LiveObject
from pytest_zkrollback.release.helm_secret import Release
from pytest_zkrollback.release.history import ReleaseHistory
from pytest_zkrollback.release.manifest import identity, object_diffs
from pytest_zkrollback.report.change_section import change_summary_parts, render_change_summary_lines
from pytest_zkrollback.report.html import render_page
from pytest_zkrollback.report.markdown import render_markdown
from pytest_zkrollback.report.terminal import render_last_lines
from support.example_records import verified
from support.manifests import parse_manifest

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
KEEP = "annotations: {helm.sh/resource-policy: keep}"


def objects(text):
    return by_identity(parse_manifest(text, "n"))


def deployment(image="web:1", replicas=3, **spec):
    pod = {"containers": [{"name": "app", "image": image}], **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n"},
        "spec": {"template": {"spec": pod}, **({"replicas": replicas} if replicas is not None else {})},
    }


def config_map(name, metadata="", **data):
    return f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, {metadata}}}\ndata: {data or {'k': 'v'}}\n"


def test_every_object_that_differs_comes_or_goes_is_named():
    old = objects(config_map("same") + config_map("goes") + config_map("differs", a="1", b="2"))
    new = objects(config_map("same") + config_map("comes") + config_map("differs", a="1", b="3"))
    assert object_changes(object_diffs(tuple(old.values()), tuple(new.values()))) == (
        Change(what="ConfigMap/comes", live="", target="there"),
        Change(what="ConfigMap/differs", live="1 line", target="1 line"),
        Change(what="ConfigMap/goes", live="there", target=""),
    )


def test_images_and_replicas():
    old, new = by_identity([deployment("web:2", 5)]), by_identity([deployment("web:1", None)])
    assert image_changes(old, new) == (Change(what="Deployment/web app", live="web:2", target="web:1"),)
    assert replica_changes(old, new) == (Change(what="Deployment/web", live="5", target="not stated"),)
    assert image_changes(old, old) == replica_changes(old, old) == ()
    assert replica_changes(old, {}) == ()


def test_values_by_path_and_what_is_secret_by_its_name_only_differs():
    old = {"image": {"tag": "2", "pull": "Always"}, "db": {"password": "hunter2"}, "list": [1]}
    new = {"image": {"tag": "1", "pull": "Always"}, "db": {"password": "hunter3"}, "apiKey": "k"}
    changes = value_changes(old, new)
    assert changes == (
        Change(what="apiKey", live="", target="(hidden)"),
        Change(what="db.password", live="(hidden)", target="(hidden)"),
        Change(what="image.tag", live="2", target="1"),
        Change(what="list", live="[1]", target=""),
    )
    assert "hunter" not in repr(changes)


def test_what_helm_deletes_and_what_stays_where_it_is():
    crd = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example}\n"
    old = objects(config_map("goes") + config_map("kept", KEEP) + config_map("kept-live") + crd)
    kept_live = {key: item for key, item in old.items() if key.name == "kept-live"}
    cluster = {
        key: LiveObject(
            {**item, "metadata": {**item["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}}
        )
        for key, item in kept_live.items()
    }
    assert deleted_objects(old, {}, cluster) == (
        "ConfigMap/goes",
        "CustomResourceDefinition/things.example (and every object of its kind)",
    )
    head, target = (
        Release(revision(n), manifest="", crds=crds)
        for n, crds in (
            (6, {"crds/a.yaml": "1", "crds/b.yaml": "1"}),
            (5, {"crds/a.yaml": "2", "crds/b.yaml": "1"}),
        )
    )
    assert what_stays(head, target, old, {}, cluster) == (
        "ConfigMap/kept stays: its policy is 'keep'",
        "ConfigMap/kept-live stays: its policy is 'keep'",
        "crds/a.yaml differs, and stays as it is: helm never changes the CRDs of this folder",
    )


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"serviceAccountName": "s"}, [("ServiceAccount", "s")]),
        ({"volumes": [{"configMap": {"name": "c"}}]}, [("ConfigMap", "c")]),
        ({"volumes": [{"configMap": {"name": "c", "optional": True}}]}, []),
        ({"volumes": [{"secret": {"secretName": "s"}}]}, [("Secret", "s")]),
        ({"volumes": [{"persistentVolumeClaim": {"claimName": "p"}}]}, [("PersistentVolumeClaim", "p")]),
        (
            {
                "volumes": [
                    {"projected": {"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]}}
                ]
            },
            [("Secret", "s"), ("ConfigMap", "c")],
        ),
        ({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}, [("Secret", "s")]),
        (
            {"initContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}]},
            [("ConfigMap", "c")],
        ),
        ({"containers": [{"env": [{"name": "A", "value": "b"}]}]}, []),
        ({"volumes": "no list", "containers": [3, {"env": {"a": 1}}]}, []),
    ],
)
def test_what_a_pod_cannot_start_without(pod, expected):
    assert list(pod_references({"spec": pod})) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
PODS = st.dictionaries(
    st.sampled_from(["volumes", "containers", "initContainers", "serviceAccountName", "env"]),
    VALUES,
    max_size=4,
)


@given(PODS, VALUES)
def test_no_manifest_however_broken_stops_the_change_summary(pod, spec):
    list(pod_references({"spec": pod}))
    item = {**deployment(), "spec": spec}
    old, new = by_identity([item]), by_identity([deployment()])
    replica_changes(old, new)
    value_changes({"a": spec}, {"a": pod})


def revision(number, status="superseded", back=None, minutes=0, description="Upgrade complete"):
    return Revision(
        revision=number,
        status=status,
        chart=f"web-1.{number}.0",
        app_version=f"1.{number}",
        deployed_at=AT + timedelta(minutes=minutes),
        description=description,
        rollback_of=back,
    )


def history(*releases):
    return ReleaseHistory("n", "web", tuple(Release(each, manifest="") for each in releases))


def test_the_chain_is_followed_to_its_origin():
    found = history(revision(1), revision(4, back=1), revision(6, back=4), revision(7, back=3))
    assert [chain_of(found, number) for number in (6, 7, 1, 9)] == [(6, 4, 1), (7, 3), (1,), (9,)]


def test_how_long_it_served_ends_with_the_next_one_that_succeeded():
    failed = revision(3, "failed", minutes=20, description='Upgrade "web" failed: x')
    found = history(revision(2), failed, revision(4, minutes=90), revision(5, "deployed", minutes=95))
    assert deployed_spans(found) == {2: 5400.0, 4: 300.0}


class FakeKube:
    """Lists ConfigMaps and Secrets by name; fails on anything else."""

    def __init__(self, **there):
        self.there = there

    def list_metadata(self, path, query=None, timeout_s=5.0):
        found = self.there[path.rpartition("/")[2]]
        if isinstance(found, Exception):
            raise found
        return tuple({"metadata": {"name": name}} for name in found)


class FakeLook:
    """What the preflight looked at."""

    asked = "previous"

    def __init__(self, old, new, live=None):
        releases = [Release(revision(5), manifest="new"), Release(revision(6, "deployed"), manifest="old")]
        self.known = ReleaseHistory("n", "web", tuple(releases))
        self.objects = {"old": old, "new": new}
        self.live_now = live

    def history(self):
        return self.known

    def choice(self):
        return TargetChoice(5, "the newest", (Skipped(revision=4, reason="is failed: x"),))

    @property
    def target(self):
        return self.known.get(5)

    def objects_of(self, release):
        return self.objects[release.manifest]

    def diffs(self, old, new):
        return object_diffs(self.objects_of(old), self.objects_of(new))

    def unread(self):
        return ()

    def has_unread(self, release):
        return False

    def live(self):
        if isinstance(self.live_now, Exception):
            raise self.live_now
        return (
            self.live_now
            if self.live_now is not None
            else {identity(one): LiveObject(one) for one in self.objects["old"]}
        )


def test_missing_references_are_those_that_neither_manifest_nor_namespace_has():
    pod = {
        "containers": [
            {
                "name": "app",
                "image": "web:1",
                "envFrom": [
                    {"configMapRef": {"name": name}} for name in ("brought", "there", "gone", "leaves")
                ]
                + [{"secretRef": {"name": "unknown"}}],
            }
        ],
        "serviceAccountName": "default",
    }
    new = (deployment(**pod), *parse_manifest(config_map("brought"), "n"))
    old = (deployment(), *parse_manifest(config_map("leaves"), "n"))
    kube = FakeKube(configmaps=["there", "leaves"], secrets=Forbidden("no", verb="list", resource="secrets"))
    change_summary = gather_change_summary(kube, "n", FakeLook(old, new))
    assert change_summary.missing == (
        "ConfigMap/gone, which Deployment/web refers to, does not exist",
        "ConfigMap/leaves, which Deployment/web refers to, is deleted by this rollback",
    )
    assert change_summary.unknown == ("whether every Secret that the target's pods need is there: no",)
    assert change_summary.drift == ()
    assert change_summary.skipped[0].revision == 4


def test_drift_is_told_and_what_was_not_looked_at_is_unknown_and_not_equal():
    old, new = (deployment("web:2"),), (deployment("web:1"),)
    drifted = {identity(old[0]): LiveObject(deployment("web:3"))}
    told = gather_change_summary(FakeKube(), "n", FakeLook(old, new, drifted)).drift
    assert told == (
        'Deployment/web spec.template.spec.containers[app].image: expected "web:2", live "web:3"',
    )
    blind = gather_change_summary(FakeKube(), "n", FakeLook(old, new, Unreachable("no answer")))
    assert (blind.drift, blind.unknown) == ((), ("the live objects: no answer",))


def test_long_lists_are_cut_and_counted():
    old = tuple(parse_manifest("".join(config_map(f"c{n:03}") for n in range(100)), "n"))
    change_summary = gather_change_summary(FakeKube(), "n", FakeLook(old, (deployment(),)))
    assert len(change_summary.deleted) == 60
    assert "40 more deletions are not listed" in change_summary.unknown


def test_secrets_values_are_in_no_part_of_it_fault_49():
    def secret(value):
        return parse_manifest(
            f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{p: {base64.b64encode(value).decode()}}}",
            "n",
        )

    old, new = secret(b"hunter2hunter2"), secret(b"hunter3hunter3")
    live = {identity(old[0]): LiveObject(secret(b"hunter4hunter4")[0])}
    text = gather_change_summary(FakeKube(), "n", FakeLook(old, new, live)).model_dump_json()
    assert "Secret/s" in text
    for value in (b"hunter2hunter2", b"hunter3hunter3", b"hunter4hunter4"):
        assert value.decode() not in text
        assert base64.b64encode(value).decode() not in text


FULL = ChangeSummary(
    asked="previous",
    chosen_because="the newest older revision with nothing against it; that it was healthy is not known",
    chain=(5, 2),
    deployed_for_s=5400,
    skipped=(Skipped(revision=4, reason="is failed: <b>x</b>"),),
    objects=(
        Change(what="ConfigMap/a", live="", target="there"),
        Change(what="ConfigMap/b", live="there", target=""),
        Change(what="ConfigMap/c", live="1 line", target="2 lines"),
    ),
    images=(Change(what="Deployment/web app", live="web:2", target="web:1"),),
    deleted=("ConfigMap/b",),
    not_rolled_back=("crds/a.yaml differs",),
    missing=("Secret/s, which Deployment/web refers to, does not exist",),
    hooks=(TargetHook(name="Job/pre", events=("pre-rollback",), revision=5),),
    unknown=("the live objects: no answer",),
)


def record(plan=None, **more):
    return verified(plan=plan or Plan(target=revision(5, back=2), change_summary=FULL), **more)


def test_shown_as_headed_lines():
    assert dict(change_summary_parts(record())) == {
        "Target": (
            "revision 5 (previous), web-1.5.0, app 1.5, deployed 2026-11-23 02:00:00 UTC, served for 1 h 30 min",
            "chosen as the newest older revision with nothing against it; that it was healthy is not known",
            "it is a rollback: 5 -> 2, whose content it has",
        ),
        "Not taken": ("revision 4 is failed: <b>x</b>",),
        "Image": ("Deployment/web app: web:2 -> web:1",),
        "Changes": ("ConfigMap/a comes back", "ConfigMap/b goes", "ConfigMap/c: 1 line out, 2 lines in"),
        "Will be deleted": ("ConfigMap/b",),
        "Will not move": ("crds/a.yaml differs",),
        "Missing": ("Secret/s, which Deployment/web refers to, does not exist",),
        "Hook": ("Job/pre (pre-rollback) of revision 5 will run",),
        "Not known": ("the live objects: no answer",),
    }
    assert change_summary_parts(record(Plan())) == ()


def test_a_terminal_shows_few_of_a_kind_and_says_that_there_are_more():
    many = FULL.model_copy(update={"deleted": tuple(f"ConfigMap/{n}" for n in range(9))})
    lines = render_change_summary_lines(record(Plan(target=revision(5), change_summary=many)))
    assert "Will be deleted: ConfigMap/3" in lines
    assert "Will be deleted: 5 more in the report" in lines
    assert "Will be deleted: ConfigMap/4" not in lines


def test_page_and_markdown_have_it_inert_and_the_terminal_has_it_for_a_plan():
    page, text = render_page(record()), render_markdown(record())
    for shown in (page, text):
        assert "What changed" in shown
        assert "web:2" in shown
        assert "<b>x</b>" not in shown
    assert "Deployment/web app" not in render_last_lines(record(), "")
    planned = record(mode=Mode.PLAN, outcome=Outcome.PLANNED)
    assert "Image: Deployment/web app: web:2 -> web:1" in render_last_lines(planned, "")
