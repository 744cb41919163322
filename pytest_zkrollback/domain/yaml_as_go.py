"""YAML as Go reads it, which is how helm and kubectl see a manifest or a kubeconfig."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

# Far above what a release Secret can hold; only aliases of aliases are larger, and those are an attack.
_NODE_LIMIT = 300_000
_DEPTH_LIMIT = 100


class YamlProblem(ValueError):
    """The text cannot be read. As text it is a predicate: ``is no YAML in line 3: ...``."""


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Scalars as Go's YAML reads them for helm: no dates, no base 60, and ``y`` is true."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def flatten_mapping(self, node: Any) -> None:
        """Merge keys in the order in which they stand, as Go does: what comes later wins, merged or not.

        Source: gopkg.in/yaml.v2, decode.go: mapping and merge; of a list of maps the first wins.
        """
        flat: dict[object, tuple[Any, Any]] = {}  # each key once: merges of merges would explode
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                flat[_key_of(key)] = (key, value)
                continue
            merged = reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]
            for each in merged:
                if not isinstance(each, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(
                        None, None, "map merge requires map or sequence of maps as the value", key.start_mark
                    )
                self.flatten_mapping(each)
                flat |= {_key_of(pair[0]): pair for pair in each.value}
        node.value = list(flat.values())


for _tag, _pattern, _first in (
    (
        "bool",
        r"(?:y|yes|true|on|n|no|false|off|Y|Yes|YES|True|TRUE|On|ON|N|No|NO|False|FALSE|Off|OFF)",
        "yYnNtTfFoO",
    ),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _key_of(node: Any) -> object:
    """By what a key's node is the same as another one."""
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else id(node)


def _untagged(loader: Any, _suffix: str, node: Any) -> Any:
    """A local tag (``!foo bar``) says nothing to Go's YAML: the plain value counts."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _untagged)


def load_all(text: str) -> list[Any]:
    """The documents of ``text`` as JSON would have them: text, numbers, booleans, null, lists, mappings.

    Raises YamlProblem, also for what is built to explode.
    """
    try:
        return [_plain(document, [0], 0) for document in yaml.load_all(text, _Loader)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" in line {mark.line + 1}" if mark is not None else ""
        raise YamlProblem(f"is no YAML{at}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    except (RecursionError, ValueError, TypeError):
        raise YamlProblem("is nested too deep, or holds a value that YAML does not allow") from None


def _plain(node: object, count: list[int], depth: int) -> Any:
    """A copy without shared parts, keys as JSON has them."""
    count[0] += 1
    if count[0] > _NODE_LIMIT or depth > _DEPTH_LIMIT:
        raise ValueError
    if isinstance(node, dict):
        return {_key(key): _plain(value, count, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, count, depth + 1) for value in node]
    if isinstance(node, bytes):
        return node.decode(errors="replace")
    if node is None or isinstance(node, str | int | float):
        return node
    raise ValueError


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
