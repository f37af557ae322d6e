"""Write the inputs of each stage of each cell: its checked parameters and the code that it runs."""

import argparse
import sys
from pathlib import Path

from vaebench.base.errors import paragraph
from vaebench.base.files import read_json, write_json
from vaebench.base.streams import protect_streams
from vaebench.base.workspace import workspace_root
from vaebench.data.sources import changed_sources
from vaebench.study.identity import check_identity
from vaebench.study.params import load_params
from vaebench.study.paths import prepared_dir, resolved_dir
from vaebench.study.provenance import git_trouble
from vaebench.study.resolve import changes, listed, resolve
from vaebench.study.schedule import check_schedule


def main() -> None:
    """Resolve the active study; runs before every other stage, and in a second or so."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    params = load_params(specs=())
    check_identity(params)
    check_schedule(params)
    files = resolve(params)
    folder = resolved_dir(params.study.name)
    before = {path: _read(path) for path in folder.rglob("*.json")}
    if before != files:
        load_params()  # with the signatures of all values, for which torch is imported
    for path in before.keys() - files.keys():
        path.unlink()
    for path, content in files.items():
        if before.get(path) != content:
            write_json(path, content)
            if path in before and path.name != "study.json":
                different = listed(changes(before[path], content))
                print(f"{path.relative_to(folder).with_suffix('')}: {different}")
    if trouble := git_trouble():
        print(f"git cannot tell the commit ({trouble}); results are recorded without it.")
    if {"{", "}"} & set(str(workspace_root())):
        print(
            f"{workspace_root()} has a brace in its name, with which DVC's cache fails: rename the folder, "
            "or let `dvc cache dir` name another place."
        )
    for dataset in params.study.datasets:
        for line in changed_sources(prepared_dir(params.study.name, dataset)):
            print(
                f"{dataset}: {line}; the prepared data are of the earlier files. Prepare them again with "
                f"`dvc repro -f prepare@{params.study.name}-{dataset}`."
            )


def _read(path: Path) -> dict:
    try:
        return read_json(path)
    except ValueError:  # it is written again
        return {}


if __name__ == "__main__":
    protect_streams()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("resolve: interrupted; run again.")
    except Exception as error:
        sys.exit(f"resolve: {paragraph(error)}")
