import { expect, test } from 'vitest';
import type { EdgeBackend, EdgeServer, EdgeState } from '../edge/model.ts';
import { applyFollow, type FollowedContainer, followed, formatFollow, planFollow } from './follow.ts';

const NETWORK = 'edge_shop';
const id = (letter: string): string => letter.repeat(64);
const name = (letter: string): string => letter.repeat(12);
const server = (letter: string, address: string): EdgeServer => ({
  name: name(letter),
  container: id(letter),
  address,
  port: 3000,
  state: 'ready',
});

function container(letter: string, over: Partial<FollowedContainer> & { address?: string } = {}): FollowedContainer {
  const { address, ...rest } = over;
  return {
    id: id(letter),
    project: 'shop',
    service: 'api',
    running: true,
    health: 'healthy',
    hostNetwork: false,
    networks: address ? { [NETWORK]: { fixed: address, current: address } } : {},
    ...rest,
  };
}

function state(servers: EdgeServer[], over: Partial<EdgeBackend> = {}): EdgeState {
  const backend: EdgeBackend = {
    name: 'shop.api.3000',
    service: 'api',
    port: 3000,
    routes: [],
    health: { path: '/health', status: '200' },
    healthIntervalMs: 500,
    timeouts: { responseMs: 1, tunnelMs: 1 },
    compress: false,
    maxBodyBytes: 0,
    securityHeaders: false,
    servers,
    hold: false,
    holdMs: 0,
    ...over,
  };
  return {
    version: 1,
    settings: { httpPort: 80, httpsPort: 443, image: 'x', addressPool: '10.214.0.0/16', takeovers: [] },
    projects: { shop: { network: { name: NETWORK, subnet: '10.214.0.0/24' }, nextAddress: 2, backends: { [backend.name]: backend } } },
  };
}

const plan = (of: EdgeState, containers: FollowedContainer[], over: { busy?: string[]; retired?: string[] } = {}) =>
  planFollow({ state: of, containers, busy: new Set(over.busy), retired: new Set(over.retired) });

test('a recreated container is joined, then takes the place of the one that is gone', () => {
  const before = state([server('a', '10.214.0.2')]);
  expect(formatFollow(plan(before, [container('b')]))).toBe(
    `shop: remove shop.api.3000/${name('a')}: container ${name('a')} is gone\nshop: join ${name('b')}: container ${name('b')} of api was made without Composure\n`,
  );
  const changes = plan(before, [container('b', { address: '10.214.0.3' })]);
  expect(changes.map(({ kind }) => kind)).toEqual(['remove', 'add']);
  const after = applyFollow(before, changes);
  expect(after.projects.shop?.backends['shop.api.3000']?.servers).toEqual([server('b', '10.214.0.3')]);
  expect(plan(after, [container('b', { address: '10.214.0.3' })])).toEqual([]);
  expect(applyFollow(after, changes)).toEqual(after);
});

test('what is as it should be is left alone, a stopped server too: it comes back under its address', () => {
  const servers = [server('a', '10.214.0.2'), server('b', '10.214.0.3')];
  expect(
    plan(state(servers), [container('a', { address: '10.214.0.2' }), container('b', { address: '10.214.0.3', running: false })]),
  ).toEqual([]);
});

test('a busy project is not touched', () => {
  expect(plan(state([server('a', '10.214.0.2')]), [container('b')], { busy: ['shop'] })).toEqual([]);
});

test.each([
  ['a container of another project', container('b', { project: 'other' })],
  ['a container of another service', container('b', { service: 'worker' })],
  ['one that does not run', container('b', { running: false })],
  ['one that is unhealthy', container('b', { health: 'unhealthy' })],
  ['one of a release that was replaced', container('c')],
])('%s gets no place', (_, other) => {
  expect(plan(state([]), [other], { retired: [id('c')] })).toEqual([]);
});

test('an address that Docker chose does not count: it may be a stranger after a restart', () => {
  const chosen = container('b', { networks: { [NETWORK]: { current: '10.214.0.9' } } });
  expect(plan(state([]), [chosen])).toMatchObject([{ kind: 'join' }]);
});

test('while its health check has not passed, a container is added only where the edge checks by itself', () => {
  const starting = container('b', { address: '10.214.0.3', health: 'starting' });
  const plain = state([]);
  const shop = plain.projects.shop as EdgeState['projects'][string];
  const { health: _, ...tcp } = shop.backends['shop.api.3000'] as EdgeBackend;
  const withoutCheck: EdgeState = { ...plain, projects: { shop: { ...shop, backends: { [tcp.name]: tcp } } } };
  expect(plan(state([]), [starting])).toMatchObject([{ kind: 'add' }]);
  expect(plan(withoutCheck, [starting])).toEqual([]);
  expect(plan(withoutCheck, [{ ...starting, health: 'healthy' }])).toMatchObject([{ kind: 'add' }]);
});

test('a server under another fixed address is moved and keeps its state', () => {
  const before = state([{ ...server('a', '10.214.0.2'), state: 'drain' }]);
  const changes = plan(before, [container('a', { address: '10.214.0.7' })]);
  expect(changes).toMatchObject([{ kind: 'move' }]);
  expect(applyFollow(before, changes).projects.shop?.backends['shop.api.3000']?.servers).toEqual([
    { ...server('a', '10.214.0.7'), state: 'drain' },
  ]);
});

test('a server that lost the edge network is joined again', () => {
  expect(plan(state([server('a', '10.214.0.2')]), [container('a')])).toMatchObject([{ kind: 'join', container: id('a') }]);
});

test('a container with two routed ports is joined once', () => {
  const one = state([]);
  const shop = one.projects.shop as EdgeState['projects'][string];
  const backend = shop.backends['shop.api.3000'] as EdgeBackend;
  const two: EdgeState = {
    ...one,
    projects: { shop: { ...shop, backends: { a: { ...backend, name: 'a' }, b: { ...backend, name: 'b', port: 3001 } } } },
  };
  expect(plan(two, [container('b')])).toHaveLength(1);
});

test('a container with host networking is reached on the loopback address', () => {
  expect(plan(state([]), [container('b', { hostNetwork: true })])).toMatchObject([{ kind: 'add', server: { address: '127.0.0.1' } }]);
});

test('one-off runs are not followed, health is read from the status text', () => {
  const summary = {
    Id: id('a'),
    Names: ['/shop-api-1'],
    Image: 'x',
    ImageID: 'x',
    State: 'running',
    Status: 'Up 3 seconds (health: starting)',
    Created: 0,
    Labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'api', 'com.docker.compose.oneoff': 'False' },
    NetworkSettings: { Networks: { [NETWORK]: { IPAddress: '10.214.0.2', NetworkID: 'n', IPAMConfig: { IPv4Address: '10.214.0.2' } } } },
  } as const;
  expect(followed([{ ...summary, Names: [], NetworkSettings: { Networks: { ...summary.NetworkSettings.Networks } } }])).toEqual([
    { ...container('a', { address: '10.214.0.2' }), health: 'starting' },
  ]);
  expect(followed([{ ...summary, Names: [], Labels: { ...summary.Labels, 'com.docker.compose.oneoff': 'True' } }])).toEqual([]);
  expect(followed([{ ...summary, Names: [], Status: 'Up 3 seconds' }])[0]?.health).toBe('none');
});
