"""Where in the training a line stands."""

from __future__ import annotations


class Place:
    """Step, or epoch and iteration within it, counted through; what lines without their own take over."""

    __slots__ = ("_turns", "base", "epoch", "gap", "seen_epoch", "step", "total")

    def __init__(self) -> None:
        self.step: float | None = None  # carried to lines without their own
        self.epoch: float | None = None
        self.base = 0.0  # number of the first epoch, 0 or 1
        self.gap = False  # lines were left out, and no line since has told the place
        self.seen_epoch = False
        self.total = 0.0  # of the bar whose count is carried
        self._turns: dict[tuple[int, float], list[float]] = {}

    def set_epoch(self, epoch: float) -> None:
        """An epoch number was printed."""
        if not self.seen_epoch:
            self.seen_epoch = True
            self.base = 1.0 if epoch == 1.0 else 0.0
        self.epoch = epoch

    def within(self, pattern: int, iteration: float, total: float) -> float:
        """The step of an iteration within an epoch: counted through if the epoch (or a turn-over) tells how.

        Args:
            pattern: lines of different patterns are counted apart.
            iteration: as printed, within the epoch.
            total: iterations of an epoch, 0 if not printed.
        """
        if self.epoch is not None and total:
            return (self.epoch - self.base) * total + iteration
        turn = self._turns.setdefault((pattern, total), [iteration, 0.0, -1.0])
        epoch = -1.0 if self.epoch is None else self.epoch
        if iteration < turn[0] and epoch >= turn[2]:
            turn[1] += total or turn[0] + 1
        turn[0], turn[2] = iteration, epoch
        return turn[1] + iteration

    def is_training_bar(self, total: float) -> bool:
        """Whether a bar of this length is the training's: the first one is, and all as long as it."""
        if not self.total:
            self.total = total
        return not total or total == self.total

    def lost(self) -> None:
        """Lines were left out: nothing is carried over."""
        self.step = None
        self.epoch = None
        self.gap = True
