"""The one training loop of all stages, on accelerate: step, log, evaluate, save."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator, PartialState
from torch import nn
from torch.utils.data import DataLoader, Subset

from videollm.errors import ConfigError, DataError

from .board import Board
from .checkpoint import load_newest_checkpoint, restore_trained, save_checkpoint, trained_state
from .optimization import build_optimizer, build_schedule, is_finite, trainable_table
from .record import RunLog, plot_loss, write_record
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
        optimizer = build_optimizer(task.model, settings.optimizer)
        schedule = build_schedule(optimizer, settings.optimizer, settings.steps)
        self.model = self.accelerator.prepare_model(task.model)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        # The schedule counts optimizer steps itself; a prepared one would count every process's.
        self.schedule = schedule
        self.step = 0
        self.log = RunLog(run_dir)
        self._restore()

    def train(self) -> None:
        self._begin()
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
            if self._due(self.settings.save_every):
                self._save()
        self._finish()

    def _begin(self) -> None:
        processes, device = self.accelerator.num_processes, str(self.accelerator.device)
        if self.accelerator.is_main_process:
            facts = self.task.facts()
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
        self.model.train()
        own_count = sum(batch["supervised"] for batch in batches)
        count = self._over_processes(torch.tensor(float(own_count)))
        if count == 0:
            raise DataError(f"step {self.step}: no supervised token in the whole optimizer step")
        # Data parallelism averages the gradients of the processes; the loss is a sum over all of them.
        scale = self.accelerator.num_processes / count
        total = torch.zeros((), device=self.accelerator.device)
        shown: Counter[str] = Counter()
        for position, batch in enumerate(batches):
            with self._synchronised(last=position == len(batches) - 1), self.accelerator.autocast():
                loss = self.task.loss(self.model, _to_device(batch, self.accelerator.device))
                self.accelerator.backward(loss.total * scale)
            total += loss.total.detach()
            share = batch["supervised"] / max(own_count, 1)
            shown.update({name: share * value for name, value in loss.parts.items()})
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.optimizer.clip_norm)
        mean = self._over_processes(total) / count
        if not is_finite(torch.tensor(mean)) or not is_finite(torch.as_tensor(norm)):
            raise DataError(
                f"step {self.step}: loss {mean} and gradient norm {float(norm)} must be finite; stopped"
            )
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return mean, dict(shown), int(count)

    def _synchronised(self, *, last: bool) -> Any:
        """Gradients are exchanged between processes after the last part only."""
        return torch.enable_grad() if last else self.accelerator.no_sync(self.model)

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
        lr = self.schedule.get_last_lr()[0]
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
        if self.accelerator.is_main_process:
            self.task.model.eval()
            keep_samples(self.run_dir, moment, self.task.samples())

    def _evaluate(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.task.model.eval()
        figures = self.task.evaluate()
        if figures:
            self._note(evaluation=figures)
            self._say(
                f"step {self.step}  " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
            )
        plot_loss(self.run_dir)

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": self.step,
            "model": trained_state(self.task.model),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_checkpoint(self.run_dir, self.step, state, self.settings.keep_checkpoints)

    def _restore(self) -> None:
        state = load_newest_checkpoint(self.run_dir)
        if state is None:
            return
        restore_trained(self.task.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = state["step"]
        self.log.drop_after(self.step)
        self._say(f"resumed at step {self.step}")

    def _finish(self) -> None:
        self.accelerator.wait_for_everyone()
        self._show("after")
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
    torch.set_num_threads(1)
    os.nice(5)


def unwrap(model: nn.Module) -> Any:
    """Returns the module inside accelerate's or torch's wrappers."""
    return cast(Any, getattr(model, "module", model))
