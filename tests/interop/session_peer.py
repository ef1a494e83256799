"""A Session Manager client of its own, in Python's standard library only.

Written from the description of the protocol, without a look at the TypeScript: where the client and
the sandbox share a mistake, this one does not. It checks its own codec against known bytes first.

session_peer.py report TARGET PORT
    starts a session, performs the handshake, reads the first line that the port says, ends the
    session, and prints what it saw as one JSON object
session_peer.py pipe TARGET PORT
    connects standard input and output to the port: a ProxyCommand for ssh

AWS_ENDPOINT_URL, AWS_REGION and the keys come from the environment.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid

HEADER_LENGTH = 116


# --- AWS Signature Version 4


def sign(method, url, headers, body, service):
    """Adds the headers of a signature to `headers`."""
    region = os.environ["AWS_REGION"]
    parts = urllib.parse.urlsplit(url)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers["host"] = parts.netloc
    headers["x-amz-date"] = now
    if os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = os.environ["AWS_SESSION_TOKEN"]
    quote = lambda text: urllib.parse.quote(text, safe="-_.~")
    query = "&".join(
        sorted(f"{quote(k)}={quote(v)}" for k, v in urllib.parse.parse_qsl(parts.query))
    )
    names = sorted(headers)
    canonical = "\n".join(
        [method, parts.path or "/", query]
        + [f"{name}:{headers[name].strip()}" for name in names]
        + ["", ";".join(names), hashlib.sha256(body).hexdigest()]
    )
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in (now[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )


def call(operation, body):
    url = os.environ["AWS_ENDPOINT_URL"] + "/"
    data = json.dumps(body).encode()
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"AmazonSSM.{operation}",
    }
    sign("POST", url, headers, data, "ssm")
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


# --- WebSocket, RFC 6455


class WebSocket:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self.lock = threading.Lock()
        self.buffer = b""
        headers = {}
        sign("GET", url, headers, b"", "ssmmessages")
        key = base64.b64encode(os.urandom(16)).decode()
        headers.update(
            {
                "connection": "Upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": key,
            }
        )
        lines = [f"GET {parts.path}?{parts.query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest())
        assert accept in head, head

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("The gateway has hung up")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, opcode, data):
        mask = os.urandom(4)
        length = len(data)
        head = bytes([0x80 | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", length)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        with self.lock:
            self.socket.sendall(head + mask + masked)

    def receive(self):
        """The next frame as (opcode, data); pings are answered on the way."""
        while True:
            first, second = self._take(2)
            assert first & 0x80 and not second & 0x80, "fragmented or masked"
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            data = self._take(length)
            if first & 0x0F == 9:
                self.send(10, data)
            else:
                return first & 0x0F, data


# --- Messages


def encode(kind, sequence, flags, message_id, payload_type, payload, created):
    swapped = message_id.bytes[8:] + message_id.bytes[:8]
    return (
        struct.pack(
            ">I32sIQqQ16s32sII",
            HEADER_LENGTH,
            kind.encode().ljust(32),
            1,
            created,
            sequence,
            flags,
            swapped,
            hashlib.sha256(payload).digest(),
            payload_type,
            len(payload),
        )
        + payload
    )


def decode(data):
    fields = struct.unpack(">I32sIQqQ16s32sII", data[:120])
    length, kind, version, created, sequence, flags, swapped, digest, payload_type, size = fields
    payload = data[120:]
    assert length == HEADER_LENGTH
    assert size == len(payload), "payload length"
    kind = kind.strip(b"\0").strip().decode()
    if not kind.endswith("_publication"):
        assert version == 1 and created > 0
        assert digest == hashlib.sha256(payload).digest(), "digest"
    return {
        "kind": kind,
        "sequence": sequence,
        "flags": flags,
        "id": str(uuid.UUID(bytes=swapped[8:] + swapped[:8])),
        "payload_type": payload_type,
        "payload": payload,
    }


def acknowledgement(message):
    body = {
        "AcknowledgedMessageType": message["kind"],
        "AcknowledgedMessageId": message["id"],
        "AcknowledgedMessageSequenceNumber": message["sequence"],
        "IsSequentialMessage": True,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def handshake_response():
    body = {
        "ClientVersion": "1.2.707.0",
        "ProcessedClientActions": [
            {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
        ],
        "Errors": None,
    }
    return json.dumps(body, separators=(",", ":")).encode()


VECTORS = {
    "input": (
        "00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000015e"
        "0baa788400000000000000020000000000000000a508b5f073f31b16dd01e56bff48483e5891b5b522d5df08"
        "6d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03000000010000000668656c6c6f0a"
    ),
    "acknowledge": (
        "0000007461636b6e6f776c65646765202020202020202020202020202020202020202020000000010000018b"
        "cfe568000000000000000000000000000000000399aabbccddeeff001122334455664788bb487a3f076aac75"
        "c3a35b6e402d2e44ccdd9844ac4e5b2007e8b4ac8f1d8f3100000000000000b07b2241636b6e6f776c656467"
        "65644d65737361676554797065223a226f75747075745f73747265616d5f64617461222c2241636b6e6f776c"
        "65646765644d6573736167654964223a2264643031653536622d666634382d343833652d613530382d623566"
        "303733663331623136222c2241636b6e6f776c65646765644d65737361676553657175656e63654e756d6265"
        "72223a372c22497353657175656e7469616c4d657373616765223a747275657d"
    ),
    "terminate": (
        "00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000018b"
        "cfe568030000000000000009000000000000000099aabbccddeeff001122334455664788433ebf5bc03dffa3"
        "8536673207a21281612cef5faa9bc7a4d5b9be2fdb12cf1a0000000a0000000400000002"
    ),
}


def check_vectors():
    first = uuid.UUID("dd01e56b-ff48-483e-a508-b5f073f31b16")
    own = uuid.UUID("11223344-5566-4788-99aa-bbccddeeff00")
    seventh = {"kind": "output_stream_data", "id": str(first), "sequence": 7}
    stream = "input_stream_data"
    made = {
        "input": encode(stream, 2, 0, first, 1, b"hello\n", 1503434274948),
        "acknowledge": encode(
            "acknowledge", 0, 3, own, 0, acknowledgement(seventh), 1700000000000
        ),
        "terminate": encode(stream, 9, 0, own, 10, struct.pack(">I", 2), 1700000000003),
    }
    for name, expected in VECTORS.items():
        assert made[name].hex() == expected, name
        assert decode(made[name])["payload"] == made[name][120:], name


# --- A session


class Session:
    def __init__(self, grant):
        self.socket = WebSocket(grant["StreamUrl"])
        self.sequence = 0
        self.expected = 0
        self.seen = []
        body = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": grant["TokenValue"],
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": "1.2.707.0",
        }
        self.socket.send(1, json.dumps(body).encode())

    def send(self, payload_type, payload):
        now = int(time.time() * 1000)
        message = encode(
            "input_stream_data", self.sequence, 0, uuid.uuid4(), payload_type, payload, now
        )
        self.sequence += 1
        self.socket.send(2, message)

    def next(self, kind, payload_type=0):
        """Takes messages, acknowledging the sequenced ones, until one is of the kind asked for."""
        while True:
            opcode, data = self.socket.receive()
            assert opcode in (1, 2), f"close: {data!r}"
            message = decode(data)
            self.seen.append(message["kind"])
            if message["kind"] == "output_stream_data":
                now = int(time.time() * 1000)
                self.socket.send(
                    2, encode("acknowledge", 0, 3, uuid.uuid4(), 0, acknowledgement(message), now)
                )
                if message["sequence"] < self.expected:
                    continue
                assert message["sequence"] == self.expected, "out of order on a good network"
                self.expected += 1
            if message["kind"] == kind and message["payload_type"] == payload_type:
                return message


def start(target, port):
    parameters = {"portNumber": [port]}
    body = {"Target": target, "DocumentName": "AWS-StartSSHSession", "Parameters": parameters}
    return call("StartSession", body)


def report(target, port):
    grant = start(target, port)
    session = Session(grant)
    request = session.next("output_stream_data", 5)
    session.send(6, handshake_response())
    complete = session.next("output_stream_data", 7)
    line = b""
    while not line.endswith(b"\n"):
        line += session.next("output_stream_data", 1)["payload"]
    session.send(10, struct.pack(">I", 2))
    closed = session.next("channel_closed")
    resumed = call("ResumeSession", {"SessionId": grant["SessionId"]})
    seen = {
        "sessionId": grant["SessionId"],
        "requestFlags": request["flags"],
        "request": json.loads(request["payload"]),
        "completeFlags": complete["flags"],
        "complete": json.loads(complete["payload"]),
        "line": line.decode(),
        "closed": json.loads(closed["payload"]),
        "resumed": resumed,
        "seen": sorted(set(session.seen)),
    }
    print(json.dumps(seen))


def pipe(target, port):
    grant = start(target, port)
    session = Session(grant)
    session.next("output_stream_data", 5)
    session.send(6, handshake_response())
    session.next("output_stream_data", 7)

    def upload():
        for data in iter(lambda: os.read(0, 1024), b""):
            session.send(1, data)
        session.send(10, struct.pack(">I", 2))

    started = False
    while True:
        try:
            data = session.next("output_stream_data", 1)["payload"]
        except (AssertionError, EOFError, OSError):
            return
        os.write(1, data)
        # An SSH server speaks first; what it says shows that the agent is ready to take data.
        if not started:
            threading.Thread(target=upload, daemon=True).start()
            started = True


if __name__ == "__main__":
    check_vectors()
    {"report": report, "pipe": pipe}[sys.argv[1]](*sys.argv[2:4])
