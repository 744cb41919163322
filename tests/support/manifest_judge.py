"""Whether what we read of a manifest is what helm's own code reads of it."""

from pathlib import Path

from differential.go_program import ask, build
from pytest_zkrollback.release.documents import read_manifest

NAMESPACE = "n"
SOURCE = Path(__file__).parent.parent / "differential" / "helm_objects.go"


def helms_objects(texts):
    """What helm reads of each: ``{objects, error}``."""
    return ask(build(SOURCE), ({"text": text} for text in texts))


def disagreement(text, answer):
    """What we got wrong, as a sentence; empty: nothing. What we could not read is never wrong, unless we say
    that helm cannot read it either."""
    ours = read_manifest(text, NAMESPACE)
    if answer["error"]:
        return "" if ours.unread else f"read, and helm does not: {answer['error']}"
    named = [_placed(each) for each in answer["objects"]]
    nameless = [each for each in named if not each["metadata"]["name"]]
    for document in ours.unread:
        if document.helm_fails and not (document.nameless and nameless):
            return f"helm reads it, and is said to fail: {document}"
    if nameless and not ours.unread:
        return f"an object without a name was read: {nameless[0]}"
    left = iter(named)
    for item in ours.objects:
        if not any(_numbers(each) == _numbers(item) for each in left):
            return f"helm does not read this: {item}"
    if not ours.unread and len(named) != len(ours.objects):
        return f"helm reads {len(named)} objects, not {len(ours.objects)}"
    return ""


def _placed(item):
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    name = name if isinstance(name, str) else ""
    return {**item, "metadata": {**metadata, "name": name, "namespace": namespace or NAMESPACE}}


def _numbers(value):
    """Large ones as floats: how many digits of one are written is the encoder's business."""
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return float(value) if isinstance(value, int) and abs(value) > 1 << 53 else value
