"""A JSON schema of study files, for the completion and the checks of editors."""

from __future__ import annotations

from typing import Any

from vaebench.base.registry import Registry, options_schema
from vaebench.study.params import Params, registry

__all__ = ["study_schema"]

AXES = {
    ("Dataset", "source"): "source",
    ("Dataset", "network"): "network",
    ("Method", "likelihood"): "likelihood",
    ("Method", "regularizer"): "regularizer",
    ("Method", "posterior"): "posterior",
}


def study_schema() -> dict[str, Any]:
    """The schema of ``studies/*.yaml`` and ``params.yaml``, with every value of every axis and its options.

    A file with ``extends`` needs no other key, and ``null`` removes one of the study that it extends.
    """
    schema = Params.model_json_schema()
    parts = schema["$defs"]
    for (part, key), kind in AXES.items():
        parts[part]["properties"][key] = _values(registry(kind), parts)
    schema["properties"]["densities"]["additionalProperties"] = _values(registry("density"), parts)
    networks = registry("features")
    named = {"enum": networks.names(), "description": "A feature network with its defaults."}
    parts["Evaluation"]["properties"]["features"] = {"anyOf": [named, *_values(networks, parts)["anyOf"]]}
    parts["Evaluation"]["properties"]["metrics"]["items"] = _values(registry("metric"), parts)
    whole = {"required": schema.pop("required")}
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another study beside this one; then this file says only what differs.",
    }
    for part in parts.values():
        if needed := part.pop("required", None):
            part["description"] = f"{part.get('description', '')} Needs: {', '.join(needed)}.".strip()
        for key, value in part.get("properties", {}).items():
            part["properties"][key] = {"anyOf": [value, {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A study of vaebench",
        "anyOf": [{"required": ["extends"]}, whole],
    }


def _values(axis: Registry, parts: dict) -> dict:
    values = []
    for name in axis.names():
        options = options_schema(axis.load(name))
        parts |= options.pop("$defs", {})
        properties = {"name": {"const": name}, **options.get("properties", {})}
        documented = (axis.load(name).__doc__ or "").strip().partition("\n")[0]
        values.append(
            {"type": "object", "title": f"{axis.axis} {name}", "description": documented}
            | {"properties": properties, "additionalProperties": False}
        )
    return {"anyOf": values}
