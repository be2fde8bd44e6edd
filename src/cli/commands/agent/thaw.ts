import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { endHoldsOfDead } from '../../../backup/run/hold.ts';
import { engineSocket, openDocker } from '../../../docker/api.ts';
import { thawFrozen } from '../../../docker/thaw.ts';
import { agentLockPath } from '../../../state/agent.ts';
import { stateFolder } from '../../../state/folder.ts';
import { readLock } from '../../../state/lock.ts';
import { readWorkerMarks } from '../../../state/workers.ts';
import { reporter } from '../../context.ts';
import type { Io } from '../../io.ts';

/** What follows an agent that ended in whatever way: nothing stays frozen that nobody would thaw. A living agent thaws for itself. */
export async function agentThawCommand(io: Io, flags: { json?: boolean; dryRun?: boolean }): Promise<void> {
  const docker = openDocker(engineSocket(io.env));
  const state = stateFolder(io.env);
  const agent = await readLock(agentLockPath(state));
  if (agent) {
    io.stdout(
      flags.json ? `${JSON.stringify({ agent: agent.pid, thawed: [] })}\n` : `the agent (pid ${agent.pid}) runs and thaws what is needed\n`,
    );
    return;
  }
  const thawed = flags.dryRun ? await listFrozen(state) : await thawFrozen(docker, state);
  // A backup that the agent started dies with it.
  const held = flags.dryRun ? [] : await endHoldsOfDead({ docker, stateFolder: state, report: reporter(io, flags) }, { waitMs: 5000 });
  if (flags.json) io.stdout(`${JSON.stringify({ dryRun: flags.dryRun ?? false, thawed, held })}\n`);
  else if (thawed.length === 0) io.stdout('nothing is frozen\n');
  else io.stdout(`${flags.dryRun ? 'would thaw' : 'thawed'} ${thawed.map((id) => id.slice(0, 12)).join(', ')}\n`);
}

async function listFrozen(state: string): Promise<string[]> {
  const projects = await readdir(join(state, 'projects')).catch(() => [] as string[]);
  const marks = await Promise.all(projects.map((project) => readWorkerMarks(state, project)));
  return marks.flatMap((of) => [...of].flatMap(([id, { kind }]) => (kind === 'frozen' ? [id] : [])));
}
