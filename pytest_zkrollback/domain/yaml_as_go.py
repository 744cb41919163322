"""YAML as Go reads it, which is how helm and kubectl see a manifest or a kubeconfig."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

# Above what charts put into the megabyte of a release Secret; aliases of aliases, and what repeats itself
# millions of times, are larger.
_NODE_LIMIT = 500_000
_DEPTH_LIMIT = 100


class YamlProblem(ValueError):
    """The text cannot be read. As text it is a predicate: ``is no YAML in line 3: ...``."""


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Scalars as Go's YAML reads them for helm: no dates, no base 60, and ``y`` is true."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}
    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Called before each node is composed: PyYAML's C composer recurses without a limit, and a text of
        100,000 brackets would end the process."""
        super().descend_resolver(current_node, current_index)
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEPTH_LIMIT + 1:
            raise ValueError
        if self._nodes > _NODE_LIMIT:
            raise _too_large()

    def ascend_resolver(self) -> None:
        """Called after it."""
        super().ascend_resolver()
        self._depth -= 1

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


def _too_large() -> YamlProblem:
    return YamlProblem(f"holds more than {_NODE_LIMIT:,} values, which is more than is read")


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
    count = [0]
    try:
        return [_plain(document, count, 0) for document in yaml.load_all(text, _Loader)]
    except YamlProblem:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" in line {mark.line + 1}" if mark is not None else ""
        raise YamlProblem(f"is no YAML{at}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    except (RecursionError, ValueError, TypeError):
        raise YamlProblem("is nested too deep, or holds a value that YAML does not allow") from None


def _plain(node: object, count: list[int], depth: int) -> Any:
    """A copy without shared parts, keys as JSON has them."""
    count[0] += 1
    if depth > _DEPTH_LIMIT:
        raise ValueError
    if count[0] > _NODE_LIMIT:
        raise _too_large()
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
