import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Reading } from './model.ts';
import { type PolledSource, polled, WITHOUT_CONNECTION, withoutSecrets } from './polled.ts';

/** A source whose clients are numbered, and what happened to them. */
function source(change: Partial<PolledSource<number>>): { log: string[]; source: PolledSource<number> } {
  const log: string[] = [];
  let made = 0;
  const base: PolledSource<number> = {
    type: 'test',
    where: 'here',
    secrets: [],
    async connect() {
      made++;
      log.push(`connect ${made}`);
      return made;
    },
    async look(client) {
      log.push(`look ${client}`);
      return { value: client };
    },
    drop(client) {
      log.push(`drop ${client}`);
    },
  };
  return { log, source: { ...base, ...change } };
}

test('keeps its connection between reads', async () => {
  const { log, source: plain } = source({});
  const trigger = polled(plain);
  await trigger.read();
  await trigger.read();
  await trigger.close();
  expect(log).toEqual(['connect 1', 'look 1', 'look 1', 'drop 1']);
});

test('a kept connection that has died is replaced within the read, a fresh one that fails is not', async () => {
  const dead = new Set<number>();
  const look = async (client: number): Promise<Reading> => {
    if (dead.has(client)) throw new Error(`client ${client} is dead`);
    return { value: client };
  };
  const { log, source: dying } = source({ look });
  const trigger = polled(dying);
  expect(await trigger.read()).toEqual({ value: 1 });
  dead.add(1);
  expect(await trigger.read()).toEqual({ value: 2 });
  dead.add(2).add(3).add(4);
  await expect(trigger.read()).rejects.toThrow('the test trigger cannot be read: client 3 is dead');
  await expect(trigger.read()).rejects.toThrow('client 4 is dead');
  expect(await trigger.read()).toEqual({ value: 5 });
  expect(log).toEqual(['connect 1', 'drop 1', 'connect 2', 'drop 2', 'connect 3', 'drop 3', 'connect 4', 'drop 4', 'connect 5']);
});

test('a source without a connection is asked once a read', async () => {
  let asked = 0;
  const look = async (): Promise<Reading> => {
    asked++;
    if (asked > 1) throw new Error('no');
    return { value: asked };
  };
  const trigger = polled({ ...WITHOUT_CONNECTION, type: 'test', where: 'here', secrets: [], look });
  expect(await trigger.read()).toEqual({ value: 1 });
  await expect(trigger.read()).rejects.toThrow('no');
  expect(asked).toBe(2);
});

test('a read ends at its limit, and what it was about to get is let go', async () => {
  const { log, source: slow } = source({
    limitMs: 30,
    async connect() {
      await sleep(60);
      return 7;
    },
  });
  const trigger = polled(slow);
  await expect(trigger.read()).rejects.toMatchObject({
    code: 'TRIGGER_FAILED',
    message: expect.stringContaining('no answer within 0.03 s'),
    where: 'here',
  });
  await sleep(60);
  expect(log).toEqual(['drop 7']);
});

test('closing ends the read that is under way, and its connection', async () => {
  const { log, source: stuck } = source({ look: () => new Promise<Reading>(() => {}) });
  const trigger = polled(stuck);
  const reading = trigger.read();
  await sleep(10);
  await trigger.close();
  await expect(reading).rejects.toThrow('it was closed meanwhile');
  await trigger.close();
  await expect(trigger.read()).rejects.toThrow('it is closed');
  expect(log).toEqual(['connect 1', 'drop 1']);
});

test('what fails is told in one line, without a secret, and without the error that could hold more', async () => {
  const secrets = ['p@ss', undefined, ''];
  const refused = Object.assign(new AggregateError([new Error('connect ECONNREFUSED 10.0.0.1:5432')]), { password: 'p@ss' });
  const { source: first } = source({ secrets, where: 'p@ss@db', connect: () => Promise.reject(refused) });
  const failure = await polled(first)
    .read()
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({
    message: 'the test trigger cannot be read: connect ECONNREFUSED 10.0.0.1:5432',
    where: '***@db',
  });
  expect((failure as Error).cause).toBeUndefined();
  const { source: second } = source({ secrets, look: () => Promise.reject(new Error('denied\n  to p@ss and p%40ss')) });
  await expect(polled(second).read()).rejects.toThrow('the test trigger cannot be read: denied to *** and ***');
});

test('the longest secret goes first', () => {
  expect(withoutSecrets('abc ab', ['ab', 'abc'])).toBe('*** ***');
});
