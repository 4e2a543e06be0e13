"""Files in, facts and evidence out: which file is what, the log's own dumps, and everything the files answer.

Reading is separate from weighing, so that a consultation can undo an answer without reading a file again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nandoctor.diagnosis import CouldNotCheck, Evidence, Finding
from nandoctor.errors import NandoctorError, UnreadableError
from nandoctor.files import read_prototxt, shows_training
from nandoctor.kb.model import Edit, KnowledgeBase
from nandoctor.readers.caffe import Net, Solver, kind_of, read_net, read_solver
from nandoctor.readers.facts import Embedded, Run
from nandoctor.readers.textproto import Document, parse
from nandoctor.remark import Remark

if TYPE_CHECKING:
    from nandoctor.readers.settings import TrainingConfig

Progress = Callable[[int, int], None]
MAX_CONFIGS = 20  # of one folder
KINDS = {
    "log": Remark("a log"),
    "net": Remark("a net"),
    "solver": Remark("a solver"),
    "darknet": Remark("a Darknet cfg"),
    "config": Remark("a training configuration"),
}


class Ingested(msgspec.Struct, frozen=True):
    """What the files hold. `errors` are inputs that could not be used; the rest is still reported."""

    run: Run | None = None
    net: Net | None = None
    solver: Solver | None = None
    configs: tuple[TrainingConfig, ...] = ()  # Darknet's cfg, dumps of training arguments
    net_in_log: bool = False  # the net comes from the log's own dump: there is no file to patch
    solver_in_log: bool = False
    evidence: tuple[Evidence, ...] = ()
    findings: tuple[Finding, ...] = ()
    could_not_check: tuple[CouldNotCheck, ...] = ()
    check_edits: dict[str, tuple[Edit, ...]] = {}
    errors: tuple[NandoctorError, ...] = ()
    notes: tuple[str, ...] = ()


class Inputs(msgspec.Struct, frozen=True):
    """What the owner handed over. Paths as given; `-` is standard input; `texts` are pasted pieces (name, text)."""

    run_dir: str = ""
    logs: tuple[str, ...] = ()
    net: str = ""
    solver: str = ""
    dialect: str = ""
    input_shapes: dict[str, tuple[int, ...]] = {}
    texts: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.run_dir or self.logs or self.net or self.solver or self.texts)


def ingest(kb: KnowledgeBase, inputs: Inputs, progress: Progress | None = None) -> Ingested:
    """Reads all inputs and derives every piece of evidence they hold. Never raises for a bad input: see `errors`."""
    reading = _Reading(kb, inputs, progress)
    reading.read()
    run, net, solver = reading.run, reading.net, reading.solver
    configs = tuple(reading.configs)
    if run is None and net is None and solver is None and not configs:
        return Ingested(errors=tuple(reading.errors), notes=tuple(reading.notes))
    from nandoctor.checks import run_checks
    from nandoctor.detectors import observe

    seen, unchecked = observe(kb, run, net, solver)
    if configs or (run is not None and run.header and run.framework != "caffe"):
        from nandoctor.detectors import configs as arguments

        seen += arguments.observe(kb, configs, run)
    checked = run_checks(kb, net=net, solver=solver, run=run, input_shapes=inputs.input_shapes or None)
    settled = {item.observation for item in (*seen, *checked.evidence)}
    open_questions = {
        item.observation: item for item in (*checked.could_not_check, *unchecked) if item.observation not in settled
    }
    return Ingested(
        run=run,
        net=net,
        solver=solver,
        configs=configs,
        net_in_log=reading.net_in_log,
        solver_in_log=reading.solver_in_log,
        evidence=(*seen, *checked.evidence),
        findings=checked.findings,
        could_not_check=tuple(open_questions.values()),
        check_edits=checked.edits,
        errors=tuple(reading.errors),
        notes=tuple(reading.notes),
    )


class _Reading:
    """One pass over the inputs; collects errors instead of stopping at the first."""

    def __init__(self, kb: KnowledgeBase, inputs: Inputs, progress: Progress | None) -> None:
        self.kb = kb
        self.inputs = inputs
        self.progress = progress
        self.run: Run | None = None
        self.net: Net | None = None
        self.solver: Solver | None = None
        self.configs: list[TrainingConfig] = []
        self.net_in_log = self.solver_in_log = False
        self.errors: list[NandoctorError] = []
        self.notes: list[str] = []

    def read(self) -> None:
        logs, net, solver = self._sorted_files()
        if solver:
            self._prototxt(solver, "solver")
        if net:
            self._prototxt(net, "net")
        if self.solver is not None and self.net is None and not net:
            self._net_of_solver()
        if logs:
            self._log(logs)
        for name, text in self.inputs.texts:
            self._text(name, text)
        if self.run is not None:
            self._dumps(self.run)

    def _sorted_files(self) -> tuple[list[str], str, str]:
        """Every path by what it holds, whatever option it came with."""
        from nandoctor.readers.sniff import config_form_of, find_files, sniff

        logs, net, solver = list(self.inputs.logs), self.inputs.net, self.inputs.solver
        if self.inputs.run_dir:
            path = Path(self.inputs.run_dir)
            if path.is_dir():
                found = find_files(path)
                texts = [path for path in found.get("log", []) if shows_training(path, self.kb)]
                logs = [*texts, *found.get("metrics", []), *logs]
                net = net or next(iter(found.get("net", [])), "")
                solver = solver or next(iter(found.get("solver", [])), "")
                self._found_configs(found.get("config", []))
                if not (logs or net or solver or self.configs):
                    self.errors.append(
                        UnreadableError(
                            Remark("{folder}: no log, net or solver in this folder", folder=self.inputs.run_dir)
                        )
                    )
            else:
                logs.insert(0, self.inputs.run_dir)
        kept = []
        for log in logs:
            if log != "-" and Path(log).is_file() and sniff(log) == "prototxt":
                net, solver = self._swapped(log, net, solver)
            elif log != "-" and config_form_of(log):
                self._config(log)
            else:
                kept.append(log)
        for name in ("net", "solver"):
            value = net if name == "net" else solver
            if value and config_form_of(value):
                self._config(value)
                known = self.configs[-1].kind if self.configs and self.configs[-1].file == value else "other"
                self._misnamed(value, name, "darknet" if known == "darknet" else "config")
                net, solver = ("", solver) if name == "net" else (net, "")
            elif (
                value
                and Path(value).is_file()
                and sniff(value) not in ("prototxt", "empty")
                and self._has_losses(value)
            ):
                self._misnamed(value, name, "log")
                kept.append(value)
                if name == "net":
                    net = ""
                else:
                    solver = ""
        return kept, net, solver

    def _config(self, path: str) -> None:
        from nandoctor.readers.config import read_config

        if any(held.file == path for held in self.configs):
            return
        try:
            self._keep(read_config(path))
        except NandoctorError as exc:
            self.errors.append(exc)

    def _keep(self, config: TrainingConfig) -> None:
        self.configs.append(config)
        self.notes += config.notes

    def _found_configs(self, paths: Sequence[str]) -> None:
        """Those of a folder. Nobody named them, so what cannot be read, and what may be another run's, is a note."""
        from nandoctor.readers.config import read_config

        found: list[TrainingConfig] = []
        for path in paths[:MAX_CONFIGS]:
            try:
                found.append(read_config(path))
            except NandoctorError as exc:
                self.notes.append(Remark("left out: {error}", error=exc.remark))
        for config in found:
            twins = [other for other in found if other.kind == config.kind]
            if config.kind in ("darknet", "deepspeed") and len(twins) > 1:
                self.notes.append(
                    Remark(
                        "{file} left out: the folder holds {count} files of its kind; "
                        "name the one of this run with --solver",
                        file=config.file,
                        count=len(twins),
                    )
                )
            else:
                self._keep(config)

    def _has_losses(self, path: str) -> bool:
        """Whether a file is a log after all, rather than a net or solver with a mistake in it."""
        from nandoctor.readers.log import read_run

        try:
            run = read_run([path], self.kb)
        except NandoctorError:
            return False
        return bool(run.of("loss", "loss_part", "loss_running"))

    def _swapped(self, path: str, net: str, solver: str) -> tuple[str, str]:
        kind = self._kind(path)
        self._misnamed(path, "log", kind)
        return (net, path) if kind == "solver" else (path, solver)

    def _misnamed(self, path: str, given: str, found: str) -> None:
        kinds = (KINDS.get(name, Remark.of(name)) for name in (given, found))
        told = "{file} was given as {given} but is {found}; read as such"
        self.notes.append(Remark(told, file=path, **dict(zip(("given", "found"), kinds))))

    def _kind(self, path: str) -> str:
        try:
            return kind_of(parse(read_prototxt(path), path))
        except NandoctorError:
            return "net"

    def _prototxt(self, path: str, expected: str) -> None:
        try:
            document = parse(read_prototxt(path), path)
            kind = kind_of(document)
            if kind == "unknown":
                raise UnreadableError(Remark("{file} is neither a Caffe net nor a solver", file=path))
            if kind != expected:
                self._misnamed(path, expected, kind)
            if kind == "solver" and self.solver is None:
                self.solver = read_solver(document)
            elif kind == "net" and self.net is None:
                self.net = read_net(document)
        except NandoctorError as exc:
            self.errors.append(exc)

    def _net_of_solver(self) -> None:
        assert self.solver is not None
        named = self.solver.net_path
        if not named:
            return
        here = Path(self.solver.file).parent
        for candidate in (here / named, here / Path(named).name, Path(named)):
            if candidate.is_file():
                self._prototxt(str(candidate), "net")
                return
        self.notes.append(Remark("the solver's net {file} was not found beside it", file=named))

    def _log(self, logs: Sequence[str]) -> None:
        from nandoctor.readers.log import read_run

        usable = []
        for log in logs:
            if log != "-" and not Path(log).exists():
                self.errors.append(UnreadableError(Remark("{file}: no such file", file=log)))
            else:
                usable.append(log)
        if not usable:
            return
        try:
            self.run = read_run(usable, self.kb, dialect=self.inputs.dialect, progress=self.progress)
        except NandoctorError as exc:
            if len(usable) == 1:
                self.errors.append(exc)
                return
            self._log_each(usable)
        if self.run is not None:
            self.notes += self.run.notes

    def _log_each(self, logs: Sequence[str]) -> None:
        """Several files of which at least one cannot be read: keep those that can."""
        from nandoctor.readers.log import read_run

        good = []
        for log in logs:
            try:
                read_run([log], self.kb, dialect=self.inputs.dialect)
                good.append(log)
            except NandoctorError as exc:
                self.errors.append(exc)
        if good:
            self.run = read_run(good, self.kb, dialect=self.inputs.dialect, progress=self.progress)

    def _text(self, name: str, text: str) -> None:
        from nandoctor.readers.log import read_text
        from nandoctor.readers.sniff import HEAD, config_form

        if form := config_form(text[:HEAD].encode("utf-8", "replace"), name):
            from nandoctor.readers.config import config_of_text

            try:
                self._keep(config_of_text(text, name, form))
            except NandoctorError as exc:
                self.errors.append(exc)
            return
        try:
            document = parse(text, name)
            kind = kind_of(document)
        except NandoctorError:
            kind = "unknown"
        if kind == "solver" and self.solver is None:
            self.solver = read_solver(document)
        elif kind == "net" and self.net is None:
            self.net = read_net(document)
        elif self.run is None:
            try:
                self.run = read_text(text, name, self.kb)
            except NandoctorError as exc:
                self.errors.append(exc)

    def _dumps(self, run: Run) -> None:
        """The log's own dump of solver and net stand in for files that were not given."""
        if self.solver is None and run.solver_text is not None:
            document = self._embedded(run.solver_text)
            if document is not None and kind_of(document) == "solver":
                self.solver, self.solver_in_log = read_solver(document), True
        if self.net is None:
            dump = next((t for t in run.net_texts if t.phase == "TRAIN"), next(iter(run.net_texts), None))
            document = self._embedded(dump) if dump else None
            if document is not None and kind_of(document) == "net":
                self.net, self.net_in_log = read_net(document), True

    def _embedded(self, dump: Embedded) -> Document | None:
        try:
            # glog cuts a message at 30,000 characters: what came before the cut is still the net.
            return parse(dump.text, dump.file, dump.line, partial=True)
        except NandoctorError:
            return None  # interleaved dumps are common; nothing is lost that the owner gave
