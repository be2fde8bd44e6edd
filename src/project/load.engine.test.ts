import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkDocker } from '../docker/compose.ts';
import { Failure } from '../kit/errors.ts';
import { run } from '../kit/spawn.ts';
import type { ProjectOptions } from './find.ts';
import { loadProject } from './load.ts';

const fixtures = join(import.meta.dirname, '../../test/fixtures/projects');
let scratch: string;
beforeAll(async () => {
  scratch = await realpath(await mkdtemp(join(tmpdir(), 'composure-project-')));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COMPOSE_')));
const load = (cwd: string, more: Partial<ProjectOptions> = {}) => loadProject({ cwd, environment, ...more });

async function folderWith(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(scratch, name);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  return folder;
}

async function refusedWith(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => new Error('it was accepted'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw error;
  return error;
}

describe('a project without our keys', () => {
  test('is read as Compose reads it, with the specifications’ defaults', async () => {
    const project = await load(join(fixtures, 'plain'));
    expect(project).toMatchObject({
      name: 'plain',
      folder: join(fixtures, 'plain'),
      warnings: [],
      unsetVariables: [],
      compose: { args: [] },
    });
    expect(Object.keys(project.services).sort()).toEqual(['db', 'migrate', 'web']);
    const { web, db, migrate } = project.services;
    expect(web).toMatchObject({
      image: 'plain-web',
      builds: true,
      replicas: 1,
      restart: 'always',
      memoryLimitBytes: 64 * 1024 * 1024,
      environment: { PRICE: '5$' },
      exposedPorts: [80, 7000],
      publishedPorts: [
        { published: 8080, target: 80, protocol: 'tcp' },
        { hostIp: '127.0.0.1', published: 9000, target: 9000, protocol: 'udp' },
        { hostIp: '127.0.0.1', published: 9001, target: 9001, protocol: 'udp' },
      ],
      stopGraceMs: 10_000,
      update: { parallelism: 1, delayMs: 0, monitorMs: 5000, failureAction: 'rollback', maxFailureRatio: 0 },
      edge: [],
      dependsOn: {
        db: { condition: 'service_healthy', restart: true, required: true },
        migrate: { condition: 'service_completed_successfully' },
      },
    });
    expect(web?.update.order).toBeUndefined();
    expect(web?.contentFiles).toEqual([join(fixtures, 'plain/compose.yaml')]);
    expect(db).toMatchObject({
      stopGraceMs: 90_000,
      restart: 'on-failure:3',
      cpus: 0.5,
      memoryLimitBytes: 128 * 1024 * 1024,
      healthcheck: { disabled: false, intervalMs: 10_000, timeoutMs: 30_000, retries: 3, startPeriodMs: 20_000, startIntervalMs: 500 },
      update: { order: 'stop-first', delayMs: 10_000, parallelism: 0, failureAction: 'pause' },
    });
    expect(migrate?.release).toEqual({ timeoutMs: 600_000 });
    const hashes = await run('docker', ['compose', 'config', '--hash', 'web'], { cwd: project.folder });
    expect(hashes.stdout.trim()).toBe(`web ${web?.configHash}`);
  });

  test('a service with env files has the hash that its container gets', async () => {
    const folder = await folderWith('env-file', {
      'compose.yaml': `name: composure-test-${randomBytes(4).toString('hex')}\nservices:\n  web:\n    image: busybox:1\n    env_file: [web.env]\n    environment: {A: "$$a"}\n`,
      'web.env': 'B=b\n',
    });
    const made = await run('docker', ['compose', 'create', '--pull', 'never', 'web'], { cwd: folder });
    expect(made).toMatchObject({ code: 0 });
    const { services, name } = await load(folder);
    const labels = await run('docker', [
      'inspect',
      '--format',
      '{{index .Config.Labels "com.docker.compose.config-hash"}}',
      `${name}-web-1`,
    ]);
    await run('docker', ['compose', 'down'], { cwd: folder });
    expect(services.web?.configHash).toBe(labels.stdout.trim());
  });

  test('profiles add their services', async () => {
    const { services } = await load(join(fixtures, 'plain'), { profiles: ['tools'] });
    expect(services.tools).toMatchObject({ replicas: 3, healthcheck: { disabled: true } });
  });

  test('what is resolved can be given back to Compose and means the same', async () => {
    const project = await load(join(fixtures, 'routed'));
    const folder = await folderWith('resolved', { 'compose.yaml': project.resolved });
    const again = await load(folder);
    expect(again.services.api?.edge).toEqual(project.services.api?.edge);
    expect(again.services.api?.configHash).toBe(project.services.api?.configHash);
  });
});

describe('our keys', () => {
  test('are filled in with defaults, through variables, anchors and merge keys', async () => {
    const { services, settings } = await load(join(fixtures, 'routed'));
    expect(services.api?.edge).toEqual([
      {
        kind: 'http',
        hosts: ['shop.example.com'],
        path: '/',
        port: 8000,
        health: { path: '/health', status: '200-399' },
        healthIntervalMs: 500,
        redirectFrom: ['www.shop.example.com'],
        tls: 'acme',
        redirectToHttps: true,
        compress: true,
        maxBodyBytes: 10 * 1024 * 1024,
        rateLimit: { requests: 100, perMs: 10_000 },
        securityHeaders: true,
        timeouts: { responseMs: 300_000, tunnelMs: 3_600_000 },
        holdMs: 15_000,
        drain: { requestsMs: 45_000, streamsMs: 30_000 },
      },
    ]);
    expect(services.local?.edge).toMatchObject([
      {
        hosts: ['shop.localhost', 'localhost'],
        port: 3000,
        tls: 'none',
        redirectToHttps: false,
        holdMs: 20_000,
        drain: { requestsMs: 60_000, streamsMs: 120_000 },
      },
      { path: '/local', tls: 'none', health: { path: '/ok', status: '200-299' }, healthIntervalMs: 500, securityHeaders: false },
    ]);
    expect(services.db?.edge).toMatchObject([{ kind: 'tcp', listen: 15_432, port: 5432, hosts: [], tls: 'none' }]);
    expect(services.migrate?.release).toEqual({ timeoutMs: 300_000, command: ['npm', 'run', 'migrate all'] });
    expect(services.api).toMatchObject({
      postStart: [{ command: ['echo', 'hello'], user: 'root', privileged: false, environment: [] }],
      preStop: [{ command: ['sync'], privileged: false, environment: ['A=b'] }],
    });
    expect(settings).toEqual({
      backup: {
        timezone: 'UTC',
        verify: { schedule: '30 5 * * *', parts: 7 },
        drill: { schedule: '0 6 * * 0' },
        notify: [],
        keep: { daily: 7, weekly: 5, monthly: 6 },
        secrets: ['RESTIC_PASSWORD'],
      },
      edge: { httpPort: 8080, acme: { email: 'ops@example.com', directory: 'https://acme-v02.api.letsencrypt.org/directory' } },
      images: {},
      release: { maxErrorRatio: 0.05, maxLatencyRatio: 3, minRequests: 20, keep: 2 },
    });
  });

  test('all mistakes are told at once, with their places, and no value of a variable', async () => {
    const failure = await refusedWith(load(join(fixtures, 'wrong'), { environment: { ...environment, SECRET_VALUE: 'not-to-be-seen' } }));
    expect(failure.code).toBe('CONFIG_INVALID');
    expect(failure.where).toBe('compose.yaml:5:32');
    expect(failure.details.join('\n')).not.toContain('not-to-be-seen');
    expect(`${failure.message}\n${failure.details.join('\n')}`).toMatchInlineSnapshot(`
      "x-edge.host[1] of service api: expected a host name without scheme, port or path, such as shop.example.com, found "http://x" (and 20 more)
      compose.yaml:5:32: x-edge.host[1] of service api: expected a host name without scheme, port or path, such as shop.example.com, found "http://x"
      compose.yaml:6:7: x-edge.port of service api: expected a port number from 1 to 65535, found "80a"
      compose.yaml:7:7: x-edge of service api has no field "helth"; did you mean "health"?
      compose.yaml:8:15: x-edge.drain of service api has no field "request"; did you mean "requests"?
      compose.yaml:8:28: x-edge.drain.streams of service api: expected a duration with its unit, such as 15s or 1m30s, found "15"
      compose.yaml:9:7: x-edge.tls of service api: expected true, false or "acme", found "5"
      compose.yaml:10:7: x-edge.rate_limit of service api needs the field "requests"
      compose.yaml:11:7: x-edge.timeout of service api: expected a mapping, found "\${SECRET_VALUE}"
      compose.yaml:16:5: x-autoscale of service two needs the field "triggers"
      compose.yaml:16:5: service two: x-autoscale needs deploy.resources.limits.memory: without a limit nobody can say how many containers the host has room for
      compose.yaml:18:9: service two: x-edge needs "port": choose one of the 2 that the service exposes (80, 81)
      compose.yaml:19:9: x-edge[1] of service two: expected a mapping, found "5"
      compose.yaml:22:5: service tcp: x-edge with protocol: tcp needs "listen", the host port to take connections on
      compose.yaml:22:29: service tcp: "host" is for HTTP and means nothing with protocol: tcp
      compose.yaml:26:5: service none: x-edge needs a network of its own, but network_mode is "none"; remove network_mode, or route to the service that owns the network
      compose.yaml:29:17: x-release.timeout of service job: expected a duration with its unit, such as 15s or 1m30s, found "soon"
      compose.yaml:29:47: x-release.command[1] of service job: expected a text, found "5"
      compose.yaml:32:5: x-edge of service nul: expected a mapping, or a list, found nothing
      compose.yaml:35:17: x-composure.edge.acme.email: expected an e-mail address, found "nobody"
      compose.yaml:35:33: x-composure.edge has no field "htp_port"; did you mean "http_port"?
      compose.yaml:36:13: x-composure.release.max_error_ratio: expected a number from 0 to 1, found "5""
    `);
  });

  test('x-autoscale is read through variables and files, with single dollars, and only where it stands', async () => {
    const folder = await folderWith('scaled', {
      'compose.yaml': [
        'x-limits: &limits {resources: {limits: {cpus: "0.5", memory: 64M}}}',
        'services:',
        '  web: {image: x}',
        '  worker:',
        '    image: x',
        '    command: celery worker -c 4',
        '    deploy: *limits',
        '    x-autoscale:',
        '      maxReplicaCount: ${MAX:-4}',
        '      paused: ${PAUSED:-false}',
        '      triggers:',
        '        - type: postgresql',
        '          metadata: {host: db, port: 5432, userName: u, dbName: d, passwordFromEnv: PW, query: "select $$1", targetQueryValue: 5}',
        '      tier: {framework: celery}',
        '',
      ].join('\n'),
      'compose.override.yaml': 'services: {worker: {x-autoscale: {minReplicaCount: "${MIN:-1}", cooldownPeriod: 90}}}\n',
    });
    const project = await load(folder, { environment: { ...environment, MAX: '7' } });
    expect(project.warnings).toEqual([]);
    expect(project.services.web?.autoscale).toBeUndefined();
    expect(project.services.worker).toMatchObject({
      command: ['celery', 'worker', '-c', '4'],
      autoscale: { min: 1, max: 7, cooldownMs: 90_000, pause: { paused: false }, tier: { framework: 'celery' } },
    });
    expect(project.services.worker?.autoscale?.triggers[0]).toMatchObject({ written: { metadata: { query: 'select $1', port: '5432' } } });
    expect(project.places?.worker?.['x-autoscale']).toBe('compose.override.yaml:1:21');
    const wrong = await refusedWith(load(folder, { environment: { ...environment, MIN: '9' } }));
    expect(wrong).toMatchObject({
      code: 'CONFIG_INVALID',
      where: 'compose.override.yaml:1:35',
      message: 'x-autoscale.minReplicaCount of service worker: 9 is more than maxReplicaCount, 4',
    });
  });

  test('a route to a service that may go to zero is warned of', async () => {
    const worker = (fields: string) =>
      `{image: x, mem_limit: 64m, x-edge: {host: HOST, port: 80}, x-autoscale: {triggers: [{type: TYPE}]${fields}}}`;
    const queue = (fields: string) => worker(fields).replace('type: TYPE', 'type: redis, metadata: {address: "redis:6379", listName: a}');
    const cpu = worker('').replace('type: TYPE', 'type: cpu, metadata: {value: "60"}');
    const services = { a: queue(''), b: queue(', minReplicaCount: 1'), c: queue(', minReplicaCount: 1, idleReplicaCount: 0'), d: cpu };
    const lines = Object.entries(services).map(([name, text]) => `  ${name}: ${text.replace('HOST', `${name}.localhost`)}\n`);
    const folder = await folderWith('routed-to-zero', { 'compose.yaml': `services:\n${lines.join('')}` });
    const reason = 'has a route and may go to zero, where a request finds nobody; set x-autoscale.minReplicaCount: 1';
    expect((await load(folder)).warnings).toEqual([`compose.yaml:2:33: service a ${reason}`, `compose.yaml:4:33: service c ${reason}`]);
  });

  test('a scaled service that cannot run twice is refused where the file says so', async () => {
    const folder = await folderWith('twice', {
      'compose.yaml': [
        'services:',
        '  worker:',
        '    image: x',
        '    mem_limit: 64m',
        '    container_name: only-one',
        '    ports:',
        '      - 9000-9010:80',
        '      - 8080:80',
        '    x-autoscale: {triggers: [{type: redis, metadata: {address: "redis:6379", listName: a}}]}',
        '  job:',
        '    image: x',
        '    mem_limit: 64m',
        '    x-release: {}',
        '    x-autoscale: {triggers: [{type: redis, metadata: {address: "redis:6379", listName: a}}]}',
        '',
      ].join('\n'),
    });
    expect((await refusedWith(load(folder))).details).toMatchInlineSnapshot(`
      [
        "compose.yaml:5:5: service worker: with container_name "only-one" it cannot run twice; set maxReplicaCount: 1, or remove it",
        "compose.yaml:8:9: service worker: host port 8080 can be taken once, so it cannot run twice; set maxReplicaCount: 1, or remove it",
        "compose.yaml:14:5: service job: a release job ends by itself and cannot have x-autoscale",
      ]
    `);
  });

  test('two services cannot claim the same host and path', async () => {
    const folder = await folderWith('claimed', {
      'compose.yaml': 'services:\n  a: {image: x, x-edge: {host: a.b, port: 1}}\n  b:\n    image: x\n    x-edge: {host: A.B, port: 1}\n',
    });
    const failure = await refusedWith(load(folder));
    expect(failure).toMatchObject({
      code: 'CONFIG_INVALID',
      where: 'compose.yaml:5:14',
      message: 'service b: a.b is already taken by service a',
    });
  });

  test('a mistake is placed in the file that has the last word', async () => {
    const folder = await folderWith('merged', {
      'compose.yaml': 'services:\n  a: {image: x, x-edge: {port: 80, hold: 5s}}\n',
      'compose.override.yaml': 'services:\n  a:\n    x-edge:\n      hold: 5\n',
    });
    expect((await refusedWith(load(folder))).where).toBe('compose.override.yaml:4:7');
  });

  test('misspelt and misplaced keys are warned of, foreign ones are not', async () => {
    const folder = await folderWith('misspelt', {
      'compose.yaml':
        'x-composur: {}\nx-logging: {}\nservices:\n  a:\n    image: x\n    x-egde: {}\n    x-composure: {}\n    x-foreign: 1\n',
    });
    expect((await load(folder)).warnings).toEqual([
      'compose.yaml:1:1: x-composur has no effect; did you mean "x-composure"?',
      'compose.yaml:7:5: x-composure has no effect here; it belongs at the top of the file, beside services',
      'compose.yaml:6:5: x-egde has no effect; did you mean "x-edge"?',
    ]);
  });
});

describe('what Docker refuses', () => {
  const cases: [string, string, string, string, string][] = [
    ['syntax', 'services:\n  a:\n    image: x\n   b: y\n', 'PROJECT_INVALID', 'compose.yaml:4:1', 'did not find expected key'],
    ['tab', 'services:\n\ta: 1\n', 'PROJECT_INVALID', 'compose.yaml:2:1', 'cannot start any token'],
    [
      'unknown',
      'services:\n  web:\n    image: x\n    foo: bar\n',
      'PROJECT_INVALID',
      'compose.yaml:4:5',
      "additional properties 'foo' not allowed",
    ],
    [
      'form',
      'services:\n  web:\n    image: x\n    ports: 5\n',
      'PROJECT_INVALID',
      'compose.yaml:4:5',
      'services.web.ports must be a array',
    ],
    ['twice', 'services:\n  web:\n    image: x\n    image: y\n', 'PROJECT_INVALID', 'compose.yaml:4:5', 'already defined at line 3'],
    ['anchor', 'services:\n  web: *nope\n', 'PROJECT_INVALID', 'compose.yaml:2:8', "unknown anchor 'nope'"],
    [
      'depends',
      'services:\n  web:\n    image: x\n    depends_on: [nope]\n',
      'PROJECT_INVALID',
      'compose.yaml:4:5',
      'undefined service "nope"',
    ],
    ['volume', 'services:\n  web:\n    image: x\n    volumes: ["vol:/v"]\n', 'PROJECT_INVALID', 'compose.yaml:4:5', 'undefined volume vol'],
    ['envfile', 'services:\n  web:\n    image: x\n    env_file: nope.env\n', 'PROJECT_INVALID', 'compose.yaml:4:15', 'nope.env not found'],
    ['duration', 'services:\n  web:\n    image: x\n    stop_grace_period: 5q\n', 'PROJECT_INVALID', 'compose.yaml:4:5', 'unknown unit'],
    ['required', 'services:\n  web:\n    image: "x:${NOT_THERE:?say which}"\n', 'VARIABLE_UNSET', 'compose.yaml:3:5', 'say which'],
  ];
  test.each(cases)('%s: says Docker’s reason and the place', async (name, text, code, where, reason) => {
    const failure = await refusedWith(load(await folderWith(`refused-${name}`, { 'compose.yaml': text })));
    expect(failure).toMatchObject({ code, where });
    expect(failure.details.join('\n')).toContain(reason);
  });

  test('variables left blank are named with their first use', async () => {
    const folder = await folderWith('blank', {
      'compose.yaml': 'services:\n  web:\n    # $BLANK\n    image: "x:$$BLANK${BLANK}${FINE:-1}"\n',
    });
    const project = await load(folder);
    expect(project.unsetVariables).toEqual([{ name: 'BLANK', where: 'compose.yaml:4:22' }]);
    expect(project.warnings).toEqual(['compose.yaml:4:22: the variable BLANK is not set; Compose puts nothing in its place']);
  });
});

describe('where the project is', () => {
  test('a parent folder counts, and the plain command there needs no arguments', async () => {
    const cwd = join(fixtures, 'parent/below');
    const project = await load(cwd);
    expect(project).toMatchObject({ name: 'parent', folder: join(fixtures, 'parent'), compose: { args: [], cwd } });
  });

  test('no compose file: says where it looked', async () => {
    const folder = await folderWith('empty', {});
    const failure = await refusedWith(load(folder));
    expect(failure.code).toBe('PROJECT_NOT_FOUND');
    expect(failure.details).toContain(`in ${folder}`);
    expect(failure.details).toContain('in /');
    expect((await refusedWith(load(folder, { files: ['no.yaml'] }))).where).toBe(join(folder, 'no.yaml'));
  });

  test('COMPOSE_FILE from the environment and from .env', async () => {
    const folder = await folderWith('variable', {
      'a.yaml': 'services: {a: {image: x}}\n',
      'b.yaml': 'services: {b: {image: x}}\n',
      '.env': 'COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE="a.yaml,b.yaml"\nCOMPOSE_PROJECT_NAME=named\n',
    });
    const both = await load(folder);
    expect(both).toMatchObject({ name: 'named', files: [join(folder, 'a.yaml'), join(folder, 'b.yaml')], compose: { args: [] } });
    const one = await load(folder, { environment: { ...environment, COMPOSE_FILE: 'b.yaml' }, projectName: 'other' });
    expect(one.name).toBe('other');
    expect(Object.keys(one.services)).toEqual(['b']);
  });

  test('--env adds the file and the env file of that name, and leaves the override away', async () => {
    const folder = join(scratch, 'environments');
    await cp(join(fixtures, 'environments'), folder, { recursive: true });
    await cp(join(folder, 'base.env'), join(folder, '.env'));
    await writeFile(join(folder, '.env.prod'), 'LEVEL=prod\n');
    await writeFile(join(folder, '.env.stage'), 'LEVEL=stage\n');
    const base = await load(folder);
    expect(base.services.web).toMatchObject({ replicas: 1, image: 'node:24-alpine', environment: { LEVEL: 'base', DEBUG: '1' } });
    const prod = await load(folder, { env: 'prod' });
    expect(prod.environment).toBe('prod');
    expect(prod.services.web).toMatchObject({ replicas: 2, image: 'node:24-alpine', environment: { LEVEL: 'prod' } });
    expect(prod.services.web?.environment).not.toHaveProperty('DEBUG');
    const same = await run('docker', ['compose', ...prod.compose.args, 'config', '--hash', 'web'], { cwd: scratch });
    expect(same.stdout.trim()).toBe(`web ${prod.services.web?.configHash}`);
    const failure = await refusedWith(load(folder, { env: 'production' }));
    expect(failure).toMatchObject({ code: 'PROJECT_NOT_FOUND', next: 'choose one that there is: --env prod, --env stage' });
  });
});

test('a changed file behind a config or a read-only folder changes the content hash, and Compose’s hash does not see it', async () => {
  const folder = join(scratch, 'content');
  await cp(join(fixtures, 'routed'), folder, { recursive: true });
  const before = await load(folder);
  expect(before.services.api?.contentFiles).toEqual([join(folder, 'conf/other.ini'), join(folder, 'conf/settings.json')]);
  await writeFile(join(folder, 'conf/other.ini'), 'a=2\n');
  const after = await load(folder);
  expect(after.services.api?.configHash).toBe(before.services.api?.configHash);
  expect(after.services.api?.contentHash).not.toBe(before.services.api?.contentHash);
  expect(after.services.db?.contentHash).toBe(before.services.db?.contentHash);
});

test('Docker that is missing, unreachable or complete', async () => {
  await expect(checkDocker()).resolves.toBeUndefined();
  await expect(checkDocker({ PATH: scratch })).rejects.toMatchObject({ code: 'DOCKER_MISSING', exitCode: 4 });
  await expect(checkDocker({ DOCKER_HOST: `unix://${scratch}/none.sock` })).rejects.toMatchObject({ code: 'DOCKER_UNREACHABLE' });
  await expect(load(join(fixtures, 'plain'), { environment: { ...environment, PATH: scratch } })).rejects.toMatchObject({
    code: 'DOCKER_MISSING',
  });
});

test('a monitor of 0s, which Compose leaves out of its answer, means no watch; a missing one means 5 s', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'composure-monitor-'));
  try {
    await writeFile(
      join(folder, 'compose.yaml'),
      'services:\n  a: {image: x, deploy: {update_config: {monitor: 0s}}}\n  b: {image: x, deploy: {update_config: {delay: 1s}}}\n',
    );
    const { services } = await loadProject({ cwd: folder, environment: process.env });
    expect([services.a?.update.monitorMs, services.b?.update.monitorMs]).toEqual([0, 5000]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
