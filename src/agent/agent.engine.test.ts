import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildTestApp } from '../../test/support/app.ts';
import { eventually } from '../../test/support/eventually.ts';
import { routeThroughEdge } from '../../test/support/route.ts';
import { type ScenarioProject, withProject } from '../../test/support/scenario.ts';
import { openDocker } from '../docker/api.ts';
import { lockPath } from '../rollout/journal.ts';
import { takeLock } from '../state/lock.ts';
import { runAgent } from './agent.ts';

function ask(port: number): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent: false, timeout: 3000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.on('error', reject);
    sent.end();
  });
}

const answers = (port: number, version: string) => async () => {
  const { status, text } = await ask(port);
  expect([status, text]).toEqual([200, expect.stringContaining(`version ${version}`)]);
};

/** Runs the agent within this process while `body` runs. Returns what it said. */
async function withAgent(
  project: ScenarioProject,
  edge: Parameters<typeof runAgent>[0]['edge'],
  body: (said: string[]) => Promise<void>,
  everyMs?: { containers: number },
): Promise<void> {
  const stop = new AbortController();
  const said: string[] = [];
  const report: Parameters<typeof runAgent>[0]['report'] = (event) => void ('text' in event && said.push(event.text));
  const agent = runAgent({
    stateFolder: project.state,
    docker: openDocker(),
    edge,
    report,
    signal: stop.signal,
    ...(everyMs ? { everyMs } : {}),
  });
  try {
    await body(said);
  } finally {
    stop.abort();
    await agent;
  }
}

const image = await buildTestApp();
const files = { 'compose.yaml': `services:\n  web: {image: ${image}, environment: {VERSION: "1"}, stop_grace_period: 1s}\n` };

test('a service that is recreated by hand has its traffic back within 2 s after it is healthy', { timeout: 120_000 }, async () => {
  await withProject('agent recreate', { files }, async (project) => {
    expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
    const edge = await routeThroughEdge(project, { service: 'web' });
    await eventually(answers(project.httpPort, '1'));
    await withAgent(project, edge, async (said) => {
      const [before] = await project.containers('web');
      expect((await project.compose(['up', '-d', '--force-recreate', '--wait'])).code).toBe(0);
      await eventually(answers(project.httpPort, '1'), { timeoutMs: 2000, everyMs: 20 });
      const [after] = await project.containers('web');
      expect(after?.Id).not.toBe(before?.Id);
      const servers = async () =>
        Object.values((await edge.read()).projects[project.name]?.backends ?? {}).flatMap((backend) => backend.servers);
      await eventually(async () => expect((await servers()).map(({ container }) => container)).toEqual([after?.Id]), { timeoutMs: 2000 });
      expect(said.join('\n')).toContain('was made without Composure');

      // Scaled by hand: the second one gets its share.
      expect((await project.compose(['up', '-d', '--no-recreate', '--scale', 'web=2', '--wait'])).code).toBe(0);
      await eventually(async () => expect(await servers()).toHaveLength(2), { timeoutMs: 3000 });
      const stats = await eventually(async () => {
        const rows = await edge.stats();
        expect(rows.map(({ status }) => status)).toEqual(['UP', 'UP']);
        return rows;
      });
      expect(stats).toHaveLength(2);
    });
  });
});

test('what an upgrade of the edge leaves behind is removed once it has finished', { timeout: 120_000 }, async () => {
  await withProject('agent tidy', { files }, async (project) => {
    expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
    const edge = await routeThroughEdge(project, { service: 'web' });
    await withAgent(
      project,
      edge,
      async () => {
        await edge.upgrade();
        await eventually(async () => expect(await project.edgeContainers()).toHaveLength(1), { timeoutMs: 15_000 });
        await answers(project.httpPort, '1')();
      },
      { containers: 300 },
    );
  });
});

test('an agent that starts late sees what happened before, and leaves a project alone while a command holds its lock', {
  timeout: 120_000,
}, async () => {
  await withProject('agent late', { files }, async (project) => {
    expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
    const edge = await routeThroughEdge(project, { service: 'web' });
    expect((await project.compose(['up', '-d', '--force-recreate', '--wait'])).code).toBe(0);
    expect((await ask(project.httpPort)).status).toBe(503);
    const lock = await takeLock(lockPath(project.state, project.name), { purpose: 'deploy' });
    const before = await edge.read();
    await withAgent(project, edge, async () => {
      await sleep(700);
      expect(await edge.read()).toEqual(before);
    });
    await lock.release();
    await withAgent(project, edge, async () => {
      await eventually(answers(project.httpPort, '1'), { timeoutMs: 3000 });
    });
  });
});

test.each([['with the agent'], ['without the agent']])(
  '%s: a container that comes back under another address gets its requests, a stranger at the old one gets none',
  { timeout: 120_000 },
  async (how) => {
    await withProject(`stranger ${how}`, { files }, async (project) => {
      expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
      const edge = await routeThroughEdge(project, { service: 'web' });
      await eventually(answers(project.httpPort, '1'));
      const network = `${project.name}_default`;
      const [web] = await project.containers('web');
      const id = web?.Id ?? '';
      const addressOf = async (container: string) => (await project.inspect(container)).NetworkSettings.Networks[network]?.IPAddress;
      const old = await addressOf(id);

      const body = async () => {
        const seen: string[] = [];
        const stop = new AbortController();
        const loop = async () => {
          while (!stop.signal.aborted) {
            await ask(project.httpPort).then(
              ({ text }) => seen.push(text),
              () => {},
            );
            await sleep(10);
          }
        };
        const loops = [1, 2, 3, 4].map(loop);
        await project.docker(['kill', id]);
        const stranger = await project.docker([
          ...['run', '-d', '--network', network, '--label', `composure.project=${project.name}`, '--name', `${project.name}-stranger`],
          ...['-e', 'VERSION=stranger', image],
        ]);
        expect(stranger.code).toBe(0);
        expect(await addressOf(`${project.name}-stranger`)).toBe(old);
        await sleep(1000);
        await project.docker(['start', id]);
        expect(await addressOf(id)).not.toBe(old);
        await eventually(async () => expect((await project.inspect(id)).State.Health?.Status).toBe('healthy'), {
          timeoutMs: 20_000,
          everyMs: 30,
        });
        await eventually(answers(project.httpPort, '1'), { timeoutMs: 2000, everyMs: 20 });
        const own = () => seen.filter((text) => text.includes('version 1')).length;
        const before = own();
        await eventually(() => expect(own()).toBeGreaterThan(before + 20));
        stop.abort();
        await Promise.all(loops);
        expect(seen.filter((text) => text.includes('stranger'))).toEqual([]);
      };
      if (how === 'with the agent') await withAgent(project, edge, body);
      else await body();
    });
  },
);
