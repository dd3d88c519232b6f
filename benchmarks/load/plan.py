"""What a load run does, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run. `frames` is the video's length; `width` and `height` its size."""

    sessions: int = 8
    workers: int = 2
    step_ms: float = 33.0
    seconds: float = 10.0
    quiet_seconds: float = 3.0
    frames: int = 40
    width: int = 160
    height: int = 120

    @property
    def clicked(self) -> int:
        """How many sessions are clicked; the others propagate."""
        return max(1, self.sessions // 5)


@dataclass(slots=True)
class Tally:
    """What the clients saw. `mistakes` must stay empty."""

    runs: int = 0
    cancelled: int = 0
    followers: int = 0
    frames: int = 0
    refused: int = 0
    """How often a client was told to come back later."""
    mistakes: list[str] = field(default_factory=list)

    def wrong(self, sentence: str) -> None:
        self.mistakes.append(sentence)


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in milliseconds."""

    values: Sequence[float]

    def at(self, share: float) -> float:
        """The value below which that share of all lie; 0 where there are none."""
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def over(self, limit: float) -> int:
        return sum(value > limit for value in self.values)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process over the run: (seconds, MB) pairs."""

    name: str
    samples: Sequence[tuple[float, float]]

    @property
    def settled(self) -> Sequence[tuple[float, float]]:
        """Without the first quarter, in which caches fill."""
        return self.samples[len(self.samples) // 4 :]

    @property
    def slope(self) -> float:
        """MB a minute, by least squares over what is settled."""
        points = self.settled
        if len(points) < 2:
            return 0.0
        x0 = sum(x for x, _ in points) / len(points)
        y0 = sum(y for _, y in points) / len(points)
        spread = sum((x - x0) ** 2 for x, _ in points)
        return 60 * sum((x - x0) * (y - y0) for x, y in points) / spread if spread else 0.0

    @property
    def ends(self) -> tuple[float, float]:
        """The mean of the first and of the last tenth of what is settled."""
        points = [y for _, y in self.settled]
        tenth = max(1, len(points) // 10)
        return (sum(points[:tenth]) / tenth, sum(points[-tenth:]) / tenth) if points else (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Report:
    plan: Plan
    tally: Tally
    quiet: Times
    """Clicks while nothing else goes on."""
    loaded: Times
    """Clicks during the load."""
    late: Times
    """The worst hold-up of the server's event loop in each second of the load."""
    blocked: Times
    """The same without what its thread waited for a core."""
    noise: Times
    """The same of a process that does nothing at all: what the machine does to everybody."""
    memory: Sequence[Memory]
    load_average: tuple[float, float, float]
    elapsed: float
    """Seconds that the load really took: runs that had begun are waited for."""

    @property
    def waits(self) -> Times:
        """How much longer clicks took than while nothing else goes on."""
        usual = self.quiet.at(0.5)
        return Times([max(0.0, value - usual) for value in self.loaded.values])

    def lines(self) -> list[str]:
        """The report, a line each."""
        plan, tally, waits, step = self.plan, self.tally, self.waits, self.plan.step_ms
        pace = tally.frames / self.elapsed if self.elapsed else 0.0
        out = [
            f"{plan.sessions} sessions on {plan.workers} workers of {step:g} ms a frame, {self.elapsed:.0f} s; "
            f"load average {', '.join(f'{value:.2f}' for value in self.load_average)}",
            f"runs {tally.runs}, of them cancelled {tally.cancelled}; followers {tally.followers}; "
            f"frames computed {tally.frames} ({pace:.0f} a second of {1000 / step * plan.workers:.0f}); "
            f"told to come back later {tally.refused}",
            f"mistakes {len(tally.mistakes)}",
            *(f"  {mistake}" for mistake in tally.mistakes[:20]),
            f"a click alone: {self.quiet.at(0.5):.1f} ms at the median, {self.quiet.at(0.95):.1f} at p95 "
            f"({len(self.quiet.values)} clicks)",
            f"a click under load: {self.loaded.at(0.5):.1f} ms at the median, {self.loaded.at(0.95):.1f} at p95, "
            f"{self.loaded.at(1):.1f} at most ({len(self.loaded.values)} clicks)",
            f"so it waits {waits.at(0.5) / step:.2f} steps at the median, {waits.at(0.95) / step:.2f} at p95, "
            f"{waits.at(1) / step:.2f} at most",
            _worst("the event loop, late", self.late),
            _worst("the event loop, late by no wait for a core", self.blocked),
            _worst("an idle process beside it, late", self.noise),
        ]
        for memory in self.memory:
            first, last = memory.ends
            out.append(f"memory of {memory.name}: {first:.1f} to {last:.1f} MB, {memory.slope:+.2f} MB a minute")
        return out


def _worst(what: str, times: Times) -> str:
    return (
        f"{what}, the worst of each second: {times.at(0.5):.1f} ms at the median, {times.at(0.95):.1f} at p95, "
        f"{times.at(1):.1f} at most; over 50 ms in {times.over(50)} seconds of {len(times.values)}"
    )
