import { expect, test } from 'vitest';
import { channelContract, result, TIDINGS, telling, withServer } from './contract.ts';
import { heartbeat } from './heartbeat.ts';
import { CHANNELS } from './list.ts';
import { tidingsOf } from './tell.ts';
import { webhook } from './webhook.ts';

for (const channel of CHANNELS) channelContract(channel);

test('what there is to tell, in words', () => {
  expect(Object.values(TIDINGS).map(({ text }) => text)).toEqual([
    'backup of shop on server1 works again (4.2 s)',
    'backup of shop on server1 failed: db/postgres/app: the dump ended with exit code 1',
    'backup of shop on server1 went well (4.2 s)',
  ]);
});

test('a backup of chosen services says nothing about those of the project', () => {
  const part = result({ only: ['db'] });
  const failed = result({ ok: false });
  expect(tidingsOf('shop', 'server1', [failed], part).event).toBe('succeeded');
  expect(tidingsOf('shop', 'server1', [failed, part], result()).event).toBe('recovered');
  expect(tidingsOf('shop', 'server1', [], { ...part, ok: false, message: 'x' }).text).toBe('backup of db in shop on server1 failed: x');
});

test('a webhook gets one JSON document', () =>
  withServer(
    () => ({ status: 200 }),
    async (address, asked) => {
      await telling(webhook, `${address}/hook`, 'failed');
      expect(asked.map(({ method, path, body }) => ({ method, path, body: JSON.parse(body) }))).toEqual([
        {
          method: 'POST',
          path: '/hook',
          body: {
            text: TIDINGS.failed.text,
            event: 'failed',
            project: 'shop',
            host: 'server1',
            ...TIDINGS.failed.result,
          },
        },
      ]);
    },
  ));

test('a heartbeat is a GET, and of backups of the whole project only', () =>
  withServer(
    () => ({ status: 200 }),
    async (address, asked) => {
      await telling(heartbeat, `${address}/beat`, 'succeeded');
      expect(asked).toEqual([{ method: 'GET', path: '/beat', body: '' }]);
      const { succeeded } = TIDINGS;
      await heartbeat.send(new URL(address), { ...succeeded, result: { ...succeeded.result, kind: 'drill' } }, AbortSignal.timeout(1000));
      await heartbeat.send(new URL(address), { ...succeeded, result: { ...succeeded.result, only: ['db'] } }, AbortSignal.timeout(1000));
      expect(asked).toHaveLength(1);
    },
  ));
