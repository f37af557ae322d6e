"""Resources of a stage: ``resources`` of the study, and above it the ``meta`` of its entry in ``dvc.yaml``.

resources: {cpus: 2, gpus: 0.25, memory: 4GiB}     # four such stages share one GPU
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ByteSize, ConfigDict, Field, field_validator

from vaebench.base.registry import validate
from vaebench.study.document import parse

__all__ = ["Resources", "resources", "study_resources"]


class Resources(BaseModel):
    """Resources of one stage.

    Args:
        cpus: cores, also a fraction.
        gpus: a fraction of one GPU, or a whole number of them.
        memory: bytes, or text such as "4GiB"; 0 asks for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0.25
    memory: ByteSize = ByteSize(0)

    @field_validator("gpus")
    @classmethod
    def _a_fraction_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus % 1:
            raise ValueError("should be a whole number above 1")
        return gpus


def study_resources(params: Path) -> Resources:
    """Resources in ``params.yaml`` for all stages; the defaults where it is not there or says nothing."""
    content = parse(params.read_text(encoding="utf-8"), params) if params.is_file() else None
    settings = content.get("resources", {}) if isinstance(content, dict) else {}
    return validate(Resources, settings, f"{params.name}: resources")


def resources(stage: str, meta: Any, study: Resources) -> Resources:
    """Resources of a stage: its ``meta``, whose other keys are not ours, above the study's."""
    own = meta if isinstance(meta, dict) else {}
    own = {key: value for key, value in own.items() if key in Resources.model_fields}
    return validate(Resources, {**study.model_dump(), **own}, f"dvc.yaml: {stage}.meta")
