"""A Kafka broker that has no records and says of topics what it is told: for the decisions of a client that makes them.

Speaks ApiVersions v0-2, Metadata v1 and CreateTopics v4. Prints "ready HOST:PORT" and works until its standard input is
closed.
"""

import argparse
import asyncio
import contextlib
import struct
import sys

METADATA, API_VERSIONS, CREATE_TOPICS = 3, 18, 19
SUPPORTED = [(METADATA, 0, 1), (API_VERSIONS, 0, 2), (CREATE_TOPICS, 0, 4)]
UNSUPPORTED_VERSION, TOPIC_ALREADY_EXISTS = 35, 36


def text(value):
    if value is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(value.encode())) + value.encode()


class Broker:
    def __init__(self, given):
        self.create_error, self.message = given.create_error, given.message
        self.topics = {name: (int(count), int(error)) for name, count, error in (t.split(":") for t in given.topic)}

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = struct.unpack(">i", await reader.readexactly(4))[0]
                answer = self.answer(await reader.readexactly(size))
                writer.write(struct.pack(">i", len(answer)) + answer)
                await writer.drain()
        writer.close()

    def answer(self, frame):
        key, version, correlation = struct.unpack_from(">hhi", frame)
        client = struct.unpack_from(">h", frame, 8)[0]
        body = frame[10 + max(0, client):]
        answers = {API_VERSIONS: self.api_versions, METADATA: self.metadata, CREATE_TOPICS: self.create}
        return struct.pack(">i", correlation) + answers[key](version, body)

    def api_versions(self, version, _):
        error = UNSUPPORTED_VERSION if version > 2 else 0
        answer = struct.pack(">hi", error, len(SUPPORTED)) + b"".join(struct.pack(">hhh", *row) for row in SUPPORTED)
        return answer + (struct.pack(">i", 0) if 1 <= version <= 2 else b"")

    def metadata(self, _, __):
        answer = struct.pack(">ii", 1, 1) + text("127.0.0.1") + struct.pack(">i", self.port) + text(None)
        answer += struct.pack(">ii", 1, len(self.topics))
        for name, (count, error) in self.topics.items():
            answer += struct.pack(">h", error) + text(name) + struct.pack(">bi", 0, count)
            for partition in range(count):
                answer += struct.pack(">hiiiiii", 0, partition, 1, 1, 1, 1, 1)
        return answer

    def create(self, _, body):
        length = struct.unpack_from(">h", body, 4)[0]
        name = body[6:6 + length].decode()
        count = struct.unpack_from(">i", body, 6 + length)[0]
        # Whoever was faster made it with a partition more.
        if self.create_error in (0, TOPIC_ALREADY_EXISTS):
            self.topics[name] = (count + (self.create_error != 0), 0)
        return struct.pack(">ii", 0, 1) + text(name) + struct.pack(">h", self.create_error) + text(self.message)


async def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--topic", action="append", default=[], help="name:partitions:error")
    arguments.add_argument("--create-error", type=int, default=0)
    arguments.add_argument("--message")
    broker = Broker(arguments.parse_args())
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    print(f"ready 127.0.0.1:{broker.port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
