"""Known-answer vectors of the network as literal bytes, shared by the tests of the node and of the peer.

Literals only: both sides are anchored to the same values and to nothing else (video.md section 10).
"""

from dataclasses import dataclass

SECRET = bytes.fromhex("46" * 32)
ADDRESS = bytes.fromhex("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F")
CHECKSUM_HEX = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"

# 10.1 signature verification over a given 32-byte hash.
VERIFY_ADDRESS = bytes.fromhex("3BadDb1eeE2105893136A3F96c8a963E9C6309d6")
VERIFY_HASH = bytes.fromhex("b7da355477356fc4c47fcabcf232dc77a6db9b07b7e48b76261cc55cc8fbabb3")
VERIFY_DIGEST = bytes.fromhex("1288735ecfc69223aebf1e4550f8b609241a2a5097d9b34ca50f929e1b8acb6c")
VERIFY_SIG = bytes.fromhex(
    "206443228e8f784bc3a122de0d85eb3ebff82d6a79cca26c7eeb907099a6404f"
    "6dff57bc6828f28bd6cd073c89d94cf3364204679ed8365fa45b5ee6af19a9841c"
)
HIGH_S_SIG = bytes.fromhex(
    "e742ff452d41413616a5bf43fe15dd88294e983d3d36206c2712f39083d638bd"
    "e0a0fc89be718fbc1033e1d30d78be1c68081562ed2e97af876f286f3453231d1b"
)

# 10.2 flattened segment.
FLAT_MANIFEST = b"abcdef"
FLAT_SEQ = 1234
FLAT_HASH = b"browns".ljust(32, b"\0")
FLAT_PROFILES = ("P144p30fps16x9", "P240p30fps16x9")
FLAT = bytes.fromhex(
    "616263646566"
    "00000000000000000000000000000000000000000000000000000000000004d2"
    "62726f776e730000000000000000000000000000000000000000000000000000"
    "66636134306266396330613635313761"
)
FLAT_KECCAK = bytes.fromhex("08a398e7e7a5a545b0b07d9e7e1eab52b4131e0df1621bd53ee6e7550a15465b")
FLAT_DIGEST = bytes.fromhex("1d6dfff7756188b690495abc9ccbc9093f34e7839732510515b5ca60ec8f3e70")
FLAT_SIG = bytes.fromhex(
    "7d7a86cc1ad67a5373b2fc18a2a938a7745d8e7018be951a63238cf40fc73220"
    "3f5dabfaa018a6397d4a670874730be03b1b2e88ba7301418340b4d65fec5f061b"
)

# 10.3 other signatures by SECRET.
REQUEST_KECCAK = bytes.fromhex("969fa3eae55716669979e5c87080d2ff347c38c16743686c0af60e233463b8f9")
REQUEST_DIGEST = bytes.fromhex("fc058f3381f8c14b7495a11911ac00cf0e565133b7eceaf88bae632a4747eff0")
REQUEST_SIG = bytes.fromhex(
    "4e166c2cd389f60c02051be1252202fc8a9d9f81b34ace389523a47cb5e70d26"
    "5bcff71ffa9bda088fb65f04930ca11aa5818b5c688e0d130a32f3a03e9254c91c"
)
PING_VALUE = bytes.fromhex("cd541a5f22d1f8d9c088efa3474acd3d04f58894b42e4ffb4bc0dbb4c0b879c7")
PING_REPLY = bytes.fromhex(
    "866f3053c919a2b71a6b8d8cbf27b692b6c8f3ee76af81382645c11c594ba7cb"
    "1c7dc55b2554d523822aa5537a01733ea5ae0385f51da3c9f6e57a51db132dfc1c"
)
RENDITIONS = (b"asdf" * 10, b"qwer" * 10)
RENDITION_HASHES = (
    bytes.fromhex("aedbeaf6972b5fddb7efaa9a4f7f383ad223af5ac7690860331ad34cc38c14cd"),
    bytes.fromhex("85f940fafdd2328e4b40a3de1019b6d358b31c07963f1b0551c8e12c557339a7"),
)
RESULT_KECCAK = bytes.fromhex("d61e377c0285c8a4196fef75acd168b7a83a9a05630e0896bc941c57abc664f3")
RESULT_DIGEST = bytes.fromhex("9f1431bffbf815b664fb08326392a35e0a5adc33dae4be227f0a071710b470f0")
RESULT_SIG = bytes.fromhex(
    "b62bb95c11312a516314bbb34366ca746e79e3bab1102eb75df6db8ac708f7c4"
    "08d252675caa8ad8341e553ae7adfaf2463c6e84bf47c1ae42edab6c6593dad11c"
)

# 10.4 first four bytes of the keccak of a preset's name.
PROFILE_IDS = {
    "P720p60fps16x9": "a7ac137a",
    "P720p30fps16x9": "49d54ea9",
    "P720p25fps16x9": "e4a64019",
    "P720p30fps4x3": "79332fe7",
    "P576p30fps16x9": "5ecf4b52",
    "P576p25fps16x9": "8b1843d6",
    "P360p30fps16x9": "93c717e7",
    "P360p25fps16x9": "7cd40fc7",
    "P360p30fps4x3": "b60382a0",
    "P240p30fps16x9": "c0a6517a",
    "P240p25fps16x9": "1301a7d0",
    "P240p30fps4x3": "d435c53a",
    "P144p30fps16x9": "fca40bf9",
    "P144p25fps16x9": "03f01d1f",
}


@dataclass(frozen=True, slots=True)
class TokenVector:
    """An auth token for a secret, session and expiration, and the bytes that are really authenticated."""

    secret: bytes
    session: str
    expiration: int
    message: bytes
    token: bytes


# 10.5 auth tokens.
TOKENS = (
    TokenVector(
        b"foo",
        "bar",
        100,
        bytes.fromhex("62617264"),
        bytes.fromhex("e896e58f32128ad59566fbef0ae8d4b702f6f08cdfe3f17b544696016f5e5423"),
    ),
    TokenVector(
        b"foo",
        "notbar",
        100,
        bytes.fromhex("6e6f7462617264"),
        bytes.fromhex("d4c0245683c524772f0756cba7f24ba62e0c8773eb8d3927a95ab3a986ce2d17"),
    ),
    TokenVector(
        b"foo",
        "bar",
        200,
        bytes.fromhex("626172c8"),
        bytes.fromhex("cfc21015f594e4c3b32bbaf771fe075825a6d0f2ef8e976d726e8d6d2e050cf2"),
    ),
    TokenVector(
        b"foo",
        "notbar",
        200,
        bytes.fromhex("6e6f74626172c8"),
        bytes.fromhex("fd2f75a06e3e06761a98d895f197b4ce7f9dd83d56d81a5f2e84e4cfd576a89e"),
    ),
    TokenVector(
        b"notfoo",
        "bar",
        100,
        bytes.fromhex("62617264"),
        bytes.fromhex("d3e615702ffe5e438458307c2be8999279dc652e0199e97fbd3d01ef0ce71fa6"),
    ),
    TokenVector(
        bytes(range(32)),
        "f1405ced",
        1700000000,
        bytes.fromhex("66313430356365646553f100"),
        bytes.fromhex("d3f400be67f7a713a37b0e77894867669282c317283c3f258ea528e52011804d"),
    ),
    TokenVector(
        bytes(range(32)),
        "f1405ced",
        0,
        bytes.fromhex("6631343035636564"),
        bytes.fromhex("18bbca8f6b55d4732174db1b2f18a12496982a06e12dcff6f680cf7220e476a2"),
    ),
)
TOKEN_ROW_6 = TOKENS[5]

# 10.6 bit strings: ids and their words.
BIT_STRINGS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((), ()),
    ((-10, -1, 0, 1, 2, 3, 4, 5), (63,)),
    ((193, 192), (0, 0, 0, 3)),
    ((193, 54, 192, 79), (1 << 54, 1 << 15, 0, 3)),
    ((*range(13), 14, 26), (0x4005FFF,)),
    (tuple(range(12)), (4095,)),
    ((0, 1, 12, 26), (67112963,)),
    ((0, 12), (4097,)),
    ((0, 1, 2, 3, 5, 8, 9, 11, 12), (6959,)),
    ((35,), (1 << 35,)),
    ((37,), (1 << 37,)),
)
DEFAULT_BITS = 67133439
OPTIONAL_BITS = 94420566016
DEFAULT_AND_OPTIONAL_BITS = 94487699455
SOFTWARE_TRANSCODER_BITS = 94487339007

# 10.6 versions: minimum, version, whether it will do.
VERSIONS = (
    ("0.4.1", "0.4.1", True),
    ("0.4.0", "0.4.1", True),
    ("0.4.2", "0.4.1", False),
    ("0.4.1", "0.4.1-b3278dce-dirty", True),
    ("0.4.0", "0.4.1-b3278dce-dirty", True),
    ("0.4.2", "0.4.1-b3278dce-dirty", False),
    ("", "0.4.1", True),
    ("", "", True),
    ("0.4.0", "", False),
    ("0.4.0", "undefined", False),
    ("nonparsable", "0.4.1", True),
    ("0.4.1", "nonparsable", False),
)

# 10.9 serialized messages.
ORCHESTRATOR_REQUEST = bytes.fromhex(
    "0a149d8a62f656a8d1615c1294fd71e9cfb3e4855a4f12414e166c2cd389f60c02051be1252202fc8a9d9f81b34ace389523a47cb5e70d26"
    "5bcff71ffa9bda088fb65f04930ca11aa5818b5c688e0d130a32f3a03e9254c91c1a080a0483a080202a00"
)
BUSY_RESULT = bytes.fromhex("08d20912104f7263686573747261746f7242757379")
REGISTER_REQUEST = bytes.fromhex("0a0c766572626967736563726574100a1a0d0a04ffbf81202205302e392e31")
NOTIFY_SEGMENT = bytes.fromhex(
    "0a2c68747470733a2f2f6f3a383933352f73747265616d2f66313430356365642f313233342e74656d7066696c65"
    "8001e6058a0107696e76616c69649201086f6666636861696e"
)
NOTIFY_TEARDOWN = bytes.fromhex("1a0c420a12086631343035636564")
END_SESSION_REQUEST = bytes.fromhex(
    "0a320a20d3f400be67f7a713a37b0e77894867669282c317283c3f258ea528e52011804d120866313430356365641880e2cfaa06"
)
PAYMENT_HEADER = "EhSdimL2VqjRYVwSlP1x6c+z5IVaTyoECAcQAw=="

SEGMENT_BODY = b"segment-bytes"
SEGMENT_HASH = bytes.fromhex("5fe7452c698fde6fe0496780c2076883d5d2712f16c3838c54b0dd89c9902cd5")
SEGMENT_KECCAK = bytes.fromhex("7b08ca93dcadc8327575465ed8afeab3c1412b9e3de416703074ed94cc655259")
SEGMENT_SIG = bytes.fromhex(
    "221718905ded2878eec8d91b700cbaf48e3ae3c5b21466407828ecba047424be"
    "16633cddee8df09986730d50527ff4a5b92d3ae51153797782a9df775f1cef6d1b"
)
SEGMENT_HEADER = (
    "CgZhYmNkZWYQ0gkaIF/nRSxpj95v4ElngMIHaIPV0nEvFsODjFSw3YnJkCzVIgdpbnZhbGlkKkEi"
    "FxiQXe0oeO7I2RtwDLr0jjrjxbIUZkB4KOy6BHQkvhZjPN3ujfCZhnMNUFJ/9KW5LTrlEVN5d4Kp"
    "33dfHO9tGzDQDzoICgSDoIAgKgBCMgog0/QAvmf3pxOjew53iUhnZpKCwxcoPD8ljqUo5SARgE0S"
    "CGYxNDA1Y2VkGIDiz6oGigIhggEOUDE0NHAzMGZwczE2eDmIAYACkAGQAZgBgLUYoAEeigIhggEO"
    "UDI0MHAzMGZwczE2eDmIAaoDkAHwAZgBwM8koAEe"
)

TICKET_PAYMENT_HEADER = (
    "CokBChRzrte13rMCIvqJbzmdRsyZx77lfxIHKqHvuU4AABoeCy9PwHlJCM8jL/eGJZAkFqdTB1WmbFeIxKdz1LAAIiAp/fT8moT4"
    "JN9RsAL73nNaqTGtk4pkeAOR4F5IzUdY9iogAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAyBAExLSgSFCx1NuNgXZwW"
    "p6PXsYmOUpOWplwjGiUIrBsSIHYkd43tx1+LMiufoWMqYQ1AuF4QbH2b8OdDqc4pG5xvIkUIARJB42enKrKXhC2RmlpXaZEe669A"
    "MHkZ6bLs0Zzdjc5dWf4FhQt+fqG3ytRT5NIwWCvRCwd/Hwpjes0cxLn3pSQ9SRwiRQgCEkHWrOtJd5GIEgFZqzk+9GZnN9v3AIng"
    "uO5O7EtPGNzeEQifYVz5WX59tgT5MUd3R30czopoe7TUu/i9VcfJMuIhGyoFCLAJEAE="
)
"""A payment of two tickets (payments.md 17.2)."""
