"""Manifests with YAML's corners, Lists, definitions and whatever a template can get wrong, by a seed."""

import random

SCALARS = (
    *(
        "y",
        "No",
        "on",
        "~",
        "null",
        "Null",
        "''",
        '""',
        "0777",
        "0o17",
        "08",
        "0x1F",
        "0X1F",
        "0b101",
        "-0b11",
    ),
    *("1_000", "1e3", "1.5", ".5", "-.5", "+1", "1e400", ".inf", "-.Inf", ".nan", "12:30", "2026-11-23", "="),
    *("2026-11-23T07:00:00Z", "18446744073709551615", "99999999999999999999", "-9223372036854775809", "1__0"),
    *("0_8", "_1", "1.", "1.e2", "+.5", "0x_f", "0b2", "0o8", "00", "-0", "1e", "e1", "1e+5", "+12e03", "- "),
    *("!!str 1", "!!int '1'", "!!float 1", "!!bool 'yes'", "!!null x", "!!binary aGk=", "!!binary '*'"),
    *(
        "!foo bar",
        "!!timestamp 2026-01-01",
        "'it''s'",
        '"\\u00e9\\n"',
        '"\\x00"',
        "ünï",
        "a#b",
        "a #b",
        "a:b",
    ),
    *("[1, {a: b}]", "{a: 1, b: [x, y]}", "[]", "{}", "[a, b", "{a: 1", "a: b", "@x", "`x`", "%x", "*none"),
    *(
        "|\n    a\n    b",
        ">-\n    a\n    b",
        "|+\n    a\n\n",
        "|2\n      a",
        "'multi\n    line'",
        "? x",
        "<<",
    ),
    *("!!set {a, b}", "!!omap [a: 1]", "!!python/object:os.system {}", "&x 1", "!!seq [a]", "!!map {a: b}"),
)
KEYS = (
    *(
        "a",
        "b",
        "on",
        "1",
        "1.5",
        "null",
        "~",
        "'q'",
        '"k k"',
        "true",
        "? a",
        "<<",
        "'<<'",
        "2026-01-01",
        "0x1",
    ),
    *("[a]", "{a: b}", "y", "!!str on", "1e3", "=", "a b", "é"),
)
NAMES = ("web", "a", "'web'", "x.y", "123", "true", "''", "null", "[a]", "2026-01-01", "0x1", "!!str 5")
KINDS = (
    *(("v1", "ConfigMap"), ("v1", "Secret"), ("apps/v1", "Deployment"), ("v1", "Service")),
    *(("batch/v1", "Job"), ("gateway.networking.k8s.io/v1", "HTTPRoute"), ("example.org/v1", "Thing")),
    *(
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ),
    *(
        ("apps/v1", "StatefulSet"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
        ("apps.kruise.io/v1", "StatefulSet"),
    ),
)
SEPARATORS = (
    *("---\n", "---\n", "---\n", "---\n# Source: web/templates/x.yaml\n", "--- \n", "---   # comment\n"),
    *("---\r\n", "...\n---\n", "--- foo\n", "----\n", "--- |\n", " ---\n", "---\n---\n", "---\t\n"),
)
BODIES = (
    "spec: {template: {spec: {containers: [{name: app, image: 'web:1'}]}}}",
    "spec:\n  replicas: 2\n  template:\n    metadata: {labels: {app: a}}\n    spec:\n      containers:\n"
    "      - name: app\n        image: web:1\n        env:\n        - {name: A, value: '1'}",
    *(
        "spec: [1]",
        "spec: text",
        "spec:",
        "spec: {template: []}",
        "spec: {template: {spec: {containers: x}}}",
    ),
    *("spec: {template: {spec: {containers: [1]}}}", "data: text", "data: {a: 1}", "data: [a]", "data:"),
    *("spec: {ports: [{port: 80}]}", "spec: {selector: x}", "rules: []", "rules: x", "webhooks: {}"),
    "spec: {group: g, names: {kind: K, plural: ks}, versions: [{name: v1, served: true}]}",
    *("spec: {versions: x}", "spec: {names: []}", "spec: {jobTemplate: {spec: {template: {spec: null}}}}"),
    *("spec: {template: {spec: {volumes: [{configMap: x}], containers: [{envFrom: [{secretRef: 1}]}]}}}",),
    *(
        "items:",
        "items: []",
        "items: text",
        "items: [{kind: ConfigMap, apiVersion: v1, metadata: {name: i}}]",
    ),
    "x: &a {k: v}\ny: {<<: *a, k: w}\nz: *a",
    "x: {k: 1, k: 2}",
)
EXTRAS = (
    "labels: {a: b}",
    "labels: {a: 1}",
    "annotations: {x: 'y'}",
    "annotations: [x]",
    "labels:",
    "labels: x",
)
EXTRAS += (
    "annotations: {a: null}",
    "namespace: other",
    "namespace: 5",
    "ownerReferences: x",
    "finalizers: x",
)
# Without a question mark: in `{a?b: 1}` libyaml reads a key, and Go's YAML nothing. No helm ever stored such a
# manifest, because it reads what it is about to store.
_MARKS = "\t:-#'\"{}[]&*!|>%@`\n ,\u2028\x7f\x85"
ODDITIES = (
    "", "# only a comment\n", "null\n", "~\n", "- a\n", "text\n", "{}\n", "[]\n", "%YAML 1.1\n", "\t\n", "\ufeff",
    '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}}\n', "&a [*a]\n", "a: &a [*a]\n", "\x00\n",
    "x: " + "[" * 120 + "]" * 120 + "\n", "kind: List\n", "a\n...\nb: : c\n",
)  # fmt: skip


def random_manifest(seed: int) -> str:
    """The manifest of a seed; with the same one always the same. Every third has nothing wrong on purpose."""
    chance = random.Random(seed)
    if seed % 3 == 0:
        documents = [_plain_object(chance, number) for number in range(chance.randint(1, 5))]
        return "".join(f"---\n# Source: web/templates/x.yaml\n{each}" for each in documents)
    parts = []
    for _ in range(chance.randint(1, 5)):
        if parts or chance.random() < 0.8:
            parts.append(chance.choice(SEPARATORS if chance.random() < 0.3 else SEPARATORS[:4]))
        parts.append(_document(chance))
    text = "".join(parts)
    if chance.random() < 0.15:
        text = _damaged(chance, text)
    return text.replace("\n", "\r\n") if chance.random() < 0.03 else text


def _plain_object(chance: random.Random, number: int) -> str:
    """One that helm reads; what its members hold is another matter."""
    api_version, kind = chance.choice(KINDS)
    extra = chance.choice(
        ["", "", "  labels: {a: b}\n", "  annotations: {a: null}\n", "  namespace: other\n"]
    )
    keep = "  annotations: {helm.sh/resource-policy: keep}\n" if chance.random() < 0.1 else extra
    body = chance.choice(BODIES[:2] if chance.random() < 0.5 else BODIES)
    one = f"apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: web-{number}\n{keep}{body}\n"
    if chance.random() < 0.15:
        lines = one.rstrip("\n").split("\n")
        return "apiVersion: v1\nkind: List\nitems:\n- " + "\n  ".join(lines) + "\n"
    return one


def _document(chance: random.Random) -> str:
    if chance.random() < 0.1:
        return chance.choice(ODDITIES)
    if chance.random() < 0.2:
        return _list(chance)
    return _object(chance)


def _list(chance: random.Random) -> str:
    kind = chance.choice(["List", "List", "List", "ConfigMapList", "ConfigMap", "ThingList"])
    head = f"apiVersion: v1\nkind: {kind}\n" if chance.random() < 0.9 else f"kind: {kind}\n"
    head += chance.choice(["", "", "metadata: {}\n", "metadata:\n  resourceVersion: ''\n", "metadata: x\n"])
    roll = chance.random()
    if roll < 0.25:
        return head + chance.choice(
            ["items:\n", "items: []\n", "items: null\n", "items: {}\n", "items: x\n", ""]
        )
    items = []
    for _ in range(chance.randint(1, 3)):
        inner = _list(chance) if chance.random() < 0.1 else _object(chance)
        lines = inner.rstrip("\n").split("\n")
        items.append("- " + "\n  ".join(lines) + "\n")
    if chance.random() < 0.1:
        items.append(chance.choice(["- 1\n", "- null\n", "- []\n", "- {metadata: {name: inferred}}\n"]))
    return head + "items:\n" + "".join(items)


def _object(chance: random.Random) -> str:
    api_version, kind = chance.choice(KINDS)
    lines = []
    if chance.random() < 0.96:
        lines.append(f"apiVersion: {api_version}" if chance.random() < 0.97 else "apiVersion: 1")
    if chance.random() < 0.96:
        lines.append(f"kind: {kind}" if chance.random() < 0.97 else "kind: 5")
    lines += _metadata(chance)
    if chance.random() < 0.7:
        lines.append(chance.choice(BODIES[:2]) if chance.random() < 0.4 else chance.choice(BODIES))
    if chance.random() < 0.5:
        key = chance.choice(KEYS) if chance.random() < 0.4 else "x"
        lines.append(f"{key}: {chance.choice(SCALARS)}")
    if chance.random() < 0.15:
        lines.append(f"m: {{{chance.choice(KEYS)}: {chance.choice(SCALARS)}, b: 2}}")
    if chance.random() < 0.05:
        chance.shuffle(lines)
    return "\n".join(lines) + "\n"


def _metadata(chance: random.Random) -> list[str]:
    roll = chance.random()
    if roll < 0.04:
        return [chance.choice(["metadata:", "metadata: []", "metadata: x", "metadata: {generateName: job-}"])]
    name = chance.choice(NAMES) if chance.random() < 0.2 else f"web-{chance.randint(1, 9)}"
    lines = ["metadata:", f"  name: {name}"]
    if chance.random() < 0.25:
        lines.append(f"  {chance.choice(EXTRAS)}")
    return lines


def _damaged(chance: random.Random, text: str) -> str:
    """One place of it cut, doubled or overwritten."""
    if not text:
        return text
    at = chance.randrange(len(text))
    how = chance.randrange(4)
    if how == 0:
        return text[:at]
    if how == 1:
        return text[:at] + text[at + 1 :]
    if how == 2:
        return text[:at] + chance.choice(_MARKS) + text[at:]
    return text[:at] + text[max(0, at - 20) :]
