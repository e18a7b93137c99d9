"""The one training loop of all stages, on accelerate: step, log, evaluate, save."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from torch.utils.data import DataLoader, Subset

from videollm.errors import ConfigError, DataError

from .board import Board
from .checkpoint import load_newest_checkpoint, save_checkpoint
from .engine import Engine
from .engines import check_launcher, engine_for
from .interruption import Interruption, be_a_helper
from .optimization import trainable_table
from .record import RunLog, plot_loss, write_record
from .resuming import check_data
from .samples import keep_samples
from .settings import RunSettings
from .task import Batch, Task


def fit(task: Task, settings: RunSettings, run_dir: Path, *, resume: bool = False) -> None:
    """Trains ``task.model`` for ``settings.steps`` optimizer steps and exports the result into ``run_dir/final``.

    Args:
        task: The stage.
        settings: Its settings.
        run_dir: Where settings, log, plot and checkpoints go. Must be new unless ``resume``.
        resume: Go on from the newest checkpoint in ``run_dir``; batches, losses and weights are then those of an
            uninterrupted run.

    Raises:
        ConfigError: ``run_dir`` exists and ``resume`` was not asked for.
        DataError: The loss or the gradient became non-finite.
    """
    # Of several processes only the first may ask: it makes the directory, and the others would find it there.
    if PartialState(cpu=not torch.cuda.is_available()).is_main_process:
        if run_dir.exists() and not resume:
            raise ConfigError(f"{run_dir} exists; give --resume to go on with it, or another directory")
        run_dir.mkdir(parents=True, exist_ok=True)
    _Run(task, settings, run_dir).train()


class _Run:
    """One run in progress."""

    def __init__(self, task: Task, settings: RunSettings, run_dir: Path) -> None:
        self.task, self.settings, self.run_dir = task, settings, run_dir
        precision = "no" if settings.precision == "fp32" else "bf16"
        self.accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available())
        check_launcher(self.accelerator)
        state = load_newest_checkpoint(run_dir)
        self.engine: Engine = engine_for(settings, self.accelerator)(task, settings, self.accelerator, state)
        self.log = RunLog(run_dir)
        self.step = 0 if state is None else state["step"]
        if state is not None:
            self._resumed()

    def train(self) -> None:
        self._begin()
        with Interruption(wanted=self.accelerator.num_processes == 1) as interruption:
            self._learn(interruption)
        self._finish()

    def _learn(self, interruption: Interruption) -> None:
        batches = iter(self._loader())
        started, supervised = time.perf_counter(), 0
        losses: list[float] = []
        while self.step < self.settings.steps:
            micro = [part for _ in range(self.settings.accumulation) for part in next(batches)]
            loss, parts, count = self._train_step(micro)
            losses.append(loss)
            supervised += count
            self.step += 1
            if self._due(self.settings.log_every):
                seconds = time.perf_counter() - started
                self._report(losses, parts, supervised / seconds, seconds)
                losses, supervised, started = [], 0, time.perf_counter()
            if self._due(self.settings.evaluate_every):
                self._evaluate()
            if self._due(self.settings.save_every) or interruption.asked:
                self._save()
            if interruption.asked and self.step < self.settings.steps:
                self._say(f"ended at step {self.step}, which is kept; go on with --resume")
                raise SystemExit(128 + interruption.asked)

    def _begin(self) -> None:
        processes, device = self.accelerator.num_processes, str(self.accelerator.device)
        if self.accelerator.is_main_process:
            facts = self.task.facts()
            if self.step > 0:
                check_data(self.run_dir, facts)
            write_record(self.run_dir, self.settings, facts, processes=processes, device=device)
            self._board = Board(self.run_dir, self.step)
        self._say(trainable_table(self.task.model))
        self._say(f"{processes} process{'es' if processes > 1 else ''}, {device}, {self.settings.precision}")
        if self.step == 0:
            self._show("before")
            self._evaluate()

    def _train_step(self, batches: list[Batch]) -> tuple[float, dict[str, float], int]:
        """Runs one optimizer step and returns its loss per supervised token over all parts and processes."""
        # Randomness inside the model depends on the step alone, so a resumed run repeats it.
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        self.task.model.train()
        own_count = sum(batch["supervised"] for batch in batches)
        count = self._over_processes(torch.tensor(float(own_count)))
        if count == 0:
            raise DataError(f"step {self.step}: no supervised token in the whole optimizer step")
        # Data parallelism averages the gradients of the processes; the loss is a sum over all of them.
        scale = self.accelerator.num_processes / count
        total = torch.zeros((), device=self.accelerator.device)
        shown: Counter[str] = Counter()
        rounds = self.engine.parts(len(batches))
        for position in range(rounds):
            # Who has fewer parts than others goes along with one that does not count.
            batch, counts = batches[min(position, len(batches) - 1)], float(position < len(batches))
            with self.engine.synchronised(last=position == rounds - 1), self.accelerator.autocast():
                loss = self.engine.run(self._loss, _to_device(batch, self.accelerator.device))
                self.accelerator.backward(loss["total"] * scale * counts)
            total += loss["total"].detach() * counts
            share = counts * batch["supervised"] / max(own_count, 1)
            shown.update({name: share * value for name, value in loss["parts"].items()})
        norm = self.engine.step(self.settings.optimizer.clip_norm)
        mean = self._over_processes(total) / count
        if not (math.isfinite(mean) and math.isfinite(norm)):
            raise DataError(f"step {self.step}: loss {mean} and gradient norm {norm} must be finite; stopped")
        return mean, dict(shown), int(count)

    def _loss(self, batch: Batch) -> dict[str, Any]:
        """The loss of one part, in a form in which torch's engines find its tensor."""
        loss = self.task.loss(batch)
        return {"total": loss.total, "parts": loss.parts}

    def _over_processes(self, value: torch.Tensor) -> float:
        return float(self.accelerator.reduce(value.to(self.accelerator.device), "sum"))

    def _loader(self) -> DataLoader[list[Batch]]:
        """Batches from the current step on; each process takes every n-th micro batch."""
        processes, index = self.accelerator.num_processes, self.accelerator.process_index
        micro_steps = range(
            self.step * self.settings.accumulation, self.settings.steps * self.settings.accumulation
        )
        wanted = [step * processes + index for step in micro_steps]
        workers = self.settings.workers
        return DataLoader(
            Subset(self.task.dataset, wanted),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_be_modest,
        )

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def _report(self, losses: list[float], parts: dict[str, float], rate: float, seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        loss = sum(losses) / len(losses)
        lr = self.engine.schedule.get_last_lr()[0]
        per_step = seconds / len(losses)
        self._note(loss=loss, lr=lr, tokens_per_s=rate, step_s=per_step, **parts)
        shown = "".join(f"  {name} {value:.3f}" for name, value in parts.items())
        self._say(
            f"step {self.step}/{self.settings.steps}  loss {loss:.4f}{shown}  lr {lr:.2e}  {per_step:.2f} s/step"
        )

    def _note(self, **event: Any) -> None:
        event["step"] = self.step
        self.log.append(**event)
        self._board.draw(event)

    def _show(self, moment: str) -> None:
        samples = self.engine.ask(self.task.samples)
        if samples is not None:
            keep_samples(self.run_dir, moment, samples)

    def _evaluate(self) -> None:
        figures = self.engine.ask(self.task.evaluate)
        if figures is None:
            return
        if figures:
            self._note(evaluation=figures)
            self._say(
                f"step {self.step}  " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            )
        plot_loss(self.run_dir)

    def _save(self) -> None:
        state = {"step": self.step, **self.engine.state()}
        if self.accelerator.is_main_process:
            save_checkpoint(self.run_dir, self.step, state, self.settings.keep_checkpoints)

    def _resumed(self) -> None:
        if self.accelerator.is_main_process:
            self.log.drop_after(self.step)
        self._say(f"resumed at step {self.step}")

    def _finish(self) -> None:
        self.accelerator.wait_for_everyone()
        self.task.finish()
        self._show("after")
        self.engine.gather()
        if self.accelerator.is_main_process:
            self._board.close()
            self._export(self.run_dir / "final")

    def _export(self, final: Path) -> None:
        """Writes the result; under its name it is complete."""
        partial = final.with_name("final.partial")
        shutil.rmtree(partial, ignore_errors=True)
        self.task.export(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)

    def _say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            print(text, file=sys.stderr, flush=True)


def _to_device(batch: Batch, device: torch.device) -> Batch:
    return {
        key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()
    }


def _be_modest(worker: int) -> None:
    """Workers share the machine with the model: one thread each, and it goes first."""
    be_a_helper()
    torch.set_num_threads(1)
    os.nice(5)
