"""Numbers as pictures of characters: bars, and a row of blocks for each day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

from ...projections.run_counts import DAY, HOUR
from .output import plain

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_LONGEST_NAME = 40
MOST_DAYS = 366
"""How many days are drawn, the last ones."""


def bars(screen: Console, rows: Sequence[tuple[str, int, str]]) -> None:
    """A bar for each name, number and remark, in the order given; the largest number has the longest bar."""
    most = max((number for _, number, _ in rows), default=0)
    names = [plain(name)[:_LONGEST_NAME] for name, _, _ in rows]
    wide = max(map(len, names), default=0)
    remarks = max((len(remark) for _, _, remark in rows), default=0)
    digits = len(str(most))
    length = max(8, min(60, screen.width - wide - digits - remarks - 6))
    for name, (_, number, remark) in zip(names, rows, strict=True):
        line = Text(f"{name:<{wide}}  ").append(f"{bar(number, most, length):<{length}}", "red")
        screen.print(line.append(f"  {number:>{digits}}", "bold").append(f"  {remark}", "dim"), soft_wrap=True)


def bar(number: int, most: int, length: int) -> str:
    """A bar of up to `length` characters, which `most` has; what is not 0 can be seen."""
    eighths = max(1, round(8 * length * number / most)) if number else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def blocks(numbers: Sequence[int], most: int) -> str:
    """A block for each number, as high as its share of `most`; what is not 0 can be seen."""
    return "".join(_HEIGHTS[max(1, round(8 * each / most)) if each else 0] for each in numbers)


def hours(screen: Console, numbers: Mapping[int, int]) -> None:
    """A row of 24 blocks for each day from the first to the last; the keys are the hours' begins in µs."""
    if not numbers:
        return
    most = max(numbers.values())
    screen.print(Text(f"{'day (UTC)':<10}  {'0h':<6}{'6h':<6}{'12h':<6}{'18h':<6}", "dim"), soft_wrap=True)
    for day in days_between(min(numbers), max(numbers)):
        each = [numbers.get(day + hour * HOUR, 0) for hour in range(24)]
        line = Text(f"{date(day)}  ").append(blocks(each, most), "red").append(f"  {sum(each)}", "bold")
        screen.print(line, soft_wrap=True)
    screen.print(Text(f"the highest block is {most} in an hour", "dim"), soft_wrap=True)


def days_between(first: int, last: int) -> range:
    """The begins of the days from that of `first` to that of `last`, at most `MOST_DAYS`; in µs."""
    end = last // DAY * DAY
    return range(max(first // DAY * DAY, end - (MOST_DAYS - 1) * DAY), end + 1, DAY)


def date(at: int) -> str:
    """The day of a time in µs, in UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).strftime("%Y-%m-%d")
