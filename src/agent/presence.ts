import { Failure } from '../kit/errors.ts';
import type { ProgressEvent, Report } from '../kit/events.ts';
import { packageVersion } from '../kit/package.ts';
import { type AgentForm, type AgentStatus, agentLockPath, writeAgentStatus } from '../state/agent.ts';
import { describeHolder, readLock, takeLock } from '../state/lock.ts';
import { ownIdentity } from '../state/process.ts';

const WRITE_EVERY_MS = 15_000;
/** A burst of messages is written down once. */
const SETTLE_MS = 200;
const KEPT_MESSAGES = 100;

/** The agent among the host's processes: no second one beside it, and others can see how it is. */
export interface Presence {
  /** Passes events on and keeps the last ones for `agent status` and `agent logs`. */
  report: Report;
  leave(): Promise<void>;
}

/**
 * Takes the host for this process. Failure LOCKED when another agent has it. `follows` is asked whenever the status is written: which
 * projects, and which services ("<project>/<service>") are looked after.
 */
export async function takeHost(
  state: string,
  form: AgentForm,
  report: Report,
  follows: () => Promise<{ projects: string[]; scaled: string[] }>,
): Promise<Presence> {
  const holder = await readLock(agentLockPath(state));
  if (holder) {
    throw new Failure('LOCKED', `this host has its agent already: ${describeHolder(holder)}`, {
      next: 'composure agent status says how it runs; one agent does for all projects of a host',
    });
  }
  const lock = await takeLock(agentLockPath(state), { purpose: 'agent' });
  const since = new Date().toISOString();
  const messages: AgentStatus['messages'] = [];
  let writing: Promise<void> = Promise.resolve();
  let settling: NodeJS.Timeout | undefined;
  let told = false;

  async function write(): Promise<void> {
    const now = new Date().toISOString();
    try {
      const { projects, scaled } = await follows();
      const rssBytes = process.memoryUsage.rss();
      await writeAgentStatus(state, {
        process: ownIdentity(),
        form,
        version: packageVersion(),
        since,
        at: now,
        rssBytes,
        projects,
        scaled,
        messages,
      });
      told = false;
    } catch (error) {
      // Said once for each time it begins: an agent that cannot tell how it is still does its work.
      if (!told) report({ kind: 'warning', text: `the agent's status could not be written: ${(error as Error).message}` });
      told = true;
    }
  }
  const writeSoon = (): void => {
    writing = writing.then(write);
  };

  writeSoon();
  const timer = setInterval(writeSoon, WRITE_EVERY_MS);
  return {
    report(event: ProgressEvent): void {
      report(event);
      if (event.kind !== 'note' && event.kind !== 'warning') return;
      messages.push({ at: new Date().toISOString(), kind: event.kind, text: event.text });
      messages.splice(0, messages.length - KEPT_MESSAGES);
      settling ??= setTimeout(() => {
        settling = undefined;
        writeSoon();
      }, SETTLE_MS);
    },
    async leave(): Promise<void> {
      clearInterval(timer);
      clearTimeout(settling);
      await writing;
      await write();
      await lock.release();
    },
  };
}
