import { expect, test } from 'vitest';
import type { ContainerSummary } from '../docker/api.ts';
import { COMPOSE } from '../docker/labels.ts';
import { formatTakeovers, planTakeovers, publishersOf, temporaryPorts } from './takeover.ts';
import { parseRedirects } from './takeover-redirect.ts';

const container = (name: string, port: number, labels: Record<string, string>): ContainerSummary => ({
  Id: `${name}-id`,
  Names: [`/${name}`],
  Image: 'x',
  ImageID: 'x',
  State: 'running',
  Status: '',
  Created: 0,
  Labels: labels,
  Ports: [
    { IP: '0.0.0.0', PrivatePort: 8000, PublicPort: port, Type: 'tcp' },
    { IP: '::', PrivatePort: 8000, PublicPort: port, Type: 'tcp' },
    { PrivatePort: 9000, Type: 'tcp' },
  ],
});

const shopApi = container('shop-api-1', 80, { [COMPOSE.project]: 'shop', [COMPOSE.service]: 'api' });
const can = { can: true, warnings: [] } as const;

function plan(containers: ContainerSummary[], over: Partial<Parameters<typeof planTakeovers>[0]> = {}) {
  return planTakeovers({
    ports: [80, 443],
    publishers: publishersOf(containers),
    project: 'shop',
    replaced: ['api'],
    under: [],
    ability: can,
    temporary: { 80: 17_000, 443: 17_001 },
    ...over,
  });
}

test('a port that a replaced container publishes is redirected, once for all its addresses', () => {
  expect(plan([shopApi])).toEqual([
    expect.objectContaining({
      kind: 'redirect',
      port: 80,
      temporary: 17_000,
      from: [expect.objectContaining({ name: 'shop-api-1', service: 'api' })],
    }),
  ]);
});

test('a takeover that was begun keeps its temporary port', () => {
  expect(plan([shopApi], { under: [{ port: 80, temporary: 18_000 }] })).toMatchObject([{ kind: 'redirect', temporary: 18_000 }]);
});

test('without redirects the plan says that there is a gap, and why', () => {
  const steps = plan([shopApi], { ability: { can: false, why: 'redirects of ports need root' } });
  expect(steps).toMatchObject([{ kind: 'gap', port: 80 }]);
  expect(formatTakeovers(steps)).toContain('need root');
});

test.each([
  [
    'another project',
    container('other-web-1', 80, { [COMPOSE.project]: 'other', [COMPOSE.service]: 'api' }),
    'other-web-1 of project other',
  ],
  ['no project', container('lonely', 80, {}), 'lonely'],
  ['a service that stays', container('shop-nginx-1', 80, { [COMPOSE.project]: 'shop', [COMPOSE.service]: 'nginx' }), 'shop-nginx-1'],
])('a port of %s is not taken', (_, holder, name) => {
  const steps = plan([holder]);
  expect(steps).toMatchObject([{ kind: 'stranger', port: 80 }]);
  expect(steps[0]?.why).toContain(name);
});

test('other ports need nothing', () => {
  expect(plan([container('shop-api-1', 8080, { [COMPOSE.project]: 'shop', [COMPOSE.service]: 'api' })])).toEqual([]);
});

test('temporary ports are free and differ', async () => {
  const chosen = await temporaryPorts([80, 443], [17_000]);
  expect(new Set(Object.values(chosen)).size).toBe(2);
  expect(Object.values(chosen)).not.toContain(17_000);
});

test('redirects are told by their comment', () => {
  const text = [
    '-P PREROUTING ACCEPT',
    '-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 80 -m comment --comment "composure:composure-edge:80" -j REDIRECT --to-ports 17000',
    '-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 81 -m comment --comment composure:composure-edge-ab:81 -j REDIRECT --to-ports 17001',
    '-A PREROUTING -p tcp -m tcp --dport 82 -j REDIRECT --to-ports 17002',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
  ].join('\n');
  expect(parseRedirects(text, 'composure-edge')).toEqual([{ port: 80, to: 17_000 }]);
  expect(parseRedirects(text, 'composure-edge-ab')).toEqual([{ port: 81, to: 17_001 }]);
});
