"""Compute the reference of samples: the real test images' features, and the network that gives them."""

from vaebench.base.device import select_device
from vaebench.base.files import write_folder
from vaebench.data.store import Prepared
from vaebench.measure.features.reference import build_reference
from vaebench.study.paths import prepared_dir, reference_dir
from vaebench.study.stage import Task, run_stage


def main(task: Task):
    """Extract the reference features of one data set of the active study."""
    out = reference_dir(*task.names)
    data = Prepared.open(prepared_dir(*task.names))
    device = select_device(data.shape)
    with write_folder(out) as partial:
        build_reference(
            data,
            task.params.evaluation.features,
            seed=0,
            folder=partial,
            device=device,
            say=lambda line: print(line, flush=True),
        )
    return [out]


if __name__ == "__main__":
    run_stage(main, "dataset")
