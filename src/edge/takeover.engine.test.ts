import { Agent, createServer, request, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildTestApp } from '../../test/support/app.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort, releasePort } from '../../test/support/ports.ts';
import { routeThroughEdge } from '../../test/support/route.ts';
import { withProject } from '../../test/support/scenario.ts';
import { finishTakeover } from './takeover-handover.ts';
import { addRedirect, canRedirect, listRedirects, removeRedirect } from './takeover-redirect.ts';

function listen(port: number, answer: string): Promise<Server> {
  const server = createServer((_, response) => response.end(answer));
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, '0.0.0.0', () => resolve(server)));
}

function ask(port: number, agent: Agent | false): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, agent, timeout: 5000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    sent.on('timeout', () => sent.destroy(new Error('timeout')));
    sent.on('error', reject);
    sent.end();
  });
}

/** Asks over new connections and over kept ones until it is stopped, and counts what it gets. */
function startAsking(port: number) {
  const seen = { answers: {} as Record<string, number>, failed: [] as string[], keepAliveFailed: [] as string[] };
  const stop = new AbortController();
  const keepAlive = new Agent({ keepAlive: true, maxSockets: 2 });
  const loop = async (agent: Agent | false, failed: string[]) => {
    while (!stop.signal.aborted) {
      try {
        const text = (await ask(port, agent)).replace(/,.*/s, '');
        seen.answers[text] = (seen.answers[text] ?? 0) + 1;
      } catch (error) {
        failed.push((error as NodeJS.ErrnoException).code ?? (error as Error).message);
      }
      await sleep(5);
    }
  };
  const loops = [loop(false, seen.failed), loop(false, seen.failed), loop(keepAlive, seen.keepAliveFailed)];
  return {
    seen,
    async end() {
      stop.abort();
      await Promise.all(loops);
      keepAlive.destroy();
    },
  };
}

test('a published port changes hands under load without one refused connection', { timeout: 90_000 }, async (context) => {
  const ability = await canRedirect();
  if (!ability.can) return context.skip(ability.why);
  const image = await buildTestApp();
  const port = await freePort();
  const temporary = await freePort();
  const edge = `composure-test-${port}`;
  const servers: Server[] = [];
  try {
    const files = {
      'compose.yaml': `services:\n  web:\n    image: ${image}\n    ports: ["${port}:3000"]\n    environment: {PORT: "3000"}\n`,
    };
    await withProject('port takeover', { files }, async (project) => {
      expect((await project.compose(['up', '-d'])).code).toBe(0);
      await eventually(() => ask(port, false), { timeoutMs: 20_000 });

      const { seen, end } = startAsking(port);
      const edgeAnswers = () => seen.answers.edge ?? 0;
      await sleep(300);
      expect(edgeAnswers()).toBe(0);

      servers.push(await listen(temporary, 'edge'));
      await addRedirect(edge, port, temporary);
      await addRedirect(edge, port, temporary);
      expect((await listRedirects(edge)).filter(({ family }) => family === 'ipv4')).toHaveLength(2);
      await eventually(() => expect(edgeAnswers()).toBeGreaterThan(20));
      expect(await ask(port, false)).toBe('edge');

      for (const container of await project.containers('web')) await project.docker(['stop', '-t', '2', container.Id]);
      servers.push(await listen(port, 'edge'));
      await sleep(300);
      await removeRedirect(edge, port);
      await removeRedirect(edge, port);
      expect(await listRedirects(edge)).toEqual([]);
      const before = edgeAnswers();
      await eventually(() => expect(edgeAnswers()).toBeGreaterThan(before + 20));
      await end();

      expect(seen.failed).toEqual([]);
      expect(seen.answers['composure test app']).toBeGreaterThan(20);
      // A connection that was open to the old container ends with it, once, whatever the host does.
      expect(seen.keepAliveFailed.length).toBeLessThanOrEqual(2);
    });
  } finally {
    await removeRedirect(edge, port);
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    for (const one of [port, temporary]) releasePort(one);
  }
});

test('the edge itself takes over the port of a container and hands out no refusal on the way', { timeout: 120_000 }, async (context) => {
  const ability = await canRedirect();
  if (!ability.can) return context.skip(ability.why);
  const image = await buildTestApp();
  const files = (facts: { httpPort: number }) => ({
    'compose.yaml': `services:
  old: {image: ${image}, ports: ["${facts.httpPort}:3000"], environment: {VERSION: old}}
  web: {image: ${image}, environment: {VERSION: new}}
`,
  });
  await withProject('edge takes port', { files }, async (project) => {
    const temporary = await project.port();
    const port = project.httpPort;
    expect((await project.compose(['up', '-d', '--wait'])).code).toBe(0);
    const [old] = await project.containers('old');
    const edge = await routeThroughEdge(project, { service: 'web', settings: { takeovers: [{ port, temporary }] } });
    await eventually(() => ask(temporary, false).then((text) => expect(text).toContain('version new')));

    const { seen, end } = startAsking(port);
    await eventually(() => expect(seen.answers['composure test app']).toBeGreaterThan(20));
    expect(await ask(port, false)).toContain('version old');
    try {
      await addRedirect(edge.name, port, temporary);
      expect(await ask(port, false)).toContain('version new');
      await project.docker(['stop', '-t', '2', old?.Id ?? '']);
      await finishTakeover(edge, port);
      await finishTakeover(edge, port);
    } finally {
      await removeRedirect(edge.name, port);
    }
    expect(await listRedirects(edge.name)).toEqual([]);
    expect((await edge.read()).settings.takeovers).toEqual([]);
    await sleep(300);
    expect(await ask(port, false)).toContain('version new');
    await expect(ask(temporary, false)).rejects.toThrow(/ECONNREFUSED/);
    await end();
    expect(seen.failed).toEqual([]);
    expect(seen.keepAliveFailed.length).toBeLessThanOrEqual(2);
  });
});
