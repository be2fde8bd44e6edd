import { access, chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/kit/spawn.ts';
import { buildTestApp } from '../support/app.ts';
import { type CommandResult, type ScenarioProject, withProject } from '../support/scenario.ts';
import { app, ask, deploy, running, site, stack, succeeds } from '../support/stacks.ts';

const root = process.getuid?.() === 0;

/** The fields that every error has with --json. */
interface Told {
  code: string;
  message: string;
  where?: string;
  next?: string;
  details: string[];
}

/** What must be the same before and after a command that was refused. */
async function footprint(p: ScenarioProject): Promise<object> {
  const facts = async (containers: Awaited<ReturnType<ScenarioProject['containers']>>) =>
    Promise.all(containers.map(async ({ Id, State }) => [Id, State, (await p.inspect(Id)).State.StartedAt]));
  return {
    containers: await facts(await p.containers()),
    edge: await facts(await p.edgeContainers()),
    edgeState: await readFile(join(p.state, 'edge', 'state.json'), 'utf8').catch(() => ''),
    journal: await stat(join(p.state, 'projects', p.name, 'release.journal')).then(
      () => 'there',
      () => 'none',
    ),
    lock: await access(join(p.state, 'projects', p.name, 'lock')).then(
      () => 'held',
      () => 'free',
    ),
  };
}

interface Refusal {
  exit: number;
  code: string;
  message: string | RegExp;
  where?: string | RegExp;
  next: RegExp;
}

/**
 * The command is refused in words and as JSON, in both with the code's exit code, and neither touches anything. `around` is what else the command
 * needs: environment, arguments.
 */
async function refuses(
  p: ScenarioProject,
  wanted: Refusal,
  { args = ['deploy', '--yes'], env = {}, cwd }: { args?: string[]; env?: Record<string, string>; cwd?: string } = {},
): Promise<Told> {
  const before = await footprint(p);
  const options = { env, ...(cwd ? { cwd } : {}) };
  const text = await p.composure(args, options);
  const json = await p.composure([...args, '--json'], options);
  expect(await footprint(p)).toEqual(before);
  for (const result of [text, json]) {
    expect(result.code, result.out + result.err).toBe(wanted.exit);
    expect(result.out + result.err).not.toMatch(/bug in composure|^\s+at .*\(?(file|node):.*:\d+:\d+\)?$/m);
  }
  const { error } = JSON.parse(json.out.trim().split('\n').at(-1) ?? '') as { error: Told };
  expect(error.code).toBe(wanted.code);
  expect(error.message).toMatch(wanted.message);
  expect(error.next).toMatch(wanted.next);
  if (wanted.where) expect(error.where).toMatch(wanted.where);
  expect(text.err).toContain(`error: ${error.message}\n`);
  expect(text.err).toContain(`  next: ${error.next}\n`);
  if (error.where) expect(text.err).toContain(`  at ${error.where}\n`);
  expect(text.err).toContain(`(${wanted.code}, exit code ${wanted.exit}; composure help errors ${wanted.code})`);
  for (const line of json.err.split('\n').filter(Boolean)) expect(JSON.parse(line)).toHaveProperty('kind');
  return error;
}

const plain = async (more = ''): Promise<string> => `services:\n  web:\n    image: ${await buildTestApp()}\n${more}`;

test('no Docker: no docker command, no engine behind the socket, an engine elsewhere', async () => {
  await withProject('no docker', { files: { 'compose.yaml': await plain() } }, async (p) => {
    await mkdir(join(p.folder, 'empty'));
    // As a process of its own, which is how a person meets it.
    const ended = await p.spawnComposure(['deploy', '--yes'], { PATH: join(p.folder, 'empty') }).done;
    expect(ended).toMatchObject({ code: 4, out: '', err: expect.stringContaining('(DOCKER_MISSING, exit code 4;') });
    await refuses(
      p,
      {
        exit: 4,
        code: 'DOCKER_MISSING',
        message: 'the docker command is not installed, or not on the PATH',
        next: /install Docker Engine/,
      },
      { env: { PATH: join(p.folder, 'empty') } },
    );
    await refuses(
      p,
      {
        exit: 4,
        code: 'DOCKER_UNREACHABLE',
        message: /Docker engine does not answer/i,
        where: 'unix:///nonexistent/docker.sock',
        next: /systemctl start docker/,
      },
      { env: { DOCKER_HOST: 'unix:///nonexistent/docker.sock' } },
    );
    const status = await p.composure(['status'], { env: { DOCKER_HOST: 'unix:///nonexistent/docker.sock' } });
    expect(status).toMatchObject({ code: 4, err: expect.stringContaining('DOCKER_UNREACHABLE') });
    await refuses(
      p,
      {
        exit: 4,
        code: 'DOCKER_UNREACHABLE',
        message: /ssh:\/\/root@192\.0\.2\.1.*only unix:\/\//,
        where: 'DOCKER_HOST',
        next: /ssh .* composure/,
      },
      { env: { DOCKER_HOST: 'ssh://root@192.0.2.1' } },
    );
  });
});

test('no Compose v2: the docker command answers as it does without the plugin', async () => {
  await withProject('no compose', { files: { 'compose.yaml': await plain() } }, async (p) => {
    const real = (await run('sh', ['-c', 'command -v docker'])).stdout.trim();
    // The real docker command is asked for a plugin that is not there, so that the words are its own.
    await mkdir(join(p.folder, 'bin'));
    await writeFile(
      join(p.folder, 'bin/docker'),
      `#!/bin/sh\nif [ "$1" = compose ]; then shift; exec ${real} composemissing "$@"; fi\nexec ${real} "$@"\n`,
    );
    await chmod(join(p.folder, 'bin/docker'), 0o755);
    await refuses(
      p,
      { exit: 4, code: 'COMPOSE_MISSING', message: /Compose v2.* is not installed/, next: /docs\.docker\.com\/compose\/install/ },
      { env: { PATH: `${join(p.folder, 'bin')}${delimiter}${process.env.PATH}` } },
    );
  });
});

/** An engine of that version cannot be had here: a socket gives the answers that one gives to a client that speaks too new an API. */
async function oldEngine(socket: string): Promise<Server> {
  const server = createServer((request, response) => {
    const headers = { 'content-type': 'application/json', 'api-version': '1.41' };
    if (request.url === '/_ping') return response.writeHead(200, { ...headers, 'content-type': 'text/plain' }).end('OK');
    if (/^(\/v1\.41)?\/version$/.test(request.url ?? '')) {
      const version = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12', Os: 'linux', Arch: 'amd64', Components: [] };
      return response.writeHead(200, headers).end(JSON.stringify(version));
    }
    const message = 'client version 1.44 is too new. Maximum supported API version is 1.41';
    return response.writeHead(400, headers).end(JSON.stringify({ message }));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}

test('an engine that is too old', async () => {
  await withProject('old engine', { files: { 'compose.yaml': await plain() } }, async (p) => {
    const socket = join(p.folder, 'docker.sock');
    const server = await oldEngine(socket);
    try {
      const env = { DOCKER_HOST: `unix://${socket}` };
      const wanted: Refusal = {
        exit: 4,
        code: 'DOCKER_TOO_OLD',
        message: /version 20\.10\.24; Composure needs 25\.0 or newer/,
        next: /upgrade Docker Engine/,
      };
      await refuses(p, wanted, { env });
      await refuses(p, wanted, { env, args: ['status'] });
      await refuses(p, wanted, { env, args: ['plan'] });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

test('a file that is no YAML, one that Docker refuses, an unknown key of ours, an unset variable: file, line and column', async () => {
  await withProject('bad files', { files: {} }, async (p) => {
    await deploy(p, { web: await app({ VERSION: 1 }) });
    const good = await p.read('compose.yaml');

    await p.write('compose.yaml', 'services:\n  web:\n    image: "x\n    ports: [\n');
    await refuses(p, {
      exit: 3,
      code: 'PROJECT_INVALID',
      message: /Docker refuses the project/,
      where: /^compose\.yaml:\d+:\d+$/,
      next: /docker compose config/,
    });

    await p.write('compose.yaml', await plain('    prots: ["80:80"]\n'));
    const refused = await refuses(p, {
      exit: 3,
      code: 'PROJECT_INVALID',
      message: /prots/,
      where: 'compose.yaml:4:5',
      next: /docker compose config/,
    });
    expect(refused.details.join('\n')).toMatch(/additional propert/i);

    await p.write('compose.yaml', await plain('    x-edge: {hots: a.test, port: 3000}\n'));
    await refuses(p, {
      exit: 3,
      code: 'CONFIG_INVALID',
      message: /hots.*did you mean "?host/,
      where: 'compose.yaml:4:14',
      next: /compose-keys/,
    });

    await p.write('compose.yaml', await plain('    environment: {LEVEL: "${LEVEL_OF_NOTHING}"}\n'));
    await refuses(p, {
      exit: 3,
      code: 'VARIABLE_UNSET',
      message: /LEVEL_OF_NOTHING/,
      where: /^compose\.yaml:4:\d+$/,
      next: /\.env.*\$\{LEVEL_OF_NOTHING:-/,
    });

    await p.write('compose.yaml', await plain('    environment: {LEVEL: "${LEVEL_OF_NOTHING:?is needed}"}\n'));
    await refuses(p, {
      exit: 3,
      code: 'VARIABLE_UNSET',
      message: /LEVEL_OF_NOTHING.*is needed/,
      where: /^compose\.yaml:4:\d+$/,
      next: /set LEVEL_OF_NOTHING/,
    });

    await p.write('compose.yaml', good);
    expect(succeeds(await p.composure(['deploy', '--yes'])).out).toContain('nothing to do');
  });
});

test('no project, no such file, no such environment, no such service, no such release, nothing to roll back, nobody to ask', async () => {
  await withProject('unknown names', { files: {} }, async (p) => {
    await refuses(p, { exit: 3, code: 'PROJECT_NOT_FOUND', message: /no compose file in/, where: p.folder, next: /-f/ });
    await refuses(
      p,
      { exit: 3, code: 'PROJECT_NOT_FOUND', message: /does not exist/, where: /other\.yaml$/, next: /check the path/ },
      { args: ['deploy', '-f', 'other.yaml'] },
    );
    await p.write('compose.yaml', stack(p, { web: await app({ VERSION: 1 }), worker: await app({ VERSION: 1 }) }));
    await refuses(
      p,
      { exit: 3, code: 'PROJECT_NOT_FOUND', message: /no environment "prod"/, next: /compose\.prod\.yaml/ },
      { args: ['plan', '--env', 'prod'] },
    );
    await refuses(
      p,
      { exit: 3, code: 'NOTHING_TO_ROLL_BACK', message: /no.* release/, next: /composure (deploy|releases)/ },
      { args: ['rollback', '--yes'] },
    );
    const asked = await refuses(
      p,
      { exit: 9, code: 'CONFIRMATION_NEEDED', message: /nobody can be asked/, next: /--yes/ },
      { args: ['deploy'] },
    );
    expect(asked.details).toEqual([]);
    const declined = await p.composure(['deploy'], { isTTY: true, input: 'n' });
    expect(declined).toMatchObject({ code: 9, err: expect.stringContaining('nothing was touched') });
    expect(await p.containers()).toEqual([]);

    await deploy(p);
    const service: Refusal = { exit: 3, code: 'SERVICE_UNKNOWN', message: /has no service wrk/, where: 'wrk', next: /web, worker/ };
    await refuses(p, service, { args: ['deploy', 'wrk', '--yes'] });
    await refuses(p, service, { args: ['plan', 'wrk'] });
    await refuses(p, service, { args: ['logs', 'wrk'] });
    await refuses(
      p,
      { exit: 3, code: 'RELEASE_UNKNOWN', message: /no release 7/, next: /composure releases|1/ },
      { args: ['rollback', '7', '--yes'] },
    );
    await refuses(
      p,
      { exit: 3, code: 'NOTHING_TO_ROLL_BACK', message: /release/, next: /composure (deploy|releases)/ },
      { args: ['rollback', '--yes'] },
    );
    await refuses(p, { exit: 9, code: 'CONFIRMATION_NEEDED', message: /nobody can be asked/, next: /--yes/ }, { args: ['down'] });
  });
});

test('an image that does not exist', async () => {
  await withProject('no image', { files: {} }, async (p) => {
    await deploy(p, { web: await app({ VERSION: 1 }) });
    await p.write('compose.yaml', `services:\n  web:\n    image: localhost:1/composure-no-such-image:7\n`);
    const pulled = await refuses(p, {
      exit: 5,
      code: 'IMAGE_UNAVAILABLE',
      message: /localhost:1\/composure-no-such-image:7.*web/,
      where: /^compose\.yaml:3:\d+$|^web$/,
      next: /docker login.*nothing was touched/,
    });
    expect(pulled.details.join('\n')).toMatch(/refused|not found|denied/i);
    await refuses(
      p,
      { exit: 5, code: 'IMAGE_UNAVAILABLE', message: /is not on this machine/, where: /^compose\.yaml:3:\d+$/, next: /--pull never/ },
      { args: ['deploy', '--yes', '--pull', 'never'] },
    );
  });
});

test('the edge’s port is held by a stranger: a process, then a container', async () => {
  await withProject('port held', { files: {} }, async (p) => {
    await deploy(p, { back: await app({ VERSION: 1 }) });
    await p.write('compose.yaml', stack(p, { back: await app({ VERSION: 1 }), web: await site(p, { VERSION: 1 }) }));

    const stranger = createTcpServer();
    await new Promise<void>((resolve) => stranger.listen(p.httpPort, '0.0.0.0', resolve));
    try {
      await refuses(p, {
        exit: 8,
        code: 'PORT_IN_USE',
        message: new RegExp(`port ${p.httpPort}.*process ${process.pid}`),
        where: `port ${p.httpPort}`,
        next: /stop|http_port/,
      });
    } finally {
      await new Promise((resolve) => stranger.close(resolve));
    }

    const name = `${p.name}-stranger`;
    const started = await p.docker([
      'run',
      '-d',
      '--name',
      name,
      '--label',
      `com.docker.compose.working_dir=${p.folder}`,
      '-p',
      `${p.httpPort}:3000`,
      await buildTestApp(),
    ]);
    succeeds(started);
    try {
      await refuses(p, {
        exit: 8,
        code: 'PORT_IN_USE',
        message: new RegExp(`port ${p.httpPort}.*${name}`),
        where: `port ${p.httpPort}`,
        next: /stop.*http_port/,
      });
      expect((await p.inspect(name)).State.Running).toBe(true);
    } finally {
      await p.docker(['rm', '-f', name]);
    }
    succeeds(await p.composure(['deploy', '--yes']));
    expect((await ask(p)).version).toBe('1');
  });
});

test('a host port of a service is held by a stranger: the release is taken back', async () => {
  await withProject('service port held', { files: {} }, async (p) => {
    await deploy(p, { web: await app({ VERSION: 1 }) });
    const before = await running(p, 'web');
    const port = await p.port();
    const stranger = createTcpServer();
    await new Promise<void>((resolve) => stranger.listen(port, '0.0.0.0', resolve));
    try {
      await p.write('compose.yaml', stack(p, { web: await app({ VERSION: 2 }, { ports: [`${port}:3000`] }) }));
      const result = await p.composure(['deploy', '--yes']);
      expect(result.code, result.err).toBe(8);
      expect(result.err).toMatch(/PORT_IN_USE/);
      expect(result.err).toContain(String(port));
      expect(await running(p, 'web')).toEqual(before);
      expect(await p.containers()).toHaveLength(1);
    } finally {
      await new Promise((resolve) => stranger.close(resolve));
    }
  });
});

test('two projects claim one host name', async () => {
  await withProject('first claims', { files: {} }, async (p) => {
    await deploy(p, { web: await site(p, { VERSION: 1 }) });
    await withProject('second claims', { files: {} }, async (second) => {
      const service = await site(second, { VERSION: 9 }, {}, { host: p.host });
      await second.write('compose.yaml', stack({ ...second, httpPort: p.httpPort, httpsPort: p.httpsPort }, { web: service }));
      const before = await footprint(p);
      await refuses(
        second,
        {
          exit: 8,
          code: 'HOST_CLAIMED',
          message: new RegExp(`${p.host}.*${p.name}`),
          where: /^compose\.yaml:\d+:\d+$/,
          next: /another host or path/,
        },
        { env: { COMPOSURE_STATE_DIR: p.state } },
      );
      expect(await footprint(p)).toEqual(before);
      expect(await second.containers()).toEqual([]);
      expect((await ask(p)).version).toBe('1');
    });
  });
});

/** The project's state folder becomes a file system of its own, so that it can be full or read-only while Docker's own disk is not. */
async function onItsOwnDisk(p: ScenarioProject, options: string, body: () => Promise<void>): Promise<void> {
  await mkdir(p.state, { recursive: true });
  succeeds(await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', p.state]));
  try {
    await body();
  } finally {
    for (const container of await p.edgeContainers()) await p.docker(['rm', '-f', container.Id]);
    await run('umount', ['--lazy', p.state]);
  }
}

test('the state folder cannot be written: a file is in its place', async () => {
  await withProject('state is a file', { files: { 'compose.yaml': await plain(), state: 'not a folder' } }, async (p) => {
    const path = join(p.folder, 'state');
    await refuses(
      p,
      {
        exit: 4,
        code: 'STATE_UNWRITABLE',
        message: /is a file and not a folder/,
        where: new RegExp(`^${path}`),
        next: /COMPOSURE_STATE_DIR/,
      },
      { env: { COMPOSURE_STATE_DIR: path } },
    );
  });
});

test.runIf(root)('the state folder cannot be written: a read-only file system', async () => {
  await withProject('state read only', { files: { 'compose.yaml': await plain() } }, async (p) => {
    await onItsOwnDisk(p, 'ro,size=1m', async () => {
      await refuses(p, {
        exit: 4,
        code: 'STATE_UNWRITABLE',
        message: /read-only/,
        where: new RegExp(`^${p.state}`),
        next: /COMPOSURE_STATE_DIR/,
      });
      expect(await p.containers()).toEqual([]);
      expect((await p.composure(['plan'])).code).toBe(0);
    });
  });
});

const fill = (p: ScenarioProject): Promise<unknown> => run('sh', ['-c', 'cat /dev/zero > "$0/filler"', p.state]);

test.runIf(root)('no disk: refused at the beginning, taken back in the middle, fine once there is space', async () => {
  await withProject('no disk', { files: {} }, async (p) => {
    await onItsOwnDisk(p, 'size=2m', async () => {
      await deploy(p, { web: await site(p, { VERSION: 1 }) });
      const first = await running(p, 'web');
      await fill(p);
      await p.write('compose.yaml', stack(p, { web: await site(p, { VERSION: 2 }) }));
      await refuses(p, {
        exit: 4,
        code: 'DISK_FULL',
        message: /no space left/,
        where: new RegExp(`^${p.state}`),
        next: /free some space.*run the command again/,
      });
      expect((await ask(p)).version).toBe('1');
      await rm(join(p.state, 'filler'));

      // In the middle: the disk fills up as soon as the new containers exist.
      const command = p.spawnComposure(['deploy', '--yes']);
      while ((await p.containers('web')).length <= first.length && command.process.exitCode === null)
        await new Promise((resolve) => setTimeout(resolve, 20));
      await fill(p);
      const ended = await command.done;
      expect(ended.code, ended.err).toBeGreaterThan(0);
      expect(ended.err).toMatch(/DISK_FULL|RECOVERY_FAILED/);
      expect(ended.err).toMatch(/no space left/);
      expect(ended.err).not.toContain('bug in composure');
      expect((await ask(p)).version).toMatch(/^[12]$/);

      await rm(join(p.state, 'filler'));
      const healed = await p.composure(['recover']);
      expect(healed.code, healed.err).toBe(0);
      expect((await ask(p)).version).toMatch(/^[12]$/);
      succeeds(await p.composure(['deploy', '--yes']));
      expect((await ask(p)).version).toBe('2');
      expect(await running(p, 'web')).toHaveLength(2);
    });
  });
});

const check = (command: string): Record<string, unknown> => ({
  healthcheck: { test: ['CMD-SHELL', command], interval: '200ms', start_interval: '200ms', start_period: '0s', retries: 1, timeout: '2s' },
});

test('an unchanged service is unhealthy before the deploy: refused, or done with --ignore-unhealthy', async () => {
  await withProject('unhealthy before', { files: {} }, async (p) => {
    const sick = await app({ VERSION: 1 }, check('test ! -e /tmp/sick'));
    await deploy(p, { sick, web: await app({ VERSION: 1 }) });
    const [id = ''] = await running(p, 'sick');
    succeeds(await p.docker(['exec', id, 'touch', '/tmp/sick']));
    while ((await p.inspect(id)).State.Health?.Status !== 'unhealthy') await new Promise((resolve) => setTimeout(resolve, 100));
    await p.write('compose.yaml', stack(p, { sick, web: await app({ VERSION: 2 }) }));
    const wanted: Refusal = {
      exit: 5,
      code: 'UNHEALTHY_BEFORE',
      message: /sick-1 is unhealthy before the release/,
      where: `${p.name}-sick-1`,
      next: /composure logs sick.*--ignore-unhealthy.*nothing was touched/,
    };
    await refuses(p, wanted);
    await refuses(p, wanted, { args: ['plan'] });
    succeeds(await p.composure(['deploy', '--yes', '--ignore-unhealthy']));
    expect(await running(p, 'sick')).toEqual([id]);
    const result: CommandResult = succeeds(await p.composure(['status', '--json']));
    expect(JSON.parse(result.out)).toMatchObject({ release: { number: 2 } });
  });
});
