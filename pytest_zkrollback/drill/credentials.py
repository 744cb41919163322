"""The cluster's credentials: who may talk to the API server, and what they trust.

The API server makes its own certificate authority and serving certificate (``--cert-dir``) when it starts;
everybody verifies it with the file that it wrote. Clients are known by random tokens.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

CONTEXT = "drill"
ADMIN = "drill-admin"  # the person at the keyboard
# user name -> RBAC groups
USERS = {ADMIN: "system:masters", "system:kube-controller-manager": "", "system:kube-scheduler": ""}
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_OID = bytes.fromhex("a00a06082a8648ce3d030107")


def new_tokens(users: Mapping[str, str]) -> dict[str, str]:
    """A fresh random token for every user."""
    return {user: secrets.token_urlsafe(32) for user in users}


def render_token_file(users: Mapping[str, str], tokens: Mapping[str, str]) -> str:
    """kube-apiserver's ``--token-auth-file``: ``token,user,uid,"group,..."`` per line."""
    return "".join(f'{tokens[user]},{user},{user},"{groups}"\n' for user, groups in users.items())


def render_kubeconfig(server: str, ca_file: Path, user: str, token: str) -> str:
    """A kubeconfig that stands alone, with the one context :data:`CONTEXT`; JSON, which is YAML as well."""
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [
                {"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
        },
        indent=2,
    )


def new_service_account_key() -> str:
    """A P-256 private key in PEM (SEC 1), with which service account tokens are signed.

    A private key is a random number; its public half, which needs arithmetic, is optional in this format
    and computed by whoever reads it.
    """
    number = (secrets.randbelow(_P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = b"\x02\x01\x01" + b"\x04\x20" + number + _P256_OID
    der = b"\x30" + bytes([len(body)]) + body
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n"
