import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readAgentStatus } from '../../src/state/agent.ts';
import { projectFolder } from '../../src/state/folder.ts';
import { isAlive } from '../../src/state/process.ts';
import { eventually } from '../support/eventually.ts';
import { type SecondEngine, startSecondEngine, whyNoSecondEngine } from '../support/second-engine.ts';
import { workerProject } from '../support/worker.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BIN = join(ROOT, 'bin', 'composure.js');
const obstacle = whyNoSecondEngine();
if (obstacle) console.log(`the agent under an engine that restarts is not tested: it ${obstacle}`);

/** Frozen while idle, and one that works, both back after a restart as a user would have it. */
function files(): string {
  const { services } = JSON.parse(
    workerProject({ tier: { warm: 'frozen' }, service: { restart: 'unless-stopped' } })['compose.yaml'] ?? '',
  );
  const { 'x-autoscale': key, ...worker } = services.worker;
  const trigger = { type: 'redis', metadata: { address: 'redis:6379', listName: 'other', listLength: '1' } };
  return JSON.stringify({
    services: {
      redis: { ...services.redis, command: 'redis-server --appendonly yes', restart: 'unless-stopped', volumes: ['data:/data'] },
      worker: services.worker,
      other: {
        ...worker,
        // BullMQ's own 30 s for a lock and between looks for jobs without one would make this wait one minute or two, by chance.
        environment: { QUEUE: 'other', LOCK_MS: '6000' },
        'x-autoscale': { ...key, triggers: [trigger], tier: { ...key.tier, warm: 'none' } },
      },
    },
    volumes: { data: {} },
  });
}

const ADD = `
  import { Queue } from 'bullmq';
  const [host, queue, name, ms] = process.argv.slice(1);
  const jobs = new Queue(queue, { connection: { host, port: 6379 } });
  await jobs.add(name, { ms: Number(ms) }, { attempts: 3 });
  await jobs.close();
`;

async function must(engine: SecondEngine, program: string, args: string[], cwd: string): Promise<string> {
  const result = await engine.enter(program, args, { cwd, timeoutMs: 120_000 });
  expect(result.code, result.stderr).toBe(0);
  return result.stdout.trim();
}

describe.skipIf(obstacle !== undefined)('an engine that restarts under the agent', () => {
  test('with frozen and running workers: the same agent thaws, goes on, and every job is done', { timeout: 300_000 }, async () => {
    const engine = await startSecondEngine();
    const folder = await mkdtemp(join(tmpdir(), 'composure-test-restart-'));
    const [project, state] = [join(folder, 'tiers'), join(folder, 'state')];
    const docker = (...args: string[]) => must(engine, 'docker', args, project);
    const redis = (...args: string[]) => docker('exec', 'tiers-redis-1', 'redis-cli', ...args);
    const ended = async () =>
      (await redis('LRANGE', 'ended', '0', '-1')).split('\n').flatMap((text) => (text ? [JSON.parse(text).job] : []));
    const add = async (queue: string, name: string, ms: number) => {
      const host = await docker('inspect', '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', 'tiers-redis-1');
      await must(engine, process.execPath, ['--input-type=module', '-e', ADD, host, queue, name, String(ms)], ROOT);
    };
    const statesOf = async (service: string) =>
      (await docker('ps', '-a', '--format', '{{.State}}', '--filter', `label=com.docker.compose.service=${service}`)).split('\n');
    let pid: number | undefined;
    try {
      await engine.load(['node:24-alpine', 'redis:8-alpine']);
      await mkdir(project);
      await mkdir(projectFolder(state, 'tiers'), { recursive: true });
      await writeFile(join(project, 'compose.yaml'), files());
      await docker('compose', 'up', '-d', 'redis', 'worker');
      const agent = engine.enter(process.execPath, [BIN, 'agent'], {
        cwd: folder,
        env: { COMPOSURE_STATE_DIR: state },
        timeoutMs: 240_000,
      });
      await eventually(async () => expect(await statesOf('worker')).toEqual(['paused']), { timeoutMs: 40_000, everyMs: 500 });
      const status = (await readAgentStatus(state))?.status;
      pid = status?.process.pid;
      await add('other', 'long', 5000);
      await eventually(async () => expect(await redis('LLEN', 'began')).toBe('1'), { timeoutMs: 30_000, everyMs: 300 });

      await engine.down();
      await engine.up();
      expect(status && isAlive(status.process)).toBe(true);
      await eventually(() => redis('PING'), { timeoutMs: 20_000, everyMs: 500 });
      await add('jobs', 'after', 100);
      await eventually(async () => expect(await ended()).toContain('after'), { timeoutMs: 30_000, everyMs: 500 });
      // The engine has ended its worker: the broker hands the job out again once its lock has run out.
      await eventually(async () => expect(await ended()).toContain('long'), { timeoutMs: 90_000, everyMs: 1000 });
      await eventually(
        async () => {
          expect(await statesOf('worker')).toEqual(['paused']);
          expect(await statesOf('other')).toEqual(['']);
        },
        { timeoutMs: 60_000, everyMs: 500 },
      );
      process.kill(pid ?? 0, 'SIGTERM');
      const { code, stderr } = await agent;
      expect(code, stderr).toBe(0);
      expect(await statesOf('worker')).toEqual(['running']);
    } finally {
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      } catch {}
      await engine.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
