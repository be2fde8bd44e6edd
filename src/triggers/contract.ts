import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Failure } from '../kit/errors.ts';
import { sleep } from '../kit/wait.ts';
import type { OpenTrigger, TriggerContext, TriggerNotice, TriggerType } from './model.ts';

/** What a read may take, and what the tests' own machine may add. */
const READ_LIMIT_MS = 5_000 + 1_000;
const NOTICE_LIMIT_MS = 5_000;

/** The real thing that a trigger reads, as the tests drive it. */
export interface ContractSource {
  /** As a person writes it in the compose file. A host in it is a name that only `address` makes reachable. */
  metadata: Record<string, unknown>;
  environment?: Record<string, string>;
  framework?: TriggerContext['framework'];
  /** For triggers that read the world around them instead of a server. */
  context?: Partial<TriggerContext>;
  /** Changes the source so that a read tells this value. */
  hold(value: number): Promise<void>;
  /** Left out: the trigger talks to no server. */
  server?: ContractServer;
  remove(): Promise<void>;
}

export interface ContractServer {
  /** Where the server listens now. */
  address(): { host: string; port: number };
  /** The server ends; nothing listens at its address any more. */
  stop(): Promise<void>;
  /** It runs again, under another address, with or without what it held; `hold` works again once this returns. */
  restart(): Promise<void>;
  /** What to ask with in order to be refused. Left out: the source knows no credentials. */
  refused?: { metadata?: Record<string, unknown>; environment?: Record<string, string>; secret: string };
}

export interface TriggerContract {
  /** What the suite is called where one type is held to it several times. Left out: the type's name. */
  title?: string;
  type: TriggerType;
  /** Brings the source up; called once. It must agree with `server` and `credentials`. */
  start(): Promise<ContractSource>;
  /** The trigger talks to a server. */
  server: boolean;
  /** That server asks for credentials. */
  credentials: boolean;
  /** Two values that `hold` can bring about, the first above 0. Default 3 and 7. */
  values?: [number, number];
}

/** The tests that every trigger has to pass, against its real server. Called at the top of a test file. */
export function triggerContract({ title, type, start, server, credentials, values: [one, other] = [3, 7] }: TriggerContract): void {
  describe(`a ${title ?? type.type} trigger`, () => {
    let source: ContractSource;
    const opened: OpenTrigger[] = [];

    beforeAll(async () => {
      source = await start();
      expect({ server: source.server !== undefined, credentials: source.server?.refused !== undefined }).toEqual({ server, credentials });
    });
    afterAll(async () => {
      await Promise.allSettled(opened.map((trigger) => trigger.close()));
      await source?.remove();
    });

    function open(
      change: Pick<Partial<ContractSource>, 'metadata' | 'environment'> = {},
      resolve: TriggerContext['resolve'] = async (host, port) => source.server?.address() ?? { host, port },
    ): OpenTrigger {
      const context: TriggerContext = {
        resolve,
        environment: { ...source.environment, ...change.environment },
        ...(source.framework ? { framework: source.framework } : {}),
        exec: () => Promise.reject(new Error('this source runs no commands')),
        usage: async () => [],
        now: Date.now,
        ...source.context,
      };
      const trigger = type.open(type.metadata.parse({ ...source.metadata, ...change.metadata }), context);
      opened.push(trigger);
      return trigger;
    }

    describe('metadata', () => {
      test('describes every field, with samples that it takes', () => {
        const schema = z.toJSONSchema(type.metadata, { io: 'input' }) as { properties?: Record<string, Record<string, unknown>> };
        const undescribed = Object.entries(schema.properties ?? {}).filter(
          ([, field]) => !field.description || !Array.isArray(field.samples) || field.samples.length === 0,
        );
        expect(undescribed.map(([name]) => name)).toEqual([]);
        const refused = Object.entries(shapeOf(type.metadata)).flatMap(([name, field]) =>
          ((schema.properties?.[name]?.samples ?? []) as unknown[])
            .filter((sample) => !field.safeParse(sample).success)
            .map((sample) => `${name}: ${sample}`),
        );
        expect(refused).toEqual([]);
      });

      test('refuses a key that it does not know, by its name', () => {
        const result = type.metadata.safeParse({ ...source.metadata, notAKeyOfThis: '1' });
        expect(result.error?.issues.map((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : issue.message))).toEqual([
          ['notAKeyOfThis'],
        ]);
      });

      test('takes numbers and switches written as text, as KEDA has them', () => {
        const texts = Object.fromEntries(
          Object.entries(source.metadata).map(([name, value]) => [name, typeof value === 'object' ? value : String(value)]),
        );
        expect(type.metadata.parse(texts)).toEqual(type.metadata.parse(source.metadata));
      });

      test('names a variable that it takes from the environment and that is not set there', () => {
        const names = Object.entries(source.metadata).filter(([key]) => key.endsWith('FromEnv'));
        for (const [, name] of names) {
          const environment = { ...source.environment };
          delete environment[String(name)];
          const context = { environment, resolve: async (host: string, port: number) => ({ host, port }), now: Date.now };
          const failure = caught(() => type.open(type.metadata.parse(source.metadata), context as TriggerContext));
          expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(String(name)) });
        }
      });
    });

    test('reads what the source holds, again and again over one opening', async () => {
      const trigger = open();
      await source.hold(one);
      expect((await trigger.read()).value).toBe(one);
      await source.hold(other);
      expect((await trigger.read()).value).toBe(other);
      await trigger.close();
    });

    test('is closed twice without complaint, and reads nothing afterwards', async () => {
      const trigger = open();
      await trigger.read();
      await trigger.close();
      await trigger.close();
      await fails(trigger);
      await open().close();
    });

    if (server) {
      const refusedConnection = async () => ({ host: '127.0.0.1', port: await closedPort() });

      test('fails within the time limit when nothing listens, without a secret in the text', async () => {
        const failure = await fails(open({}, refusedConnection));
        for (const secret of secretsOf(source)) expect(textOf(failure)).not.toContain(secret);
      });

      test('fails within the time limit when the server accepts and never answers, and lets go when it is closed meanwhile', async () => {
        const silent = createServer((socket) => socket.on('error', () => {}));
        await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
        const { port } = silent.address() as { port: number };
        try {
          const trigger = open({}, async () => ({ host: '127.0.0.1', port }));
          const failure = await fails(trigger);
          for (const secret of secretsOf(source)) expect(textOf(failure)).not.toContain(secret);
          const again = open({}, async () => ({ host: '127.0.0.1', port }));
          const underWay = fails(again);
          await sleep(200);
          await again.close();
          await underWay;
          await trigger.close();
        } finally {
          silent.close();
        }
      });

      if (credentials)
        test('fails when the server refuses its credentials, and keeps them to itself', async () => {
          const { secret, ...change } = serverOf(source).refused as NonNullable<ContractServer['refused']>;
          const failure = await fails(open(change));
          expect(textOf(failure)).not.toContain(secret);
        });

      test('tells that the server went, and reads it again where it has come back', async () => {
        const trigger = open();
        await source.hold(one);
        expect((await trigger.read()).value).toBe(one);
        const before = serverOf(source).address();
        await serverOf(source).stop();
        await fails(trigger);
        await serverOf(source).restart();
        expect(serverOf(source).address()).not.toEqual(before);
        await source.hold(other);
        // A client of this kind may have to find out that its connection is gone.
        const reading = await trigger.read().catch(() => trigger.read());
        expect(reading.value).toBe(other);
        await trigger.close();
      });

      test('tells of changes and of a lost connection, if it tells of anything', async () => {
        const trigger = open();
        if (!trigger.watch) return;
        const notices: TriggerNotice[] = [];
        trigger.watch((notice) => notices.push(notice));
        const told = (kind: TriggerNotice['kind']) =>
          expect.poll(() => notices.map((notice) => notice.kind), { timeout: NOTICE_LIMIT_MS }).toContain(kind);
        const change = async (value: number) => {
          await trigger.read();
          await sleep(100);
          notices.length = 0;
          await source.hold(value);
          await told('changed');
        };
        await source.hold(one);
        await change(other);
        expect((await trigger.read()).value).toBe(other);
        await change(one);

        notices.length = 0;
        await trigger.read();
        await serverOf(source).stop();
        await told('lost');
        await serverOf(source).restart();
        await source.hold(one);
        await trigger.read().catch(() => trigger.read());
        await change(other);
        await trigger.close();
        await sleep(100);
        notices.length = 0;
        await source.hold(one);
        await sleep(300);
        expect(notices).toEqual([]);
      });
    }

    async function fails(trigger: OpenTrigger): Promise<Failure> {
      const started = performance.now();
      const error = await trigger.read().then(
        (reading) => new Error(`it read ${JSON.stringify(reading)}`),
        (problem: unknown) => problem,
      );
      expect(performance.now() - started).toBeLessThan(READ_LIMIT_MS);
      if (!(error instanceof Failure)) throw error;
      expect(error.code).toBe('TRIGGER_FAILED');
      expect(error.message).not.toBe('');
      expect(error.next).toMatch(/\w/);
      return error;
    }
  });
}

function serverOf(source: ContractSource): ContractServer {
  if (!source.server) throw new Error('the source has no server');
  return source.server;
}

/** Everything of the failure that could be printed somewhere. */
function textOf(failure: Failure): string {
  return inspect(failure, { depth: 8, showHidden: true });
}

/** Passwords and the like that the source's environment and metadata hold. */
function secretsOf(source: ContractSource): string[] {
  return Object.entries({ ...source.metadata, ...source.environment })
    .filter(([name, value]) => /pass|secret|token|connection/i.test(name) && !/FromEnv$/.test(name) && typeof value === 'string')
    .map(([, value]) => value as string);
}

function shapeOf(schema: z.ZodType): Record<string, z.ZodType> {
  if (schema instanceof z.ZodPipe) return shapeOf(schema.in as z.ZodType);
  if (!(schema instanceof z.ZodObject)) throw new Error('metadata is not an object with named fields');
  return schema.shape;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
