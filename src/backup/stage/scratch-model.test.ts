import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ScratchOptions, scratchModel } from './scratch-model.ts';
import { placeOf } from './scratch-mounts.ts';

const options: ScratchOptions = {
  project: 'composure-drill-1',
  labels: { 'composure.scratch': '1' },
  images: { db: 'sha256:1', app: 'sha256:2' },
  volumes: { shop_pg: 'composure-drill-1_pg' },
  folders: { '/srv/shop': '/tree/files', '/srv/shop/uploads': '/volumes/1' },
  engine: 28,
};
const one = (service: object, more: object = {}, changed: Partial<ScratchOptions> = {}) =>
  scratchModel({ services: { app: service }, ...more }, { ...options, images: { app: 'sha256:2' }, ...changed });
const serviceOf = (made: ReturnType<typeof scratchModel>): Record<string, unknown> =>
  (made.model.services as Record<string, Record<string, unknown>>).app ?? {};

test('what would reach or be reached from outside is gone, and what the service is stays', () => {
  const made = one(
    {
      image: 'shop/app:latest',
      build: { context: '.' },
      container_name: 'shop-app',
      command: ['serve'],
      environment: { A: 'b$$c' },
      ports: [{ target: 80, published: '80' }],
      labels: { 'traefik.enable': 'true' },
      logging: { driver: 'fluentd', options: { 'fluentd-address': 'logs.example.com' } },
      dns: ['10.0.0.1'],
      restart: 'always',
      deploy: { replicas: 3, labels: { a: 'b' }, resources: { limits: { memory: '1073741824' }, reservations: { cpus: '1' } } },
      networks: { front: { aliases: ['web'], ipv4_address: '10.1.1.1' } },
      'x-edge': { host: 'shop.example.com' },
    },
    { networks: { front: { name: 'proxy', external: true } }, 'x-composure': {} },
  );
  expect(made).toEqual({
    model: {
      name: 'composure-drill-1',
      services: {
        app: {
          command: ['serve'],
          environment: { A: 'b$$c' },
          image: 'sha256:2',
          pull_policy: 'never',
          restart: 'no',
          labels: { 'composure.scratch': '1' },
          logging: { driver: 'json-file', options: { 'max-size': '10m' } },
          deploy: { resources: { limits: { memory: '1073741824' } } },
          networks: { front: { aliases: ['web', 'shop-app'] } },
        },
      },
      networks: Object.fromEntries(
        ['default', 'front'].map((name) => [
          name,
          {
            name: `composure-drill-1_${name}`,
            driver: 'bridge',
            internal: true,
            enable_ipv6: false,
            driver_opts: {
              'com.docker.network.bridge.gateway_mode_ipv4': 'isolated',
              'com.docker.network.bridge.gateway_mode_ipv6': 'isolated',
            },
            labels: { 'composure.scratch': '1' },
          },
        ]),
      ),
    },
    left: [],
    missing: [],
  });
});

test.each<[string, object, string]>([
  ['a privileged one', { privileged: true }, 'it is privileged'],
  ['devices', { devices: [{ source: '/dev/kvm', target: '/dev/kvm' }] }, 'it uses devices of the host'],
  ['a GPU', { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'] }] } } } }, 'it uses devices of the host'],
  ['the host’s network', { network_mode: 'host' }, 'network_mode: host'],
  ['another container’s network', { network_mode: 'container:abc' }, 'network_mode: container:abc'],
  ['the host’s processes', { pid: 'host' }, 'pid: host'],
  ['a capability that leads out', { cap_add: ['CAP_SYS_ADMIN'] }, 'cap_add: CAP_SYS_ADMIN'],
  [
    'Docker’s socket',
    { volumes: [{ type: 'bind', source: '/var/run/docker.sock', target: '/d' }] },
    'it has /var/run/docker.sock of the host',
  ],
  ['the folder that the socket is in', { volumes: [{ type: 'bind', source: '/var/run', target: '/d' }] }, 'it has /var/run of the host'],
  ['the whole host', { volumes: [{ type: 'bind', source: '/', target: '/host', read_only: true }] }, 'it has / of the host'],
  ['the kernel’s files', { volumes: [{ type: 'bind', source: '/sys/fs/cgroup', target: '/c' }] }, 'it has /sys/fs/cgroup of the host'],
])('%s is not started', (_title, service, why) => {
  const made = one(service);
  expect([made.left, made.model.services]).toEqual([[{ service: 'app', why }], {}]);
});

test('who shares the network of one that is not started is not started either', () => {
  const made = scratchModel({ services: { app: { network_mode: 'service:db' }, db: { privileged: true } } }, options);
  expect(made.left).toEqual([
    { service: 'db', why: 'it is privileged' },
    { service: 'app', why: 'network_mode: service:db' },
  ]);
});

test('a service without an image in the set is not started, and nobody waits for it', () => {
  const services = {
    app: { depends_on: { cron: { condition: 'service_started', required: true }, db: { condition: 'service_healthy', restart: true } } },
    cron: {},
    db: {},
  };
  const made = scratchModel({ services }, options);
  expect(made.left).toEqual([{ service: 'cron', why: 'its image is not in the set' }]);
  expect(serviceOf(made).depends_on).toEqual({ db: { condition: 'service_healthy' } });
});

test.each<[string, object, object, string[]]>([
  [
    'a volume',
    { type: 'volume', source: 'pg', target: '/d', volume: {} },
    { type: 'volume', source: 'composure-drill-1_pg', target: '/d' },
    [],
  ],
  [
    'a part of a volume',
    { type: 'volume', source: 'pg', target: '/d', volume: { subpath: 'a' } },
    { type: 'volume', source: 'composure-drill-1_pg', target: '/d', volume: { subpath: 'a' } },
    [],
  ],
  ['a volume that has no place', { type: 'volume', source: 'other', target: '/d' }, { type: 'tmpfs', target: '/d' }, ['volume other']],
  ['a volume without a name', { type: 'volume', target: '/d' }, { type: 'volume', target: '/d' }, []],
  [
    'a folder of data',
    { type: 'bind', source: '/srv/shop/uploads/a', target: '/d' },
    { type: 'bind', source: '/volumes/1/a', target: '/d', bind: { create_host_path: false } },
    [],
  ],
  [
    'a file of the project',
    { type: 'bind', source: '/srv/shop/nginx.conf', target: '/n', read_only: true },
    { type: 'bind', source: '/tree/files/nginx.conf', target: '/n', read_only: true, bind: { create_host_path: false } },
    [],
  ],
  ['a folder beside the project', { type: 'bind', source: '/srv/shop2', target: '/d' }, { type: 'tmpfs', target: '/d' }, ['/srv/shop2']],
  [
    'the time zone',
    { type: 'bind', source: '/etc/localtime', target: '/etc/localtime' },
    { type: 'bind', source: '/etc/localtime', target: '/etc/localtime', read_only: true },
    [],
  ],
  ['memory', { type: 'tmpfs', target: '/t', tmpfs: { size: 10 } }, { type: 'tmpfs', target: '/t', tmpfs: { size: 10 } }, []],
])('%s goes to its scratch place', (_title, mount, placed, missing) => {
  const made = one({ volumes: [mount] }, { volumes: { pg: { name: 'shop_pg' }, other: { name: 'shop_other' } } });
  expect(serviceOf(made).volumes).toEqual([placed]);
  expect(made.missing).toEqual(missing.map((path) => ({ service: 'app', path })));
});

test('an older engine gives its bridge no address', () => {
  const { networks } = one({}, {}, { engine: 27 }).model as { networks: Record<string, object> };
  expect(networks.default).toMatchObject({ internal: true, driver_opts: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } });
});

test('secrets from files are read from where the files are now', () => {
  const { model } = one(
    { secrets: [{ source: 'a' }] },
    { secrets: { a: { file: '/srv/shop/a.txt' }, b: { environment: 'B' } }, configs: { c: { content: 'x$$y' } } },
  );
  expect([model.secrets, model.configs]).toEqual([
    { a: { file: '/tree/files/a.txt' }, b: { environment: 'B' } },
    { c: { content: 'x$$y' } },
  ]);
});

test('whatever the model says, nothing of the host is mounted but what was placed, and nothing leads out', () => {
  const path = fc.constantFrom(
    '/srv/shop',
    '/srv/shop/uploads',
    '/srv',
    '/etc',
    '/etc/localtime',
    '/home/x',
    '/var/lib/docker/volumes',
    '/srv/shop/../x',
  );
  const mount = fc.record({
    type: fc.constantFrom('bind', 'volume', 'tmpfs', 'npipe', 'cluster'),
    source: fc.oneof(path, fc.constantFrom('pg', 'other')),
    target: fc.constant('/t'),
  });
  const service = fc.record(
    {
      volumes: fc.array(mount, { maxLength: 3 }),
      ports: fc.constant([{ target: 1, published: '1' }]),
      network_mode: fc.constantFrom('host', 'bridge', 'none', 'service:db', 'container:x'),
      networks: fc.constantFrom({ a: null }, { b: { ipv4_address: '1.2.3.4' } }),
      privileged: fc.boolean(),
      labels: fc.constant({ a: 'b' }),
      container_name: fc.constant('n'),
      logging: fc.constant({ driver: 'gelf' }),
      cgroup_parent: fc.constant('/x'),
      use_api_socket: fc.constant(true),
      volumes_from: fc.constant(['container:x']),
      external_links: fc.constant(['x']),
    },
    { requiredKeys: [] },
  );
  const models = fc.record({
    services: fc.dictionary(fc.constantFrom('app', 'db'), service),
    networks: fc.constant({ a: { external: true, name: 'proxy' }, b: { driver: 'macvlan' } }),
  });
  fc.assert(
    fc.property(models, (model) => {
      const made = scratchModel({ ...model, volumes: { pg: { name: 'shop_pg' } } }, options).model as {
        services: Record<string, Record<string, unknown>>;
        networks: Record<string, Record<string, unknown>>;
      };
      for (const network of Object.values(made.networks)) expect(network).toMatchObject({ internal: true, driver: 'bridge' });
      for (const one of Object.values(made.services)) {
        const keys = [
          'ports',
          'privileged',
          'container_name',
          'cgroup_parent',
          'use_api_socket',
          'volumes_from',
          'external_links',
          'build',
          'dns',
        ];
        expect(keys.filter((key) => key in one)).toEqual([]);
        expect([one.labels, one.restart]).toEqual([options.labels, 'no']);
        expect(['none', 'service:db', undefined]).toContain(one.network_mode);
        for (const { type, source } of (one.volumes ?? []) as { type: string; source?: string }[]) {
          if (type === 'bind') expect(String(source)).toMatch(/^(\/tree\/files|\/volumes\/1|\/etc\/localtime$)(?!.*\.\.)/);
          if (type === 'volume') expect(['composure-drill-1_pg', undefined]).toContain(source);
          expect(['bind', 'volume', 'tmpfs']).toContain(type);
        }
      }
    }),
  );
});

test.each([
  ['/srv/shop', '/tree/files'],
  ['/srv/shop/a/b', '/tree/files/a/b'],
  ['/srv/shop/uploads', '/volumes/1'],
  ['/srv/shop/uploads/x', '/volumes/1/x'],
  ['/srv/shop/uploads2', '/tree/files/uploads2'],
  ['/srv/shopping', undefined],
  ['/srv/shop/../secret', undefined],
])('%s is now at %s', (path, place) => {
  expect(placeOf(path, options.folders)).toBe(place);
});
