"""Write the study's tables, figures and page from the metrics of all its runs, and what DVC compares."""

from vaebench.report import tabulate
from vaebench.study.params import load_params
from vaebench.study.stage import run_stage


def main():
    """Tabulate the active study."""
    written = tabulate(load_params(specs=()))
    return {path if path.suffix == ".html" else path.parent: None for path in written}


if __name__ == "__main__":
    run_stage(main)
