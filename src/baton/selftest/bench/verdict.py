"""What the figures of a benchmark mean, in sentences: how many sessions, why not more, and how sure that is.

Pure.
"""

from collections.abc import Iterator

from baton.selftest.bench.course import DeviceFound
from baton.selftest.bench.figures import RULE_OF_THUMB, Figures
from baton.selftest.bench.plan import Findings

__all__ = ["mbit_per_s", "sentences"]

_BITS_PER_MBIT = 1_000_000


def mbit_per_s(figures: Figures) -> tuple[float, float]:
    """What one session brings in and sends out, in Mbit/s; zeros when nothing was measured."""
    if not figures.source_s:
        return 0.0, 0.0
    seconds = figures.source_s * _BITS_PER_MBIT
    return 8 * figures.input_bytes / seconds, 8 * figures.output_bytes / seconds


def sentences(findings: Findings) -> Iterator[str]:
    """The answer, then what to know about it."""
    if findings.failure:
        yield f"Failed: {findings.failure}."
    if findings.plan.sessions is not None:
        yield from _about_a_load(findings)
    else:
        yield from _about_a_limit(findings)
    if findings.machine.is_busy:
        yield (
            f"Before it began, {findings.machine.load_before:.1f} other processes wanted to run on "
            f"{findings.machine.cores} cores: a machine to itself carries more than these figures say."
        )


def _about_a_load(findings: Findings) -> Iterator[str]:
    asked = findings.found.asked
    if asked is None or not asked.figures.segments:
        yield "No segment was transcoded."
        return
    verdict = "fits" if asked.fits else "does not fit"
    yield (
        f"{_sessions(asked.sessions)}: {verdict}. Transcoding took {asked.figures.ratio:.2f} of the video's duration, "
        f"{_percent(asked.figures.real_time_share)} of the segments were done in real time "
        f"(a load fits up to {RULE_OF_THUMB:g} and from 90%)."
    )
    yield from _bandwidth(findings, asked.sessions)


def _about_a_limit(findings: Findings) -> Iterator[str]:
    found = findings.found
    for device in found.devices:
        yield _about_a_device(device)
    if not found.suggested:
        if found.devices and all(device.complete for device in found.devices):
            yield "This machine does not carry one session of this video with these renditions."
        else:
            yield "Nothing is known yet: not one load was measured to its end. Give it more time with --time-limit."
        return
    if found.together:
        last = found.together[-1]
        outcome = "That holds" if last.fits else "That did not hold"
        yield (
            f"Run paced, as gateways send: {_sessions(last.sessions)} at once came to {last.figures.ratio:.2f}, with "
            f"{_percent(last.figures.real_time_share)} of the segments in real time. {outcome}."
        )
    else:
        yield "The answer was not run paced: there was no time left for it."
    yield f"Suggested: --max-sessions {found.suggested}"
    yield from _bandwidth(findings, found.suggested)


def _about_a_device(device: DeviceFound) -> str:
    facts = {tried.sessions: tried.figures.ratio for tried in device.tried if tried.figures.segments}
    troubles = next((point.trouble for point in device.points if point.trouble), "")
    if not device.complete and not device.limit:
        return f"{device.name}: time ran out before anything was known."
    least = "" if device.complete else "at least "
    words = f"{device.name}: {least}{_sessions(device.limit)}" if device.limit else f"{device.name}: not one session"
    if device.limit in facts:
        words += f" at a ratio of {facts[device.limit]:.2f}"
    if device.too_many is None:
        return f"{words}; more was not tried."
    if device.too_many in facts:
        reason = f"{_sessions(device.too_many)} came to {facts[device.too_many]:.2f}"
    else:
        reason = f"{_sessions(device.too_many)} failed: {troubles}"
    return f"{words}; {reason}, and the limit is {RULE_OF_THUMB:g}."


def _bandwidth(findings: Findings, sessions: int) -> Iterator[str]:
    into, out = mbit_per_s(findings.found.one_session)
    if into:
        yield (
            f"Each session of this video brings {into:.1f} Mbit/s in and sends {out:.1f} Mbit/s out; "
            f"for {_sessions(sessions)} that is {into * sessions:.1f} and {out * sessions:.1f} Mbit/s of network."
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _sessions(count: int) -> str:
    return f"{count} session{'s' if count != 1 else ''}"
