"""The operator's side of the management port: one request, one JSON answer, or a reason in words.

Standard library only, so that ``baton status`` starts quickly. Answers are bounded; what is on the other end may be
anything that happens to listen there.
"""

import http.client
import json
from typing import Any

from baton.config.addresses import Endpoint, is_unspecified
from baton.config.load import ManagementTarget
from baton.kernel.redaction import printable
from baton.ops.token import TOKEN_FILE, read_token

__all__ = ["NodeUnreachableError", "ask"]

_TIMEOUT_S = 5.0
_LARGEST_ANSWER_BYTES = 4 << 20
_OK = 200


class NodeUnreachableError(Exception):
    """There is no answer that could be used; the text says why and what to do."""


def ask(target: ManagementTarget, method: str, path: str) -> dict[str, Any]:
    """The JSON object that the node answers with status 200.

    Raises:
        NodeUnreachableError: nothing answers, what answers is not a node, or it refuses; with the reason.
    """
    host = "127.0.0.1" if is_unspecified(target.bind.host) else target.bind.host
    where = str(Endpoint(host, target.bind.port))
    headers = {"Accept": "application/json"}
    if method != "GET":
        headers["Authorization"] = f"Bearer {_token(target)}"
    connection = http.client.HTTPConnection(host, target.bind.port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        content = response.read(_LARGEST_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "strerror", None) or type(problem).__name__
        message = f"no node answers on {where} ({reason}); is it running, and is --cli-addr the same?"
        raise NodeUnreachableError(message) from problem
    finally:
        connection.close()
    answer = _object(content, where)
    if response.status != _OK:
        error = printable(str(answer.get("error", f"status {response.status}")), limit=300)
        message = f"the node on {where} refuses: {error}"
        raise NodeUnreachableError(message)
    return answer


def _token(target: ManagementTarget) -> str:
    path = target.data_dir / TOKEN_FILE
    try:
        token = read_token(target.data_dir)
    except PermissionError as problem:
        message = f"{path} belongs to another user; run this command as the node's user"
        raise NodeUnreachableError(message) from problem
    if token is None:
        message = f"no token in {path}; is --data-dir the node's, and has it ever started?"
        raise NodeUnreachableError(message)
    return token


def _object(content: bytes, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if len(content) > _LARGEST_ANSWER_BYTES or not isinstance(answer, dict):
        message = f"what answers on {where} is not a Baton node"
        raise NodeUnreachableError(message)
    return answer
