"""Write the study's tables, figures and page from the metrics of all its runs, and what DVC compares."""

from vaebench.base.files import write_json
from vaebench.report import tabulate
from vaebench.report.summary import summary
from vaebench.study.params import load_params
from vaebench.study.paths import summary_json
from vaebench.study.stage import run_stage


def main():
    """Tabulate the active study."""
    params = load_params(specs=())
    written = {path.parent if path.suffix != ".html" else path: None for path in tabulate(params)}
    out = summary_json(params.study.name)
    write_json(out, summary(out.parent))
    return [*written, out]


if __name__ == "__main__":
    run_stage(main)
