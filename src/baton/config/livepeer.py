"""The reference's command line as a literal table: every flag of operator.md 3 and 21, and the setting it stands for.

Pure. A flag whose setting is a row of ``config.flags`` works; every other one is refused by name with the reason of
``config.later``, so a feature that arrives there works here too. Settings that only Baton has are flags under their own
name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from baton.config.argv import kebab
from baton.config.flags import FLAGS
from baton.config.later import later_reason

__all__ = ["OWN_WORDS", "ROLES", "SPELLINGS", "Spelling", "variable_of"]


@dataclass(frozen=True, slots=True)
class Spelling:
    """One flag of the reference. ``default`` is its default as text; None where only "not given" is harmless."""

    name: str
    default: str | None = ""
    switch: bool = False
    """Stands alone on a command line; its value follows an equals sign only."""
    unset_matters: bool = False
    """Never given and given with its default are two things (operator.md 2)."""
    meaning: str = ""
    """Our setting, where it is not the name in kebab-case."""
    instead: str = ""
    """The spelling to use; this one is deprecated."""
    no_effect: bool = False
    """The reference accepts it and does nothing."""
    is_only_ours: bool = False
    """The reference has no such flag."""
    note: str = ""
    """What an empty default means here, where ``config.flags`` says something else."""

    @property
    def setting(self) -> str:
        """Name of the row in ``config.flags`` or ``config.later``."""
        return self.meaning or kebab(self.name)

    @property
    def works(self) -> bool:
        """Whether this version has the setting."""
        return self.setting in FLAGS

    @property
    def refusal(self) -> str:
        """Why it cannot be used, as the end of a sentence."""
        return later_reason(self.setting) or "is not supported yet by this version"


def variable_of(name: str) -> str:
    """The environment variable of a flag: ``maxSessions`` is ``LP_MAXSESSIONS``."""
    return "LP_" + name.upper().translate({ord(mark): "_" for mark in "-./"})


def _text(*names: str, default: str | None = "") -> tuple[Spelling, ...]:
    return tuple(Spelling(name, default) for name in names)


def _switch(*names: str, default: str = "false") -> tuple[Spelling, ...]:
    return tuple(Spelling(name, default, switch=True) for name in names)


OWN_WORDS = (
    Spelling("config"),
    Spelling("version", "false", switch=True),
    Spelling("j", "false", switch=True),
)
"""Flags about the run itself."""

ROLES = (
    *_switch("orchestrator", "transcoder", "aiWorker", "redeemer", "remoteSigner", "gateway", "initializeRound"),
    Spelling("broadcaster", "false", switch=True, instead="gateway"),
    Spelling("reward", None, switch=True, unset_matters=True),
)
"""Flags that decide what the process is (operator.md 1.1)."""

_PLACE = "~/.lpData/<network>; Baton writes into baton/ inside"

_ADDRESSES = (
    Spelling("network", "offchain"),
    *_text("serviceAddr", "nodes", "httpAddr", "cliAddr", "orchAddr", "orchSecret", "objectStore"),
    Spelling("dataDir", note=_PLACE),
    *_switch("startupAvailabilityCheck", default="true"),
    Spelling("datadir", note=_PLACE, meaning="data-dir", instead="dataDir"),
    *_text("authWebhookUrl"),
)

_TRANSCODING = (
    Spelling("maxSessions", "10"),
    *_text("nvidia", "netint"),
    *_switch("testTranscoder", default="true"),
    Spelling("hevcDecoding", None, switch=True, unset_matters=True),
)

_AI = (
    *_text("aiModels", "aiModelsDir", "aiRunnerImageOverrides", "liveAITrickleHostForRunner"),
    *_text("liveRunnerConfig", "liveRunnerAddr", "liveRunnerProxyUrl"),
    *_switch("aiVerboseLogs", "aiServiceRegistry", "aiServerless", "useLiveRunners"),
    Spelling("aiRunnerImage", "livepeer/ai-runner:latest", instead="aiRunnerImageOverrides"),
    Spelling("aiRunnerContainersPerGPU", "1"),
    Spelling("aiProcessingRetryTimeout", "2s"),
    Spelling("aiMinRunnerVersion", "[]"),
    Spelling("livePaymentInterval", "5s"),
    Spelling("liveAICapReportInterval", "25m"),
    Spelling("liveAICapRefreshModels", None, no_effect=True),
)

_CHAIN = (
    *_text("ethUrl", "ethAcctAddr", "ethPassword", "ethOrchAddr", "ethController"),
    Spelling(
        "ethKeystorePath", note="keystore/ in -dataDir; off-chain without -ethAcctAddr none, and results are not signed"
    ),
    *_text("redeemerAddr", "pricePerGateway"),
    Spelling("transactionTimeout", "5m"),
    Spelling("maxTransactionReplacements", "1"),
    Spelling("gasLimit", "0"),
    Spelling("minGasPrice", None, unset_matters=True),
    Spelling("maxGasPrice", "0"),
    Spelling("blockPollingInterval", "5"),
    Spelling("initializeRoundMaxDelay", "30s"),
    Spelling("ticketEV", "8000000000"),
    Spelling("maxFaceValue", "0"),
    Spelling("pricePerUnit", None, unset_matters=True),
    Spelling("pixelsPerUnit", "1"),
    Spelling("priceFeedAddr", "0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612"),
    *_switch("autoAdjustPrice", default="true"),
    Spelling("pricePerBroadcaster", meaning="price-per-gateway", instead="pricePerGateway"),
)

_MONITORING = (
    *_switch("monitor", "metricsPerStream", "metricsClientIP"),
    *_text("metadataQueueUri"),
    Spelling("metadataAmqpExchange", "lp_golivepeer_metadata"),
    Spelling("metadataPublishTimeout", "1s"),
    *_text("kafkaBootstrapServers", "kafkaUser", "kafkaPassword", "kafkaGatewayTopic"),
    Spelling("v", "3", meaning="log-level"),
)

_GATEWAY = (
    *_text("rtmpAddr", "verifierUrl", "verifierPath", "orchWebhookUrl", "extraNodes", "orchBlocklist", default=None),
    *_text("orchMinLivepeerVersion", "selectRandFreq", "selectStakeWeight", "selectPriceWeight", default=None),
    *_text("selectPriceExpFactor", "orchPerfStatsUrl", "region", "maxPricePerUnit", default=None),
    *_text("maxPricePerCapability", "minPerfScore", "discoveryTimeout", "gatewayHost", default=None),
    *_text("transcodingOptions", "maxAttempts", "mediaMTXApiPassword", "liveAIAuthApiKey", default=None),
    *_text("liveAIHeartbeatURL", "liveAIHeartbeatHeaders", "liveAIHeartbeatInterval", default=None),
    *_text("liveAIAuthWebhookUrl", "liveOutSegmentTimeout", "liveAISaveNSegments", default=None),
    *_text("maxTicketEV", "maxTotalEV", "depositMultiplier", "recordStore", default=None),
    *_text("remoteSignerUrl", "remoteSignerHeaders", "remoteSignerWebhookUrl", default=None),
    *_text("remoteSignerWebhookHeaders", default=None),
    Spelling("FVfailGsbucket", None, meaning="fv-fail-gs-bucket"),
    Spelling("FVfailGskey", None, meaning="fv-fail-gs-key"),
    *_switch("ignoreMaxPriceIfNeeded", "currentManifest", "remoteSignerAllowNoAuth", "remoteDiscovery"),
    Spelling("localVerify", None, switch=True, unset_matters=True),
    Spelling("httpIngest", None, switch=True, unset_matters=True),
)

_REFERENCE = (*OWN_WORDS, *ROLES, *_ADDRESSES, *_TRANSCODING, *_AI, *_CHAIN, *_MONITORING, *_GATEWAY)


def _only_ours(known: Iterable[Spelling]) -> Iterable[Spelling]:
    """Settings that the reference has no flag for, under their own name."""
    named = {row.setting for row in known}
    return (
        Spelling(flag.name, flag.default, switch=flag.kind.is_boolean, is_only_ours=True)
        for flag in FLAGS.values()
        if flag.name not in named
    )


SPELLINGS: Mapping[str, Spelling] = MappingProxyType({row.name: row for row in (*_REFERENCE, *_only_ours(_REFERENCE))})
"""Every flag of ``baton livepeer`` by its name."""
