"""`vaebench evaluate module:object`: a model of any library as a row of the active study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from vaebench.base.errors import UserError
from vaebench.cli.address import imported
from vaebench.report.outside import measuring
from vaebench.report.results import read_results
from vaebench.study.params import Params, load_params, needing
from vaebench.study.paths import prepared_dir, reference_dir, report_dir
from vaebench.study.resolve import changes, listed

__all__ = ["measure_outside"]


def measure_outside(params: Path, address: str, label: str, dataset: str, say: Callable[[str], None]) -> Path:
    """Measure the object at ``address`` by the study's metrics and record it.

    Args:
        params: the study's file; its data are prepared, and its report is tabulated.
        address: ``module:object``, an object with ``encode`` and ``decode``, or a function that makes one.
        label: the row's name; by default the address.
        dataset: of the study; by default its first.
        say: called with the metrics that the model cannot have.

    Raises:
        UserError: there is no such object, the study has not run, or has run on other data or with another
            evaluation.
    """
    from vaebench.api import evaluate
    from vaebench.model.vae import VAE

    study = load_params(params, specs=())
    name, dataset = study.study.name, dataset or study.study.datasets[0]
    study.check_defined(dataset=dataset)
    _check_measuring(study, dataset)
    model = _load(address)
    features = study.evaluation.features["name"] != "none"
    densities = {density: study.densities[density] for density in study.study.densities}
    metrics = study.evaluation.metrics
    left_out = [] if isinstance(model, VAE) else needing("likelihood", metrics)
    if left_out:
        say(f"{', '.join(left_out)} left out: a model with encode and decode alone has no p(x|z)")
    measured = evaluate(
        model,
        prepared_dir(name, dataset),
        [metric for metric in metrics if metric["name"] not in left_out],
        densities=densities,
        reference=reference_dir(name, dataset) if features else None,
        samples=study.evaluation.samples,
        batch_size=study.evaluation.batch_size,
    )
    return measured.record(name, label or address, dataset=dataset)


def _check_measuring(study: Params, dataset: str) -> None:
    report = report_dir(study.study.name)
    beside = read_results(report).params
    if dataset not in beside.study.datasets:
        return  # which the row's record refuses
    before, now = ({"parameters": measuring(params, dataset)} for params in (beside, study))
    if different := changes(before, now):
        raise UserError(
            f"the row would not be measured as those beside it in {report}; there and in params.yaml: "
            f"{listed(different)}. Run `dvc repro`, then this again."
        )


def _load(address: str):
    found = imported(address)
    if isinstance(found, ModuleType):
        raise UserError(f"{address} is a module; name it as module:object.")
    if hasattr(found, "encode") and not isinstance(found, type | str):
        return found
    if not callable(found):
        raise UserError(f"{address} is {found!r}; name a model with encode and decode, or what makes one.")
    return found()
