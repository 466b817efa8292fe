"""Metrics in code and metrics in the table are the same: every name has its row, every row is emitted."""

import ast

from baton.kernel.metrics import METRICS, MetricKind
from tests.architecture.source import Module, modules

KINDS = {"set": MetricKind.GAUGE, "add": MetricKind.COUNTER, "observe": MetricKind.HISTOGRAM}


def calls(module: Module) -> list[tuple[str, str, frozenset[str | None], int]]:
    """Calls on something named ``…metrics``: method, metric name, labels, line."""
    found = []
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS):
            continue
        receiver = ast.unparse(node.func.value)
        first = node.args[0] if node.args else None
        if receiver.endswith("metrics") and isinstance(first, ast.Constant) and isinstance(first.value, str):
            labels = frozenset(keyword.arg for keyword in node.keywords) - {"value", "amount"}
            found.append((node.func.attr, first.value, labels, node.lineno))
    return found


def test_every_emitted_metric_has_its_row() -> None:
    wrong = [
        f"{module.where}:{line} {method}({name}, {sorted(map(str, labels))})"
        for module in modules("src/baton")
        for method, name, labels, line in calls(module)
        if name not in METRICS
        or METRICS[name].kind is not KINDS[method]
        or (None not in labels and labels != set(METRICS[name].labels))
    ]
    assert not wrong, wrong


def test_every_row_is_emitted_somewhere() -> None:
    texts = {
        node.value
        for module in modules("src/baton")
        if module.name != "baton.kernel.metrics"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(METRICS) - texts == set()
