"""What answers while the service is being put together."""

import json

from dgs.http.gate import Gate, Message, Receive, Scope, Send


async def ask(gate: Gate, path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await gate({"type": "http", "path": path}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def test_it_lives_but_is_not_ready_until_it_is_opened() -> None:
    gate = Gate()
    assert (await ask(gate, "/livez"))[0] == 200
    status, headers, body = await ask(gate, "/samples")
    assert status == json.loads(body)["status"] == 503
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"retry-after"] == b"1"
    assert int(headers[b"content-length"]) == len(body)

    async def real(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate.open(real)
    assert (await ask(gate, "/livez"))[0] == 204
