"""The command line: `python -m autograder --help`. A command imports what it needs when it runs."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

NOT_SET_UP = (
    "The Python that runs this lacks {name}: run it with .venv/bin/python; "
    "`make setup` makes that first, if it is not there."
)
CANNOT = (
    "A file cannot be read or written: {error}. What was there before is whole; put this right, "
    "then run the command again."
)
STUDENT_COPY = "This command is not in a student copy, which lacks {name}."
INTERRUPTED = 130  # a shell's exit code of a command that Ctrl-C has ended

try:
    import typer
    from typer.core import TyperGroup

    from autograder.course import CourseError, find_root
    from autograder.foreign_text import visible
    from autograder.options import (
        Details,
        Executor,
        Labs,
        Root,
        Scheduler,
        Students,
        Trust,
        Workers,
        chosen_executor,
    )
    from trickster.files import write_atomically
except ModuleNotFoundError as error:
    print(NOT_SET_UP.format(name=error.name), file=sys.stderr)
    sys.exit(2)


class Commands(TyperGroup):
    """The commands, each of which Ctrl-C ends with one sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped; run it again to go on.", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    help="Builds the labs, grades them, and helps to mark them by hand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which fills the lines of a paragraph
)


@app.command()
def build(
    labs: Annotated[list[str] | None, typer.Argument(help="Labs; all if left out.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a file is not as built.")
    ] = False,
    execute: Annotated[bool, typer.Option(help="Run the solutions whose code has changed.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Run every solution again.")] = False,
    root: Root = None,
) -> None:
    """Make labs/ and the executed notebooks in solutions/ from the sources in solutions/."""
    from autograder.authoring import build as builder

    home = find_root(root)
    if check:
        problems = builder.check(home, labs, typer.echo)
    else:
        problems = builder.build(home, labs, execute, force, typer.echo)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        typer.echo(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}.", err=True)
        raise typer.Exit(1)
    typer.echo("All is as built." if check else "Built.")


@app.command()
def grade(
    path: Annotated[
        Path | None,
        typer.Argument(help="A course folder (with submitted/), or one notebook; else the root."),
    ] = None,
    labs: Labs = None,
    students: Students = None,
    workers: Workers = None,
    again: Annotated[
        bool, typer.Option("--again", help="Grade also what has not changed since it was graded.")
    ] = False,
    trust: Trust = False,
    executor: Executor = "local",
    scheduler: Scheduler = None,
    details: Details = False,
    json: Annotated[Path | None, typer.Option(help="Also write the scores into this file.")] = None,
    root: Root = None,
) -> None:
    """Grade a course folder, or one notebook of your own.

    A course folder holds submitted/STUDENT/LAB/LAB.ipynb. It gets autograded/, feedback/,
    receipts/, gradebook.db, scores.csv, scores.json and report.html. An interrupted run
    continues where it stopped. Written answers that were marked stay marked while their text is
    the same.

    Exit code 1: a submission could not be graded; 2: nothing was done.
    """
    from autograder.grading import run
    from autograder.reporting import console

    home = find_root(root)
    out = console.console()
    if path is not None and path.is_file() and path.suffix != ".ipynb":
        raise CourseError(f"{path} is no notebook: give a file NAME.ipynb, or a course folder.")
    if path is not None and path.suffix == ".ipynb":
        if executor != "local":
            raise CourseError("One notebook is graded on this machine: leave out --executor.")
        from autograder.grading import single

        graded = single.grade_notebook(home, path, trust, _printer(out.print))
        single.show(out, graded)
        _write_json(json, [graded.record])
        return
    started = time.monotonic()
    folder = (path or home).resolve()
    say = _printer(out.print)
    elsewhere = chosen_executor(executor, scheduler, workers, trust, say)
    with elsewhere as pool, console.progress(out) as (began, step):
        hooks = {"say": say, "began": began, "step": step, "executor": pool}
        done = run.grade_class(
            home, folder, labs, students, workers, trusted=trust, again=again, **hooks
        )
    console.class_table(out, done, details)
    out.print(console.class_summary(done, started), soft_wrap=True)
    _write_json(json, done)
    _end_of_class(say, folder, done)


@app.command()
def collect(
    source: Annotated[Path, typer.Argument(help="A downloaded zip, or a folder.")],
    lab: Annotated[str | None, typer.Option(help="The lab that everything is of.")] = None,
    roster: Annotated[Path | None, typer.Option(help="A table (CSV) of who is who.")] = None,
    to: Annotated[Path | None, typer.Option(help="The course folder; else the root.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Take what is downloaded where nothing says which is newer."
        ),
    ] = False,
    timezone: Annotated[
        str | None,
        typer.Option(help="Of dates that name none: Europe/Berlin; this machine's if left out."),
    ] = None,
    root: Root = None,
) -> None:
    """Put downloaded submissions into submitted/STUDENT/LAB/.

    Knows the downloads of Canvas, Moodle, Blackboard and Gradescope, and plain folders. A newer
    submission replaces an older one, which goes to earlier/. Exit code 1: something is not placed.
    """
    from autograder.exchange.collect import collect as collect_download

    home = find_root(root)
    options = (lab, roster, dry_run, replace, timezone)
    plan = collect_download(home, source, to or home, *options, say=typer.echo)
    if plan.refused:
        raise typer.Exit(1)


@app.command()
def due(
    lab: Annotated[str, typer.Argument(help="The lab; lab1 will do.")],
    path: Annotated[Path | None, typer.Argument(help="The course folder; else the root.")] = None,
    date: Annotated[str | None, typer.Option(help='Such as "2026-05-01 12:00 UTC".')] = None,
    student: Annotated[str | None, typer.Option(help="The date is for this one alone.")] = None,
    root: Root = None,
) -> None:
    """Set when a lab is due, for the class or for one student; without a date, say when it is."""
    from autograder.grading.due_dates import set_due

    home = find_root(root)
    typer.echo(set_due(home, (path or home).resolve(), lab, date, student))


@app.command()
def export(
    form: Annotated[
        str, typer.Argument(metavar="FORMAT", help="canvas, moodle, gradescope or csv.")
    ],
    path: Annotated[Path | None, typer.Argument(help="A graded class; else the root.")] = None,
    template: Annotated[Path | None, typer.Option(help="The table (CSV) to fill.")] = None,
    lab: Annotated[str | None, typer.Option(help="Only this lab (lab1 will do).")] = None,
    column: Annotated[
        str | None, typer.Option(help="The column for --lab, where its name does not say so.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The filled table; beside the template if left out.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also scores to which marks are to be added.")
    ] = False,
    scale: Annotated[
        bool, typer.Option("--scale", help="Convert scores to the points of the table.")
    ] = False,
    feedback: Annotated[Path | None, typer.Option(help="Also a zip of the pages.")] = None,
    root: Root = None,
) -> None:
    """Fill the table that your system has exported with scores, and change nothing else in it.

    Exit code 1: somebody has a score and is not in the table, or has no page.
    """
    from autograder.exchange.export import export as give_back

    home = find_root(root)
    options = (template, lab, column, to, unfinished, scale, feedback)
    outcome = give_back(home, (path or home).resolve(), form, *options, say=typer.echo)
    if outcome.not_in_table or outcome.without_page:
        raise typer.Exit(1)


@app.command()
def publish(
    path: Annotated[
        Path | None, typer.Argument(help="A course folder that was graded; else the root.")
    ] = None,
    workers: Workers = None,
    details: Details = False,
    root: Root = None,
) -> None:
    """After marking: write feedback pages and scores from the gradebook. Runs no notebook.

    Exit code 1: a submission could not be graded.
    """
    from autograder.grading import run
    from autograder.reporting import console

    home = find_root(root)
    out = console.console()
    started = time.monotonic()
    folder = (path or home).resolve()
    with console.progress(out) as (_, step):
        published = run.publish(home, folder, workers, _printer(out.print), step)
    console.class_table(out, published, details)
    out.print(console.class_summary(published, started), soft_wrap=True)
    _end_of_class(_printer(out.print), folder, published)


@app.command()
def sample(
    labs: Labs = None,
    students: Students = None,
    whole_zoo: Annotated[
        bool, typer.Option("--all", help="Grade the whole zoo, not the small class.")
    ] = False,
    workers: Workers = None,
    again: Annotated[
        bool, typer.Option("--again", help="Grade also what has not changed since it was graded.")
    ] = False,
    details: Details = False,
    json: Annotated[
        Path | None, typer.Option(help="Also write scores and verdicts into this file.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(help="Draw what the checks ask from this, hexadecimal; else from a new one."),
    ] = None,
    root: Root = None,
) -> None:
    """Make a sample class from the zoo in build/sample_class, grade it, and check each verdict.

    A small class of every lab, or with --all the whole zoo; of named students, all of the zoo.
    Exit code 1: a submission did not get the verdict that its file in the zoo asks for.
    """
    from autograder.grading.secret import from_hex
    from autograder.reporting import console
    from autograder.sample_class import runner as sampler

    given = from_hex(secret) if secret is not None else None
    home = find_root(root)
    out = console.console()
    say = _printer(out.print)
    started = time.monotonic()
    say("building the sample class from the zoo ...")
    specimens = sampler.load_specimens(home, labs, students, whole_zoo)
    with console.progress(out) as (began, step):
        graded = sampler.grade_sample(
            home, specimens, workers, say, step, began, again, given=given
        )
    console.class_table(out, graded.results, details, graded.verdicts, graded.abouts)
    out.print(console.class_summary(graded.results, started), soft_wrap=True)
    if json is not None:
        write_atomically(json, sampler.as_json(graded))
    folder = console.from_here(home / sampler.FOLDER)
    mark = f"{console.this_program()} formgrader --course {shlex.quote(folder)}"
    say(f"Report: {folder}/report.html")
    if any(record.status == "needs marking" for record in graded.results):
        say(f"Mark the written answers that are left with:\n  {mark}")
    else:
        say(f"Every written answer has its mark already. To see how marking looks:\n  {mark}")
    if graded.wrong:
        # No student's grade rests on this one: it may be printed.
        repeat = f"To ask for the same again, add --secret {graded.secret.hex()}"
        typer.echo(f"Wrong verdicts: {graded.wrong}. {repeat}", err=True)
        raise typer.Exit(1)


@app.command()
def workspace(
    to: Annotated[
        Path | None, typer.Option(help="Where the copies go; my_labs/ if left out.")
    ] = None,
    answers: Annotated[
        bool | None, typer.Option(help="Fold model answers into them; as before if left out.")
    ] = None,
    root: Root = None,
) -> None:
    """Copy the labs into a folder of your own. Your earlier work there is never overwritten."""
    from autograder.authoring.workspace import hand_out

    for sentence in hand_out(find_root(root), to, answers).sentences():
        typer.echo(sentence)


@app.command("student-copy")
def student_copy(
    to: Annotated[
        Path | None, typer.Option(help="Where it goes; build/student_copy/ if left out.")
    ] = None,
    root: Root = None,
) -> None:
    """Write what students may have into a folder: labs and library, without any solution.

    Publish that folder, and keep this repository private. An earlier copy is brought up to date.
    """
    from autograder.authoring.student_copy import write_student_copy
    from autograder.reporting import console

    folder = console.from_here(write_student_copy(find_root(root), to, typer.echo))
    typer.echo(f"The student copy is in {folder}: publish that, and keep this repository private.")


@app.command()
def site(
    to: Annotated[Path | None, typer.Option(help="Folder; build/site/ if left out.")] = None,
    root: Root = None,
) -> None:
    """Build a web site from the README, the guides and the released labs."""
    from autograder.authoring.site import build_site
    from autograder.reporting import console

    typer.echo(f"Open {console.from_here(build_site(find_root(root), to, typer.echo))}")


@app.command()
def doctor(root: Root = None) -> None:
    """Say what this machine's sandbox can hold, and prove each limit by trying to break it.

    Exit code 1: something is not enforced.
    """
    from autograder.sandbox import doctor as examiner

    if not examiner.report(typer.echo, find_root(root)):
        raise typer.Exit(1)


@app.command()
def formgrader(
    course: Annotated[
        Path | None,
        typer.Option(help="A course folder; the root's class or the sample class if left out."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The server's port.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    root: Root = None,
) -> None:
    """Open nbgrader's formgrader on a course folder, to mark written answers by hand.

    Says first where the mark schemes are, and last the page's address.
    """
    from autograder import formgrader as pages

    home = find_root(root)
    raise typer.Exit(pages.open_formgrader(home, pages.course_folder(home, course), port, browser))


def _write_json(path: Path | None, done: list) -> None:
    """The rows of `scores.json`, in a file of the caller's choice."""
    if path is not None:
        from autograder.records import as_json

        write_atomically(path, as_json(done))


def _end_of_class(say: Callable[[str], None], folder: Path, records: list[Any]) -> None:
    """Say where the scores are; the exit code says whether something failed."""
    from autograder.reporting.console import how_to_mark

    say(f"Scores: scores.csv, scores.json and report.html in {folder}; feedback in feedback/.")
    if (folder / "collected.json").exists():
        from autograder.exchange.late import name_undated

        name_undated(folder, records, say)
    if any(record.status == "needs marking" for record in records):
        say(how_to_mark(folder))
    if any(record.status == "failed" for record in records):
        raise typer.Exit(1)


def _printer(show: Callable[..., None]) -> Callable[[str], None]:
    return lambda text: show(text, soft_wrap=True, markup=False)


def main() -> None:
    """Run the command line; what the user can put right is one sentence, not a traceback."""
    # Absolute: the sandbox has no folder to go up from. Not resolved: a venv's Python is a link.
    sys.executable = os.path.abspath(sys.executable)
    try:
        app()
    except OSError as error:
        typer.echo(visible(CANNOT.format(error=error)), err=True)
        sys.exit(2)
    except CourseError as error:
        typer.echo(visible(str(error), keep="\n"), err=True)
        sys.exit(2)
    except ImportError as error:
        ours = (error.name or "").startswith("autograder.")
        typer.echo((STUDENT_COPY if ours else NOT_SET_UP).format(name=error.name), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
