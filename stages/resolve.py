"""Write what each stage of each cell is made from: its checked parameters and the code that it runs."""

import argparse
import sys

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_json
from vaebench.data.sources import changed_sources
from vaebench.study.params import load_params
from vaebench.study.paths import prepared_dir, resolved_dir
from vaebench.study.resolve import changes, resolve


def main() -> None:
    """Resolve the active study; runs before every other stage, and in a second or so."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    try:
        params = load_params(specs=())
        files = resolve(params)
    except UserError as error:
        sys.exit(f"resolve: {error}")
    folder = resolved_dir(params.study.name)
    for path in set(folder.rglob("*.json")) - files.keys():
        path.unlink()
    for path, content in files.items():
        before = read_json(path) if path.exists() else {}
        if before != content:
            write_json(path, content)
            if before and path.name != "study.json":
                print(f"{path.relative_to(folder).with_suffix('')}: {', '.join(changes(before, content))}")
    for dataset in params.study.datasets:
        for line in changed_sources(prepared_dir(params.study.name, dataset)):
            print(
                f"{dataset}: {line}; the prepared data are of before. Prepare them anew with "
                f"`dvc repro -f prepare@{params.study.name}-{dataset}`."
            )


if __name__ == "__main__":
    main()
