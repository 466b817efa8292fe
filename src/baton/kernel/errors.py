"""Every error the node knows, and every text that peers read.

    BatonError
    |- ConfigError            the operator's settings are wrong; start-up ends with exit code 2
    |- StartError             the machine or a peer kept us from starting; its own exit code
    |- RefusedError           a peer's request is refused with a status and an exact text
    |- CapacityError          refused because we are full (a text, no status of its own)
    |- TranscodeError         a segment could not be transcoded; its text travels in the result
       |- EngineLostError     the engine went along with it, so another device may be worth a try

Gateways compare these texts for equality and decide by them whether to keep us, so no text here is ever decorated:
details go to the log. Tables answer to video.md 3.2, 4.2, 4.5 and 7.11.
"""

from enum import IntEnum

__all__ = [
    "NON_RETRYABLE_TEXTS",
    "BatonError",
    "CapacityError",
    "ConfigError",
    "EngineLostError",
    "ExitCode",
    "RefusedError",
    "StartError",
    "Text",
    "TranscodeError",
]


class ExitCode(IntEnum):
    """Exit codes of every command, so that a supervisor can tell failures apart."""

    OK = 0
    FAILED = 1
    """The command ran and the answer is no (probe failed, demo failed)."""
    CONFIG = 2
    """Settings are wrong; nothing was started."""
    PORT_IN_USE = 3
    """A listen address could not be bound."""
    DATA_DIR = 4
    """The data directory is unusable or another node holds it."""
    ENGINE = 5
    """No transcoding engine works on this machine."""
    CRASHED = 6
    """A critical service died while the node was running."""
    DRAIN_TIMEOUT = 7
    """Stopped by signal, but work was still running when the drain budget ended."""
    CHAIN = 8
    """The chain cannot be read, or is not the one that the settings mean."""


class Text:
    """Texts that peers see, exactly as they see them."""

    # GetOrchestrator and sessions (gRPC code 2; the gateway searches for OrchestratorCapped).
    REQUEST_SIG = "Invalid orchestrator request: orchestrator req sig check failed"
    REQUEST_CAPPED = "Invalid orchestrator request: OrchestratorCapped"
    REQUEST_TOO_MANY = "Invalid orchestrator request: too many requests"
    AUTHENTICATION_FAILED = "authentication failed: "
    WEBHOOK_UNAVAILABLE = "webhook unavailable"
    WEBHOOK_ANSWER = "webhook answer unusable"
    PING_VALUE = "Invalid ping value"
    INVALID_AUTH_TOKEN_RPC = "Invalid auth token"  # noqa: S105 -- an answer, not a secret
    # POST /segment before the 200.
    BASE64 = "base64 decode error: "
    PROTOBUF = "protobuf unmarshal error: "
    SEGMENT_ENCODING = "ErrorSegEncoding"
    OUTPUT_FORMAT = "unrecognized profile output format"
    ENCODER_PROFILE = "unrecognized encoder profile"
    VIDEO_CODEC = "unrecognized video codec"
    INVALID_DURATION = "invalid duration"
    SEGMENT_SIG = "ErrSegSig"
    INCOMPATIBLE = "incompatible capabilities"
    MISSING_AUTH_TOKEN = "missing auth token"  # noqa: S105 -- an answer, not a secret
    INVALID_AUTH_TOKEN = "invalid auth token"  # noqa: S105 -- an answer, not a secret
    EXPIRED_AUTH_TOKEN = "expired auth token"  # noqa: S105 -- an answer, not a secret
    INSUFFICIENT_BALANCE = "Insufficient balance"
    INTERNAL = "Internal Server Error"
    BAD_REQUEST = "BadRequest"
    FORBIDDEN = "Forbidden"
    # Results after the 200.
    CAPPED = "OrchestratorCapped"
    BUSY = "OrchestratorBusy"
    MISSING_STORAGE = "Missing local storage"
    NO_TRANSCODER = "ErrTranscoderUnavailable"
    MISMATCHED_SEGMENTS = "MismatchedSegments"
    ZERO_SEGMENTS = "ZeroSegments"
    SESSION_ENDED = "Session ended"
    NOT_FOUND = "ErrNotFound"
    # Transcoding, non-retryable for the gateway.
    UNSUPPORTED_PIXEL_FORMAT = "Unsupported input pixel format"
    FILTERGRAPH = "Error initializing filtergraph"
    TOO_MANY_OUTPUTS = "Too many outputs"
    UNSUPPORTED_CODEC = "Unsupported input codec"
    NO_KEYFRAMES = "No keyframes in input"
    UNRECOVERABLE = "Unrecoverable state, restart process"
    RUNAWAY = "Encoded frames runaway"
    DECODER_NOT_FOUND = "Decoder not found"
    DEMUXER_NOT_FOUND = "Demuxer not found"
    ENCODER_NOT_FOUND = "Encoder not found"
    MUXER_NOT_FOUND = "Muxer not found"
    OPTION_NOT_FOUND = "Option not found"
    INVALID_ARGUMENT = "Invalid argument"
    INVALID_RESOLUTION = "TranscoderInvalidResolution"
    INVALID_VIDEO = "TranscoderInvalidVideo"
    UNRECOGNIZED_FORMAT = "TranscoderUnrecognizedFormat"
    UNRECOGNIZED_PROFILE = "TranscoderUnrecognizedProfile"
    INVALID_GOP = "TranscoderInvalidGOP"
    INCOMPATIBLE_DEVICES = "TranscoderIncompatibleDevices"
    # Transcoding, retryable elsewhere.
    TRANSCODE_DURATION = "TranscoderInvalidDuration"
    INVALID_CLIP = "TranscoderInvalidClipConfig"
    INVALID_HARDWARE = "TranscoderInvalidHardware"
    INVALID_INPUT = "TranscoderInvalidInput"
    TRANSCODER_STOPPED = "TranscoderStopped"
    TRANSCODER_BUSY = "TranscoderBusy"
    INVALID_PIXEL_FORMAT = "TranscoderInvalidPixelformat"
    INVALID_DATA = "Invalid data found when processing input"
    IO_ERROR = "Input/output error"
    NO_SUCH_FILE = "No such file or directory"
    NO_SUCH_DEVICE = "No such device"
    NO_MEMORY = "Cannot allocate memory"
    UNKNOWN = "Unknown error occurred"


NON_RETRYABLE_TEXTS = frozenset(
    {
        Text.UNSUPPORTED_PIXEL_FORMAT,
        Text.FILTERGRAPH,
        Text.TOO_MANY_OUTPUTS,
        Text.UNSUPPORTED_CODEC,
        Text.NO_KEYFRAMES,
        Text.UNRECOVERABLE,
        Text.RUNAWAY,
        Text.DECODER_NOT_FOUND,
        Text.DEMUXER_NOT_FOUND,
        Text.ENCODER_NOT_FOUND,
        Text.MUXER_NOT_FOUND,
        Text.OPTION_NOT_FOUND,
        Text.INVALID_ARGUMENT,
        Text.INVALID_RESOLUTION,
        Text.INVALID_VIDEO,
        Text.UNRECOGNIZED_FORMAT,
        Text.UNRECOGNIZED_PROFILE,
        Text.INVALID_GOP,
        Text.INCOMPATIBLE_DEVICES,
    }
)
"""A gateway that reads one of these keeps us and gives the segment up; any other text suspends us."""


class BatonError(Exception):
    """Root of what we raise on purpose."""


class ConfigError(BatonError):
    """Settings that cannot work; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[str, ...], *, exit_code: ExitCode = ExitCode.CONFIG) -> None:
        """``problems`` are complete sentences that name the setting and its origin."""
        super().__init__("; ".join(problems))
        self.problems = problems
        self.exit_code = exit_code


class StartError(BatonError):
    """The node cannot start or go on; ``exit_code`` tells a supervisor why."""

    def __init__(self, message: str, *, exit_code: ExitCode) -> None:
        """``message`` is for the operator."""
        super().__init__(message)
        self.exit_code = exit_code


class RefusedError(BatonError):
    """A peer's request is refused before any work: HTTP ``status`` and the exact body ``text``."""

    def __init__(self, status: int, text: str, *, detail: str = "") -> None:
        """``detail`` is for our log only and never leaves the node."""
        super().__init__(text)
        self.status = status
        self.text = text
        self.detail = detail


class CapacityError(BatonError):
    """We are full: ``text`` is ``Text.CAPPED``, ``Text.BUSY`` or one of the transcoder's words for it."""

    def __init__(self, text: str, *, detail: str = "") -> None:
        """``detail`` is for our log only."""
        super().__init__(text)
        self.text = text
        self.detail = detail


class TranscodeError(BatonError):
    """A segment failed in the engine; ``text`` is what the gateway reads in the result."""

    def __init__(self, text: str, *, detail: str = "") -> None:
        """``detail`` is for our log only: the codec's own words, the child's exit, the numbers involved."""
        super().__init__(text)
        self.text = text
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether a gateway that reads ``text`` tries the segment elsewhere."""
        return self.text not in NON_RETRYABLE_TEXTS


class EngineLostError(TranscodeError):
    """The engine was lost over a segment, or was not there: its device, or the segment, is to blame."""

    def __init__(self, text: str, *, detail: str = "", displaced: bool = False) -> None:
        """``displaced``: the engine was taken away on purpose, so nobody is to blame."""
        super().__init__(text, detail=detail)
        self.displaced = displaced
