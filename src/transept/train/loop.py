"""The training loop, for every task: updates, validation, checkpoints, and a reason in words for the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic

import torch
from rich.console import Console

from transept.durable import point, reclaim
from transept.errors import Interrupted, UsageError
from transept.heap import keep_freed_memory
from transept.spec import Part
from transept.tasks.task import AnyBatch, Batches, Follows, Remembers, Task, each_of, samples_of
from transept.train.adapting import Keep, build, shares, trained
from transept.train.average import choose
from transept.train.checkpoint import Checkpoints, size_of
from transept.train.config import TrainConfig
from transept.train.device import choose_device, choose_precision
from transept.train.estimate import facts, refuse_full_disk, spoken
from transept.train.finish import versions, worth_averaging, write_model
from transept.train.flat import Flat
from transept.train.guard import Guard
from transept.train.log import Log, Reading, said
from transept.train.meter import Meter
from transept.train.optimizer import FlatAdam, LossScale
from transept.train.progress import Progress
from transept.train.resume import Identity, remembered
from transept.train.run import RunDirectory
from transept.train.schedule import rate_at
from transept.train.signals import Asked, listening
from transept.train.standing import Standing
from transept.train.update import Sums, gather
from transept.train.workers import Workers, check_share, join


@dataclass(frozen=True)
class TrainResult:
    """How a run ended: its updates, its best validation, why it stopped, its time and its supervised tokens.

    `finished` is false where a signal ended it before its time: there is no model yet, and --resume goes on.
    """

    updates: int
    best: Standing
    reason: str
    seconds: float
    tokens: int
    finished: bool = True


def train(
    task: Task[AnyBatch],
    config: TrainConfig,
    run: RunDirectory,
    *,
    resume: bool = False,
    console: Console,
    sections: Mapping[str, Any] | None = None,
    usual: Mapping[str, Any] | None = None,
    keep: Keep | None = None,
) -> TrainResult:
    """Train a task's model in a run directory, from the start or from its newest sound checkpoint.

    The same recipe on the same processor with the same number of threads gives the same weights bit for bit, however
    often it was interrupted. Raises Interrupted after Ctrl-C, once all is saved; SIGTERM saves and returns.

    `sections` is the rest of the recipe, as plain data: where a resumed run has others, that is said. `usual` is what
    they are where a recipe says nothing. `keep` is given the model as it was trained and the directory of the one that
    is made of it, to write more there.
    """
    keep_freed_memory()
    device = choose_device(config.device)
    with join(on_gpu=device.type == "cuda") as workers:
        check_share(config.accumulate, workers.world, follows=isinstance(task, Follows) and task.follows)
        if not workers.leads:
            return Trainer(task, config, run, workers, None, sections, usual, keep).train(resume)
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        with run.held():
            log = Log(run, console, config.log_every)
            try:
                return Trainer(task, config, run, workers, log, sections, usual, keep).train(resume)
            finally:
                log.close()


class Trainer(Generic[AnyBatch]):
    """One process's part in a run. Only the leading one has a log, validates and writes."""

    def __init__(
        self,
        task: Task[AnyBatch],
        config: TrainConfig,
        run: RunDirectory,
        workers: Workers,
        log: Log | None,
        sections: Mapping[str, Any] | None = None,
        usual: Mapping[str, Any] | None = None,
        keep: Keep | None = None,
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.task, self.config, self.run, self.workers, self.log, self.keep = task, config, run, workers, log, keep
        self.device = choose_device(config.device, workers.local)
        self.precision = choose_precision(config.precision, self.device)
        self.rates = config.rates
        torch.manual_seed(config.seed)
        self.model = build(task, config).to(self.device)
        self.flat = Flat(self.model, self.precision.dtype, config.optimizer.decay)
        self.optimizer = FlatAdam(self.flat, config.optimizer, config.clip, shares(self.model, config.optimizer))
        self.scale = LossScale() if self.precision.dtype == torch.float16 else None
        workers.share(self.flat.master)
        self.flat.publish()
        self.checkpoints = Checkpoints(run.checkpoints)
        self.progress, self.standing, self.guard = Progress(), Standing(), Guard()
        # The newest checkpoint: whether it was made at its time, and whether its validation is left undone.
        self.regular, self.owed = False, config.validate_first
        self.reading: Reading | None = None
        surroundings = {
            "device": self.device.type,
            "precision": str(self.precision.dtype),
            "threads": torch.get_num_threads(),
            "processes": workers.world,
            **versions(),
        }
        spec = getattr(self.model, "spec", None)
        described = spec.to_dict() if isinstance(spec, Part) else {}
        settings = config.model_dump(mode="json")
        self.identity = Identity(
            task.fingerprint, self.flat.layout, settings, described, dict(sections or {}), surroundings
        )
        self.usual = usual
        self.meter = Meter(config.stop_at, config.log_every, self.device, each_of(task))

    def train(self, resume: bool) -> TrainResult:
        """Go from where the run is to its end."""
        if self.log:
            self._open(self.log)
        if resume:
            self._restore()
        elif self.log and self.checkpoints.updates():
            raise UsageError(
                "a run is in this directory already", where=self.run.path, remedy="Go on with it by --resume."
            )
        clock = time.monotonic() - self.progress.seconds
        self.meter.start(self.progress)
        with listening() as asked:
            if self.owed:
                self._validate()
            wish = self._loop(asked, clock)
            reason = self._reason(wish)
            self._say(reason, shown=wish != "interrupt")  # what is raised then tells the person
            if wish == "interrupt":
                raise Interrupted(reason, remedy=f"Go on with: {self.run.resume_command()}")
            if not wish and self.log:
                self._finish(self.log, reason)
        done = self.progress
        return TrainResult(done.update, self.standing, reason, done.seconds, done.tokens, finished=not wish)

    # ------------------------------------------------------------------ one update after the other

    def _loop(self, asked: Asked, clock: float) -> str:
        """Update until there is a reason to stop: "interrupt" or "terminate" where a signal was it, else ""."""

        def wishes() -> tuple[float, float, float]:
            seconds = time.monotonic() - clock if self.workers.leads else 0.0
            return float(asked.interrupt), float(asked.terminate), seconds

        wish, batches, epoch = "", None, -1
        while not (wish or self.progress.reached(self.config.stop_at) or self._stalled()):
            if batches is None or epoch != self.progress.epoch:
                batches, epoch = self.task.batches("train", self.progress.epoch), self.progress.epoch
            if not self.progress.position:
                self.progress = replace(self.progress, length=len(batches))
            assert self.progress.length == len(batches) > 0, "an epoch is as long as it was, and not empty"
            before = self.progress
            sums = self._update(batches, wishes)
            wish = "interrupt" if sums.interrupts else "terminate" if sums.terminations else ""
            self._milestones(before, leaving=bool(wish))
        return wish

    def _update(self, batches: Batches[AnyBatch], wishes: Callable[[], tuple[float, float, float]]) -> Sums:
        """One update from where the run is."""
        before, begun = self.progress, time.monotonic()
        chosen = range(before.position, min(before.position + self.config.accumulate, before.length))
        self.model.train()
        place = (self.config.seed, before.epoch)
        sums = gather(self.task, self.model, self.flat, batches, chosen, place, self.workers, self.scale, wishes)
        rate = rate_at(before.update + 1, self.rates)
        step = self.optimizer.step(rate, sums.tokens)
        self.progress = before.after(len(chosen), sums.tokens, sums.seconds)
        if self.scale:
            self.scale.seen(step.taken)
        if step.taken:
            if isinstance(self.task, Remembers):
                self.task.heed(sums.noted)
            self.guard.taken()
            self.meter.add(sums, rate, step.norm, time.monotonic() - begun)
        else:
            rows = [row for index in chosen for row in batches[index].rows]
            self._say(self.guard.skip(self.progress.update, step.norm, sums.tokens, rows, self.scale))
        self._tell()
        return sums

    def _tell(self) -> None:
        if self.log is None or not self.meter.tokens:
            return
        self.reading = self.meter.read(self.progress)
        if self.meter.due():
            self.log.reading(self.reading)
            self.meter.clear()
        else:
            self.log.live(self.reading)

    # ------------------------------------------------------------------ validation, saving, the end

    def _milestones(self, before: Progress, leaving: bool) -> None:
        """What is due between two updates. Who leaves does not wait for a validation: a resumed run begins with it."""
        now = self.progress
        due = now.crossed(self.config.validate_at, before) or now.reached(self.config.stop_at)
        self.regular, self.owed = now.crossed(self.config.save_at, before), due and leaving
        if due and not leaving:
            self._validate()
        elif (self.regular or leaving) and self.log:
            self._save()

    def _validate(self) -> None:
        """Every validation is saved, so that the best one can be taken up again."""
        stalled = torch.zeros(1, dtype=torch.int64, device=self.device)
        if self.log:
            self.model.eval()
            with torch.no_grad():
                scores = dict(self.task.evaluate(self.model))
                samples = samples_of(self.task, self.model, self.config.samples)
            name, update = self.task.score, self.progress.update
            self.standing = self.standing.judged(update, scores[name], self.task.higher)
            reading = replace(self.reading or self.meter.read(self.progress), progress=self.progress)
            self.log.validation(reading, scores, name, self.standing)
            self.log.samples(update, samples)
            stalled.fill_(self.standing.stalled)
        self.workers.share(stalled)
        self.owed = False
        if self.log:
            self._save()
        else:
            self.standing = Standing(stalled=int(stalled))

    def _save(self) -> None:
        rest = {
            "regular": self.regular,
            "owed": self.owed,
            "guard": vars(self.guard),
            "scale": vars(self.scale) if self.scale else None,
            "sizes": self.run.sizes(),
            "task": self.task.remembered() if isinstance(self.task, Remembers) else {},
        }
        state = remembered(self.progress, self.standing, self.identity, rest)
        update, flat = self.progress.update, self.flat
        carried = self.task.carried() if isinstance(self.task, Follows) else {}
        path = self.checkpoints.save(update, flat.changing(), self.optimizer.tensors(), state, carried, flat.frozen())
        if self.standing.update == update:
            point(self.run.best, path)
        point(self.run.last, path)
        self.checkpoints.prune(self.config.keep, self.config.average, self.standing.update)

    def _restore(self) -> None:
        """Take up the newest sound checkpoint; where there is none, begin at the beginning."""
        newest = torch.tensor([-1], device=self.device)
        if self.log and (found := self.checkpoints.newest(self.log.say, self.flat.frozen())) is not None:
            newest.fill_(found)
        self.workers.share(newest)
        if (update := int(newest)) < 0:
            if self.log:
                self.run.accept()
                self.run.cut({})
            self._say(f"{self.checkpoints.lack()}: beginning at update 1")
            return
        saved = self.checkpoints.load(update)
        changes = self.identity.compared(saved.state, self.usual)
        self.flat.load(saved.model)
        self.optimizer.load(saved.optimizer)
        self.progress, self.standing = Progress(**saved.state["progress"]), Standing(**saved.state["standing"])
        self.guard = Guard(**saved.state["guard"])
        self.regular, self.owed = saved.state["regular"], saved.state.get("owed", False)
        if isinstance(self.task, Remembers):
            self.task.recall(saved.state.get("task", {}))
        if isinstance(self.task, Follows) and saved.carried:
            self.task.take_up(self.model, saved.carried)
        if self.scale and saved.state["scale"]:
            vars(self.scale).update(saved.state["scale"])
        if self.log:
            self.run.accept()
            self.run.cut(saved.state["sizes"])
            point(self.run.last, saved.path)
            if self.standing.update is not None:
                point(self.run.best, self.checkpoints.path(self.standing.update))
            self.log.say(f"resumed after update {update:,} ({self.standing.words(self.task.score)})")
            for change in changes:
                self.log.say(change)

    def _open(self, log: Log) -> None:
        for name in self.checkpoints.clean() + reclaim(self.run.path):
            log.say(f"removed {name}, left by a process that died")
        needed = size_of(self.flat.changing()) + size_of(self.optimizer.tensors())
        log.head(facts(self.task, self.config, self.precision, self.device, self.run, needed, trained(self.model)))
        refuse_full_disk(self.run.path, needed + self.checkpoints.owed(self.flat.frozen()))

    def _finish(self, log: Log, reason: str) -> None:
        """Make the model of the run and write it."""
        done, best = self.progress, self.standing
        updates = choose(self.checkpoints, self.config.average, best.update, log.say)
        updates, told_of_choice = worth_averaging(self.task, self.config, self.checkpoints, updates, best, self.device)
        if told_of_choice:
            log.say(told_of_choice)
        told = {
            "stopped": reason,
            "updates": done.update,
            "epochs": float(done.measure("e")),
            "tokens": done.tokens,
            "seconds": done.seconds,
            "skipped": self.guard.skipped,
            "best": {"update": best.update, "score": best.score},
            "surroundings": dict(self.identity.surroundings),
        }
        scores = write_model(self.task, self.config, self.run, updates, self.device, told, keep=self.keep)
        made = f"the mean of {len(updates)} checkpoints" if len(updates) > 1 else "the checkpoint"
        which = f"updates {updates[0]:,} to {updates[-1]:,}" if len(updates) > 1 else f"update {updates[0]:,}"
        measured = said(self.task.score, scores[self.task.score])
        log.say(f"{self.run.model}: {made} of {which}; {measured} on the validation split{self.precision.beside()}")
        log.event("model", {"checkpoints": updates, **scores})

    def _stalled(self) -> bool:
        return bool(self.config.patience) and self.standing.stalled >= self.config.patience

    def _reason(self, wish: str) -> str:
        """Why the run stopped, as a sentence."""
        update, best = f"{self.progress.update:,}", self.standing.words(self.task.score)
        if wish:
            asked = "interrupted" if wish == "interrupt" else "asked to end"
            return f"stopped: {asked} at update {update}, which is saved"
        if self.progress.reached(self.config.stop_at):
            return f"stopped: {spoken(self.config.stop_at)} are done ({best})"
        return f"stopped: no new best for {self.standing.stalled} validations ({best})"

    def _say(self, text: str, shown: bool = True) -> None:
        if self.log:
            self.log.say(text, shown)
