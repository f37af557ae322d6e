"""Write the study's tables, figures and page, and the summary that DVC compares."""

from vaebench.report import tabulate
from vaebench.study.stage import Task, run_stage
from vaebench.tracking.follow import tracked


def main(task: Task):
    """Tabulate the active study."""
    with tracked(task.params.study.name):
        written = tabulate(task.params)
    return {path if path.suffix == ".html" else path.parent: None for path in written}


if __name__ == "__main__":
    run_stage(main)
