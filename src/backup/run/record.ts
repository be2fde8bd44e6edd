import { Failure } from '../../kit/errors.ts';
import type { Project } from '../../project/model.ts';
import type { BackupResult, BackupWorld } from '../model.ts';
import { tell, tidingsOf } from '../notify/tell.ts';
import { readResults } from '../proven.ts';
import { appendHistory } from './history.ts';
import { writeMetrics } from './metrics.ts';

/** How a piece of work on backups ended, as far as it knows by itself. */
export type Outcome = Pick<BackupResult, 'set' | 'only' | 'numbers'>;

/** Refusals before anything was tried: the person who asked reads them, and nobody else has to know. */
const NO_ATTEMPT: readonly string[] = [
  ...['USAGE', 'LOCKED', 'CONFIRMATION_NEEDED', 'DECLINED'],
  ...['SET_UNKNOWN', 'STORE_UNKNOWN', 'SERVICE_UNKNOWN', 'RESTORE_REFUSED'],
];

/**
 * Does the work and notes how it ended: a line of history, metrics, and whoever is to be told. Throws what the work throws. What cannot be
 * noted or told is a warning. `work` may set `set` and `only` of what it is given early, so that a failure names them too.
 */
export async function recorded<T extends Outcome>(
  world: BackupWorld,
  { kind, scheduled }: Pick<BackupResult, 'kind' | 'scheduled'>,
  work: (outcome: Partial<Outcome>) => Promise<T>,
): Promise<T> {
  const startedAt = new Date().toISOString();
  const known: Partial<Outcome> = {};
  const note = (ending: Pick<BackupResult, 'ok' | 'numbers'> & Partial<BackupResult>) =>
    recordResult(world, { kind, scheduled, startedAt, endedAt: new Date().toISOString(), ...ending });
  let done: T;
  try {
    done = await work(known);
  } catch (error) {
    const { code, message } = readError(error);
    if (scheduled || known.set !== undefined || !NO_ATTEMPT.includes(code)) {
      await note({ ok: false, ...named(known), numbers: known.numbers ?? {}, code, message });
    }
    throw error;
  }
  await note({ ok: true, ...named(done), numbers: done.numbers });
  return done;
}

const named = ({ set, only }: Partial<Outcome>): Partial<Outcome> => ({
  ...(set === undefined ? {} : { set }),
  ...(only === undefined ? {} : { only }),
});

function readError(error: unknown): { code: string; message: string } {
  if (error instanceof Failure) {
    const where = error.where === undefined || error.message.includes(error.where) ? '' : ` (${error.where})`;
    return { code: error.code, message: `${error.message}${where}` };
  }
  const { name, message } = error as Error;
  return name === 'AbortError' ? { code: 'INTERRUPTED', message: 'it was interrupted' } : { code: 'BUG', message };
}

/** What it takes to note a result and to tell of it. A BackupWorld is one. */
export interface Recorder extends Pick<BackupWorld, 'stateFolder' | 'secrets' | 'addresses' | 'report' | 'host'> {
  project: Pick<Project, 'name'> & { settings: Pick<Project['settings'], 'backup'> };
}

/** Notes a result. Never throws: what was done is done, whether it can be written down or not. */
export async function recordResult(world: Recorder, result: BackupResult): Promise<void> {
  const { project, stateFolder, report, addresses, host } = world;
  const notify = project.settings.backup?.notify ?? [];
  const clean = withoutSecrets(result, [...Object.values(world.secrets), ...Object.values(addresses ?? {})]);
  const before = await readResults(stateFolder, project.name).catch(() => []);
  try {
    await appendHistory(stateFolder, project.name, clean);
    await writeMetrics(stateFolder);
  } catch (error) {
    report({ kind: 'warning', text: `how it ended could not be noted: ${(error as Error).message}` });
  }
  // Who stopped it knows it.
  if ((clean.code === 'INTERRUPTED' && !clean.scheduled) || addresses === undefined) return;
  await tell(notify, addresses, tidingsOf(project.name, host, before, clean), report);
}

/** A tool's own words may repeat what it was given. Pure. */
export function withoutSecrets(result: BackupResult, values: readonly string[]): BackupResult {
  const secrets = values.filter((value) => value.length >= 6).sort((a, b) => b.length - a.length);
  if (result.message === undefined) return result;
  return { ...result, message: secrets.reduce((text, value) => text.replaceAll(value, '[secret]'), result.message) };
}
