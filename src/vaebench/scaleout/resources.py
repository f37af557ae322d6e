"""What a stage asks for: the ``meta`` of its entry in ``dvc.yaml``.

meta: {cpus: 2, gpus: 0.25, memory: 4GiB}     # four such stages share one GPU
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ByteSize, Field, ValidationError

from vaebench.errors import UserError

__all__ = ["Resources", "resources"]


class Resources(BaseModel):
    """Resources of one stage; other keys of ``meta`` are not ours.

    Args:
        cpus: cores, also a fraction.
        gpus: a fraction of one GPU, or a whole number of them.
        memory: bytes, or text such as "4GiB"; 0 asks for nothing.
    """

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    memory: ByteSize = ByteSize(0)


def resources(stage: str, meta: Any) -> Resources:
    """The resources in ``meta``, None included, of the stage of that name."""
    try:
        wanted = Resources.model_validate(meta or {})
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "meta"
        raise UserError(f"dvc.yaml, stage {stage}: meta: {where}: {problem['msg']}.") from None
    if wanted.gpus > 1 and wanted.gpus % 1:
        raise UserError(f"dvc.yaml, stage {stage}: meta: gpus: {wanted.gpus}: above 1, whole GPUs only.")
    return wanted
