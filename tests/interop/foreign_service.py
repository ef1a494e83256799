"""The AWS services that awsocks uses, as somebody else would write them: EC2, SSM, the message
gateway and an instance's agent, in Python's standard library only, from the descriptions of the
protocols. Port 22 of the instance is an SSH server of the caller's.

foreign_service.py SSH_PORT [--tls CERT KEY] [--host NAME] [--bye BYTES]

Prints one JSON object when it listens, and another one, with what it saw, at the end of its input.
--tls serves https: and wss: under NAME; --bye closes a WebSocket after so many bytes of output, as
the service does about hourly.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import ssl
import struct
import sys
import time
import urllib.parse
import uuid

from session_peer import acknowledgement, check_vectors, decode, encode

INSTANCE = "i-0f0e0d0c0b0a09080"
REGION = "eu-west-3"
KEY_ID = "AKIDFOREIGNSERVICE00"
SECRET = "foreign/secret+key/0123456789abcdefghijk"
HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE, FLAG, OUTPUT = 5, 6, 7, 10, 1
TERMINATE_FLAG = 2
TICK = 0.1
RESEND_AFTER = 0.2
OUTPUT_BYTES = 1024
# The real agent remembers 100,000; a bound keeps a fast SSH server from filling the memory.
MAX_UNACKNOWLEDGED = 2000


class Refusal(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code = code
        self.status = status


# --- AWS Signature Version 4, the verifying side


def verify(method, target, headers, body, service):
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
        r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
        headers.get("authorization", ""),
    )
    if not match:
        raise Refusal("MissingAuthenticationToken", "Missing Authentication Token", 403)
    key_id, date, region, scope_service, names, signature = match.groups()
    if (key_id, region, scope_service) != (KEY_ID, REGION, service):
        raise Refusal("InvalidSignatureException", f"Credential should be scoped to {service}", 403)
    path, _, query = target.partition("?")
    quote = lambda text: urllib.parse.quote(text, safe="-_.~")
    pairs = sorted(
        f"{quote(name)}={quote(value)}"
        for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True)
    )
    stamp = headers["x-amz-date"]
    canonical = "\n".join(
        [method, path, "&".join(pairs)]
        + [f"{name}:{' '.join(headers[name].split())}" for name in names.split(";")]
        + ["", names, hashlib.sha256(body).hexdigest()]
    )
    scope = f"{date}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + SECRET).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature) or "host" not in names.split(";"):
        raise Refusal("SignatureDoesNotMatch", "The request signature does not match", 403)


# --- HTTP


async def read_head(reader):
    """Method, target and headers of a request; None when the connection ends instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    headers = dict(line.split(":", 1) for line in lines)
    return method, target, {name.lower(): value.strip() for name, value in headers.items()}


def respond(writer, status, content_type, body):
    data = body.encode()
    writer.write(
        f"HTTP/1.1 {status} -\r\ncontent-type: {content_type}\r\ncontent-length: {len(data)}\r\n"
        f"x-amzn-requestid: {uuid.uuid4()}\r\n\r\n".encode()
        + data
    )


class Api:
    def __init__(self, sessions, stream_origin):
        self.sessions = sessions
        self.stream_origin = stream_origin
        self.calls = []

    async def serve(self, reader, writer):
        while request := await read_head(reader):
            method, target, headers = request
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            operation = headers.get("x-amz-target", "")
            if operation.startswith("AmazonSSM."):
                self.ssm(writer, operation[10:], (method, target, headers, body))
            else:
                self.ec2(writer, (method, target, headers, body))
            await writer.drain()
        writer.close()

    def ssm(self, writer, operation, request):
        self.calls.append(operation)
        try:
            verify(*request, "ssm")
            answer = getattr(self, operation)(**json.loads(request[3]))
            respond(writer, 200, "application/x-amz-json-1.1", json.dumps(answer))
        except Refusal as refusal:
            body = {"__type": refusal.code, "Message": str(refusal)}
            respond(writer, refusal.status, "application/x-amz-json-1.1", json.dumps(body))

    def StartSession(self, Target, DocumentName, Parameters, Reason=""):
        if Target != INSTANCE:
            raise Refusal("TargetNotConnected", f"{Target} is not connected.")
        if DocumentName != "AWS-StartSSHSession" or Parameters != {"portNumber": ["22"]}:
            raise Refusal("InvalidDocument", f"{DocumentName} {Parameters}")
        session = Session(f"foreign-{uuid.uuid4().hex[:17]}")
        self.sessions[session.id] = session
        return self.grant(session)

    def ResumeSession(self, SessionId):
        session = self.sessions.get(SessionId)
        if not session:
            raise Refusal("DoesNotExistException", f"Session {SessionId} does not exist")
        if not session.live:
            return {"SessionId": SessionId}
        session.resumes += 1
        return self.grant(session)

    def TerminateSession(self, SessionId):
        session = self.sessions.get(SessionId)
        if session and session.live:
            session.end("api")
        return {"SessionId": SessionId}

    def grant(self, session):
        session.token = base64.b64encode(uuid.uuid4().bytes * 3).decode()
        # Raw plus and slash: whoever encodes the address again finds nothing there.
        cell = f"AAEAA+/{uuid.uuid4().hex[:8]}+x/=="
        session.target = (
            f"/v1/data-channel/{session.id}?role=publish_subscribe&cell-number={cell}"
        )
        url = f"{self.stream_origin}{session.target}"
        return {"SessionId": session.id, "StreamUrl": url, "TokenValue": session.token}

    def ec2(self, writer, request):
        parameters = dict(urllib.parse.parse_qsl(request[3].decode()))
        self.calls.append(parameters.get("Action"))
        try:
            verify(*request, "ec2")
            if parameters["Action"] != "DescribeInstances":
                raise Refusal("InvalidAction", "The action is not valid for this web service.")
            wanted = [value for name, value in parameters.items() if name.startswith("InstanceId.")]
            if any(value != INSTANCE for value in wanted):
                text = f"The instance ID '{wanted[0]}' does not exist"
                raise Refusal("InvalidInstanceID.NotFound", text)
            respond(writer, 200, "text/xml;charset=UTF-8", DESCRIBED)
        except Refusal as refusal:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
                f"<Code>{refusal.code}</Code><Message>{refusal}</Message></Error></Errors>"
                f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
            )
            respond(writer, refusal.status, "text/xml;charset=UTF-8", body)


DESCRIBED = f"""<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
    <reservationSet>
        <item>
            <reservationId>r-1234567890abcdef0</reservationId>
            <ownerId>123456789012</ownerId>
            <groupSet/>
            <instancesSet>
                <item>
                    <instanceId>{INSTANCE}</instanceId>
                    <imageId>ami-bff32ccc</imageId>
                    <instanceState>
                        <code>16</code>
                        <name>running</name>
                    </instanceState>
                    <privateDnsName>ip-10-1-2-3.{REGION}.compute.internal</privateDnsName>
                    <instanceType>t4g.nano</instanceType>
                    <launchTime>2025-01-08T11:52:23.000Z</launchTime>
                    <placement>
                        <availabilityZone>{REGION}a</availabilityZone>
                        <tenancy>default</tenancy>
                    </placement>
                    <privateIpAddress>10.1.2.3</privateIpAddress>
                    <tagSet>
                        <item>
                            <key>Name</key>
                            <value>Bastion &amp; friends</value>
                        </item>
                    </tagSet>
                </item>
            </instancesSet>
        </item>
    </reservationSet>
</DescribeInstancesResponse>"""


# --- WebSocket, RFC 6455, the serving side


class WebSocket:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, opcode, data):
        length = len(data)
        if length < 126:
            head = bytes([0x80 | opcode, length])
        elif length < 65536:
            head = bytes([0x80 | opcode, 126]) + struct.pack(">H", length)
        else:
            head = bytes([0x80 | opcode, 127]) + struct.pack(">Q", length)
        self.writer.write(head + data)

    async def receive(self):
        """The next frame as (opcode, data); None when the client has hung up."""
        try:
            first, second = await self.reader.readexactly(2)
            if not (first & 0x80 and second & 0x80):
                raise Refusal("protocol", "Fragmented or not masked")
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
            mask = await self.reader.readexactly(4)
            data = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None
        repeated = (mask * (length // 4 + 1))[:length]
        masked = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
        return first & 0x0F, masked.to_bytes(length, "big")

    def close(self, code, reason):
        self.send(8, struct.pack(">H", code) + reason.encode())


class Gateway:
    def __init__(self, sessions):
        self.sessions = sessions
        self.refused = []

    async def serve(self, reader, writer):
        request = await read_head(reader)
        if not request:
            return writer.close()
        method, target, headers = request
        session = self.sessions.get(target.partition("?")[0].rpartition("/")[2])
        try:
            verify(method, target, headers, b"", "ssmmessages")
            if not session or session.target != target:
                raise Refusal("NotFound", target, 404)
        except Refusal as refusal:
            self.refused.append(str(refusal))
            respond(writer, refusal.status, "text/plain", str(refusal))
            return writer.close()
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = hashlib.sha1((headers["sec-websocket-key"] + guid).encode()).digest()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-accept: {base64.b64encode(accept).decode()}\r\n\r\n".encode()
        )
        socket = WebSocket(reader, writer)
        opcode, data = await socket.receive() or (0, b"{}")
        opened = json.loads(data)
        if opcode != 1 or opened.get("TokenValue") != session.token:
            self.refused.append("token")
            return writer.close()
        session.attach(socket, opened)
        while frame := await socket.receive():
            opcode, data = frame
            if opcode == 9:
                session.pings += 1
                socket.send(10, data)
            elif opcode == 8:
                break
            elif opcode in (1, 2):
                await session.take(decode(data))
            await writer.drain()
        session.detach(socket)
        writer.close()


# --- The agent's side of a session


class Session:
    ssh_port = 0
    bye_after = 0

    def __init__(self, session_id):
        self.id = session_id
        self.live = True
        self.ended_by = None
        self.token = self.target = ""
        self.resumes = self.pings = self.duplicates = self.resent = 0
        self.client_ids = set()
        self.open_keys = set()
        self.socket = None
        self.socket_bytes = 0
        self.sequence = 0
        self.expected = 0
        self.early = {}
        self.unacknowledged = {}
        self.room = asyncio.Event()
        self.stage = "handshake"
        self.tcp = None
        self.tasks = [asyncio.ensure_future(self.repeat())]

    def attach(self, socket, opened):
        self.client_ids.add(opened["ClientId"])
        self.open_keys.add(tuple(sorted(opened)))
        self.socket = socket
        self.socket_bytes = 0
        self.room.set()
        if self.sequence == 0:
            properties = {"SessionType": "Port", "Properties": {"portNumber": "22"}}
            action = {"ActionType": "SessionType", "ActionParameters": properties}
            request = {"AgentVersion": "3.2.2303.0", "RequestedClientActions": [action]}
            self.send(HANDSHAKE_REQUEST, json.dumps(request).encode())

    def detach(self, socket):
        if self.socket is socket:
            self.socket = None

    def send(self, payload_type, payload):
        """A sequenced message; stored while there is no socket."""
        flags = 1 if self.sequence == 0 else 0
        now = int(time.time() * 1000)
        kind = "output_stream_data"
        message = encode(kind, self.sequence, flags, uuid.uuid4(), payload_type, payload, now)
        self.unacknowledged[self.sequence] = [message, time.monotonic()]
        self.sequence += 1
        if self.socket:
            self.socket.send(2, message)
        self.socket_bytes += len(payload)
        if Session.bye_after and self.socket_bytes >= Session.bye_after and self.socket:
            # What the client has sent already still arrives: only new output waits.
            self.socket.close(1000, "Bye")
            self.socket = None

    async def take(self, message):
        if message["kind"] == "acknowledge":
            sequence = json.loads(message["payload"])["AcknowledgedMessageSequenceNumber"]
            self.unacknowledged.pop(sequence, None)
            self.room.set()
        if message["kind"] != "input_stream_data":
            return
        if message["sequence"] < self.expected:
            self.duplicates += 1
            self.acknowledge(message)
        else:
            self.early[message["sequence"]] = message
            while self.expected in self.early:
                await self.process(self.early[self.expected])
                self.acknowledge(self.early.pop(self.expected))
                self.expected += 1

    def acknowledge(self, message):
        if self.socket:
            now = int(time.time() * 1000)
            body = acknowledgement(message)
            self.socket.send(2, encode("acknowledge", 0, 3, uuid.uuid4(), 0, body, now))

    async def process(self, message):
        kind, payload = message["payload_type"], message["payload"]
        if kind == HANDSHAKE_RESPONSE and self.stage == "handshake":
            actions = json.loads(payload)["ProcessedClientActions"]
            if [action["ActionStatus"] for action in actions] != [1]:
                return self.end("handshake")
            self.stage = "stream"
            complete = {"HandshakeTimeToComplete": 12345678, "CustomerMessage": ""}
            self.send(HANDSHAKE_COMPLETE, json.dumps(complete).encode())
            self.tasks.append(asyncio.ensure_future(self.pump()))
        elif kind == OUTPUT and self.stage == "stream":
            while not self.tcp:
                await asyncio.sleep(0.001)
            try:
                self.tcp.write(payload)
                await self.tcp.drain()
            except ConnectionError:
                pass  # the server has hung up: the pump ends the session
        elif kind == FLAG and struct.unpack(">I", payload) == (TERMINATE_FLAG,):
            self.end("flag")

    async def pump(self):
        """Everything that the SSH server says."""
        reader, self.tcp = await asyncio.open_connection("127.0.0.1", Session.ssh_port)
        try:
            while data := await reader.read(OUTPUT_BYTES):
                while len(self.unacknowledged) >= MAX_UNACKNOWLEDGED or not self.socket:
                    self.room.clear()
                    await self.room.wait()
                self.send(OUTPUT, data)
                if self.socket:
                    await self.socket.writer.drain()
        except ConnectionError:
            pass
        self.end("server")

    async def repeat(self):
        """Only the oldest message is ever sent again, once a tick."""
        while True:
            await asyncio.sleep(TICK)
            for entry in self.unacknowledged.values():
                if self.socket and time.monotonic() - entry[1] > RESEND_AFTER:
                    self.resent += 1
                    entry[1] = time.monotonic()
                    self.socket.send(2, entry[0])
                break

    def end(self, reason):
        if not self.live:
            return
        self.live = False
        self.ended_by = reason
        body = {
            "MessageType": "channel_closed",
            "MessageId": str(uuid.uuid4()),
            "DestinationId": INSTANCE,
            "SessionId": self.id,
            "SchemaVersion": 1,
            "CreatedDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "Output": "",
        }
        if self.socket:
            now = int(time.time() * 1000)
            data = json.dumps(body).encode()
            self.socket.send(2, encode("channel_closed", 0, 0, uuid.uuid4(), 0, data, now))
        if self.tcp:
            self.tcp.close()
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def report(self):
        names = ("id", "live", "ended_by", "resumes", "pings", "duplicates", "resent")
        facts = {name: getattr(self, name) for name in names}
        return {
            **facts,
            "client_ids": len(self.client_ids),
            "open_keys": sorted(self.open_keys),
            "output": self.sequence,
            "input": self.expected,
        }


# --- All together


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ssh_port", type=int)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--bye", type=int, default=0)
    arguments = parser.parse_args()
    Session.ssh_port = arguments.ssh_port
    Session.bye_after = arguments.bye
    context = None
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
    sessions = {}
    secure = "s" if context else ""
    gateway = Gateway(sessions)
    stream = await asyncio.start_server(gateway.serve, "127.0.0.1", 0, ssl=context)
    stream_port = stream.sockets[0].getsockname()[1]
    api = Api(sessions, f"ws{secure}://{arguments.host}:{stream_port}")
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http{secure}://{arguments.host}:{port}",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    print(json.dumps({"env": environment, "instanceId": INSTANCE}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    report = {
        "calls": api.calls,
        "refused": gateway.refused,
        "sessions": [session.report() for session in sessions.values()],
    }
    print(json.dumps(report), flush=True)
    os._exit(0)  # connections that are still open would only complain


if __name__ == "__main__":
    check_vectors()
    asyncio.run(main())
