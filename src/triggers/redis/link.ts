import type { Redis } from 'ioredis';
import { Failure } from '../../kit/errors.ts';
import type { TriggerContext, TriggerNotice } from '../model.ts';

export interface RedisServer {
  host: string;
  port: number;
  database: number;
  username?: string;
  password?: string;
  tls?: { verify: boolean };
}

export type Command = readonly [name: string, ...args: (string | number)[]];

export interface Asking {
  /** As one transaction: no job is seen in two places, or in none, because it moved between two commands. An Error where one was refused. */
  together(commands: readonly Command[]): Promise<unknown[]>;
  /** Sent with what is asked together at the same moment, but refused without it. Undefined: refused. */
  alone(command: Command): Promise<unknown>;
}

/** Messages of the library's workers. */
export interface Hearing {
  /** Of channels, as PSUBSCRIBE takes it. */
  pattern: string;
  /** From now on they are heard: at first, and after each new connection. Never called where listening is refused. */
  began(): void;
  /** True: the reading has changed by it. */
  hear(channel: string, message: string): boolean;
}

export interface RedisLink {
  /** Connects first when there is no connection. All keys that `body` asks for are watched until one of them changes. Failure TRIGGER_FAILED. */
  read<T>(body: (asking: Asking) => Promise<T>): Promise<T>;
  watch(listener: (notice: TriggerNotice) => void): void;
  close(): Promise<void>;
}

/** Less than the 5 s that a trigger promises. */
const READ_MS = 4_500;
/** At most 20 notices a second: a queue under fire costs that many reads, however fast it changes. */
const NOTICE_GAP_MS = 50;
const INVALIDATIONS = '__redis__:invalidate';

interface Live {
  reader: Redis;
  /** Hears of invalidated keys and of the library's messages. */
  ear: Redis | undefined;
}

/**
 * One Redis that is read now and again, and that tells of changes by client-side caching (CLIENT TRACKING) in its default mode: the server
 * remembers the keys that were read and sends one message when one of them changes; reading them again asks for the next. It needs no
 * server setting. ioredis drops the push messages of RESP3, so they are redirected to a second connection, which RESP2 has for this.
 */
export function openRedis(server: RedisServer, context: Pick<TriggerContext, 'resolve'>, hearing?: Hearing): RedisLink {
  const name = `${server.host}:${server.port}`;
  let listener: ((notice: TriggerNotice) => void) | undefined;
  let live: Live | undefined;
  let closed = false;
  let endReads = () => {};
  const closing = new Promise<never>((_, reject) => {
    endReads = () => reject(new Error('the trigger was closed'));
  });
  closing.catch(() => {});
  /** Whatever is being connected or connected, so that all of it ends. */
  const clients = new Set<Redis>();

  let told = false;
  let toldAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let saidForGood = false;

  function changed(): void {
    if (!listener || told || timer) return;
    const wait = toldAt + NOTICE_GAP_MS - performance.now();
    if (wait > 0) timer = setTimeout(tell, wait).unref();
    else tell();
  }

  function tell(): void {
    timer = undefined;
    told = true;
    toldAt = performance.now();
    listener?.({ kind: 'changed' });
  }

  function drop(reason: string): void {
    clearTimeout(timer);
    timer = undefined;
    const had = live;
    live = undefined;
    for (const client of clients) client.disconnect();
    clients.clear();
    if (had?.ear && !closed) listener?.({ kind: 'lost', reason });
  }

  async function connect(): Promise<Live> {
    const { Redis } = await import('ioredis');
    const at = await context.resolve(server.host, server.port);
    if (closed) throw new Error('the trigger was closed');
    let problem: string | undefined;
    const start = () => {
      const client = new Redis({
        host: at.host,
        port: at.port,
        db: server.database,
        connectionName: 'composure',
        ...(server.username ? { username: server.username } : {}),
        ...(server.password ? { password: server.password } : {}),
        ...(server.tls ? { tls: { servername: server.host, rejectUnauthorized: server.tls.verify } } : {}),
        protocol: 2,
        lazyConnect: true,
        connectTimeout: READ_MS,
        enableReadyCheck: false,
        enableOfflineQueue: false,
        disableClientInfo: true,
        autoResubscribe: false,
        // Reconnecting is the next read's work: it asks for the address anew.
        retryStrategy: () => null,
      });
      client.on('error', (error: Error) => {
        problem ??= error.message;
      });
      clients.add(client);
      return client;
    };
    const reader = start();
    const ear = listener || hearing ? start() : undefined;
    const fresh = { reader, ear };
    try {
      await Promise.all([reader.connect(), ear?.connect()]);
      if (ear) await arm(fresh);
    } catch (error) {
      throw new Error(problem ?? (error as Error).message);
    }
    const end = () => live === fresh && drop(`${name}: ${problem ?? 'the server closed the connection'}`);
    reader.on('close', end);
    ear?.on('close', end);
    live = fresh;
    return fresh;
  }

  async function arm({ reader, ear }: Live): Promise<void> {
    if (!ear) return;
    // First, because a connection that has subscribed to something takes no other commands.
    if (listener) await track(reader, ear, listener);
    if (!hearing) return;
    ear.on('pmessage', (_pattern, channel, message) => hearing.hear(channel, message) && changed());
    await ear.psubscribe(hearing.pattern).then(hearing.began, ignoreRefusal);
  }

  async function track(reader: Redis, ear: Redis, told: (notice: TriggerNotice) => void): Promise<void> {
    ear.on('messageBuffer', (channel: Buffer) => channel.toString() === INVALIDATIONS && changed());
    try {
      const id = (await ear.call('CLIENT', 'ID')) as number;
      await ear.subscribe(INVALIDATIONS);
      await reader.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id));
    } catch (error) {
      ignoreRefusal(error as Error);
      if (saidForGood) return;
      saidForGood = true;
      told({ kind: 'lost', forGood: true, reason: `${name} does not tell of changes and is polled: ${(error as Error).message}` });
    }
  }

  function askingOf({ reader }: Live): Asking {
    return {
      async together(commands) {
        const transaction = reader.multi();
        for (const command of commands) transaction.call(...words(command));
        const answers = await transaction.exec();
        if (!answers) throw new Error('the transaction was not carried out');
        return answers.map(([error, answer]) => error ?? answer);
      },
      alone: (command) =>
        reader.call(...words(command)).catch((error: Error) => {
          ignoreRefusal(error);
          return undefined;
        }),
    };
  }

  return {
    async read(body) {
      let deadline: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        deadline = setTimeout(() => reject(new Error('no answer in time')), READ_MS);
      });
      const work = async () => {
        if (closed) throw new Error('the trigger was closed');
        const { ear } = live ?? (await connect());
        const current = live;
        if (!current) throw new Error('the server closed the connection');
        // Before the commands go out: what changes while they are under way is told, if need be once too often.
        told = false;
        const [answer] = await Promise.all([body(askingOf(current)), ear?.ping()]);
        return answer;
      };
      try {
        return await Promise.race([work(), late, closing]);
      } catch (error) {
        const message = withoutSecret(explain(error as Error), server);
        drop(`${name}: ${message}`);
        throw failure(name, message, error);
      } finally {
        clearTimeout(deadline);
      }
    },

    watch(told) {
      listener = told;
    },

    async close() {
      closed = true;
      listener = undefined;
      drop('closed');
      endReads();
    },
  };
}

/** A reply that says no; anything else is a connection that went. */
function ignoreRefusal(error: Error): void {
  if (error.name !== 'ReplyError') throw error;
}

/** Redis's own words. An aborted transaction says why only in the errors before it. */
function explain(error: Error & { previousErrors?: Error[] }): string {
  return error.previousErrors?.[0]?.message ?? error.message;
}

/** The client's errors carry the arguments of AUTH: only their text goes on, and not even that unseen. */
function withoutSecret(message: string, { password }: RedisServer): string {
  return password ? message.replaceAll(password, '***') : message;
}

const words = (command: Command) => command.map(String) as [string, ...string[]];

function failure(name: string, message: string, error: unknown): Failure {
  const next = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/.test(message)
    ? 'check username and passwordFromEnv of the trigger against the server'
    : `check that ${name} runs and is the address that the service itself uses`;
  return new Failure('TRIGGER_FAILED', `Redis at ${name}: ${message}`, {
    where: name,
    next,
    // Content that we do not understand shows where; the client's errors would show too much.
    ...(error instanceof TypeError ? { cause: error } : {}),
  });
}
