import { expect, test } from 'vitest';
import type { Problem } from './check.ts';
import { readRoute, readSettings } from './routes.ts';
import { edgeEntry, settingsKey } from './schema.ts';
import { readService } from './services.ts';

const settings = readSettings(settingsKey.parse({ edge: { acme: { email: 'ops@example.com' } } }), '/srv/shop');

test.each([
  [undefined, 'acme'],
  [true, 'acme'],
  ['acme', 'acme'],
  [false, 'none'],
  [
    { cert: 'a.pem', key: 'a.key' },
    { certificateFile: '/srv/shop/a.pem', keyFile: '/srv/shop/a.key' },
  ],
])('a public host with tls: %j has TLS %j', (tls, expected) => {
  const problems: Problem[] = [];
  const written = { host: 'shop.example.com', port: 8000, ...(tls === undefined ? {} : { tls }) };
  const route = readRoute(
    { entry: edgeEntry.parse(written), written: new Set(Object.keys(written)), path: [] },
    readService('shop', 'web', {}),
    settings,
    '/srv/shop',
    problems,
  );
  expect(problems).toEqual([]);
  expect(route?.tls).toEqual(expected);
});
