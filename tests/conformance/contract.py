"""The words of the presence contract, as literally as the contract and its page have them."""

import json

SUCCESS = '{"type":"connect_success"}'

TITLES = {
    "unsupported_request": ("Unsupported request", 422),
    "unauthenticated": ("Unauthenticated", 401),
    "access_denied": ("Access denied", 403),
    "database_connection_acquisition_failed": ("Database connection acquisition failed", 422),
    "database_query_failed": ("Database query failed", 422),
    "serialization_failed": ("Serialization failed", 422),
    "messaging_failed": ("Messaging failed", 422),
    "close_old_connection_failed": ("Close old connection failed", 422),
    "auth_timed_out": ("Auth timed out", 422),
    "pong_timed_out": ("Pong timed out", 422),
    "replaced": ("Replaced", 422),
}


def compact(value) -> str:
    """JSON as the server writes it: no spaces, keys in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def failure(kind: str) -> str:
    """The text frame of a named error."""
    title, status = TITLES[kind]
    return compact({"type": "unrecoverable_session_error", "payload": {"type": kind, "title": title, "status": status}})


def connect_request(room, token: str, label: str = "web") -> str:
    """The first frame that a client owes."""
    return compact({"type": "connect_request", "payload": {"agent_label": label, "classroom_id": str(room), "token": token}})


def agent_event(operation: str, sequence_id: int, agent_id: str) -> str:
    """The frame by which the other members hear of one agent ("entered" or "left")."""
    return compact({
        "id": {"entity_type": "agent", "operation": operation, "sequence_id": sequence_id},
        "payload": {"version": "v1", "entity_type": "agent", "label": operation, "agent_id": agent_id},
    })
