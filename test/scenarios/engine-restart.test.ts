import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildTestApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { startSecondEngine, whyNoSecondEngine } from '../support/second-engine.ts';

const BIN = fileURLToPath(new URL('../../bin/composure.js', import.meta.url));
const obstacle = whyNoSecondEngine();
if (obstacle) console.log(`the restart of an engine is not tested: it ${obstacle}`);

describe.skipIf(obstacle !== undefined)('an engine that restarts', () => {
  test('in the middle of a release: recover brings the old release back, and the edge with it', { timeout: 240_000 }, async () => {
    const image = await buildTestApp();
    const engine = await startSecondEngine();
    const folder = await mkdtemp(join(tmpdir(), 'composure-test-restart-'));
    try {
      await engine.load([image, 'haproxy:3.2-alpine']);
      const project = join(folder, 'restart');
      const state = join(folder, 'state');
      await mkdir(project);
      const file = (version: string, bootMs: number): Promise<void> =>
        writeFile(
          join(project, 'compose.yaml'),
          JSON.stringify({
            services: {
              web: {
                image,
                restart: 'unless-stopped',
                environment: { VERSION: version, BOOT_DELAY_MS: String(bootMs), PORT: '8000' },
                healthcheck: {
                  test: [
                    'CMD',
                    'node',
                    '-e',
                    "fetch('http://127.0.0.1:8000/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))",
                  ],
                  interval: '2s',
                  start_interval: '300ms',
                  start_period: '60s',
                },
                deploy: { replicas: 2, update_config: { order: 'start-first', parallelism: 0, monitor: '0s' } },
                'x-edge': { port: 8000, health: '/health' },
              },
            },
          }),
        );
      const composure = (...args: string[]) =>
        engine.enter(process.execPath, [BIN, ...args], { cwd: project, env: { COMPOSURE_STATE_DIR: state }, timeoutMs: 120_000 });
      const version = async (): Promise<string> => (await engine.enter('curl', ['-s', '-m', '2', 'http://127.0.0.1/'])).stdout;

      await file('one', 0);
      const first = await composure('deploy', '--yes');
      expect(first.code, first.stderr).toBe(0);
      expect(await version()).toContain('one');

      await file('two', 15_000);
      const second = composure('deploy', '--yes');
      await eventually(
        async () =>
          expect(
            (await engine.enter('docker', ['ps', '-q', '--filter', 'label=com.docker.compose.service=web'])).stdout.trim().split('\n'),
          ).toHaveLength(4),
        { timeoutMs: 20_000 },
      );
      await engine.down();
      const broken = await second;
      expect(broken.code).toBe(7);
      expect(broken.stderr).toContain('composure recover');

      await engine.up();
      const recovered = await composure('recover');
      expect(recovered.code, recovered.stderr).toBe(0);
      expect(recovered.stdout).toContain('taken back');
      await eventually(async () => expect(await version()).toContain('one'), { timeoutMs: 15_000 });
      const names = (
        await engine.enter('docker', ['ps', '--format', '{{.Names}}', '--filter', 'label=com.docker.compose.service=web'])
      ).stdout
        .trim()
        .split('\n')
        .sort();
      expect(names).toEqual(['restart-web-1', 'restart-web-2']);
      const again = await composure('recover');
      expect(again.stdout).toContain('nothing of restart is unfinished');
    } finally {
      await engine.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
