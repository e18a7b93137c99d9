"""Workers of Ray as the engine of a job: ``videollm describe --ray N``, on one machine or on many.

    with RayEngine(partial(load_model, "pocket"), workers=4) as engine:
        describe_files(engine, find_sources(["/shared/videos"]), "out")

Ray Data hands groups of files to workers, each of which holds the model; what comes of a file is handed back the moment
it is there, and the program that calls writes it into its ledger. The files, and the model if it is a directory, must
lie under the same path on every node of the cluster, and videollm be installed there.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, repeat
from types import TracebackType
from typing import Any

from ..errors import ConfigError, VideoLLMError
from ..model.modeling import VideoLLM
from .batch import Outcome, describe_batch
from .engines import LocalEngine
from .rows import Failure, Source
from .settings import DescribeOptions

try:
    import pyarrow
    import ray
    import ray.data
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise ConfigError('--ray needs Ray: pip install "videollm[ray]"') from error

# Files of the first round for each worker. The next round is gathered meanwhile, two files for each that is done: the
# content of files is hashed as they are taken, and workers shall not wait for the hash of the last file of a library.
_FIRST = 32
# Groups of a round for each worker, so that none is left with much more than others, and most batches in a group.
_GROUPS, _MOST_BATCHES = 4, 8
# Memory for what a local Ray shares between its processes: names of files and short texts.
_STORE_BYTES = 256 << 20
# Columns of the rows that go to the workers and come back.
_FILES, _OUTCOME = "files", "outcome"

_ENDED = Failure(
    "WorkerEnded",
    "the worker that described this ended, and so did another that had nothing else to do: "
    "out of memory? Fewer frames or visual tokens need less",
)


class RayEngine:
    """Workers that each hold the model; a context manager, which connects to Ray and leaves it as it was.

    ``RAY_ADDRESS`` names the cluster; without it, one is started on this machine. A file that ends its worker is
    described once more by itself, and what ends that one too is a failure of the file, not of the job.

    Args:
        load: Loads the model, in each worker: anything that can be pickled.
        workers: How many there are.
        gpus: GPUs of each; ``None`` for one, or for a part of one where there are fewer, and for none where there are
            none: then they share the CPUs.

    Raises:
        ConfigError: The cluster cannot be reached.
    """

    def __init__(self, load: Callable[[], VideoLLM], workers: int, *, gpus: float | None = None) -> None:
        self._load, self._workers, self._gpus = load, workers, gpus
        self._fingerprints: dict[DescribeOptions, str] = {}
        self._is_ours = False

    def __enter__(self) -> RayEngine:
        if not ray.is_initialized():
            _connect()
            self._is_ours = True
        self._resources = _resources(self._workers, self._gpus)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            ray.shutdown()

    def check(self, options: DescribeOptions) -> None:
        """See :class:`~videollm.describe.engines.Engine`; a worker loads the model for it."""
        self.fingerprint(options)

    def fingerprint(self, options: DescribeOptions) -> str:
        """See :class:`~videollm.describe.engines.Engine`."""
        if options not in self._fingerprints:
            identify = ray.remote(_identify).options(max_retries=0, **self._resources)
            with _plain_errors():
                self._fingerprints[options] = ray.get(identify.remote(self._load, options))
        return self._fingerprints[options]

    def describe(
        self,
        sources: Iterable[Source],
        options: DescribeOptions,
        *,
        batch_size: int,
        should_stop: Callable[[], bool],
        at_work: Callable[[Sequence[Source]], None],
    ) -> Iterator[Outcome]:
        """See :class:`~videollm.describe.engines.Engine`.

        ``at_work`` is not called: what ends a worker does not end this program, and is told apart here.
        """
        waiting, suspects = iter(sources), list[Source]()
        taken = list(islice(waiting, _FIRST * self._workers))
        while taken:
            if should_stop():
                return
            following, left = list[Source](), dict.fromkeys(taken)
            for outcome in self._work(self._groups(taken, batch_size), left, options, batch_size):
                yield outcome
                if should_stop():
                    return
                following += islice(waiting, 2)
            suspects += left
            taken = following or list(islice(waiting, _FIRST * self._workers))
        left = dict.fromkeys(suspects)
        for outcome in self._work([[source] for source in suspects], left, options, 1):
            yield outcome
            if should_stop():
                return
        yield from (Outcome(source, None, _ENDED, None, 0.0, 0.0, 0.0) for source in left)

    def _groups(self, sources: Sequence[Source], batch_size: int) -> list[Sequence[Source]]:
        """Shares files out: a batch in a group or more, but no worker without one."""
        fair = math.ceil(len(sources) / self._workers)
        size = min(fair, max(batch_size, math.ceil(fair / _GROUPS)), _MOST_BATCHES * batch_size)
        return [sources[start : start + size] for start in range(0, len(sources), size)]

    def _work(
        self,
        groups: Sequence[Sequence[Source]],
        left: dict[Source, None],
        options: DescribeOptions,
        batch_size: int,
    ) -> Iterator[Outcome]:
        """Yields what comes of groups of files and takes them from those that are left; stays: what ended a worker."""
        if not groups:
            return
        data = ray.data.from_items(
            [{_FILES: pickle.dumps(group)} for group in groups], override_num_blocks=len(groups)
        ).map_batches(
            _Worker,
            fn_constructor_args=(self._load, options, batch_size),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(self._workers, len(groups)), max_tasks_in_flight_per_actor=1
            ),
            **self._resources,
        )
        data.context.enable_progress_bars = False
        data.context.print_on_execution_start = False
        data.context.target_max_block_size = 1  # bytes: each row comes at once, not when there are many
        data.context.execution_no_progress_timeout_s = -1  # a film may take hours
        with _plain_errors():
            for row in data.iter_batches(prefetch_batches=0, batch_size=1, batch_format="pyarrow"):
                outcome = pickle.loads(row[_OUTCOME][0].as_py())
                if outcome is not None and outcome.source in left:
                    del left[outcome.source]
                    yield outcome


class _Worker:
    """A process of Ray with the model."""

    def __init__(self, load: Callable[[], VideoLLM], options: DescribeOptions, batch_size: int) -> None:
        self._model, self._options, self._batch_size = load(), options, batch_size
        # Ray starts a process again that ended, and repeats the call in which it did.
        self._is_repeating = bool(ray.get_runtime_context().was_current_actor_reconstructed)

    def __call__(self, row: pyarrow.Table) -> Iterator[pyarrow.Table]:
        """Describes a group of files; each outcome is a row."""
        for outcome in self._outcomes(pickle.loads(row[_FILES][0].as_py())):
            yield pyarrow.table({_OUTCOME: [pickle.dumps(outcome)]})

    def _outcomes(self, sources: Sequence[Source]) -> Iterator[Outcome | None]:
        if self._is_repeating:
            # It would end again. Ray wants as many rows as the call would have given, and keeps those that it has.
            self._is_repeating = False
            return repeat(None, len(sources))
        return describe_batch(self._model, sources, self._options, batch_size=self._batch_size)


def _identify(load: Callable[[], VideoLLM], options: DescribeOptions) -> str:
    """Checks the options and returns the fingerprint, where the model can be loaded."""
    engine = LocalEngine(load())
    engine.check(options)
    return engine.fingerprint(options)


def _connect() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                "local",
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()  # what of it has begun
        what = f"the cluster at RAY_ADDRESS={address} cannot be used" if address else "Ray cannot be started"
        raise ConfigError(f"{what}: {_last_line(error)}") from error


def _resources(workers: int, gpus: float | None) -> dict[str, Any]:
    """What each worker may use."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus is None:
        gpus = min(1.0, _share([node.get("GPU", 0.0) for node in nodes], workers))
    return (
        {"num_gpus": gpus}
        if gpus
        else {"num_cpus": _share([node.get("CPU", 0.0) for node in nodes], workers)}
    )


def _share(amounts: Sequence[float], workers: int) -> float:
    """The most that each worker can have of what the nodes have: a whole number, or one part of a whole."""
    wholes = [int(amount) for amount in amounts]
    for share in range(max(wholes, default=0), 0, -1):
        if sum(whole // share for whole in wholes) >= workers:
            return share
    return 1 / math.ceil(workers / sum(wholes)) if any(wholes) else 0.0


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns what a worker raised into one line, where it is not a mistake of ours."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, VideoLLMError):
            raise error.cause from None
        raise
    except RayError as error:
        raise ConfigError(f"a worker of Ray ended before it could describe: {_last_line(error)}") from error


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
