"""Which differences the key ``ignore`` leaves out: never one in what runs, whatever the entry."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_zkrollback.config.ignored_fields import Ignore
from pytest_zkrollback.domain.errors import Forbidden
from pytest_zkrollback.release.drift import LiveObject, compare_each
from pytest_zkrollback.release.ignored_differences import IgnoreRules, find_readers
from support.manifests import parse_manifest

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {example.org/team: shop}}
spec:
  replicas: 2
  minReadySeconds: 3
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 1}}
  template:
    metadata: {labels: {app: web}, annotations: {a: b}}
    spec:
      volumes: [{name: v, secret: {secretName: files}}]
      containers:
      - name: app
        image: "web:5"
        command: [serve]
        args: [--config=n/spoken]
        env: [{name: A, value: "1"}, {name: B, valueFrom: {configMapKeyRef: {name: one, key: k}}}]
        envFrom: [{configMapRef: {name: all}}, {secretRef: {name: secret}}]
        volumeMounts: [{name: v, mountPath: /v}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job}
spec:
  schedule: "* * * * *"
  failedJobsHistoryLimit: 1
  jobTemplate: {spec: {template: {spec: {containers: [{name: j, image: "j:1"}]}}}}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: web}, clusterIP: 10.0.0.1, ports: [{port: 80, targetPort: 8080, nodePort: 30001}]}
---
apiVersion: example.org/v1
kind: Shop
metadata: {name: shop}
spec:
  size: 3
  server: {podTemplate: {image: "s:1"}, baseImage: b, level: high}
  gate: {podSelector: {app: web}, open: true}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}], policyTypes: [Ingress]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
webhooks: [{name: a.example.org, clientConfig: {caBundle: Cg==}}, {name: b.example.org, clientConfig: {caBundle: Cg==}}]
""" + "".join(
    f"""---
apiVersion: v1
kind: {kind}
metadata: {{name: {name}}}
data: {{k: dg==, more.yaml: dw==}}
"""
    for kind, name in (
        *(("ConfigMap", name) for name in ("one", "all", "spoken", "free")),
        *(("Secret", name) for name in ("files", "secret", "loose")),
    )
)
TARGET = parse_manifest(MANIFEST, "n")
READ = {"one", "all", "spoken", "files", "secret"}


def changed_leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of an object stands."""
    if isinstance(node, dict | list):
        members = node.items() if isinstance(node, dict) else enumerate(node)
        return [leaf for key, value in members for leaf in changed_leaves(value, (*path, key))] or [path]
    return [path]


def with_another(item: dict, path: tuple[Any, ...]) -> dict:
    live = copy.deepcopy(item)
    node: Any = live
    for key in path[:-1]:
        node = node[key]
    before = node[path[-1]]
    node[path[-1]] = before + 1 if isinstance(before, int) else f"{before}x"
    return live


def what_runs(item: dict) -> object:
    """Said here once more, and otherwise: what of an object no entry may ever hide."""
    spec, kind = item.get("spec") or {}, item["kind"]
    if kind in ("ConfigMap", "Secret"):
        return item["data"] if item["metadata"]["name"] in READ else None
    return {
        "Deployment": lambda: [spec["template"], spec["selector"], spec["strategy"]],
        "CronJob": lambda: [spec["jobTemplate"], spec["schedule"]],
        "Service": lambda: [spec["selector"], [(each["port"], each["targetPort"]) for each in spec["ports"]]],
        "Shop": lambda: [
            spec["server"]["podTemplate"],
            spec["server"]["baseImage"],
            spec["gate"]["podSelector"],
        ],
        "NetworkPolicy": lambda: [spec["podSelector"], spec["ingress"]],
    }.get(kind, lambda: None)()


CHANGES = [(number, leaf) for number, item in enumerate(TARGET) for leaf in changed_leaves(item)[3:]]
WORDS = sorted({str(part) for _, leaf in CHANGES for part in leaf if isinstance(part, str)})
ELEMENTS = ["[*]", "[0]", "[app]", "[80/TCP]", "[a.example.org]", "[A]"]
PATHS = st.lists(st.sampled_from([*WORDS, "*", *ELEMENTS]), min_size=1, max_size=6).map(
    lambda parts: ".".join(parts).replace(".[", "[")
)
SPELLED = st.sampled_from(CHANGES).flatmap(
    lambda change: st.integers(1, len(change[1])).map(
        lambda depth: ".".join(f"[{part}]" if isinstance(part, int) else part for part in change[1][:depth])
    )
)


@given(
    change=st.sampled_from(CHANGES),
    path=st.one_of(PATHS, SPELLED),
    starred=st.booleans(),
)
def test_no_ignored_path_covers_what_runs(change, path, starred):
    number, leaf = change
    item = TARGET[number]
    live = LiveObject(with_another(item, leaf))
    try:
        entry = Ignore(kind=item["kind"], name="*", path=path.replace("[0]", "[*]") if starred else path)
    except ValidationError:
        return
    rules = IgnoreRules.made_for([entry], TARGET)
    [differences] = compare_each([item], [live])
    if differences and all(rules.entry_for(one, item, live) for one in differences):
        assert what_runs(live.item) == what_runs(item)
    for one in differences:
        assert not (rules.entry_for(one, item, live) and next(rules.refusals([item]), ""))


@pytest.mark.parametrize(("number", "leaf"), CHANGES, ids=str)
def test_what_runs_is_never_proposed_and_the_proposed_entry_leaves_it_out(number, leaf):
    item = TARGET[number]
    live = LiveObject(with_another(item, leaf))
    rules = IgnoreRules.made_for((), TARGET)
    [differences] = compare_each([item], [live])
    proposed = rules.proposed(differences, item, live)
    if what_runs(live.item) != what_runs(item):
        assert proposed == {}
    for one, entry in proposed.items():
        assert IgnoreRules.made_for([entry], TARGET).entry_for(one, item, live) == entry


def test_who_reads_what():
    assert find_readers(TARGET) == {
        ("ConfigMap", "n", "one"): "Deployment/web",
        ("ConfigMap", "n", "all"): "Deployment/web",
        ("ConfigMap", "n", "spoken"): "Deployment/web",
        ("Secret", "n", "files"): "Deployment/web",
        ("Secret", "n", "secret"): "Deployment/web",
    }


@pytest.mark.parametrize(
    ("kind", "path", "refused"),
    [
        (
            "ConfigMap",
            "data",
            'ignore = [{ kind = "ConfigMap", name = "*", path = "data" }] covers ConfigMap/one, which Deployment/web reads',
        ),
        ("ConfigMap", "metadata.labels", ""),
        (
            "Shop",
            "spec.server",
            'ignore = [{ kind = "Shop", name = "*", path = "spec.server" }] covers Shop/shop, where it says what runs, '
            "or what selects it (podTemplate)",
        ),
        ("Shop", "spec.size", ""),
        (
            "NetworkPolicy",
            "spec.ingress",
            'ignore = [{ kind = "NetworkPolicy", name = "*", path = "spec.ingress" }] covers NetworkPolicy/p, where it '
            "says what runs, or what selects it (podSelector)",
        ),
        ("NetworkPolicy", "spec.policyTypes", ""),
        ("ValidatingWebhookConfiguration", "webhooks", ""),
    ],
)
def test_what_only_the_objects_tell_is_refused_with_its_reason(kind, path, refused):
    rules = IgnoreRules.made_for([Ignore(kind=kind, name="*", path=path)], TARGET)
    assert next(rules.refusals(TARGET), "") == refused


def test_what_only_the_live_object_has_is_not_left_out_either():
    [item] = (each for each in TARGET if each["kind"] == "NetworkPolicy")
    stated = copy.deepcopy(item)
    stated["spec"]["ingress"] = [{}]
    rules = IgnoreRules.made_for([Ignore(kind="NetworkPolicy", name="p", path="spec.ingress")], [stated])
    assert next(rules.refusals([stated]), "") == ""
    live = LiveObject({**item, "spec": {**item["spec"], "ingress": [{}, *item["spec"]["ingress"]]}})
    [[one]] = compare_each([stated], [live])
    assert rules.entry_for(one, stated, live) is None
    harmless = LiveObject({**item, "spec": {**item["spec"], "ingress": [{}, {"ports": [{"port": 1}]}]}})
    [[one]] = compare_each([stated], [harmless])
    assert rules.entry_for(one, stated, harmless) is not None


def test_an_object_that_is_missing_or_was_not_read_is_never_left_out():
    [item] = (each for each in TARGET if each["metadata"]["name"] == "free")
    rules = IgnoreRules.made_for([Ignore(kind="ConfigMap", name="*", path="data")], TARGET)
    for answer in (LiveObject(), LiveObject(error=Forbidden("no", verb="get", resource="configmaps"))):
        [[one]] = compare_each([item], [answer])
        assert rules.entry_for(one, item, answer) is None
        assert rules.proposed([one], item, answer) == {}


def test_where_several_elements_differ_alike_one_entry_is_proposed_for_all():
    [item] = (each for each in TARGET if "webhooks" in each)
    live = copy.deepcopy(item)
    for hook in live["webhooks"]:
        hook["clientConfig"]["caBundle"] = "dg=="
    found, answer = compare_each([item], [LiveObject(live)])[0], LiveObject(live)
    entries = IgnoreRules.made_for((), TARGET).proposed(found, item, answer).values()
    assert {each.path for each in entries} == {"webhooks[*].clientConfig.caBundle"}
    live["webhooks"][1]["clientConfig"]["caBundle"] = "Cg=="
    [[one]] = compare_each([item], [answer])
    [entry] = IgnoreRules.made_for((), TARGET).proposed([one], item, answer).values()
    assert entry.path == "webhooks[a.example.org].clientConfig.caBundle"
