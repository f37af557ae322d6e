"""Read a data set's raw files and write them in the one form that every later stage reads."""

from vaebench.data.preparation import prepare
from vaebench.data.sources import remember_sources
from vaebench.study.params import SPECS
from vaebench.study.paths import prepared_dir
from vaebench.study.stage import Task, run_stage


def main(task: Task):
    """Prepare one data set of the active study."""
    out = prepared_dir(*task.names)
    prepare(task.params.datasets[task.cell["dataset"]].source, out)
    remember_sources(out)
    return [out]


if __name__ == "__main__":
    run_stage(main, "dataset", specs=SPECS)
