import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.domain.errors import BadAnswer, Forbidden, NotFound, Unreachable, ZkRollbackError
from pytest_zkrollback.release.drift import LiveObject, compare, fetch_live, render_differences
from support.manifests import parse_manifest

CONTAINER = {
    "name": "app",
    "image": "web:1",
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "ports": [{"containerPort": 80}],
    "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
}


def made(kind: str = "Deployment", **parts: Any) -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "n", "labels": {"app": "web"}},
        **parts,
    }


def deployment(**pod: Any) -> dict:
    return made(
        spec={
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [copy.deepcopy(CONTAINER)], **pod},
            },
        }
    )


def changed(item: dict, path: str, value: Any) -> dict:
    """A copy with the value at ``path`` (dots; numbers for list places) set; ``...`` removes it."""
    result = copy.deepcopy(item)
    node: Any = result
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        node = node[part]
    if value is ...:
        del node[last]
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value
    return result


def differences(expected: dict, live: dict) -> list[str]:
    return [str(one) for one in compare([expected], [LiveObject(live)])]


POD = "spec/template/spec"
APP = f"{POD}/containers/0"
SHOWN = "Deployment/web spec.template.spec.containers[app]"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", {"replicas": 2}),
        ("metadata/uid", "u"),
        ("metadata/annotations", {"deployment.kubernetes.io/revision": "1"}),
        ("metadata/labels/added", "x"),
        ("spec/progressDeadlineSeconds", 600),
        ("spec/template/metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "now"}),
        (f"{POD}/restartPolicy", "Always"),
        (f"{POD}/tolerations", [{"operator": "Exists"}]),
        (f"{APP}/imagePullPolicy", "IfNotPresent"),
        (f"{APP}/ports/0/protocol", "TCP"),
        (f"{APP}/resources/limits/cpu", "1"),
        (f"{APP}/resources/limits/memory", "1024Mi"),
        (f"{APP}/env", [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]),
        (f"{APP}/volumeMounts/0/readOnly", False),
    ],
)
def test_what_a_server_adds_or_rewrites_is_no_difference(path, value):
    assert differences(deployment(), changed(deployment(), path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (f"{APP}/image", "web:2", f'{SHOWN}.image: expected "web:1", live "web:2"'),
        (
            f"{POD}/containers/1",
            {"name": "leak", "image": "x"},
            "Deployment/web spec.template.spec.containers[leak]: expected (not stated), "
            'live {"image": "x", "name": "leak"}',
        ),
        (
            f"{POD}/initContainers",
            [{"name": "leak"}],
            'Deployment/web spec.template.spec.initContainers: expected (not stated), live [{"name": "leak"}]',
        ),
        (
            f"{APP}/env/2",
            {"name": "HAND", "value": "1"},
            f'{SHOWN}.env[HAND]: expected (not stated), live {{"name": "HAND", "value": "1"}}',
        ),
        (f"{APP}/env/0/value", ..., f'{SHOWN}.env[A].value: expected "1", live (absent)'),
        (f"{APP}/env/0", ..., f'{SHOWN}.env[A]: expected {{"name": "A", "value": "1"}}, live (absent)'),
        (f"{APP}/command", ["sh"], f'{SHOWN}.command: expected (not stated), live ["sh"]'),
        (f"{APP}/ports/0/containerPort", 81, None),
        (
            f"{APP}/resources/limits/cpu",
            "999m",
            f'{SHOWN}.resources.limits.cpu: expected "1000m", live "999m"',
        ),
        (
            f"{APP}/resources/limits/cpu",
            ...,
            f'{SHOWN}.resources.limits.cpu: expected "1000m", live (absent)',
        ),
        (f"{APP}/volumeMounts/0/mountPath", "/var", None),
        ("spec/replicas", 3, "Deployment/web spec.replicas: expected 2, live 3"),
        (
            "spec/selector/matchLabels/more",
            "x",
            'Deployment/web spec.selector.matchLabels.more: expected (not stated), live "x"',
        ),
        ("metadata/labels/app", "other", 'Deployment/web metadata.labels.app: expected "web", live "other"'),
        ("metadata/labels", ..., 'Deployment/web metadata.labels: expected {"app": "web"}, live (absent)'),
        (
            "metadata/deletionTimestamp",
            "2026-11-23T07:00:00Z",
            "Deployment/web metadata.deletionTimestamp: expected (not stated), live being deleted",
        ),
        ("spec", ..., None),
        ("spec", None, None),
        ("spec", [], None),
    ],
)
def test_drift_is_found_fault_44(path, value, said):
    found = differences(deployment(), changed(deployment(), path, value))
    assert found
    assert said is None or found == [said]


@pytest.mark.parametrize(
    ("stated", "live", "equal"),
    [
        # What the server drops because it says nothing, and what it does not.
        ({"hostNetwork": False}, {}, True),
        ({"nodeSelector": {}}, {}, True),
        ({"annotations": {"a": None}}, {}, True),
        ({"tolerations": []}, {}, True),
        ({"priority": 0}, {}, True),
        ({"serviceAccountName": ""}, {}, True),
        ({"resources": None}, {"resources": {"x": 1}}, True),
        ({"emptyDir": {}}, {"hostPath": {"path": "/"}}, False),
        ({"emptyDir": {}}, {"emptyDir": {}}, True),
        ({"labels": {}}, {"labels": None}, True),
        ({"flag": True}, {}, False),
        ({"flag": True}, {"flag": 1}, False),
        ({"flag": 1}, {"flag": True}, False),
        ({"size": 1}, {"size": 1.0}, True),
        ({"size": 1}, {"size": "1"}, False),
        # A quantity only where quantities stand.
        ({"size": "1000m"}, {"size": "1"}, False),
        ({"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"}, True),
        ({"requests": {"cpu": 0.5}}, {"requests": {"cpu": "500m"}}, True),
        ({"env": [{"name": "A", "value": "1000m"}]}, {"env": [{"name": "A", "value": "1"}]}, False),
        ({"targetPort": 80}, {"targetPort": "80"}, True),
        ({"replicas": 80}, {"replicas": "80"}, False),
        # Lists by place where there is no key, by key where there is a unique one.
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, False),
        ({"args": ["a"]}, {"args": ["a", "b"]}, False),
        ({"args": []}, {"args": ["b"]}, False),
        ({"rules": [{"a": 1}]}, {"rules": [{"a": 1, "b": 2}]}, True),
        ({"rules": [{"a": 1}]}, {"rules": [{"a": 1}, {"a": 1}]}, False),
        ({"env": [{"name": "A"}, {"name": "A"}]}, {"env": [{"name": "A"}]}, False),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}, True),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 80, "nodePort": 3}]}, True),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 80}, {"port": 81}]}, False),
        ({"selector": {"a": "b"}}, {"selector": {"a": "b", "slot": "blue"}}, False),
    ],
)
def test_values(stated, live, equal):
    found = differences(made("Thing", spec=stated), made("Thing", spec=live))
    assert (found == []) is equal


def test_env_that_got_its_value_elsewhere_is_drift():
    stated = deployment()
    stated["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": ""}]
    live = changed(stated, f"{APP}/env/0", {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}})
    assert differences(stated, live) == [
        f'{SHOWN}.env[A].valueFrom: expected (not stated), live {{"secretKeyRef": {{"name": "s"}}}}'
    ]


def test_a_bare_pod_may_have_what_admission_injects():
    stated = made("Pod", spec={"containers": [CONTAINER]})
    live = changed(
        changed(stated, "spec/containers/1", {"name": "proxy"}), "spec/volumes", [{"name": "token"}]
    )
    assert differences(stated, live) == []


def test_secrets_by_value_and_never_shown_fault_49():
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    stated = made(
        "Secret", data={"a": encoded("hunter1"), "b": "old"}, stringData={"b": "hunter2"}, type="Opaque"
    )
    live = made("Secret", data={"a": encoded("hunter1"), "b": encoded("hunter2"), "c": "eA=="}, type="Opaque")
    assert differences(stated, live) == ["Secret/web data.c: expected (not stated), live (hidden)"]
    live["data"] = {"a": encoded("hunter3")}
    found = differences(stated, live)
    assert found == [
        "Secret/web data.a: expected (hidden), live (hidden: another value)",
        "Secret/web data.b: expected (hidden), live (absent)",
    ]


@pytest.mark.parametrize("member", ["data", "stringData"])
def test_case_p36_a_null_in_a_secret_states_nothing(member):
    assert differences(made("Secret", **{member: {"A": None}}), made("Secret", data={})) == []


def test_case_p6_the_rules_of_an_aggregated_cluster_role_are_its_controllers():
    stated = made(
        "ClusterRole", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}, rules=[]
    )
    assert differences(stated, {**stated, "rules": [{"verbs": ["get"]}]}) == []
    plain = made("ClusterRole", rules=[])
    assert differences(plain, {**plain, "rules": [{"verbs": ["get"]}]}) != []
    assert differences(stated, {**stated, "aggregationRule": {}}) != []


def test_case_p35_what_a_platform_adds_to_the_secrets_of_a_service_account_is_no_difference():
    stated = made("ServiceAccount", secrets=[{"name": "a"}, {"name": "b"}])
    more = [{"name": "dockercfg"}, {"name": "b"}, {"name": "a"}]
    assert differences(stated, {**stated, "secrets": more}) == []
    assert differences(stated, {**stated, "secrets": more[:2]}) == [
        'ServiceAccount/web secrets[a]: expected {"name": "a"}, live (absent)'
    ]


def test_config_maps_by_value_with_their_keys():
    stated = made("ConfigMap", data={"k": "v", "empty": ""})
    assert differences(stated, made("ConfigMap", data={"k": "v", "LEFT": "over"})) == [
        'ConfigMap/web data.LEFT: expected (not stated), live "over"'
    ]
    filled_by_others = made("ConfigMap")
    assert differences(filled_by_others, made("ConfigMap", data={"ca.crt": "x"})) == []
    assert differences(stated, made("ConfigMap", data={"k": "w"})) == [
        'ConfigMap/web data.k: expected "v", live "w"'
    ]


def scaled(manager: str, subresource: str = "scale") -> dict:
    live = changed(deployment(), "spec/replicas", 6)
    field = {"manager": manager, "subresource": subresource, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    live["metadata"]["managedFields"] = [{"manager": "helm"}, field]
    return live


def test_replicas_that_an_autoscaler_owns_are_not_compared_fault_43():
    assert differences(deployment(), scaled("kube-controller-manager")) == []
    assert differences(deployment(), scaled("kubectl")) != []
    assert differences(deployment(), scaled("kube-controller-manager", "")) != []
    scaler = made("HorizontalPodAutoscaler", spec={"scaleTargetRef": {"kind": "Deployment", "name": "web"}})
    live = changed(deployment(), "spec/replicas", 6)
    assert compare([deployment(), scaler], [LiveObject(live), LiveObject(scaler)]) == ()


def owned_by(item: dict, manager: str, fields: dict, operation: str = "Update", **more: str) -> dict:
    live = copy.deepcopy(item)
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields, **more}
    live["metadata"].setdefault("managedFields", []).append(entry)
    return live


def in_app(**fields: Any) -> dict:
    """The fieldsV1 of something in the container ``app``."""
    app = {'k:{"name":"app"}': {f"f:{name}": value for name, value in fields.items()}}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": app}}}}


PROBE = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 10}
PROBED = changed(deployment(), f"{APP}/livenessProbe", PROBE)
PROBE_FIELDS = in_app(livenessProbe={"f:httpGet": {"f:path": {}, "f:port": {}}, "f:periodSeconds": {}})


@pytest.mark.parametrize(
    ("manager", "replicas", "drift"),
    [
        ("flagger", 0, False),
        ("keda", 0, False),
        ("flagger", 1, True),
        ("kubectl", 0, True),
        ("helm", 0, True),
    ],
)
def test_case_p19_a_controller_that_keeps_a_workload_at_zero_is_no_drift(manager, replicas, drift):
    live = changed(deployment(), "spec/replicas", replicas)
    entry = {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    live["metadata"]["managedFields"] = [entry]
    assert (differences(deployment(), live) != []) is drift


def test_fault_44_a_probe_that_was_added_by_hand_is_drift():
    by_hand = owned_by(PROBED, "kubectl-edit", PROBE_FIELDS)
    assert differences(deployment(), by_hand) == [
        f"{SHOWN}.livenessProbe: expected (not stated), live "
        '{"httpGet": {"path": "/", "port": 80}, "periodSeconds": 10} (set by kubectl-edit)'
    ]


def test_fault_44_a_limit_that_was_added_by_hand_is_drift():
    added = changed(deployment(), f"{APP}/resources/limits/ephemeral-storage", "1Gi")
    by_hand = owned_by(added, "kubectl-set", in_app(resources={"f:limits": {"f:ephemeral-storage": {}}}))
    assert differences(deployment(), by_hand) == [
        f'{SHOWN}.resources.limits.ephemeral-storage: expected (not stated), live "1Gi" (set by kubectl-set)'
    ]


def test_fault_44_what_another_revision_applied_and_this_one_does_not_state_is_drift():
    left = owned_by(PROBED, "helm", PROBE_FIELDS, "Apply")
    (said,) = differences(deployment(), left)
    assert said.endswith("(set by helm, for another revision)")


SIDECAR = {"name": "mesh", "image": "mesh:1"}
WITH_SIDECAR = changed(deployment(), "spec/template/spec/containers", [CONTAINER, SIDECAR])
SIDECAR_FIELDS = {
    "f:spec": {
        "f:template": {
            "f:spec": {"f:containers": {'k:{"name":"mesh"}': {".": {}, "f:image": {}, "f:name": {}}}}
        }
    }
}
WITH_VARIABLE = changed(deployment(), f"{APP}/env", [*CONTAINER["env"], {"name": "MESH", "value": "on"}])
VARIABLE_FIELDS = in_app(env={'k:{"name":"MESH"}': {".": {}, "f:name": {}, "f:value": {}}})


@pytest.mark.parametrize(
    ("live", "fields"),
    [(WITH_SIDECAR, SIDECAR_FIELDS), (WITH_VARIABLE, VARIABLE_FIELDS)],
    ids=["container", "variable"],
)
@pytest.mark.parametrize(
    ("owners", "managers", "welcome", "drift"),
    [
        (("Reloader",), ("helm",), ("Reloader",), False),
        (("Reloader",), ("helm",), (), True),
        (("Reloader",), ("helm",), ("another",), True),
        (("Reloader", "kubectl-edit"), ("helm",), ("Reloader",), True),  # somebody else states it as well
        (("helm",), ("helm",), ("helm",), True),  # who writes the release leaves nothing behind
        (("pipeline",), ("helm", "pipeline"), ("pipeline",), True),
        ((), ("helm",), ("Reloader",), True),  # nobody is known
    ],
)
def test_what_a_manager_of_the_configuration_adds_to_a_template_is_no_drift(
    live, fields, owners, managers, welcome, drift
):
    for owner in owners:
        live = owned_by(live, owner, fields)
    assert bool(compare([deployment()], [LiveObject(live)], managers, welcome)) is drift


def test_what_a_manager_of_the_configuration_changes_is_drift():
    live = changed(deployment(), f"{APP}/image", "another:1")
    live = owned_by(live, "Reloader", in_app(image={}))
    assert compare([deployment()], [LiveObject(live)], ("helm",), ("Reloader",)) != ()


@pytest.mark.parametrize(
    "live",
    [
        owned_by(PROBED, "helm", PROBE_FIELDS),  # an update's fields hold the server's defaults
        owned_by(PROBED, "kube-controller-manager", PROBE_FIELDS),
        owned_by(PROBED, "kubectl-edit", PROBE_FIELDS, subresource="status"),
        owned_by(deployment(), "kubectl-edit", PROBE_FIELDS),  # owned once, and gone
        owned_by(deployment(), "kubectl", in_app(image={}, env={'k:{"name":"A"}': {"f:value": {}}})),
        owned_by(deployment(), "kubectl", {"f:metadata": {"f:annotations": {"f:x": {}}}, "f:spec": "odd"}),
        owned_by(deployment(), "kubectl", in_app(env={"k:no json": {}, "v:1": {}, "i:0": {}})),
    ],
)
def test_what_helm_or_the_server_set_or_what_is_as_stated_is_no_addition(live):
    assert differences(deployment(), live) == []


def test_additions_of_a_manager_that_the_configuration_names_are_no_drift():
    by_reloader = owned_by(PROBED, "Reloader", PROBE_FIELDS)
    assert compare([deployment()], [LiveObject(by_reloader)], ("helm",), ("Reloader",)) == ()
    stated, live = made("ConfigMap", data={"k": "v"}), made("ConfigMap", data={"k": "v", "ca": "x"})
    live = owned_by(live, "injector", {"f:data": {"f:ca": {}}})
    assert compare([stated], [LiveObject(live)], ("helm",), ("injector",)) == ()
    (found,) = compare([stated], [LiveObject(live)])
    assert str(found) == 'ConfigMap/web data.ca: expected (not stated), live "x" (set by injector)'
    left = owned_by(made("ConfigMap", data={"k": "v", "ca": "x"}), "helm", {"f:data": {"f:ca": {}}})
    assert compare([stated], [LiveObject(left)], ("helm",), ("injector",)) != ()


def test_fault_44_a_stated_value_that_somebody_changed_names_who():
    live = owned_by(changed(deployment(), f"{APP}/image", "web:2"), "kubectl-set", in_app(image={}))
    assert differences(deployment(), live) == [
        f'{SHOWN}.image: expected "web:1", live "web:2" (set by kubectl-set)'
    ]


def test_a_job_with_a_time_to_live_may_be_gone():
    job = made("Job", spec={"ttlSecondsAfterFinished": 60})
    assert compare([job], [LiveObject()]) == ()
    assert compare([made("Job", spec={})], [LiveObject()]) != ()


def test_what_is_missing_or_was_not_read_is_never_equal_fault_16():
    problem = Forbidden("You may not.", verb="get", resource="deployments")
    one = deployment()
    assert [str(found) for found in compare([one], [LiveObject()])] == [
        "Deployment/web: expected to exist, live (absent)"
    ]
    (found,) = compare([one], [LiveObject(error=problem)])
    assert found.unknown and str(found) == "Deployment/web: not read. You may not."
    (nothing,) = compare([], [])
    assert nothing.unknown
    with pytest.raises(ValueError, match="zip"):
        compare([one], [])


def test_differences_render_as_a_diff():
    live = changed(deployment(), f"{APP}/image", "web:2")
    found = compare([deployment(), made("Thing")], [LiveObject(live), LiveObject(error=Unreachable("Down."))])
    assert render_differences(found) == (
        "@@ Deployment/web spec.template.spec.containers[app].image\n"
        '- "web:1"\n'
        '+ "web:2"\n'
        "! Thing/web: not read. Down."
    )


def test_a_long_value_is_shortened():
    (said,) = differences(made("Thing", spec={"a": "x" * 5000}), made("Thing", spec={"a": "y"}))
    assert len(said) < 400 and "... (5002 characters)" in said


class FakeKube:
    def __init__(self, answers: dict[str, dict | ZkRollbackError]) -> None:
        self.answers = answers

    def resource_path(self, api_version, kind, namespace, name=""):
        if kind == "Unheard":
            raise NotFound("The API server knows no kind Unheard.")
        return f"/{api_version}/{namespace}/{kind}/{name}"

    def get(self, path, query=None, timeout_s=5.0):
        answer = self.answers[path]
        if isinstance(answer, ZkRollbackError):
            raise answer
        return answer


def test_fetch_live_tells_missing_from_unknown():
    lines = [
        f"{{apiVersion: v1, kind: {kind}, metadata: {{name: a}}}}" for kind in ("A", "B", "C", "D", "Unheard")
    ]
    objects = parse_manifest("\n---\n".join(lines), "n")
    live = fetch_live(
        FakeKube(
            {
                "/v1/n/A/a": {"metadata": {"name": "a"}},
                "/v1/n/B/a": NotFound("no"),
                "/v1/n/C/a": Unreachable("down"),
                "/v1/n/D/a": {"metadata": {"name": "another"}},
            }
        ),
        objects,
    )
    assert live[0].item == {"metadata": {"name": "a"}}
    assert live[1] == LiveObject()
    assert [type(one.error) for one in live[2:]] == [Unreachable, BadAnswer, NotFound]


# Properties: any object equals itself with additions as a server makes them; any changed leaf is found.

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5)
keys = st.sampled_from(["alpha", "beta", "gamma", "delta", "port", "sizeLimit", "limits", "data", "labels"])
leaves = st.one_of(st.integers(-5, 5), texts, st.booleans(), st.sampled_from(["1000m", "1Gi", "80"]))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
specs = st.dictionaries(keys, trees, min_size=1, max_size=4)


def grown(node: Any, data: st.DataObject) -> Any:
    """With members that a server might add to any map."""
    if isinstance(node, dict):
        more = data.draw(st.dictionaries(st.sampled_from(["added1", "added2"]), leaves, max_size=2))
        return {**{key: grown(value, data) for key, value in node.items()}, **more}
    if isinstance(node, list):
        return [grown(value, data) for value in node]
    return node


def leaf_paths(node: Any, path: tuple = ()) -> list[tuple]:
    if isinstance(node, dict | list):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        return [found for key, value in pairs for found in leaf_paths(value, (*path, key))]
    return [path]


@given(specs, st.data())
def test_additions_are_never_a_difference(spec, data):
    assert differences(made("Thing", spec=spec), made("Thing", spec=grown(spec, data))) == []


@given(specs.filter(leaf_paths), st.data())
def test_every_changed_leaf_is_found(spec, data):
    *way, last = data.draw(st.sampled_from(leaf_paths(spec)))
    live = copy.deepcopy(spec)
    node: Any = live
    for key in way:
        node = node[key]
    node[last] = "something that was never there"
    (found,) = compare([made("Thing", spec=spec)], [LiveObject(made("Thing", spec=live))])
    assert found.live == '"something that was never there"'
