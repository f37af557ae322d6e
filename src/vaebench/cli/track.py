"""`vaebench track`: results on disk into MLflow's store."""

from vaebench.base.errors import UserError, one_line, without_passwords
from vaebench.report.runs import ran_here
from vaebench.study import paths
from vaebench.study.params import load_params
from vaebench.tracking.follow import enter_workspace, store_uri

__all__ = ["track"]


def track(study: str = "") -> str:
    """Write a study into the store; a line on what is in it then.

    Args:
        study: one that has results; without it, the active one.

    Raises:
        UserError: it has none, or the store cannot be written.
    """
    base = enter_workspace()
    params = load_params(base / "params.yaml", specs=())
    study, active = study or params.study.name, params.study.name
    recorded = base / paths.report_dir(study) / "study.yaml"
    if recorded.is_file() and not (study == active and ran_here(base, study)):
        params = load_params(recorded, specs=())
    elif study != active:
        raise UserError(f"{study!r} is not the active study and has no results: {recorded} is not there.")
    place = without_passwords(store_uri())
    try:
        from vaebench.tracking.export import export

        return f"{place}: {export(base, params)}."
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the MLflow store {place} cannot be written: {one_line(error).rstrip('.')}. Where it cannot be "
            "repaired, move it away or set MLFLOW_TRACKING_URI to another; then `vaebench track` writes all "
            "of the study there."
        ) from None
