import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { SMALL } from '../../src/agent/installation/model.ts';
import { readStatus } from '../../src/autoscale/status.ts';
import { sleep } from '../../src/kit/wait.ts';
import { projectFolder } from '../../src/state/folder.ts';
import type { ScenarioProject } from '../../test/support/scenario.ts';

export interface RunningAgent {
  pid: number;
  /** Its last words, for when a measurement comes to nothing. */
  said(): string;
  stop(): Promise<void>;
}

/**
 * `composure agent run` as a process of its own on the project's state folder. Answers once `services` are scaled and each of their triggers
 * was read. It gets the variables that the unit and the container give it.
 */
export async function startAgent(bin: string, project: ScenarioProject, services: number): Promise<RunningAgent> {
  // With a state folder of its own an agent has to do only with projects that are known there.
  await mkdir(projectFolder(project.state, project.name), { recursive: true });
  const env = { ...process.env, COMPOSURE_STATE_DIR: project.state, NO_COLOR: '1', ...SMALL };
  const child = spawn(process.execPath, [bin, 'agent', 'run'], { cwd: project.folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = once(child, 'exit');
  let said = '';
  const hear = (text: string) => {
    said = (said + text).slice(-4000);
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const agent: RunningAgent = {
    pid: child.pid ?? 0,
    said: () => said,
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
  const deadline = performance.now() + 60_000;
  for (;;) {
    const status = (await readStatus(project.state))?.status;
    const read = status?.tiers.filter(({ triggers }) => triggers.every(({ atMs, failing }) => atMs !== undefined && !failing)) ?? [];
    if (status?.agent.pid === child.pid && read.length === services) return agent;
    if (child.exitCode !== null || performance.now() > deadline) {
      await agent.stop();
      throw new Error(`the agent did not come to scale ${services} services:\n${said}`);
    }
    await sleep(50);
  }
}

export interface ProcessFigures {
  rssMiB: number;
  /** The most that it had since it started. */
  peakMiB: number;
  cpuMs: number;
}

/** What the kernel says of a process; its children are not in it. */
export async function processFigures(pid: number): Promise<ProcessFigures> {
  const [status, threads] = await Promise.all([readFile(`/proc/${pid}/status`, 'utf8'), readdir(`/proc/${pid}/task`)]);
  const mib = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  // The scheduler's own count in ns. The clock ticks of /proc/PID/stat see only who runs when a tick comes, and timers come with ticks.
  const ran = await Promise.all(
    threads.map(async (id) => Number((await readFile(`/proc/${pid}/task/${id}/schedstat`, 'utf8').catch(() => '0')).split(' ')[0])),
  );
  return { rssMiB: mib('VmRSS'), peakMiB: mib('VmHWM'), cpuMs: ran.reduce((sum, ns) => sum + ns, 0) / 1e6 };
}
