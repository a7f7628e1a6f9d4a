"""What browsers send to a port that a web page names: whole requests, with a body that the page chose."""

from __future__ import annotations

import ssl

BODY = b"\r04\r\rATZ\r04\r0100\r\n04\r\n"
PREFLIGHT = (
    b"OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1:35000\r\nConnection: keep-alive\r\nAccept: */*\r\n"
    b"Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: content-type\r\n"
    b"Access-Control-Request-Private-Network: true\r\nOrigin: https://example.org\r\nUser-Agent: Mozilla/5.0 (X11; "
    b"Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\nSec-Fetch-Mode: cors\r\n"
    b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: empty\r\nReferer: https://example.org/\r\n\r\n"
)


def _fetch(method: bytes, target: bytes = b"/", body: bytes = BODY) -> bytes:
    """fetch(url, {method, mode: "no-cors", body}) of Chromium."""
    return (
        method + b" " + target + b" HTTP/1.1\r\nHost: 127.0.0.1:35000\r\nConnection: keep-alive\r\n"
        b"Content-Length: " + str(len(body)).encode() + b'\r\nsec-ch-ua-platform: "Linux"\r\n'
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
        b"Safari/537.36\r\nContent-Type: text/plain;charset=UTF-8\r\nAccept: */*\r\nOrigin: https://example.org\r\n"
        b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n" + body
    )


def client_hello() -> bytes:
    """What https:// and wss:// begin with."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without the other side")


GREETINGS = {
    "POST": _fetch(b"POST"),
    "GET": _fetch(b"GET", body=b""),
    "OPTIONS": PREFLIGHT,
    "a method of the page's own": _fetch(b"04"),
    "a long address": _fetch(b"POST", b"/" + b"04" * 3000),
    "a large body": _fetch(b"POST", body=b"04\r" * 20_000),
    "WebSocket": _fetch(b"GET", body=b"").replace(b"keep-alive", b"Upgrade\r\nUpgrade: websocket"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + BODY,
    "TLS": client_hello() + BODY,
}
