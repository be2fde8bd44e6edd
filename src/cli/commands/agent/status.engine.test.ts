import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerBackups } from '../../../backup/registration.ts';
import type { Project } from '../../../project/model.ts';
import { type AgentForm, writeAgentStatus } from '../../../state/agent.ts';
import { ownIdentity } from '../../../state/process.ts';
import { agentStatusCommand } from './status.ts';

let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'composure-agent-status-'));
});
afterEach(() => rm(state, { recursive: true, force: true }));

/** What is said of a running agent of this form, on a host with one project whose backups are planned. */
async function statusOf(form: AgentForm): Promise<string> {
  const backup = { repository: '/mnt/backup', schedule: '0 3 * * *', timezone: 'UTC', keep: {}, secrets: [] };
  await registerBackups(state, { name: 'shop', folder: '/srv/shop', settings: { backup }, services: {} } as unknown as Project, {});
  const now = new Date().toISOString();
  const about = { version: '0.0.0', since: now, at: now, rssBytes: 1, projects: ['shop'], scaled: [], messages: [] };
  await writeAgentStatus(state, { process: ownIdentity(), form, ...about });
  const said: string[] = [];
  const io = { cwd: state, env: { ...process.env, COMPOSURE_STATE_DIR: state }, isTTY: false, stderr: () => {} };
  await agentStatusCommand(
    { ...io, stdout: (text: string) => void said.push(text) },
    {},
    { unitFolder: state, systemd: false, root: true },
  );
  return said.join('');
}

test('an agent in a container says that it makes no backups; one under systemd does not', async () => {
  expect(await statusOf('container')).toContain(
    'it sees no volumes and no secrets, so scheduled backups of shop fail, and no webhook hears of it: composure agent install, without --container, makes them\n',
  );
  expect(await statusOf('systemd')).not.toContain('it sees no volumes');
});
