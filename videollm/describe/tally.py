"""How far a job is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a job is.

    Attributes:
        files: Sources of the job, or of this shard of it as far as that is known.
        described: Described by this run.
        copied: Sources of the same content as another, which were not looked at.
        failed: Failed in this run.
        skipped: Done by earlier runs.
        aside: Set aside: by earlier runs, and at the end by this one too.
        outdated: Described by earlier runs with another model or other settings, and therefore not done.
        video_s: Seconds of video that this run described.
        elapsed_s: Seconds since this run began.
        unnamed: Sources of earlier runs that were not named this time; what is known of them stays in the ledger.
        bad: Sources without a description, of this run and of earlier ones; known at the end.
        left: Sources that are not done; known at the end, and above 0 only if the run was stopped.
        failures: Why the first ten of those without a description have none, a line each; known at the end.
    """

    files: int
    described: int = 0
    copied: int = 0
    failed: int = 0
    skipped: int = 0
    aside: int = 0
    outdated: int = 0
    video_s: float = 0.0
    elapsed_s: float = 0.0
    unnamed: int = 0
    bad: int = 0
    left: int = 0
    failures: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Sources that nothing is left to do about."""
        return self.described + self.copied + self.failed + self.skipped + self.aside
