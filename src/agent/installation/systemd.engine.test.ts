import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { type ScenarioProject, withProject } from '../../../test/support/scenario.ts';
import { agentInstallCommand, agentUninstallCommand } from '../../cli/commands/agent/install.ts';
import { agentStatusCommand } from '../../cli/commands/agent/status.ts';
import { agentName } from '../../state/folder.ts';
import { markWorker } from '../../state/workers.ts';
import type { Host } from './observe.ts';

/** Runs `body` where `systemctl` is a stand-in that carries out units by their own words; the real systemd only checks the unit (unit.test.ts). */
async function withSystemctl(body: (host: Host) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'composure-units-'));
  const { PATH } = process.env;
  process.env.PATH = `${join(import.meta.dirname, '../../../test/fixtures/systemctl')}${delimiter}${PATH}`;
  process.env.STANDIN_UNITS = folder;
  try {
    await body({ unitFolder: folder, systemd: true, root: true });
  } finally {
    for (const file of await readdir(folder)) {
      if (!file.endsWith('.pid')) continue;
      try {
        process.kill(Number(await readFile(join(folder, file), 'utf8')), 'SIGKILL');
      } catch {}
    }
    process.env.PATH = PATH;
    delete process.env.STANDIN_UNITS;
    await rm(folder, { recursive: true, force: true });
  }
}

type Command = (
  io: Parameters<typeof agentInstallCommand>[0],
  flags: { json?: boolean; yes?: boolean; dryRun?: boolean },
  host: Host,
) => Promise<void>;

async function say(p: ScenarioProject, command: Command, flags: { yes?: boolean; dryRun?: boolean; json?: boolean }, host: Host) {
  let out = '';
  const stdout = (text: string): void => {
    out += text;
  };
  await command({ cwd: p.folder, env: p.env, stdout, stderr: () => {}, isTTY: false }, flags, host);
  return out;
}

test('the systemd form: installed, repeated, changed, removed', { timeout: 120_000 }, async () => {
  await withProject('agent unit', { files: { 'compose.yaml': 'services: {web: {image: busybox:1}}\n' } }, async (p) => {
    await withSystemctl(async (host) => {
      const name = `${agentName(p.state)}.service`;
      const unit = join(host.unitFolder, name);
      const asked = async () => {
        const lines = (await readFile(join(host.unitFolder, 'asked'), 'utf8').catch(() => '')).trim().split('\n');
        await rm(join(host.unitFolder, 'asked'), { force: true });
        return lines.filter((line) => line !== '' && !line.startsWith('is-'));
      };
      const install = (flags = {}) => say(p, agentInstallCommand, flags, host);
      const status = async () => JSON.parse(await say(p, agentStatusCommand, { json: true }, host));

      expect(await install({ dryRun: true })).toContain(`  ExecStart=${process.execPath} `);
      expect([await asked(), (await readdir(host.unitFolder)).length]).toEqual([[], 0]);

      expect(await install()).toBe(`the agent runs as ${name} of systemd\n`);
      expect(await asked()).toEqual(['daemon-reload', `enable --now ${name}`]);
      const first = await status();
      expect(first).toMatchObject({ running: true, installed: 'systemd', form: 'systemd' });
      expect(await install()).toBe('the agent is installed and runs; nothing to do\n');
      expect(await asked()).toEqual([]);

      const text = await readFile(unit, 'utf8');
      await writeFile(unit, text.replace('RestartSec=2', 'RestartSec=20'));
      await install();
      expect(await asked()).toEqual(['daemon-reload', `enable --now ${name}`, `restart ${name}`]);
      expect(await readFile(unit, 'utf8')).toBe(text);
      const second = await status();
      expect([second.running, second.pid === first.pid]).toEqual([true, false]);

      // Frozen by an agent that was killed: ExecStopPost thaws it.
      expect((await p.compose(['up', '-d'])).code).toBe(0);
      const [web] = await p.containers();
      await writeFile(join(p.folder, 'compose.yaml'), 'services: {web: {image: busybox:1, command: sleep 600}}\n');
      await p.compose(['up', '-d']);
      const [worker] = await p.containers();
      expect(worker?.Id).not.toBe(web?.Id);
      await markWorker(p.state, p.name, worker?.Id ?? '', { kind: 'frozen', service: 'web', sinceMs: Date.now() });
      await p.docker(['pause', worker?.Id ?? '']);
      process.kill(second.pid, 'SIGKILL');
      expect(await say(p, agentUninstallCommand, { yes: true }, host)).toContain(`the agent is removed: ${unit}\n`);
      expect(await asked()).toEqual([`disable --now ${name}`, 'daemon-reload']);
      expect(await readdir(host.unitFolder)).toEqual(['output']);
      expect((await p.inspect(worker?.Id ?? '')).State.Status).toBe('running');
      expect(await status()).toMatchObject({ running: false });
    });
  });
});
