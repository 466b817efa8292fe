"""Writes ``docs/reference/`` from the tables of the code; with ``--check`` it only says whether they are fresh.

Exit code 1 when a page is stale, so that a check can fail on it.
"""

import ast
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from baton.config.flag import Flag  # noqa: E402 -- the path is set above, so that no install is needed
from baton.config.flags import FLAGS  # noqa: E402 -- likewise
from baton.config.later import LATER  # noqa: E402 -- likewise
from baton.config.livepeer import SPELLINGS, Spelling  # noqa: E402 -- likewise
from baton.kernel import errors  # noqa: E402 -- likewise
from baton.kernel.errors import NON_RETRYABLE_TEXTS, ExitCode, Text  # noqa: E402 -- likewise
from baton.kernel.metrics import METRICS, OPEN_LABELS, OTHER, STREAM_LABEL  # noqa: E402 -- likewise

REFERENCE = ROOT / "docs" / "reference"
_NOTE = "<!-- Written by scripts/docs.py from the code. Do not edit. -->"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def flags_page() -> Iterator[str]:
    """Settings by group, then those of the reference that are not there yet."""
    yield "# Settings"
    yield ""
    yield _NOTE
    yield ""
    yield "Every setting has one name: `--max-sessions` on the command line of `baton run`, `BATON_MAX_SESSIONS` in the"
    yield "environment, `max-sessions = 4` in `baton.toml`. How the sources combine:"
    yield "[configuration](../guide/configuration.md)."
    groups: dict[str, list[Flag]] = {}
    for flag in FLAGS.values():
        groups.setdefault(flag.group, []).append(flag)
    for title, flags in groups.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield from _table(("Setting", "Value", "Default", "What it does"), (_flag_row(flag) for flag in flags))
    yield ""
    yield "## Known and not usable"
    yield ""
    yield "Settings of the reference node that this version refuses by name, with the reason it gives."
    yield ""
    by_reason: dict[str, list[str]] = {}
    for name, reason in LATER.items():
        by_reason.setdefault(reason, []).append(f"`--{name}`")
    yield from _table(("Reason", "Settings"), ((reason, ", ".join(names)) for reason, names in by_reason.items()))


def _flag_row(flag: Flag) -> tuple[str, ...]:
    option = f"`--{flag.name}`"
    if flag.kind.is_boolean:
        option += f", `--no-{flag.name}`"
    if flag.short:
        option += f", `-{flag.short}`"
    text = flag.help
    if flag.secret:
        text += " Never shown."
    if flag.value_or_file:
        text += " The name of an existing file means the file's content."
    note = flag.default_note.replace("<", "&lt;").replace(">", "&gt;")
    return option, f"`{flag.kind.label}`", f"`{flag.default}`" if flag.default else note or "none", text


def livepeer_page() -> Iterator[str]:
    """Flags of the reference's command line with the settings they stand for."""
    yield "# go-livepeer's flags"
    yield ""
    yield _NOTE
    yield ""
    yield "What becomes of each flag under `baton livepeer`; see [moving from"
    yield "go-livepeer](../guide/moving-from-livepeer.md). A flag is also a variable (`LP_MAXSESSIONS`) and a key of"
    yield "the file that `-config` names. `-h`, `-version`, `-config` and `-check` are about the run itself."
    rows = [row for row in SPELLINGS.values() if row.name not in {"config", "version"}]
    yield ""
    yield "## Flags that work"
    yield ""
    yield "`-orchestrator` is the role and has no setting of its own. What a setting does: [settings](flags.md)."
    yield ""
    works = (row for row in rows if row.works and not row.is_only_ours)
    yield from _table(("Flag", "Setting", "Default"), (_works_row(row) for row in works))
    yield ""
    yield "## Flags that are refused"
    yield ""
    yield "A flag with its default asks for nothing and is accepted. One whose default is written as *not given* is"
    yield "refused with any value."
    yield ""
    refused = (row for row in rows if not row.works and row.name != "orchestrator")
    yield from _table(("Flag", "Default", "Answer"), (_refused_row(row) for row in refused))
    yield ""
    yield "## Settings that only Baton has"
    yield ""
    ours = [f"`-{row.name}`" for row in rows if row.is_only_ours]
    yield f"They are flags under their own names: {', '.join(ours)}."


def _works_row(row: Spelling) -> tuple[str, ...]:
    flag = FLAGS[row.setting]
    note = (row.note or flag.default_note).replace("<", "&lt;").replace(">", "&gt;")
    default = row.default or ("" if row.note else flag.default)
    name = f"`-{row.name}`" + (f", deprecated: use `-{row.instead}`" if row.instead else "")
    return name, f"`{flag.option}`", f"`{default}`" if default else note or "none"


def _refused_row(row: Spelling) -> tuple[str, ...]:
    answer = "accepted without effect" if row.no_effect else row.refusal
    name = f"`-{row.name}`" + (f", deprecated: use `-{row.instead}`" if row.instead else "")
    return name, "not given" if row.default is None else f"`{row.default}`" if row.default else "empty", answer


def metrics_page() -> Iterator[str]:
    """Every metric with its labels."""
    yield "# Metrics"
    yield ""
    yield _NOTE
    yield ""
    yield "Served on the management port at `/metrics` with `--monitor`. Every name carries the prefix `livepeer_`,"
    yield 'every series the labels `node_id` and `node_type="orch"`. `livepeer_versions` tells the build;'
    yield "`process_*` and `python_gc_*` tell about the process. How to read them:"
    yield "[the management port](../guide/management.md)."
    yield ""
    yield f"`{STREAM_LABEL}` is there only with `--metrics-per-stream`, and only while its stream runs. At most"
    bounds = " and ".join(f"{most} values of `{label}`" for label, most in OPEN_LABELS.items())
    yield f"{bounds} are told apart; what is beyond counts as `{OTHER}`."
    yield "Metrics that say so start from zero, the others appear with their first value."
    yield ""
    rows = (
        (
            f"`livepeer_{row.name}`",
            row.kind.value,
            ", ".join(f"`{label}`" for label in row.labels),
            ("from zero: " + ", ".join(v for values in row.zeros for v in values)).removesuffix(": ")
            if row.zeros
            else "",
            row.help,
        )
        for row in METRICS.values()
    )
    yield from _table(("Metric", "Kind", "Labels", "From the start", "Meaning"), rows)
    yield ""
    yield "## Bucket bounds"
    yield ""
    histograms = (row for row in METRICS.values() if row.buckets)
    by_bounds: dict[tuple[float, ...], list[str]] = {}
    for row in histograms:
        by_bounds.setdefault(row.buckets, []).append(f"`livepeer_{row.name}`")
    yield from _table(
        ("Upper bounds", "Metrics"),
        ((", ".join(f"{bound:g}" for bound in bounds), ", ".join(names)) for bounds, names in by_bounds.items()),
    )


def errors_page() -> Iterator[str]:
    """Exit codes, and the texts that peers see."""
    yield "# Exit codes and texts"
    yield ""
    yield _NOTE
    yield ""
    yield "## Exit codes"
    yield ""
    meanings = _member_docs("ExitCode")
    codes = ((str(int(code)), f"`{code.name}`", meanings.get(code.name, "It worked.")) for code in ExitCode)
    yield from _table(("Code", "Name", "Meaning"), codes)
    yield ""
    yield "## Texts that peers see"
    yield ""
    yield "Exactly as they travel; a trailing space or colon is followed by details that the network expects there."
    yield "After a text marked *final* a gateway gives the segment up and keeps this node; after any other text in a"
    yield "result it tries another node."
    for title, names in _text_groups():
        yield ""
        yield f"### {title}"
        yield ""
        yield from _table(("Name", "Text", ""), (_text_row(name) for name in names))


def _text_row(name: str) -> tuple[str, ...]:
    text = str(getattr(Text, name))
    return f"`{name}`", f"`{text}`", "final" if text in NON_RETRYABLE_TEXTS else ""


def _class_of_errors(name: str) -> ast.ClassDef:
    tree = ast.parse(Path(errors.__file__).read_text())
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _member_docs(name: str) -> dict[str, str]:
    """The string below each member of a class of ``kernel.errors``."""
    body = _class_of_errors(name).body
    found: dict[str, str] = {}
    for member, doc in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            target = member.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = str(doc.value.value)
    return found


def _text_groups() -> Iterator[tuple[str, list[str]]]:
    """Names of ``Text`` under the comment that stands above them."""
    lines = Path(errors.__file__).read_text().splitlines()
    node = _class_of_errors("Text")
    title, names = "", list[str]()
    assigned = {
        statement.lineno: statement.targets[0].id
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        line = lines[number - 1].strip()
        if line.startswith("# "):
            if names:
                yield title, names
            title, names = line.removeprefix("# ").rstrip("."), []
        elif number in assigned:
            names.append(assigned[number])
    if names:
        yield title, names


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "flags.md": flags_page,
    "livepeer.md": livepeer_page,
    "metrics.md": metrics_page,
    "errors.md": errors_page,
}


def main() -> int:
    """Write the pages, or check them."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print("usage: scripts/docs.py [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, "".join(f"{line}\n" for line in page())
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            REFERENCE.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run scripts/docs.py", file=sys.stderr)
        return 1
    print(f"docs/reference: {', '.join(stale) + ' written' if stale else 'fresh'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
