import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { BackupResult } from '../model.ts';
import type { Channel, Tidings } from './model.ts';
import { tell, tidingsOf } from './tell.ts';

export interface Asked {
  method: string;
  path: string;
  body: string;
}

export const result = (more: Partial<BackupResult> = {}): BackupResult => ({
  kind: 'run',
  scheduled: true,
  startedAt: '2026-11-24T06:12:00.000Z',
  endedAt: '2026-11-24T06:12:04.200Z',
  ok: true,
  numbers: {},
  ...more,
});

const FAILED = result({ ok: false, code: 'BACKUP_FAILED', message: 'db/postgres/app: the dump ended with exit code 1' });

/** Tidings of a success after a failure, of a failure, and of a success after a success. */
export const TIDINGS: Record<Tidings['event'], Tidings> = {
  recovered: tidingsOf('shop', 'server1', [FAILED], result()),
  failed: tidingsOf('shop', 'server1', [], FAILED),
  succeeded: tidingsOf('shop', 'server1', [result()], result()),
};

/** A server that answers as told, or never. */
export async function withServer(
  answer: (request: IncomingMessage, count: number) => { status: number; location?: string } | 'hang',
  body: (address: string, asked: Asked[]) => Promise<void>,
): Promise<void> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      asked.push({ method: request.method ?? '', path: request.url ?? '', body: text });
      const how = answer(request, asked.length);
      if (how !== 'hang') response.writeHead(how.status, how.location ? { location: how.location } : {}).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Tells one channel, with short pauses before it is tried again; answers the warnings. */
export async function telling(channel: Channel, address: string | undefined, event: Tidings['event'], limitMs = 20_000): Promise<string[]> {
  const warnings: string[] = [];
  await tell(
    [{ kind: channel.kind, secret: 'ADDRESS' }],
    address === undefined ? {} : { ADDRESS: address },
    TIDINGS[event],
    (said) => void (said.kind === 'warning' && warnings.push(said.text)),
    { channels: [channel], limitMs, retriesMs: [10] },
  );
  return warnings;
}

/** What every channel keeps to. */
export function channelContract(channel: Channel): void {
  const event = channel.events[0] ?? 'failed';
  describe(channel.kind, () => {
    test('tells each of its events once, and no other', () =>
      withServer(
        () => ({ status: 204 }),
        async (address, asked) => {
          for (const one of Object.keys(TIDINGS) as Tidings['event'][]) {
            asked.length = 0;
            expect(await telling(channel, `${address}/x`, one)).toEqual([]);
            expect(asked).toHaveLength(channel.events.includes(one) ? 1 : 0);
          }
        },
      ));

    test('is tried again when it says no, and named when it goes on saying no', async () => {
      await withServer(
        (_request, count) => ({ status: count === 1 ? 503 : 200 }),
        async (address, asked) => {
          expect(await telling(channel, address, event)).toEqual([]);
          expect(asked).toHaveLength(2);
        },
      );
      await withServer(
        () => ({ status: 500 }),
        async (address) => expect(await telling(channel, address, event)).toEqual([`${channel.kind} ADDRESS: answered 500`]),
      );
    });

    test('hangs nobody, and follows no redirect', async () => {
      await withServer(
        () => 'hang',
        async (address) => {
          const began = performance.now();
          expect(await telling(channel, address, event, 200)).toEqual([`${channel.kind} ADDRESS: no answer in time`]);
          expect(performance.now() - began).toBeLessThan(5000);
        },
      );
      await withServer(
        () => ({ status: 302, location: '/elsewhere' }),
        async (address, asked) => {
          expect(await telling(channel, address, event)).toEqual([`${channel.kind} ADDRESS: answered 302`]);
          expect(asked.map(({ path }) => path)).not.toContain('/elsewhere');
        },
      );
    });

    test('says that nobody answers at its address, and not the address', async () => {
      let gone = '';
      await withServer(
        () => ({ status: 200 }),
        async (address) => {
          gone = `${address}/token-1234`;
        },
      );
      expect(await telling(channel, gone, event)).toEqual([`${channel.kind} ADDRESS: ECONNREFUSED`]);
    });

    test.each([
      ['is not there', undefined, 'there is no secret of this name'],
      ['is no address', 'token-1234', 'no address that begins with https://'],
      ['is an address of another kind', 'file:///etc/passwd', 'no address that begins with https://'],
    ])('says what is wrong when its address %s, and not the address', async (_title, address, words) => {
      const [warning = ''] = await telling(channel, address, event);
      expect(warning).toContain(words);
      expect(warning).not.toMatch(/token-1234|passwd/);
    });
  });
}
