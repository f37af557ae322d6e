"""A paper's claims, read from its ``claims.yaml``."""

from __future__ import annotations

import functools
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vaebench.base.errors import UserError
from vaebench.base.files import read_yaml
from vaebench.base.registry import explain
from vaebench.report.claims.comparison import Group
from vaebench.report.claims.vocabulary import Check, groups
from vaebench.report.papers import Paper, read_paper

__all__ = ["Claim", "paper_claims"]


class Claim(BaseModel):
    """One claim of a paper.

    Attributes:
        id: its name within the paper, as long as the text may be reworded.
        source: where it is made.
        text: what it says.
        check: how numbers decide it.
        qualitative: in its place, why numbers cannot decide it.
        collapse: whether a training that collapsed is a number of this claim; it is of no other.
        refuted_by: numbers, ``<data set>/<method>/<column>: value``, that make the sentence false when
            they replace those printed, or with ``/std`` behind it the deviation; where the printed ones
            already do, ``borne_out_by`` makes it true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    source: str
    text: str
    check: Check | None = None
    qualitative: str = ""
    collapse: bool = False
    refuted_by: dict[str, float] = {}
    borne_out_by: dict[str, float] = {}

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.check is None) == (not self.qualitative):
            raise ValueError("a claim has either a check or, as 'qualitative', the reason why it has none")
        return self

    def groups(self, paper: Paper) -> list[Group]:
        """The comparisons that decide it, none where numbers cannot."""
        return [] if self.check is None else _groups(paper, self.id)


@functools.cache
def _groups(paper: Paper, claim_id: str) -> list[Group]:
    claim = next(claim for claim in paper_claims(paper.key) if claim.id == claim_id)
    return groups(claim.check, paper)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    claims: list[Claim]


def paper_claims(key: str) -> tuple[Claim, ...]:
    """The claims of a paper in its order; none where its folder has no ``claims.yaml``.

    Raises:
        UserError: the file is damaged; the message names the place.
    """
    return _claims(read_paper(key))


@functools.cache
def _claims(paper: Paper) -> tuple[Claim, ...]:
    path = paper.folder / "claims.yaml"
    if not path.is_file():
        return ()
    try:
        claims = _File.model_validate(read_yaml(path)).claims
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, '', _File)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    ids = [claim.id for claim in claims]
    if repeated := {i for i in ids if ids.count(i) > 1}:
        raise UserError(f"{path} has two claims with the id {min(repeated)!r}.")
    return tuple(claims)
