"""Read a data set's raw files and write them in the one form that every later stage reads."""

from vaebench.data.prepare import prepare
from vaebench.study.params import load_params
from vaebench.study.paths import prepared_dir
from vaebench.study.stage import run_stage


def main(dataset: str):
    """Prepare one data set of the active study."""
    params = load_params()
    params.check_defined(dataset=dataset)
    out = prepared_dir(params.study.name, dataset)
    prepare(params.datasets[dataset].source, out)
    return [out]


if __name__ == "__main__":
    run_stage(main, "dataset")
