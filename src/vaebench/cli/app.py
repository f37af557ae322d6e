"""``vaebench``: look at studies and methods, sample from a model, open the results.

The work itself is DVC's: ``dvc repro``. Commands import what they need when they run, so that help and
completion answer at once.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from vaebench.base.errors import UserError, paragraph
from vaebench.base.files import write_text
from vaebench.base.streams import protect_streams

__all__ = ["app"]

STUDIES = Path("studies")
ACTIVE = Path("params.yaml")


class _Group(TyperGroup):
    def invoke(self, ctx):
        """Turn an error into one paragraph and exit status 1."""
        protect_streams()
        try:
            return super().invoke(ctx)
        except Exception as error:
            from_typer = type(error).__module__.partition(".")[0] in ("click", "typer")
            if ctx.params["traceback"] or from_typer:
                raise
            typer.echo(f"vaebench: {paragraph(error)}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Variational autoencoders re-run and compared. Run a study with `dvc repro`; look at it with these.",
)


@app.callback()
def _main(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")] = False,
) -> None:
    pass


def _study_names() -> list[str]:
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def _complete_study(incomplete: str) -> list[str]:
    return [name for name in _study_names() if name.startswith(incomplete)]


def _complete_method(incomplete: str) -> list[str]:
    from vaebench.study.params import load_params

    try:
        methods = load_params(ACTIVE, specs=()).methods
    except UserError:
        return []
    return [name for name in methods if name.startswith(incomplete)]


@app.command()
def studies() -> None:
    """List the studies; * marks the active one.

    Their time on this machine is that of one training after another, where `vaebench plan` measured it.
    """
    from vaebench.study.forecast import duration, forecast
    from vaebench.study.params import load_params

    active = ACTIVE.read_bytes() if ACTIVE.is_file() else None
    rows = [("", "study", "methods × data sets × seeds", "here", "title")]
    for name in _study_names():
        path = STUDIES / f"{name}.yaml"
        try:
            params = load_params(path, specs=())
        except UserError as error:
            rows.append(("", name, "cannot be read", "", str(error)))
            continue
        study, cost = params.study, forecast(params)
        here = "" if cost.unknown else duration(cost.seconds())
        sizes = [len(study.methods), len(study.datasets), len(study.seeds)]
        count = f"{' × '.join(map(str, sizes))} = {math.prod(sizes)}"
        rows.append(("*" if _whole(path) == active else "", name, count, here, study.title))
    if len(rows) == 1:
        raise UserError(f"there is no study in {STUDIES.resolve()}; run this in the repository's root.")
    _print_columns(rows)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A file in studies/.", autocompletion=_complete_study)],
) -> None:
    """Make a study the active one.

    Writes studies/NAME.yaml, whole, to params.yaml. Changes that were only there are kept in
    params.yaml.1, .2 and so on.
    """
    from vaebench.study.document import compose
    from vaebench.study.params import load_params

    if name not in _study_names():
        available = ", ".join(_study_names()) or f"none; {STUDIES.resolve()} is not there or empty"
        raise UserError(f"there is no study {name!r}; there are: {available}.")
    path = STUDIES / f"{name}.yaml"
    params = load_params(path, specs=())
    if kept := _keep_changes():
        typer.echo(f"{ACTIVE} held changes of its own; they are in {kept}.")
    write_text(ACTIVE, compose(path))
    typer.echo(f"{ACTIVE} is now {params.study.name}: {params.study.title or name}. `dvc repro` runs it.")


def _keep_changes() -> Path | None:
    """Copy a params.yaml that is no study of ``studies/`` to the first free of params.yaml.1, .2, …"""
    before = ACTIVE.read_bytes() if ACTIVE.is_file() else b""
    if not before.strip() or any(_whole(path) == before for path in STUDIES.glob("*.yaml")):
        return None
    kept = next(path for i in itertools.count(1) if not (path := Path(f"{ACTIVE}.{i}")).exists())
    kept.write_bytes(before)
    return kept


def _whole(path: Path) -> bytes | None:
    from vaebench.study.document import compose

    try:
        return compose(path).encode()
    except UserError:
        return None


@app.command()
def plan(
    name: Annotated[
        str,
        typer.Argument(help="A file in studies/; without it, params.yaml.", autocompletion=_complete_study),
    ] = "",
    slots: Annotated[int, typer.Option(min=1, help="Trainings at a time, as `vaebench repro` takes it.")] = 1,
    budget: Annotated[str, typer.Option(help="Say what fits into it: 8h, 90m, 2d.")] = "",
) -> None:
    """Say what a study will cost on this machine.

    Times a few steps of each method, once, and multiplies: time, disk, missing downloads.
    """
    from vaebench.cli.plan import plan as lines_of
    from vaebench.study.forecast import parse_duration
    from vaebench.study.params import load_params

    seconds = parse_duration(budget) if budget else None
    if name and name not in _study_names():
        raise UserError(f"there is no study {name!r}; there are: {', '.join(_study_names())}.")
    params = load_params(STUDIES / f"{name}.yaml" if name else ACTIVE)
    for line in lines_of(params, slots, seconds, lambda line: typer.echo(line, err=True)):
        typer.echo(line)


@app.command("new-study")
def new_study(
    name: Annotated[str, typer.Argument(help="Of the study: letters, digits, underscores.")],
    base: Annotated[
        str | None,
        typer.Option("--from", help="A study; without it, params.yaml.", autocompletion=_complete_study),
    ] = None,
    methods: Annotated[str, typer.Option(help="Those that are kept: a,b,c.")] = "",
    datasets: Annotated[str, typer.Option(help="Those that are kept.")] = "",
    seeds: Annotated[str, typer.Option(help="0,1,2")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the schedule.")] = None,
    title: Annotated[str, typer.Option(help="What it is, in a line.")] = "",
) -> None:
    """Write a study of one's own to studies/NAME.yaml.

    It says what differs from the study it is made from; its results are apart from that one's.
    """
    from vaebench.study.derive import write_new_study

    if base is not None and base not in _study_names():
        raise UserError(f"there is no study {base!r}; there are: {', '.join(_study_names()) or 'none'}.")
    path = write_new_study(
        STUDIES,
        name,
        base,
        ACTIVE,
        title=title,
        epochs=epochs,
        methods=_listed(methods),
        datasets=_listed(datasets),
        seeds=_numbers(seeds),
    )
    typer.echo(f"wrote {path}; `vaebench study {name}` makes it the active one.")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in _listed(text)]
    except ValueError:
        raise UserError(
            f"--seeds is {text!r}; it should be numbers with commas between them: 0,1,2."
        ) from None


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, for editors."""
    import json

    from vaebench.cli.schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=2, ensure_ascii=False))


@app.command()
def methods() -> None:
    """List params.yaml's methods; * marks those that run."""
    from vaebench.study.params import load_params

    params = load_params(ACTIVE, specs=())
    rows: list[tuple[str, ...]] = [("", "method", "label", "likelihood", "regularizer", "posterior")]
    for name, method in params.methods.items():
        specs = method.likelihood, method.regularizer, method.posterior
        runs = "*" if name in params.study.methods else ""
        rows.append((runs, name, method.label, *map(_spec, specs)))
    _print_columns(rows)


@app.command()
def networks(
    seconds: Annotated[
        bool, typer.Option("--seconds", help="Time each on this machine, for about a minute.")
    ] = False,
) -> None:
    """List the networks: which images they take, how many weights they have; and those that measure."""
    from vaebench.cli.networks import feature_rows, network_rows

    _print_columns(network_rows(typer.echo if seconds else None))
    typer.echo()
    _print_columns(feature_rows())


@app.command()
def explain(
    name: Annotated[
        str,
        typer.Argument(
            help="A method of params.yaml, or a value of an axis: a likelihood, a feature network, a metric.",
            autocompletion=_complete_method,
        ),
    ],
) -> None:
    """Explain a method (axes, objective, source) or an axis value."""
    from vaebench.study.params import load_params

    params = load_params(ACTIVE, specs=())

    from vaebench.cli.explain import explain_method, explain_value

    if name in params.methods:
        typer.echo(explain_method(load_params(ACTIVE, specs=("methods",)), name))
    elif explained := explain_value(name):
        typer.echo(explained)
    else:
        raise UserError(
            f"{ACTIVE} has no method {name!r}, and no axis has such a value; its methods are: "
            f"{', '.join(params.methods)}."
        )


@app.command()
def check(
    value: Annotated[
        str,
        typer.Argument(help="A registered name, module:object, or a module, whose values are all checked."),
    ],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Options of the value.")
    ] = None,
) -> None:
    """Check a contribution to an axis: gradients, bf16, resuming, repeating, memory."""
    from vaebench.cli.check import check as check_address
    from vaebench.cli.check import parse_options

    if not check_address(value, parse_options(options or []), typer.echo):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check the environment and say what each missing part disables.

    Packages, programs, devices, raw data, FID's weights, the MLflow store.
    """
    from vaebench.cli.doctor import examine

    section = ""
    for check in examine(STUDIES):
        if check.section != section:
            section = check.section
            typer.echo(f"{section}:")
        typer.echo(f"  {'ok     ' if check.found else 'missing'}  {check.what}: {check.detail}")


@app.command()
def sample(
    model: Annotated[
        str,
        typer.Argument(help="A method of params.yaml, or a model's folder.", autocompletion=_complete_method),
    ],
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 64,
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture to write.")] = Path("grid.png"),
    density: Annotated[
        str | None, typer.Option(help="A density of the study; without it, the model's own prior.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    dataset: Annotated[str, typer.Option(help="Without it, the study's first.")] = "",
    model_seed: Annotated[
        int | None, typer.Option(min=0, help="Of the training; without it, the study's first.")
    ] = None,
) -> None:
    """Draw a grid of images from a trained model."""
    from vaebench.cli.sample import draw_samples, find_model

    folder, fitted = find_model(ACTIVE, model, density, dataset, model_seed)
    draw_samples(folder, fitted, out, n, seed)
    typer.echo(f"wrote {out}: {n} images")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="module:object with encode and decode.")],
    label: Annotated[str, typer.Option(help="The row's name; without it, the object's address.")] = "",
    dataset: Annotated[str, typer.Option(help="Without it, the study's first.")] = "",
) -> None:
    """Measure a model of any library, and record it as a row of the active study."""
    from vaebench.cli.outside import measure_outside

    path = measure_outside(ACTIVE, model, label, dataset, typer.echo)
    typer.echo(f"wrote {path}; `vaebench report` shows it")


@app.command()
def report() -> None:
    """Make the tables, verdicts and page of every study on disk anew, and the index of them all."""
    from vaebench.report import build_report

    typer.echo(f"wrote {build_report('reports', typer.echo)}")


@app.command()
def best() -> None:
    """Print the best methods and the address of their page, which is made anew if it is of other results."""
    from vaebench.report.page import fresh_page
    from vaebench.report.results import read_results
    from vaebench.report.terminal import best_rows
    from vaebench.study.params import load_params
    from vaebench.study.paths import report_dir

    folder = report_dir(load_params(ACTIVE, specs=()).study.name)
    results = read_results(folder)
    typer.echo(best_rows(results))
    typer.echo(f"\nThe report: {fresh_page(results).resolve().as_uri()}")


@app.command()
def claims(
    paper: Annotated[str | None, typer.Option(help="The key of one paper, as takida2022.")] = None,
) -> None:
    """Print every paper's claims, the verdict of all studies on each, and the evidence."""
    from vaebench.report.ledger import claims_text

    typer.echo(claims_text("reports", paper))


@app.command()
def bandwidths(
    write: Annotated[bool, typer.Option(help="Judge the papers' claims by them.")] = False,
) -> None:
    """Print AVAE's bandwidths next to the paper's Tables I and II (half a minute)."""
    from vaebench.model.kde import DRAWS, bandwidth_table
    from vaebench.report.bandwidths import bandwidth_numbers, bandwidth_text

    rows = bandwidth_table()
    typer.echo(bandwidth_text(rows))
    if write:
        from vaebench.report.ledger import write_ledger, write_loose_verdicts
        from vaebench.report.loose import write_numbers
        from vaebench.study.provenance import environment

        folder = Path("reports/bandwidths")
        numbers = bandwidth_numbers(rows, DRAWS)
        provenance = {"command": "vaebench bandwidths --write", "device": "cpu", **environment()}
        typer.echo(f"wrote {write_numbers(folder, 'avae2024', numbers, provenance)}")
        write_loose_verdicts(folder)
        write_ledger(folder.parent)


@app.command()
def verify(
    method: Annotated[str, typer.Argument(help="A method of params.yaml.", autocompletion=_complete_method)],
    dataset: Annotated[str, typer.Option(help="Without it, the study's first.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Without it, the study's first.")] = None,
    published: Annotated[
        str, typer.Option(help="A store (see publish): compare with what was measured elsewhere.")
    ] = "",
    within: Annotated[
        float, typer.Option(min=0, help="Relative difference up to which metrics count as equal.")
    ] = 0.0,
) -> None:
    """Run a method again and compare with what is recorded.

    In a temporary folder; the exit status is 1 where a number differs.
    """
    from tempfile import TemporaryDirectory

    from vaebench.cli.verify import verify as run_again
    from vaebench.study.params import load_params

    params = load_params(ACTIVE, specs=())
    dataset, seed = dataset or params.study.datasets[0], params.study.seeds[0] if seed is None else seed
    with TemporaryDirectory() as folder:
        recorded = None
        if published:
            from vaebench.cli.publish import Store

            recorded = Path(folder)
            params = Store(published).fetch((params.study.name, dataset, method, seed), recorded)
        params.check_defined(dataset=dataset, method=method)
        differences = run_again(params, dataset, method, seed, recorded=recorded, within=within)
    for line in differences:
        typer.echo(line)
    cell = f"{method} on {dataset}, seed {seed}"
    what = f"the metrics of two runs within {within:.0%}" if within else "metrics and history of two runs"
    typer.echo(f"{cell}: {'DIFFERENT' if differences else 'equal'}, {what}.")
    raise typer.Exit(1 if differences else 0)


_Engine = Annotated[str, typer.Option(help="local: processes of this machine; or ray, dask, slurm.")]
_Address = Annotated[str, typer.Option(help="A Ray or Dask cluster that is up; auto: the Ray of this node.")]
_Slots = Annotated[
    int | None, typer.Option(min=1, help="How many at a time, or Slurm jobs; without it, one per CPU here.")
]


@app.command()
def publish(
    to: Annotated[str, typer.Argument(help="A folder, or the name of a DVC remote.")],
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Without it, all that is finished.", autocompletion=_complete_method),
    ] = None,
) -> None:
    """Write the active study's finished cells to a store.

    Metrics, history, provenance, and the weights by their digest.
    """
    from itertools import product

    from vaebench.cli.publish import Store
    from vaebench.study.params import load_params
    from vaebench.study.paths import metrics_json

    params = load_params(ACTIVE, specs=())
    for method in methods or ():
        params.check_defined(method=method)
    store, count = Store(to), 0
    for cell in product([params.study.name], params.study.datasets, params.study.methods, params.study.seeds):
        if cell[2] in methods if methods else metrics_json(*cell).is_file():
            store.publish(params, cell)
            count += 1
    typer.echo(f"{count} cells of {params.study.name} are in {store.path}.")


@app.command()
def published(
    at: Annotated[str, typer.Argument(help="A folder, or the name of a DVC remote.")],
    add: Annotated[bool, typer.Option("--add", help="Make rows of the report of them.")] = False,
) -> None:
    """List what was published of the active study, and where it was measured."""
    from vaebench.cli.publish import Store
    from vaebench.study.params import load_params

    params = load_params(ACTIVE, specs=())
    store = Store(at)
    _print_columns(list(store.table(params.study.name)))
    if add:
        count = len(list(store.record(params, typer.echo)))
        typer.echo(f"{count} cells are rows of the study, measured elsewhere; `vaebench report` shows them.")


@app.command()
def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, as for `dvc repro`; none: all.")
    ] = None,
    engine: _Engine = "local",
    address: _Address = "",
    slots: _Slots = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run.")] = False,
) -> None:
    """Run the study's stages in parallel; the result is `dvc repro`'s.

    The exit status is 1 where a stage failed. See docs/scaleout.md.
    """
    from vaebench.scaleout.engines import start_engine
    from vaebench.scaleout.head import preview, reproduce
    from vaebench.study.forecast import forecast
    from vaebench.study.params import load_params

    params = load_params(ACTIVE, specs=())
    start = start_engine(engine, address or None, slots)
    if dry:
        lines = preview(targets or ())
        typer.echo("\n".join([*lines, _where(len(lines), "stages", engine, address, slots)]))
        return
    if not targets:
        typer.echo(forecast(params, slots or 1).line())
    _run_in_parallel(lambda: reproduce(start, targets or ()))


@app.command()
def sweep(
    settings: Annotated[
        list[str], typer.Option("-S", "--set-param", help="A parameter and its values: path.of.it=1,2")
    ],
    engine: _Engine = "local",
    address: _Address = "",
    slots: _Slots = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run.")] = False,
) -> None:
    """Run an experiment for each point of a grid, in parallel.

    Each is `dvc exp run --temp -S …`, in a copy of the workspace; `dvc exp show` compares them.
    """
    from vaebench.scaleout import head
    from vaebench.scaleout.engines import start_engine
    from vaebench.study.params import load_params

    load_params(ACTIVE, specs=())
    points = head.grid(settings)
    start = start_engine(engine, address or None, slots)
    if dry:
        typer.echo("\n".join([*points, _where(len(points), "experiments", engine, address, slots)]))
    else:
        _run_in_parallel(lambda: head.sweep(start, points))


def _where(count: int, what: str, engine: str, address: str, slots: int | None) -> str:
    at = f" at {address}" if address else ""
    return f"{count} {what}, on engine {engine}{at}, {slots or 'one per CPU'} at a time"


def _run_in_parallel(run: Callable[[], bool]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        complete = run()
    except KeyboardInterrupt:
        typer.echo("vaebench: interrupted; run again to go on from what is recorded.", err=True)
        os._exit(130)  # at once: Linux ends the commands that still run
    raise typer.Exit(0 if complete else 1)


@app.command()
def track(
    study: Annotated[
        str, typer.Argument(help="Without it, the active one.", autocompletion=_complete_study)
    ] = "",
) -> None:
    """Write a study's results into MLflow.

    All that lies on disk of it, and once, however often this runs. The stages do it by themselves.
    """
    from vaebench.cli.track import track as export

    typer.echo(export(study))


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 5000) -> None:
    """Serve MLflow's UI with the report beside it, and print the study's address.

    It shows the local store, to this machine only.
    """
    from vaebench.cli.ui import serve

    serve(port)


def _spec(spec: dict) -> str:
    options = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "name")
    return spec.get("name", "?") + (f" ({options})" if options else "")


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    from vaebench.base.terminal import columns

    typer.echo("\n".join(columns(rows)))
