import { expect, test } from 'vitest';
import { backend, server, withBackends } from '../../test/support/edge.ts';
import type { EdgeState } from './model.ts';
import { renderEdge, renderMap } from './render.ts';
import { DEFAULT_SETTINGS } from './state.ts';

const empty: EdgeState = { version: 1, settings: DEFAULT_SETTINGS, projects: {} };

const full = withBackends(empty, [
  backend({
    routes: [{ kind: 'http', host: 'shop.test', path: '/', redirectFrom: ['www.shop.test'], tls: 'acme', redirectToHttps: true }],
    health: { path: '/health', status: '200-399' },
    compress: true,
    maxBodyBytes: 1_000_000,
    rateLimit: { requests: 100, perMs: 10_000 },
    securityHeaders: true,
    hold: true,
    servers: [server('aaa', 8000, 'drain', '10.214.0.2'), server('bbb', 8000, 'ready', '10.214.0.3')],
  }),
  backend({
    name: 'shop.db.5432',
    service: 'db',
    port: 5432,
    routes: [{ kind: 'tcp', listen: 5432 }],
    servers: [server('ccc', 5432, 'ready', '10.214.0.4')],
  }),
]);

test('the whole file', async () => {
  const { config } = renderEdge(full, { ipv6: true });
  await expect(config).toMatchFileSnapshot('render.golden.cfg');
});

test('the maps: no redirect to HTTPS before the certificate works', () => {
  const before = renderEdge(full, { ipv6: false }).maps;
  expect(renderMap(before.routes)).toBe('shop.test/ shop.api.8000|tls\n');
  expect(renderMap(before.redirects)).toBe('www.shop.test http://shop.test\n');
  const after = renderEdge({ ...full, secureHosts: ['shop.test'] }, { ipv6: false }).maps;
  expect(renderMap(after.routes)).toBe('shop.test/ shop.api.8000|tls|secure\n');
  expect(renderMap(after.redirects)).toBe('www.shop.test https://shop.test\n');
});

test('servers, maps and holds leave the structure as it is; everything else changes it', () => {
  const structure = (state: EdgeState) => renderEdge(state, { ipv6: false }).structure;
  const base = structure(full);
  const api = full.projects.shop?.backends['shop.api.8000'] ?? backend();
  const rest = Object.values(full.projects.shop?.backends ?? {}).slice(1);
  expect(structure(withBackends(full, [{ ...api, servers: [], hold: false }, ...rest]))).toBe(base);
  expect(structure({ ...full, secureHosts: ['shop.test'] })).toBe(base);
  expect(structure(withBackends(full, [{ ...api, holdMs: 20_000 }, ...rest]))).not.toBe(base);
  expect(structure(withBackends(full, [api]))).not.toBe(base);
});

test('during a takeover the edge listens on the temporary port, then on both', () => {
  const binds = (takeovers: EdgeState['settings']['takeovers']) =>
    renderEdge({ ...empty, settings: { ...DEFAULT_SETTINGS, takeovers } }, { ipv6: false }).config.match(/ {2}bind 0\S*/g);
  expect(binds([{ port: 80, temporary: 40_080 }])).toEqual(['  bind 0.0.0.0:40080']);
  expect(binds([{ port: 80, temporary: 40_080, freed: true }])?.sort()).toEqual(['  bind 0.0.0.0:40080', '  bind 0.0.0.0:80']);
});
