import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EdgeBackend, EdgeServer, EdgeState } from './model.ts';
import type { ObservedEdge } from './observe.ts';
import { describeStep, type EdgePlan, type EdgeStep, formatEdgePlan, mapCommands, planEdge, stepCommands } from './plan.ts';
import { HOLD_SERVER, renderEdge } from './render.ts';
import { joinCommands } from './socket.ts';
import { allBackends, DEFAULT_SETTINGS } from './state.ts';

const HOST = { ipv6: false };

const server = (name: string, state: EdgeServer['state'] = 'ready', address = '10.214.0.2'): EdgeServer => ({
  name,
  container: name,
  address,
  port: 8000,
  state,
});

const backend = (name: string, servers: EdgeServer[], change: Partial<EdgeBackend> = {}): EdgeBackend => ({
  name,
  service: name,
  port: 8000,
  routes: [{ kind: 'http', host: `${name}.test`, path: '/', redirectFrom: [], tls: 'none', redirectToHttps: false }],
  healthIntervalMs: 500,
  timeouts: { responseMs: 60_000, tunnelMs: 3_600_000 },
  compress: false,
  maxBodyBytes: 0,
  securityHeaders: false,
  servers,
  hold: false,
  holdMs: 15_000,
  ...change,
});

const state = (...backends: EdgeBackend[]): EdgeState => ({
  version: 1,
  settings: DEFAULT_SETTINGS,
  projects: {
    shop: {
      network: { name: 'edge_shop', subnet: '10.214.0.0/24' },
      nextAddress: 2,
      backends: Object.fromEntries(backends.map((entry) => [entry.name, entry])),
    },
  },
});

/** What HAProxy reports right after it was started from the file of a state. */
function startedWith(from: EdgeState): ObservedEdge {
  const { structure, maps } = renderEdge(from, HOST);
  return {
    structure,
    maps: structuredClone(maps),
    servers: allBackends(from).flatMap(({ backend: entry }) => [
      {
        backend: entry.name,
        name: HOLD_SERVER,
        address: '127.0.0.1',
        port: 1,
        state: entry.hold ? ('ready' as const) : ('maint' as const),
      },
      ...entry.servers.map(({ name, address, port, state: wish }) => ({ backend: entry.name, name, address, port, state: wish })),
    ]),
  };
}

const plan = (from: EdgeState, to: EdgeState): EdgePlan => planEdge({ state: to, rendered: renderEdge(to, HOST) }, startedWith(from));
const text = (from: EdgeState, to: EdgeState): string => formatEdgePlan(plan(from, to));

test('nothing to do for what is already so', () => {
  const same = state(backend('api', [server('aaa'), server('bbb', 'drain')]));
  expect(text(same, same)).toBe('nothing to do\n');
});

test('a switch makes ready before it drains, and removes last', () => {
  const from = state(backend('api', [server('aaa'), server('old', 'drain')]));
  const to = state(backend('api', [server('aaa', 'drain'), server('bbb'), server('ccc')]));
  expect(text(from, to)).toMatchInlineSnapshot(`
    "add api/bbb at 10.214.0.2:8000, ready once its check passed
    add api/ccc at 10.214.0.2:8000, ready once its check passed
    wait until api/bbb or api/ccc passed its check
    drain api/aaa
    remove api/old
    "
  `);
});

test('a rollback is one line of states, without waiting', () => {
  const from = state(backend('api', [server('aaa', 'drain'), server('bbb')]), backend('web', [server('ccc', 'drain'), server('ddd')]));
  const to = state(backend('api', [server('aaa'), server('bbb', 'drain')]), backend('web', [server('ccc'), server('ddd', 'drain')]));
  expect(text(from, to)).toMatchInlineSnapshot(`
    "ready api/aaa
    ready web/ccc
    drain api/bbb
    drain web/ddd
    "
  `);
  expect(joinCommands(plan(from, to).states.flatMap(stepCommands))).toHaveLength(1);
});

test('requests are held before the last server drains, and let go after the next is ready', () => {
  const serving = state(backend('api', [server('aaa')]));
  const held = state(backend('api', [server('aaa', 'drain')], { hold: true }));
  const waiting = state(backend('api', [server('bbb', 'drain')], { hold: true }));
  expect(text(serving, held)).toBe('hold requests of api while no server is ready\ndrain api/aaa\n');
  expect(text(waiting, state(backend('api', [server('bbb')])))).toBe('ready api/bbb\nhold no more requests of api\n');
  expect(text(held, state(backend('api', [server('bbb')], { hold: true })))).toBe(
    'add api/bbb at 10.214.0.2:8000, ready once its check passed\nremove api/aaa\n',
  );
});

test('a container that came back under another address is moved', () => {
  expect(text(state(backend('api', [server('aaa')])), state(backend('api', [server('aaa', 'ready', '10.214.0.9')])))).toBe(
    'move api/aaa from 10.214.0.2:8000 to 10.214.0.9:8000\n',
  );
});

test('a new route of a known backend changes the map only; anything else of the file is a reload', () => {
  const from = state(backend('api', [server('aaa')]));
  const routes = [
    { kind: 'http' as const, host: 'b.test', path: '/v1', redirectFrom: ['c.test'], tls: 'none' as const, redirectToHttps: false },
  ];
  expect(text(from, state(backend('api', [server('aaa')], { routes })))).toBe(
    'change 2 of the routes, 1 afterwards\nchange 1 of the redirects, 1 afterwards\n',
  );
  const reload = 'reload: a route, port or setting is new or gone\n';
  expect(text(from, state(backend('api', [server('aaa')]), backend('web', [])))).toBe(reload);
  expect(text(from, state())).toBe(reload);
  expect(text(from, state(backend('api', [server('aaa')], { compress: true })))).toBe(reload);
  expect(text(from, { ...from, settings: { ...from.settings, httpPort: 8080 } })).toBe(reload);
});

test('no command line is longer than HAProxy reads, and none is lost', () => {
  const steps = Array.from({ length: 900 }, (_, index): EdgeStep => ({ kind: 'drain', backend: 'shop.api.8000', server: `s${index}` }));
  const commands = steps.flatMap(stepCommands);
  const lines = joinCommands(commands);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(12_000);
  expect(lines.flatMap((line) => line.split('; '))).toEqual(commands);
  const entries = Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`host-${index}.example.com/`, 'shop.api.8000']));
  const chunks = mapCommands('routes', entries, 7);
  expect(Math.max(...chunks.map((line) => line.length))).toBeLessThan(13_000);
  expect(chunks.join('\n').match(/^host-/gm)).toHaveLength(900);
});

/** What HAProxy reports after a step, as its manual describes the commands. */
function after(observed: ObservedEdge, step: EdgeStep, wanted: EdgeState): ObservedEdge {
  const change = (backendName: string, name: string, part: object) =>
    observed.servers.map((entry) => (entry.backend === backendName && entry.name === name ? { ...entry, ...part } : entry));
  switch (step.kind) {
    case 'add': {
      if (observed.servers.some((entry) => entry.backend === step.backend && entry.name === step.server.name))
        throw new Error('exists already');
      const { name, address, port, state: wish } = step.server;
      return { ...observed, servers: [...observed.servers, { backend: step.backend, name, address, port, state: wish }] };
    }
    case 'move':
      return { ...observed, servers: change(step.backend, step.server.name, { address: step.server.address, port: step.server.port }) };
    case 'ready':
    case 'drain':
      return { ...observed, servers: change(step.backend, step.server, { state: step.kind }) };
    case 'hold':
      return { ...observed, servers: change(step.backend, HOLD_SERVER, { state: step.on ? 'ready' : 'maint' }) };
    case 'map':
      return { ...observed, maps: { ...observed.maps, [step.map]: step.entries } };
    case 'remove':
      return { ...observed, servers: observed.servers.filter((entry) => entry.backend !== step.backend || entry.name !== step.server) };
    case 'reload':
      return startedWith(wanted);
    case 'await':
      return observed;
  }
}

const anyState = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom('api', 'web', 'db'),
      hold: fc.boolean(),
      host: fc.constantFrom('a.test', 'b.test', undefined),
      servers: fc.uniqueArray(
        fc.record({
          name: fc.constantFrom('s1', 's2', 's3', 's4'),
          state: fc.constantFrom('ready' as const, 'drain' as const),
          address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
        }),
        { selector: ({ name }) => name },
      ),
    }),
    { selector: ({ name }) => name },
  )
  .map((parts) =>
    state(
      ...parts.map(({ name, hold, host, servers }) =>
        backend(
          name,
          servers.map((entry) => server(entry.name, entry.state, entry.address)),
          {
            hold,
            routes: [{ kind: 'http', ...(host ? { host } : {}), path: `/${name}`, redirectFrom: [], tls: 'none', redirectToHttps: false }],
          },
        ),
      ),
    ),
  );

test('every plan leads to what is wanted, is never wanted twice, and leaves no backend empty on its way', () => {
  fc.assert(
    fc.property(anyState, anyState, (from, to) => {
      const steps = plan(from, to);
      let observed = startedWith(from);
      const serving = (name: string, seen: ObservedEdge) => seen.servers.some((entry) => entry.backend === name && entry.state === 'ready');
      const always = allBackends(to)
        .map(({ backend: entry }) => entry.name)
        .filter((name) => serving(name, observed) && serving(name, startedWith(to)));
      for (const step of [...steps.before, ...steps.states, ...steps.after]) {
        observed = after(observed, step, to);
        for (const name of always) if (!serving(name, observed)) throw new Error(`${name} is empty after: ${describeStep(step)}`);
      }
      const sorted = (seen: ObservedEdge) => ({ ...seen, servers: seen.servers.map((entry) => JSON.stringify(entry)).sort() });
      expect(sorted(observed)).toEqual(sorted(startedWith(to)));
      expect(formatEdgePlan(planEdge({ state: to, rendered: renderEdge(to, HOST) }, observed))).toBe('nothing to do\n');
    }),
    { numRuns: 2000 },
  );
});
