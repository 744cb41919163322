"""Makes github-openapi.json: GitHub's published description, cut to the operations that the fake answers.

    npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
    python tests/support/trim_openapi.py package/generated/api.github.com.json

Kept as published: parameters, request bodies, responses, schemas. Left out: examples, prose, other operations.
Added: null to the enumerations that are nullable (a job's conclusion), which OpenAPI 3.0 asks for and the
published file forgets.
"""

import json
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("github-openapi.json")
REPO = "/repos/{owner}/{repo}"
OPERATIONS = {
    "/user": ["get"],
    REPO: ["get"],
    f"{REPO}/actions/runs/{{run_id}}": ["get"],
    f"{REPO}/actions/runs/{{run_id}}/jobs": ["get"],
    f"{REPO}/actions/runs/{{run_id}}/pending_deployments": ["get"],
    f"{REPO}/actions/workflows": ["get"],
    f"{REPO}/actions/workflows/{{workflow_id}}/dispatches": ["post"],
    f"{REPO}/actions/workflows/{{workflow_id}}/runs": ["get"],
    f"{REPO}/branches/{{branch}}": ["get"],
    f"{REPO}/commits/{{ref}}": ["get"],
    f"{REPO}/compare/{{basehead}}": ["get"],
    f"{REPO}/git/commits": ["post"],
    f"{REPO}/git/commits/{{commit_sha}}": ["get"],
    f"{REPO}/git/ref/{{ref}}": ["get"],
    f"{REPO}/git/refs": ["post"],
    f"{REPO}/git/refs/{{ref}}": ["patch"],
    f"{REPO}/issues/{{issue_number}}/comments": ["post"],
    f"{REPO}/pulls": ["get", "post"],
    f"{REPO}/pulls/{{pull_number}}": ["get"],
    f"{REPO}/pulls/{{pull_number}}/merge": ["put"],
    f"{REPO}/pulls/{{pull_number}}/requested_reviewers": ["get"],
    f"{REPO}/pulls/{{pull_number}}/reviews": ["get"],
    f"{REPO}/rules/branches/{{branch}}": ["get"],
}
PROSE = {"description", "summary", "externalDocs", "examples", "example", "tags"}
NAMED = {"properties", "patternProperties", "schemas"}  # below these a key is a name, not a keyword


def cut(node, named=False):
    """The node without prose and vendor extensions."""
    if isinstance(node, dict):
        if not named and node.get("nullable") and "enum" in node:
            node = {**node, "enum": [*node["enum"], None]}
        return {
            key: cut(value, key in NAMED and not named)
            for key, value in node.items()
            if named or not (key in PROSE or key.startswith("x-"))
        }
    return [cut(value) for value in node] if isinstance(node, list) else node


def references(node):
    """Every local ``$ref`` below the node."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def trim(whole):
    """The description with only our operations and what they refer to."""
    paths = {}
    for path, methods in OPERATIONS.items():
        paths[path] = {
            key: cut(value) for key, value in whole["paths"][path].items() if key in (*methods, "parameters")
        }
    for operations in paths.values():  # a response needs its description
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if "$ref" not in answer:
                    answer["description"] = status
    components, wanted = {}, set(references(paths))
    while wanted:
        reference = wanted.pop()
        _, _, kind, name = reference.split("/")
        if name in components.setdefault(kind, {}):
            continue
        found = cut(whole["components"][kind][name])
        if kind == "responses":
            found["description"] = name
        components[kind][name] = found
        wanted |= set(references(found))
    info = {key: whole["info"][key] for key in ("title", "version", "description", "license")}
    return {
        "openapi": whole["openapi"],
        "info": info,
        "servers": [{"url": "http://127.0.0.1/api/v3"}],
        "paths": paths,
        "components": components,
    }


if __name__ == "__main__":
    text = json.dumps(trim(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), sort_keys=True)
    PAGE.write_text(text + "\n", encoding="utf-8")
