"""Pods of the drill's application, as the API gives them."""

GOOD_PATH = "/var/lib/zkprova/zkprova.db"


def pod(name="b1", *, app="zkprova-backend", tag="1.8.0-3f9c2e1", path=GOOD_PATH, ready=True, deleted=False):
    metadata = {"name": name, "labels": {"app": app}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-23T08:00:00Z"
    container = {
        "name": app.removeprefix("zkprova-"),
        "image": f"{app.replace('-', '/')}:{tag}",
        "env": [{"name": "DATABASE_PATH", "value": path}, {"name": "DATABASE_PASSWORD", "valueFrom": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/zkprova"}],
    }
    volumes = [{"name": "data", "hostPath": {"path": "/srv/zkprova"}}]
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    return {
        "metadata": metadata,
        "spec": {"containers": [container], "volumes": volumes},
        "status": {"conditions": conditions},
    }
