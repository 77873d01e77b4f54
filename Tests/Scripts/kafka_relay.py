"""A Kafka broker for tests: Tansu, with a relay before it that speaks TLS if asked to.

Tansu's answer to ApiVersions v3 is correct, but librdkafka before 2.2.0 misreads the tagged fields in it. So the relay
answers those requests itself with UNSUPPORTED_VERSION, upon which the client asks again in a form without tags; from then
on the relay copies bytes. Prints "ready HOST:PORT" and works until its standard input is closed.
"""

import argparse
import asyncio
import contextlib
import socket
import ssl
import struct
import sys

API_VERSIONS = 18
UNSUPPORTED_VERSION = 35


async def copy(reader, writer):
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def serve(reader, writer, target):
    """Answers the first frames itself while they are ApiVersions v3 or later, then connects both ends."""
    try:
        while True:
            size = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack(">i", size)[0])
            key, version, correlation = struct.unpack_from(">hhi", frame)
            if key != API_VERSIONS or version < 3:
                break
            answer = struct.pack(">ihihhh", correlation, UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 2)
            writer.write(struct.pack(">i", len(answer)) + answer)
            await writer.drain()
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", target)
        broker_writer.write(size + frame)
    except (OSError, asyncio.IncompleteReadError, struct.error):
        writer.close()
        return
    await asyncio.gather(copy(reader, broker_writer), copy(broker_reader, writer))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def ready(port, tansu):
    while tansu.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    sys.exit("Tansu ended before it was ready")


async def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tansu", required=True, help="the executable")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--cert")
    arguments.add_argument("--key")
    given = arguments.parse_args()
    context = None
    if given.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.cert, given.key)

    target = free_port()
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, target), "127.0.0.1", given.port, ssl=context)
    # OpenSSL checks a certificate against names only.
    host = "localhost" if context else "127.0.0.1"
    port = server.sockets[0].getsockname()[1]
    tansu = await asyncio.create_subprocess_exec(
        given.tansu, "broker", "--cluster-id", "test", "--listener-url", f"tcp://127.0.0.1:{target}",
        "--advertised-listener-url", f"tcp://{host}:{port}", "--storage-engine", "memory://tansu/",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
    try:
        await ready(target, tansu)
        print(f"ready {host}:{port}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    finally:
        with contextlib.suppress(ProcessLookupError):
            tansu.kill()
        await tansu.wait()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
