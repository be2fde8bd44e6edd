import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { BSON } from 'mongodb';

/**
 * One MongoDB server as its wire protocol describes it, as far as counting documents goes: hello (OP_QUERY and OP_MSG), SCRAM-SHA-256 and
 * aggregate. It stands for a MongoDB that cannot be had everywhere.
 */
export interface MongoScript {
  /** What a count answers. */
  documents: number;
  /** The filters that were asked with. */
  asked: unknown[];
  credentials?: { user: string; password: string };
  /** An error to answer a count with. */
  error?: { code: number; codeName: string; errmsg: string };
}

type Document = Record<string, unknown>;
interface Session {
  trusted: boolean;
  scram?: { first: string; server: string };
}

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const ITERATIONS = 4096;

export async function startMongo(script: MongoScript): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    const session: Session = { trusted: script.credentials === undefined };
    let received = Buffer.alloc(0);
    socket.on('data', (part) => {
      received = Buffer.concat([received, part]);
      while (received.length >= 4 && received.length >= received.readInt32LE(0)) {
        const size = received.readInt32LE(0);
        socket.write(answerTo(received.subarray(0, size), script, session));
        received = received.subarray(size);
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

function answerTo(message: Buffer, script: MongoScript, session: Session): Buffer {
  const [id, operation] = [message.readInt32LE(4), message.readInt32LE(12)];
  if (operation === OP_QUERY) {
    const document = message.indexOf(0, 20) + 9;
    const reply = BSON.serialize(answer(BSON.deserialize(message.subarray(document)), script, session));
    // Flags, cursor, position, one document.
    const head = Buffer.alloc(20);
    head.writeInt32LE(1, 16);
    return framed(id, OP_REPLY, Buffer.concat([head, reply]));
  }
  // Flags, then one section of kind 0.
  const reply = BSON.serialize(answer(BSON.deserialize(message.subarray(21)), script, session));
  return framed(id, OP_MSG, Buffer.concat([Buffer.alloc(5), reply]));
}

function framed(to: number, operation: number, body: Buffer): Buffer {
  const head = Buffer.alloc(16);
  for (const [index, value] of [16 + body.length, 0, to, operation].entries()) head.writeInt32LE(value, index * 4);
  return Buffer.concat([head, body]);
}

function answer(command: Document, script: MongoScript, session: Session): Document {
  const [name] = Object.keys(command);
  switch (name) {
    case 'hello':
    case 'isMaster':
    case 'ismaster':
      return {
        ok: 1,
        helloOk: true,
        isWritablePrimary: true,
        ismaster: true,
        maxBsonObjectSize: 16 * 1024 * 1024,
        maxMessageSizeBytes: 48_000_000,
        maxWriteBatchSize: 100_000,
        localTime: new Date(0),
        logicalSessionTimeoutMinutes: 30,
        connectionId: 1,
        minWireVersion: 0,
        maxWireVersion: 25,
        ...('saslSupportedMechs' in command ? { saslSupportedMechs: ['SCRAM-SHA-256'] } : {}),
      };
    case 'saslStart':
      return saslStart(command, session, script);
    case 'saslContinue':
      return saslContinue(command, session, script);
    case 'endSessions':
      return { ok: 1 };
    case 'aggregate': {
      if (!session.trusted) return { ok: 0, code: 13, codeName: 'Unauthorized', errmsg: `Command aggregate requires authentication` };
      if (script.error) return { ok: 0, ...script.error };
      const [match] = command.pipeline as [{ $match: unknown }];
      script.asked.push([command.$db, command.aggregate, match.$match]);
      // A count of nothing answers no document at all.
      const firstBatch = script.documents > 0 ? [{ _id: 1, n: script.documents }] : [];
      return { ok: 1, cursor: { id: BSON.Long.ZERO, ns: `${command.$db}.${command.aggregate}`, firstBatch } };
    }
    default:
      return { ok: 0, code: 59, codeName: 'CommandNotFound', errmsg: `no such command: '${name}'` };
  }
}

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
const textOf = (payload: unknown) => Buffer.from((payload as BSON.Binary).buffer).toString();
const salt = Buffer.from('a salt of sixteen');

/** RFC 5802, the server's side. */
function saslStart(command: Document, session: Session, _: MongoScript): Document {
  const first = textOf(command.payload).replace(/^n,,/, '');
  const nonce = `${/r=([^,]*)/.exec(first)?.[1]}${randomBytes(12).toString('hex')}`;
  session.scram = { first, server: `r=${nonce},s=${salt.toString('base64')},i=${ITERATIONS}` };
  return { ok: 1, conversationId: 1, done: false, payload: new BSON.Binary(Buffer.from(session.scram.server)) };
}

function saslContinue(command: Document, session: Session, { credentials }: MongoScript): Document {
  const refused = { ok: 0, code: 18, codeName: 'AuthenticationFailed', errmsg: 'Authentication failed.' };
  const final = textOf(command.payload);
  const [, withoutProof = '', proof = ''] = /^(.*),p=(.*)$/.exec(final) ?? [];
  if (!session.scram || !credentials) return refused;
  const salted = pbkdf2Sync(credentials.password, salt, ITERATIONS, 32, 'sha256');
  const key = hmac(salted, 'Client Key');
  const signed = `${session.scram.first},${session.scram.server},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(key).digest(), signed);
  const expected = Buffer.from(key.map((byte, index) => byte ^ (signature[index] ?? 0)));
  const given = Buffer.from(proof, 'base64');
  const user = /n=([^,]*)/.exec(session.scram.first)?.[1];
  if (user !== credentials.user || given.length !== expected.length || !timingSafeEqual(given, expected)) return refused;
  session.trusted = true;
  const verifier = hmac(hmac(salted, 'Server Key'), signed).toString('base64');
  return { ok: 1, conversationId: 1, done: true, payload: new BSON.Binary(Buffer.from(`v=${verifier}`)) };
}
