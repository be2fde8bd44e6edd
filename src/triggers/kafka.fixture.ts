import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

/**
 * One broker as Kafka's protocol guide describes it, as far as reading a group's lag goes: ApiVersions, SaslHandshake, SaslAuthenticate,
 * Metadata, FindCoordinator, OffsetFetch and ListOffsets, each in one version. It stands for a Kafka that cannot be had everywhere.
 */
export interface KafkaScript {
  topic: string;
  partitions: { low: number; high: number; committed: number }[];
  /** Asked for by SASL/PLAIN; undefined: nobody is asked. */
  credentials?: { user: string; password: string };
  /** Name and port that the broker gives out for itself. */
  advertised: { host: string; port: number };
  /** PEM; undefined: it speaks no TLS. */
  tls?: { cert: string; key: string };
  /** Error codes to answer with. */
  errors?: { metadata?: number; offsetFetch?: number };
}

const API = { ListOffsets: 2, Metadata: 3, OffsetFetch: 9, FindCoordinator: 10, SaslHandshake: 17, ApiVersions: 18, SaslAuthenticate: 36 };
const VERSIONS: [api: number, min: number, max: number][] = [
  [API.ListOffsets, 1, 1],
  [API.Metadata, 1, 1],
  [API.OffsetFetch, 1, 2],
  [API.FindCoordinator, 0, 0],
  [API.SaslHandshake, 0, 1],
  [API.ApiVersions, 0, 2],
  [API.SaslAuthenticate, 0, 0],
];

export async function startKafka(script: KafkaScript): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    const session = { trusted: script.credentials === undefined };
    let received = Buffer.alloc(0);
    socket.on('data', (part) => {
      received = Buffer.concat([received, part]);
      while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
        const size = received.readInt32BE(0);
        const answer = answerTo(received.subarray(4, 4 + size), script, session);
        received = received.subarray(4 + size);
        if (!answer) return void socket.destroy();
        socket.write(Buffer.concat([int32(answer.length), answer]));
      }
    });
  };
  const server: Server = script.tls ? createTlsServer(script.tls, serve).on('tlsClientError', () => {}) : createServer(serve);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

function answerTo(request: Buffer, script: KafkaScript, session: { trusted: boolean }): Buffer | undefined {
  const read = reader(request);
  const [api, version, correlation] = [read.int16(), read.int16(), read.int32()];
  read.text();
  const body = bodyFor(api, version, read, script, session);
  return body && Buffer.concat([int32(correlation), body]);
}

function bodyFor(api: number, version: number, read: Reader, script: KafkaScript, session: { trusted: boolean }): Buffer | undefined {
  const { topic, partitions, credentials, advertised, errors = {} } = script;
  // A broker says nothing but its versions to a client that has not said who it is.
  if (!session.trusted && ![API.ApiVersions, API.SaslHandshake, API.SaslAuthenticate].includes(api)) return undefined;
  switch (api) {
    case API.ApiVersions:
      return join(
        int16(0),
        list(VERSIONS, (versions) => join(...versions.map(int16))),
        ...(version > 0 ? [int32(0)] : []),
      );
    case API.SaslHandshake: {
      const known = read.text() === 'PLAIN';
      return join(int16(known ? 0 : 33), list(['PLAIN'], text));
    }
    case API.SaslAuthenticate: {
      const [, user, password] = read.bytes().toString().split('\0');
      session.trusted = user === credentials?.user && password === credentials?.password;
      const refused = `Authentication failed: Invalid username or password (was ${password})`;
      return session.trusted ? join(int16(0), text(null), int32(0)) : join(int16(58), text(refused), int32(0));
    }
    case API.Metadata: {
      const broker = join(int32(1), text(advertised.host), int32(advertised.port), text(null));
      const partition = (_: unknown, id: number) => join(int16(0), int32(id), int32(1), list([1], int32), list([1], int32));
      return join(
        list([broker], (each) => each),
        int32(1),
        list([topic], (name) =>
          join(int16(errors.metadata ?? 0), text(name), Buffer.from([0]), list(errors.metadata ? [] : partitions, partition)),
        ),
      );
    }
    case API.FindCoordinator:
      return join(int16(0), int32(1), text(advertised.host), int32(advertised.port));
    case API.OffsetFetch: {
      const one = ({ committed }: { committed: number }, id: number) =>
        join(int32(id), int64(committed), text(''), int16(errors.offsetFetch ?? 0));
      const known = partitions.some(({ committed }) => committed >= 0);
      read.text();
      const everything = read.int32() < 0;
      const topics = everything && !known ? [] : [topic];
      return join(
        list(topics, (name) => join(text(name), list(partitions, one))),
        ...(version >= 2 ? [int16(0)] : []),
      );
    }
    case API.ListOffsets: {
      read.int32();
      return read.list(() => {
        const name = read.text();
        const offsets = read.list(() => {
          const [id, time] = [read.int32(), read.int64()];
          const there = partitions[id];
          return join(int32(id), int16(there ? 0 : 3), int64(-1), int64((time === -2n ? there?.low : there?.high) ?? -1));
        });
        return join(text(name), offsets);
      });
    }
    default:
      return undefined;
  }
}

type Reader = ReturnType<typeof reader>;

function reader(buffer: Buffer) {
  let at = 0;
  const step = (size: number) => {
    at += size;
    return at - size;
  };
  const read = {
    int16: () => buffer.readInt16BE(step(2)),
    int32: () => buffer.readInt32BE(step(4)),
    int64: () => buffer.readBigInt64BE(step(8)),
    text(): string {
      const size = read.int16();
      return size < 0 ? '' : buffer.subarray(step(size), at).toString();
    },
    bytes(): Buffer {
      const size = read.int32();
      return buffer.subarray(step(size), at);
    },
    /** Reads a list and answers it item by item. */
    list(item: () => Buffer): Buffer {
      const items = Array.from({ length: read.int32() }, item);
      return join(int32(items.length), ...items);
    },
  };
  return read;
}

const join = (...parts: Buffer[]) => Buffer.concat(parts);
const list = <T>(items: readonly T[], item: (item: T, index: number) => Buffer) => join(int32(items.length), ...items.map(item));

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function int64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64BE(BigInt(value));
  return buffer;
}

function text(value: string | null): Buffer {
  return value === null ? int16(-1) : join(int16(Buffer.byteLength(value)), Buffer.from(value));
}
