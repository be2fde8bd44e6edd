import { expect, test } from 'vitest';
import { backend, server, withBackends } from '../../test/support/edge.ts';
import { refusal } from './check.ts';
import type { EdgeBackend, EdgeState } from './model.ts';
import { renderEdge } from './render.ts';
import { DEFAULT_SETTINGS } from './state.ts';
import { assertRoutes, routeProblems } from './verify.ts';

const empty: EdgeState = { version: 1, settings: DEFAULT_SETTINGS, projects: {} };
const problems = (...backends: EdgeBackend[]): string[] => routeProblems(withBackends(empty, backends)).map(({ message }) => message);
const route = (host: string | undefined, path = '/', redirectFrom: string[] = []) => ({
  kind: 'http' as const,
  ...(host ? { host } : {}),
  path,
  redirectFrom,
  tls: 'none' as const,
  redirectToHttps: false,
});

test('two projects that claim one host and path are named; the one that was there first is not at fault', () => {
  const other = backend({ name: 'blog.web.80', service: 'web', routes: [route('shop.test', '/')] });
  const both = withBackends(withBackends(empty, [backend()]), [other], 'blog');
  expect(routeProblems(both)).toEqual([
    {
      code: 'HOST_CLAIMED',
      projects: ['blog', 'shop'],
      backend: 'shop.api.8000',
      message: 'shop.test/ is claimed by blog/web and shop/api',
    },
  ]);
  expect(() => assertRoutes(both, (project) => project === 'blog')).toThrow(expect.objectContaining({ code: 'HOST_CLAIMED' }));
  expect(() => assertRoutes(both, (project) => project === 'third')).not.toThrow();
});

test('the same host under other paths, and a closing slash, are told apart', () => {
  const admin = (path: string) => backend({ name: 'shop.admin.80', service: 'admin', routes: [route('shop.test', path)] });
  expect(problems(backend(), admin('/admin'))).toEqual([]);
  expect(problems(backend({ routes: [route('shop.test', '/admin/')] }), admin('/admin'))).toHaveLength(1);
});

test("nothing that would mean something else in HAProxy's files gets there", () => {
  expect(problems(backend({ routes: [route('shop.test', '/a b')] }))).toHaveLength(1);
  expect(problems(backend({ routes: [route('shop.test\nevil.test x')] }))).toHaveLength(1);
  expect(problems(backend({ routes: [route('shop.test', "/a'")] }))).toHaveLength(1);
  expect(problems(backend({ health: { path: "/' hdr X y", status: '200' } }))).toHaveLength(1);
  expect(problems(backend({ health: { path: '/', status: '200 if TRUE' } }))).toHaveLength(1);
  expect(problems(backend({ servers: [server('hold', 80)] }))).toHaveLength(1);
  expect(problems(backend({ servers: [server('a', 80, 'ready', '10.0.0.1 disabled')] }))).toHaveLength(1);
  expect(problems(backend({ routes: [route(undefined, '/', ['old.test'])] }))).toHaveLength(1);
});

test("a TCP port is claimed once, and never one of the edge's own", () => {
  const tcp = (name: string, listen: number) => backend({ name, service: name, routes: [{ kind: 'tcp', listen }] });
  expect(problems(tcp('db', 5432))).toEqual([]);
  expect(problems(tcp('db', 5432), tcp('cache', 5432))).toHaveLength(1);
  expect(problems(tcp('db', 80))).toEqual(["port 80 is the edge's own port for HTTP"]);
});

test("HAProxy's refusal is told with the line and the route", () => {
  const { config } = renderEdge(withBackends(empty, [backend({ servers: [server('a', 80)] })]), { ipv6: false });
  const number = config.split('\n').findIndex((line) => line.includes('server a ')) + 1;
  const failure = refusal(config, [
    `[ALERT]    (12) : config : parsing [/edge/config/candidate-1.cfg:${number}] : 'server shop.api.8000/a' : bad`,
    '[ALERT]    (12) : config : Fatal errors found',
  ]);
  expect(failure.message).toBe(`HAProxy refuses the configuration of shop.api.8000: line ${number}: 'server shop.api.8000/a' : bad`);
  expect(failure.where).toBe('shop.api.8000');
  expect(failure.details[0]).toBe(`line ${number}: server a 127.0.0.1:80 check inter 200ms fastinter 100ms downinter 100ms fall 2 rise 1`);
});
