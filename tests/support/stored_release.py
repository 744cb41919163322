"""Helm's release Secrets, rewritten: to make old, or stranded, what would take helm minutes to be."""

import base64
import gzip
import json
from datetime import datetime, timedelta


def read(incident, number, release="zkprova"):
    """Helm's own JSON of one revision."""
    name = f"sh.helm.release.v1.{release}.v{number}"
    secret = json.loads(incident.kubectl("get", "secret", name, "-o", "json"))
    return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))


def write(incident, number, content, release="zkprova"):
    """Put it back, with the label that helm lists by."""
    name = f"sh.helm.release.v1.{release}.v{number}"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    incident.kubectl("patch", "secret", name, "-p", json.dumps({"data": {"release": packed}}))
    incident.kubectl("label", "secret", name, f"status={content['info']['status']}", "--overwrite")


def age(incident, number, minutes):
    """Let the revision have been made ``minutes`` ago."""
    content = read(incident, number)
    made = datetime.fromisoformat(content["info"]["last_deployed"]) - timedelta(minutes=minutes)
    content["info"]["last_deployed"] = made.isoformat()
    write(incident, number, content)
