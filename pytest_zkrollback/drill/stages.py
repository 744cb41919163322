"""What kwok plays in the place of a kubelet and its containers, as kwok's Stages.

A pod behaves as its own spec says, container by container:

- image: ``zkprova/*:N.N.N-xxxxxxx`` (7 hex digits) can be pulled, another tag of ``zkprova/*`` is not found;
  every other image can be pulled.
- arguments ``act [--exit=CODE] [--after=S] [--unready-after=S]``: what they say (the demo program's role
  ``act`` does it where containers run, and more that is not played).
- database: ``DATABASE_PATH`` that lies in none of the container's volume mounts cannot be opened: the
  container is ready for 1.5 s, exits with 1, and every later life of it ends before its first probe.
- probes of ``zkprova/*`` that ask for another path than ``/health`` are answered 404: a readiness probe never
  makes it ready, a liveness probe has it killed after 3 s.
- else an init container ends well after 0.3 s, and a container of a pod that is not always restarted after
  0.5 s. A sidecar stays, and ends with its pod.

Everything else starts and stays up. ``pod_steps.jq`` decides what comes next; here is what that does to the
container's status, and its events; ``pod_status.gotmpl`` makes the pod's phase and conditions of it. Shapes
follow recordings of a real kubelet; times are shorter (back-off 1, 2, 4, ... 30 s instead of 10, 20, ...
300 s). ``podlogs.py`` serves the logs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# kwok's templates cannot ask jq which container is meant: there is a Stage for each place in a pod.
MOST_CONTAINERS = 8

_STEPS = Path(__file__).with_name("pod_steps.jq").read_text(encoding="utf-8")
_POD_STATUS = Path(__file__).with_name("pod_status.gotmpl").read_text(encoding="utf-8")

# What the templates below read: the pod's containers and their statuses, init containers first.
_POD = """
{{- $now := Now }}{{ $probed := false }}{{ $inited := len (.spec.initContainers | default list) }}
{{- $specs := concat (.spec.initContainers | default list) .spec.containers }}
{{- $inits := .status.initContainerStatuses | default list }}
{{- $mains := .status.containerStatuses | default list }}
"""
# The container at $place, which a step is about: its spec $c and its status $s.
_CONTAINER = """
{{- $c := index $specs $place }}{{ $s := dict }}
{{- range concat $inits $mains }}{{ if eq .name $c.name }}{{ $s = . }}{{ end }}{{ end }}
{{- $ended := $s.state.terminated | default $s.lastState.terminated }}
{{- $life := 0 }}{{ if $ended }}{{ $life = int (add1 $s.restartCount) }}{{ end }}
{{- $wait := index (list 1 2 4 8 16 30) (int (max 0 (min 5 (sub $s.restartCount 1)))) }}
{{- $missing := printf `failed to pull and unpack image "%s": failed to resolve image: %s: not found`
  $c.image $c.image | print `rpc error: code = NotFound desc = ` }}
{{- $me := printf "%s_%s(%s)" .metadata.name .metadata.namespace .metadata.uid }}
{{- $seconds := sub (now | unixEpoch) (toDate "2006-01-02T15:04:05Z" .status.startTime | unixEpoch) }}
"""
_STATUS = """
{{- $status := dict "phase" $phase "conditions" $conditions
  "initContainerStatuses" $inits "containerStatuses" $mains }}
"""
_EVENT = """
{{- $field := ternary "initContainers" "containers" (lt $place $inited) }}
{{- dict "apiVersion" "v1" "kind" "Event" "type" "TYPE" "reason" "REASON" "message" (MESSAGE) "count" (COUNT)
  "firstTimestamp" (.status.startTime | default $now) "lastTimestamp" $now
  "source" (dict "component" "kubelet" "host" .spec.nodeName) "reportingComponent" "kubelet"
  "metadata" (dict "name" (printf "%s.%s.SLUG" .metadata.name $c.name) "namespace" .metadata.namespace)
  "involvedObject" (dict "apiVersion" "v1" "kind" "Pod" "name" .metadata.name "namespace" .metadata.namespace
    "uid" .metadata.uid "fieldPath" (printf "spec.%s{%s}" $field $c.name)) | toJson }}
"""
_ADMITTED = """
{{- range $place, $spec := $specs }}
  {{- $reason := ternary "PodInitializing" "ContainerCreating" (gt $inited 0) }}
  {{- $s := dict "name" .name "image" .image "imageID" "" "ready" false "started" false "restartCount" 0
    "state" (dict "waiting" (dict "reason" $reason)) "lastState" dict }}
  {{- if lt $place $inited }}{{ $inits = append $inits $s }}{{ else }}{{ $mains = append $mains $s }}{{ end }}
{{- end }}
"""
_PLACED = """
{{- $node := NodeIPWith .spec.nodeName }}
{{- $address := PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace }}
{{- range $name, $value := dict "hostIP" $node "hostIPs" (list (dict "ip" $node)) "podIP" $address
  "podIPs" (list (dict "ip" $address)) "observedGeneration" .metadata.generation "startTime" $now }}
  {{- $_ := set $status $name $value }}
{{- end }}
"""
_WRITTEN = "{{ toJson $status }}"
_NODE = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ NodeIP | Quote }}}
daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
allocatable: {cpu: "64", memory: 256Gi, pods: "500"}
capacity: {cpu: "64", memory: 256Gi, pods: "500"}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: {{ printf "kwok://%s" Version }}
  kernelVersion: simulated
  kubeProxyVersion: ""
  kubeletVersion: {{ printf "kwok-%s" Version }}
  machineID: ""
  operatingSystem: linux
  osImage: simulated by kwok
  systemUUID: ""
"""


@dataclass(frozen=True)
class ContainerEvent:
    """An event of the container; ``message`` and ``count`` are template expressions, ``slug`` names it."""

    reason: str
    message: str
    slug: str
    type: str = "Normal"
    count: str = "1"


def _set(**fields: str) -> str:
    """Template text that sets these fields of the container's status to these expressions."""
    return "".join(f'{{{{- $_ := set $s "{name}" ({value}) }}}}\n' for name, value in fields.items())


def _terminated(code: str) -> str:
    """Template text for a process that ended. An init container that ended well counts as ready."""
    return f"""
{{{{- $code := {code} }}}}
{{{{- $end := dict "exitCode" $code "reason" (ternary "Completed" "Error" (eq $code 0))
  "startedAt" $s.state.running.startedAt "finishedAt" $now "containerID" $s.containerID }}}}
""" + _set(
        ready='and (lt $place $inited) (eq $code 0) (ne (toString $c.restartPolicy) "Always")',
        started="false",
        state='dict "terminated" $end',
    )


def _waiting(reason: str, message: str) -> str:
    return _set(state=f'dict "waiting" (dict "reason" "{reason}" "message" ({message}))')


_EXIT_CODE = """
{{- $given := 1 }}{{ range $c.args }}
  {{- if hasPrefix "--exit=" . }}{{ $given = int (trimPrefix "--exit=" .) }}{{ end }}
{{- end }}
"""
_STARTED = '{{- if $ended }}{{ $_ := set $s "lastState" (dict "terminated" $ended) }}{{ end }}' + _set(
    ready="false",
    started="true",
    state='dict "running" (dict "startedAt" $now)',
    restartCount="$life",
    imageID='printf "sha256:%s" ($c.image | sha256sum)',
    containerID='printf "containerd://%s" (printf "%s/%s/%d" .metadata.uid $c.name $life | sha256sum)',
)
_PRESENT = 'printf `Container image "%s" already present on machine and can be accessed by the pod` $c.image'
_LIFE = "add1 $life"
_STOPPING = ContainerEvent("Killing", "printf `Stopping container %s` $c.name", "killing")
_REFUSED = (
    "printf `Readiness probe failed: HTTP probe failed with statuscode: %d`"
    ' (ternary 503 404 (eq ($c.readinessProbe.httpGet.path | default "/health") "/health"))'
)
_UNCONNECTED = (
    'printf `Readiness probe failed: Get "http://%s:8080/health": dial tcp %s:8080: connect: connection'
    " refused` .status.podIP .status.podIP"
)
_NOT_ALIVE = "print `Liveness probe failed: HTTP probe failed with statuscode: 404`"
_RESTARTED = "printf `Container %s failed liveness probe, will be restarted` $c.name"
_BACKS_OFF = (
    'printf "back-off %ds restarting failed container=%s pod=%s" $wait $c.name $me',
    "printf `Back-off restarting failed container %s in pod %s` $c.name $me",
)
_NOT_PULLED = 'printf `Failed to pull image "%s": %s` $c.image $missing'
_PULL_BACKS_OFF = 'printf `Back-off pulling image "%s": ErrImagePull: %s` $c.image $missing'

# Of pod_steps.jq: what it does to the container's status, and its events.
_STEP: dict[str, tuple[str, Sequence[ContainerEvent]]] = {
    "start": (
        _STARTED,
        (
            ContainerEvent("Pulled", _PRESENT, "pulled", count=_LIFE),
            ContainerEvent("Created", "print `Container created`", "created", count=_LIFE),
            ContainerEvent("Started", "print `Container started`", "started", count=_LIFE),
        ),
    ),
    "pull-failed": (
        _waiting("ErrImagePull", "$missing"),
        (
            ContainerEvent("Pulling", 'printf `Pulling image "%s"` $c.image', "pulling"),
            ContainerEvent(
                "Failed", 'printf `Failed to pull image "%s": %s` $c.image $missing', "failed-pull", "Warning"
            ),
            ContainerEvent("Failed", "print `Error: ErrImagePull`", "failed-err", "Warning"),
        ),
    ),
    "pull-back-off": (
        _waiting("ImagePullBackOff", _PULL_BACKS_OFF),
        (
            ContainerEvent("BackOff", 'printf `Back-off pulling image "%s"` $c.image', "backoff"),
            ContainerEvent("Failed", "print `Error: ImagePullBackOff`", "failed-back-off", "Warning"),
        ),
    ),
    "pull-again": (_waiting("ErrImagePull", "$missing"), ()),
    "ready": (_set(ready="true"), ()),
    # A kubelet probes a backend before it listens: a healthy start has a warning, too.
    "ready-after-a-warning": (
        _set(ready="true"),
        (ContainerEvent("Unhealthy", _UNCONNECTED, "unhealthy", "Warning"),),
    ),
    # lastProbeTime, which a real kubelet leaves null, is what changes the pod, so that it is probed again.
    "probe-failed": (
        _set(ready="false") + "{{- $probed = true }}",
        (ContainerEvent("Unhealthy", _REFUSED, "unhealthy", "Warning", count="add1 (div $seconds 5)"),),
    ),
    "kill": (
        _terminated("0"),
        (
            ContainerEvent("Unhealthy", _NOT_ALIVE, "not-alive", "Warning", "mul 3 (add1 $s.restartCount)"),
            ContainerEvent("Killing", _RESTARTED, "killing", count="add1 $s.restartCount"),
        ),
    ),
    "stop": (_terminated("0"), (_STOPPING,)),
    "exit": (_terminated("0"), ()),
    "fail": (_EXIT_CODE + _terminated("$given"), ()),
    "back-off": (
        _set(lastState="$s.state") + _waiting("CrashLoopBackOff", _BACKS_OFF[0]),
        (ContainerEvent("BackOff", _BACKS_OFF[1], "backoff", "Warning", count="$s.restartCount"),),
    ),
}


def render_stages() -> str:
    """The file for kwok's ``--config``: one YAML document a Stage."""
    return "---\n".join(json.dumps(stage) + "\n" for stage in _stages())


def _stages() -> Iterator[dict[str, Any]]:
    ready = '.status.conditions[] | select(.type == "Ready") | .status'
    yield _stage(
        "node-initialize",
        "Node",
        [{"key": ready, "operator": "NotIn", "values": ["True"]}],
        {},
        [_patch(_NODE)],
    )
    yield _stage(
        "pod-admit",
        "Pod",
        [_absent(".metadata.deletionTimestamp"), _absent(".status.startTime")],
        {"durationMilliseconds": 100},
        [_patch(_POD + _ADMITTED + _POD_STATUS + _STATUS + _PLACED + _WRITTEN)],
    )
    for place in range(MOST_CONTAINERS):
        # Cheap, and false for most places: kwok asks every Stage about every change of a pod.
        is_there = f"((.spec.initContainers // []) + .spec.containers)[{place}].name"
        for name, (status, events) in _STEP.items():
            chosen = f'{_STEPS} | first | select(.index == {place} and .do == "{name}")'
            head = f"{_POD}{{{{- $place := {place} }}}}{_CONTAINER}"
            yield _stage(
                f"pod-{name}-{place}",
                "Pod",
                [_exists(is_there), _exists(chosen)],
                {"durationFrom": {"jq": {"expression": chosen + r' | "\(.after * 1000 | floor)ms"'}}},
                [
                    _patch(head + status + _POD_STATUS + _STATUS + _WRITTEN),
                    *({"apply": {"template": head + _render_event(event)}} for event in events),
                ],
            )
    yield _stage(
        "pod-delete",
        "Pod",
        [
            _exists(".metadata.deletionTimestamp"),
            _absent(".metadata.finalizers[]?"),
            _absent(".status | .initContainerStatuses[]?, .containerStatuses[]? | .state.running"),
        ],
        {"durationMilliseconds": 50},
        [{"delete": True}],
    )


def _stage(
    name: str,
    kind: str,
    expressions: Sequence[dict[str, Any]],
    delay: dict[str, Any],
    steps: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": list(expressions)},
            "delay": delay,
            "steps": list(steps),
        },
    }


def _exists(query: str) -> dict[str, Any]:
    return {"key": query, "operator": "Exists"}


def _absent(query: str) -> dict[str, Any]:
    return {"key": query, "operator": "DoesNotExist"}


def _patch(template: str) -> dict[str, Any]:
    return {"patch": {"subresource": "status", "root": "status", "template": template}}


def _render_event(event: ContainerEvent) -> str:
    values = {
        "TYPE": event.type,
        "REASON": event.reason,
        "SLUG": event.slug,
        "MESSAGE": event.message,
        "COUNT": event.count,
    }
    return re.sub("|".join(values), lambda found: values[found[0]], _EVENT)
