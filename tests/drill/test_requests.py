"""What one verification costs the API server: how many requests, and how large an answer may be."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from pytest_zkrollback.drill.local_cluster import RunningCluster
from support.fault_proxy import OURS, FaultProxy, Seen
from support.incident import Incident

REQUESTS = 20
BEFORE_HELM = 31  # plain helm makes 31 in all
ANSWER_BYTES = 1_000_000
_WATCHES = 3  # the proxy notes a stream when it ends: deployments, ReplicaSets, pods


def what_for(seen: Seen, namespace: str) -> str:
    """Beside what every verification asks: per container, per object and per further page."""
    path, _, query = seen.target.partition("?")
    if path.endswith("/log"):
        return path
    if "continue=" in query:
        return seen.target
    named = path.partition(f"/namespaces/{namespace}/")[2].count("/") == 1
    return path if named and "/sh.helm." not in path else ""


def test_a_healthy_verification_asks_no_more_than_it_has_to(
    running_cluster: RunningCluster, binaries: dict[str, Path], tmp_path: Path
) -> None:
    incident = Incident(running_cluster, tmp_path, binaries["helm"])
    try:
        incident.helm("rollback", "zkprova", "5")
        with FaultProxy(incident.cluster) as proxy:
            incident.configure(kubeconfig=str(proxy.kubeconfig(tmp_path)), preflight_budget_s=60, soak_s=1)
            result = incident.run()
            assert result.code == 0, result.output
            first = datetime.fromisoformat(result.record["provisional_at"]).timestamp()
            seen = [one for one in proxy.seen if one.agent == OURS]
    finally:
        incident.close()
    asked = Counter(what_for(one, incident.namespace) for one in seen if one.at_s <= first)
    always = asked.pop("") + _WATCHES
    assert always <= REQUESTS, [one.target for one in seen]
    assert set(asked.values()) == {1}, asked
    assert max(one.size_bytes for one in seen) <= ANSWER_BYTES


def test_a_rollback_asks_little_before_helm(
    running_cluster: RunningCluster, binaries: dict[str, Path], tmp_path: Path
) -> None:
    """Seven objects are read and tried once each; of the rights only those are asked for that no dry run shows."""
    incident = Incident(running_cluster, tmp_path, binaries["helm"])
    try:
        with FaultProxy(incident.cluster) as proxy:
            incident.configure(kubeconfig=str(proxy.kubeconfig(tmp_path)), preflight_budget_s=60)
            result = incident.run("--rollback-to=5")
            assert result.code == 0, result.output
            started = datetime.fromisoformat(result.record["helm"]["started_at"]).timestamp()
            before = [one.target for one in proxy.seen if one.agent == OURS and one.at_s <= started]
    finally:
        incident.close()
    assert len(before) <= BEFORE_HELM, before
    assert sum("selfsubjectaccessreviews" in each for each in before) == 2
    objects = [each for each in before if "?" not in each and "/zkprova-" in each]
    assert len(objects) == len(set(objects)) == 7
