import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ProgressEvent } from '../kit/events.ts';
import { agentLockPath, readAgentStatus } from '../state/agent.ts';
import { takeHost } from './presence.ts';

const nothing = async () => ({ projects: [], scaled: [] });

async function withFolder(body: (state: string) => Promise<void>): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'composure-presence-'));
  try {
    await body(state);
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

test('the agent says how it is, keeps its last words, and leaves no lock', () =>
  withFolder(async (state) => {
    const passed: ProgressEvent[] = [];
    const presence = await takeHost(
      state,
      'systemd',
      (event) => passed.push(event),
      async () => ({ projects: ['shop'], scaled: ['shop/w'] }),
    );
    for (let index = 0; index < 150; index += 1) presence.report({ kind: 'warning', text: `no ${index}` });
    presence.report({ kind: 'output', source: 'x', text: 'not a word of its own' });
    await presence.leave();
    expect(passed).toHaveLength(151);
    const found = await readAgentStatus(state);
    expect(found?.running).toBe(true);
    expect(found?.status).toMatchObject({ form: 'systemd', projects: ['shop'], scaled: ['shop/w'], process: { pid: process.pid } });
    expect(found?.status.messages).toHaveLength(100);
    expect(found?.status.messages.at(-1)).toMatchObject({ kind: 'warning', text: 'no 149' });
    await expect(readFile(agentLockPath(state))).rejects.toThrow('ENOENT');
  }));

test('a second agent is refused and told who is the first; a dead one is no hindrance', () =>
  withFolder(async (state) => {
    const first = await takeHost(state, 'foreground', () => {}, nothing);
    await expect(takeHost(state, 'foreground', () => {}, nothing)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`(pid ${process.pid})`),
    });
    await first.leave();
    // As a killed one leaves it: the process number may be another's by now.
    await writeFile(agentLockPath(state), JSON.stringify({ pid: process.pid, startTicks: '1', bootId: 'x', purpose: 'agent', since: '' }));
    const next = await takeHost(state, 'foreground', () => {}, nothing);
    await next.leave();
  }));

test('what cannot be found out about the followed projects is said once and stops nothing', () =>
  withFolder(async (state) => {
    const said: string[] = [];
    const presence = await takeHost(
      state,
      'foreground',
      (event) => void ('text' in event && said.push(event.text)),
      async () => {
        throw new Error('no edge');
      },
    );
    await presence.leave();
    expect(said).toEqual(["the agent's status could not be written: no edge"]);
  }));
