"""The cell of an engine child: what its process may read, write and reach, by rules that the kernel keeps.

Codecs read what strangers send, so a child is taken for what it may become: a stranger's program under the node's user.
Landlock leaves it the libraries it runs on, files of the spool whose names it was told, and its temp folder; it can
signal, trace or look into no process outside its cell. Seccomp takes sockets away, and calls that would get around the
rest. What a kernel lacks is left out: ``offered`` says what there is. Linux only; nothing here is undone before the
process ends, and what it starts inherits all of it.
"""

import ctypes
import json
import os
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

__all__ = ["Cell", "Offered", "confine", "offered", "trees_of_the_interpreter"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_RUN = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS_OF_ABI = MappingProxyType({1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1})
_ALL_RIGHTS = (1 << 16) - 1
_TRUNCATE_ABI = 3
_TCP, _TCP_ABI = 3, 4
_SCOPES, _SCOPES_ABI = 3, 6
"""Abstract sockets and signals."""

_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ARCHITECTURE, _CALL, _FIRST, _SECOND = 4, 0, 16, 24
"""Where the filter finds what it judges; of arguments the lower half, on machines that put it first."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1
"""Refused calls fail with EPERM."""
_X32_CALLS = 0x40000000
_SAME_EVERYWHERE = (425, 438, 452, 463, 466)
"""io_uring_setup (it opens sockets unseen), pidfd_getfd, fchmodat2, setxattrat, removexattrat."""
_REFUSED = MappingProxyType(
    {
        # socket; ptrace, process_vm_readv, process_vm_writev, kcmp, perf_event_open; bpf, userfaultfd; add_key,
        # request_key, keyctl; mount, umount2, unshare, setns, open_by_handle_at; chmod, fchmod, chown, fchown, lchown,
        # fchownat, fchmodat; setxattr and removexattr in threes; utime, utimes, futimesat, utimensat; shmget, shmat,
        # semget, msgget, mq_open; truncate, which old versions of Landlock let pass; setpriority, ioprio_set.
        "x86_64": (
            0xC000003E,
            (
                *(41, 101, 310, 311, 312, 298, 321, 323, 248, 249, 250, 165, 166, 272, 308, 304),
                *(90, 91, 92, 93, 94, 260, 268, 188, 189, 190, 197, 198, 199, 132, 235, 261, 280),
                *(29, 30, 64, 68, 240, 76, 141, 251),
            ),
        ),
        "aarch64": (
            0xC00000B7,
            (
                *(198, 117, 270, 271, 272, 241, 280, 282, 217, 218, 219, 40, 39, 97, 268, 265),
                *(52, 55, 54, 53, 5, 6, 7, 14, 15, 16, 88),
                *(194, 196, 190, 186, 180, 45, 140, 30),
            ),
        ),
    }
)
"""Per machine: its name for the kernel's audit, and the numbers of refused calls."""
_ON_ITSELF_ONLY = MappingProxyType({"x86_64": (302, 203, 144, 142, 314), "aarch64": (261, 122, 119, 118, 274)})
"""prlimit64, sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr: they would starve or end any process
of the node's user, the node among them."""
_SOCKETPAIR = MappingProxyType({"x86_64": 53, "aarch64": 199})
"""A pair of datagram sockets can send to others than each other, to the service manager for one; a stream cannot."""

_CAPABILITIES_V3 = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""DAC_OVERRIDE and DAC_READ_SEARCH: root may run from a folder of another user; Landlock bounds where they reach."""

_SYSTEM_TREES = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/nix/store")
_SYSTEM_FILES = (
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/dev/urandom", "/dev/random", "/proc/self"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system"),
)
_GPU_READABLE = (
    *("/proc/driver", "/proc/devices", "/proc/modules", "/sys/bus/pci", "/sys/module", "/sys/class", "/sys/devices"),
    *("/etc/nvidia", "/opt/nvidia", "/run/nvidia"),
)
_GPU_DEVICES = ("/dev/nvidia*", "/dev/dri", "/dev/dxg")
_SHOWS_A_CARD = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a child is left with. Paths that do not exist are skipped when it is closed."""

    readable: tuple[str, ...] = ()
    """Trees and files it may read and run: the interpreter and its libraries."""
    named: tuple[str, ...] = ()
    """Folders it cannot list, but whose files it may read when it was told their names: the spool."""
    writable: tuple[str, ...] = ()
    """Trees it may do anything in: its temp folder."""
    devices: tuple[str, ...] = ()
    """Device nodes it may read, write and control; patterns like ``/dev/nvidia*``."""

    def for_child(self, environment: Mapping[str, str]) -> "Cell":
        """The same, unless the environment shows the child a graphics card: then with the cards as well."""
        return self.with_gpu() if any(environment.get(name) for name in _SHOWS_A_CARD) else self

    @property
    def environment(self) -> dict[str, str]:
        """What a child in here must be told: the one place where it can make files."""
        return {"TMPDIR": self.writable[0]} if self.writable else {}

    def with_gpu(self) -> "Cell":
        """The same with the graphics cards' nodes and what their driver reads."""
        readable = (*self.readable, *_GPU_READABLE)
        return replace(self, readable=readable, devices=(*self.devices, *_GPU_DEVICES))

    def shows(self, path: Path) -> bool:
        """Whether a child may read what is there, if the user may."""
        real = path.resolve()
        return any(real.is_relative_to(Path(tree).resolve()) for tree in (*_SYSTEM_TREES, *self.readable))

    def as_text(self) -> str:
        """For the child's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Cell":
        """What ``as_text`` wrote."""
        return cls(**{key: tuple(paths) for key, paths in json.loads(text).items()})


@dataclass(frozen=True, slots=True)
class Offered:
    """What this kernel has: the version of Landlock (0: none, or kept from us), and whether calls can be refused."""

    landlock: int
    seccomp: bool

    @property
    def lacking(self) -> str:
        """What a child could still do because of that, for the log; empty when the cell is whole."""
        gaps = []
        if not self.landlock:
            gaps.append("read and write the node's files")
        elif self.landlock < _TRUNCATE_ABI:
            gaps.append("empty files that it may read")
        if self.landlock < _SCOPES_ABI:
            gaps.append("signal processes of the node's user")
        if not self.seccomp:
            gaps.append("open sockets")
        return ", ".join(gaps)


def offered() -> Offered:
    """Ask the kernel; takes no time and changes nothing."""
    if sys.platform != "linux":
        return Offered(0, seccomp=False)
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return Offered(
        max(0, version), seccomp=os.uname().machine in _REFUSED and Path("/proc/sys/kernel/seccomp").exists()
    )


def trees_of_the_interpreter(*, unless_above: tuple[Path, ...]) -> tuple[str, ...]:
    """What Python and its packages are read from. What lies above one of the given is left out, or goes in parts."""
    shielded = [path.resolve() for path in unless_above]

    def safe(entries: Iterable[Path]) -> Iterator[str]:
        return (str(e) for e in entries if not any(path.is_relative_to(e.resolve()) for path in shielded))

    prefixes = [Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)]
    # An environment may have been made in a folder that holds the node's data as well.
    parts = [prefix / part for prefix in prefixes for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    entries = [Path(entry) for entry in sys.path if entry]
    lent = [Path(e) for e in os.environ.get("LD_LIBRARY_PATH", "").split(":") if e]
    own = (os.path.realpath(sys.executable), str(Path(__file__).parents[1]))
    return tuple(dict.fromkeys((*safe(prefixes), *safe(parts), *own, *safe(entries), *safe(lent))))


def confine(cell: Cell) -> None:
    """Close the cell around this process: before it has other threads, before it loads what reads strangers' bytes.

    ``PR_SET_NO_NEW_PRIVS`` comes first, and is the caller's affair.

    Raises:
        OSError: the kernel refuses what it offered.
    """
    if sys.platform != "linux":
        return
    there = offered()
    libc = _libc()
    _drop_capabilities(libc)
    if there.landlock:
        _restrict_files(libc, cell, version=there.landlock)
    if there.seccomp:
        _refuse_calls(libc)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """A child of a node that runs as root is not almighty."""
    header = struct.pack("=Ii", _CAPABILITIES_V3, 0)
    held = ctypes.create_string_buffer(24)
    _checked(libc.capget(header, held), "capget")
    effective, permitted, *_ = struct.unpack("=6I", held.raw)
    kept = struct.pack("=6I", effective & _KEPT_CAPABILITIES, permitted & _KEPT_CAPABILITIES, 0, 0, 0, 0)
    _checked(libc.capset(header, kept), "capset")


def _restrict_files(libc: ctypes.CDLL, cell: Cell, *, version: int) -> None:
    rights = _RIGHTS_OF_ABI.get(version, _ALL_RIGHTS)
    attributes = struct.pack("=QQQ", rights, _TCP, _SCOPES)
    size = 24 if version >= _SCOPES_ABI else 16 if version >= _TCP_ABI else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes[:size], ctypes.c_size_t(size), 0), "landlock")
    try:
        for path, allowed in _rules(cell):
            _allow(libc, ruleset, path, allowed & rights)
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)


def _rules(cell: Cell) -> Iterator[tuple[str, int]]:
    for path in (*_SYSTEM_TREES, *cell.readable):
        yield path, _RUN
    for path in _SYSTEM_FILES:
        yield path, _READ_FILE | _READ_DIR
    for path in cell.named:
        yield path, _READ_FILE
    for path in cell.writable:
        yield path, _ALL_RIGHTS & ~(_EXECUTE | _IOCTL_DEVICE | 1 << 6 | 1 << 11)
    yield "/dev/null", _READ_FILE | _WRITE_FILE
    for pattern in cell.devices:
        folder, _, name = pattern.rpartition("/")
        for path in map(str, Path(folder).glob(name)):
            yield path, _READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEVICE


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), f"landlock, {path}")
    finally:
        os.close(descriptor)


def _refuse_calls(libc: ctypes.CDLL) -> None:
    """A filter of the classic kind: another machine's calls and those of the tables fail, all others pass."""
    steps = _filter(os.uname().machine)
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    head = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    _checked(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, head, 0, 0), "seccomp")


def _filter(machine: str) -> list[tuple[int, int, int, int]]:
    """Code, steps to skip when it holds and when not, and value. Numbers first, then the verdicts they lead to."""
    name, numbers = _REFUSED[machine]
    verdicts = [
        *((_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)),
        *((_LOAD, 0, 0, _FIRST), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)),
        *((_LOAD, 0, 0, _SECOND), (_ANY_BIT, 2, 0, 2), (_ANY_BIT, 0, 1, 1), (_RETURN, 0, 0, _ALLOW)),
        (_RETURN, 0, 0, _REFUSE),
    ]
    refused, on_itself, stream_only = 1, 2, 6
    checks = [(_AT_LEAST, _X32_CALLS, refused)]
    checks += [(_EQUAL, number, refused) for number in (*numbers, *_SAME_EVERYWHERE)]
    checks += [(_EQUAL, number, on_itself) for number in _ON_ITSELF_ONLY[machine]]
    checks.append((_EQUAL, _SOCKETPAIR[machine], stream_only))
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, len(checks) + 1 + refused, name), (_LOAD, 0, 0, _CALL)]
    steps += [(code, len(checks) - 1 - i + verdict, 0, value) for i, (code, value, verdict) in enumerate(checks)]
    return steps + verdicts
