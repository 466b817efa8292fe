"""Between the operator's settings and the engine: how it shall encode, and what its test found."""

import structlog

from baton.config.model import EngineSettings
from baton.kernel.capabilities import Capability, capability_name
from baton.media.job import Choice, EncoderTuning, EngineReport, HdrTreatment
from baton.ops.status import EngineTest

__all__ = ["told", "tuning_of"]

log = structlog.get_logger("baton.app")

_WORDS = {"auto": Choice.AUTO, "true": Choice.ON, "false": Choice.OFF}


def tuning_of(engine: EngineSettings) -> EncoderTuning:
    """The operator's settings in the engine's words."""
    return EncoderTuning(
        preset=engine.preset,
        threads=engine.threads,
        buffer_ms=round(engine.buffer_s * 1000),
        hdr=HdrTreatment.PASS_THROUGH if engine.hdr == "passthrough" else HdrTreatment.TONE_MAP,
        hevc_encoding=_WORDS[engine.hevc_encoding],
        hevc_decoding=_WORDS[engine.hevc_decoding],
    )


def told(device: str, report: EngineReport, engine: EngineSettings) -> EngineTest:
    """Log what the test found, loudly what the operator asked for in vain, and return it for the status."""
    log.info(
        "engine tested",
        device=device,
        engine=report.engine,
        encoders=report.encoders,
        offers=[capability_name(i) for i in report.capability_ids],
        measured=report.measured,
    )
    asked_for = {Capability.HEVC_ENCODE: engine.hevc_encoding, Capability.HEVC_DECODE: engine.hevc_decoding}
    for capability_id, reason in report.refused:
        in_vain = any(capability_id == asked and word == "true" for asked, word in asked_for.items())
        tell = log.warning if in_vain else log.info
        tell("not offered", device=device, capability=capability_name(capability_id), reason=reason)
    return EngineTest(
        device=device,
        engine=report.engine,
        encoders=report.encoders,
        measured=report.measured,
        not_offered=tuple((capability_name(i), reason) for i, reason in report.refused),
    )
