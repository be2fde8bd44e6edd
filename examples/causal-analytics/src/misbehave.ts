import { setTimeout as sleep } from 'node:timers/promises';
import { log } from './settings.ts';

/** What a process does when it is told to stop. */
export type OnSigterm = 'drain' | 'exit' | 'ignore';

export type Health = { kind: 'ok' } | { kind: 'fail' } | { kind: 'fail-after'; afterMs: number };

/** Failures on demand: what a release tool has to survive, without a change of code. All off by default. */
export interface Misbehaviour {
  onSigterm: OnSigterm;
  bootDelayMs: number;
  health: Health;
  /** Share of answers on `/` that are 500. */
  errorRate: number;
  /** 0: never. */
  crashAfterMs: number;
  /** 0: none. */
  eatMemoryMb: number;
}

/** Throws RangeError for a value that means nothing, so that a mistyped experiment is not taken for a good release. */
export function readMisbehaviour(env: Record<string, string | undefined>): Misbehaviour {
  const onSigterm = env.APP_ON_SIGTERM || 'drain';
  if (onSigterm !== 'drain' && onSigterm !== 'exit' && onSigterm !== 'ignore') {
    throw new RangeError(`APP_ON_SIGTERM=${onSigterm}: expected drain, exit or ignore`);
  }
  return {
    onSigterm,
    bootDelayMs: numberOf(env, 'APP_BOOT_DELAY_MS', Number.MAX_SAFE_INTEGER),
    health: parseHealth(env.APP_HEALTH || 'ok'),
    errorRate: numberOf(env, 'APP_ERROR_RATE', 1),
    crashAfterMs: numberOf(env, 'APP_CRASH_AFTER_MS', Number.MAX_SAFE_INTEGER),
    eatMemoryMb: numberOf(env, 'APP_EAT_MEMORY_MB', Number.MAX_SAFE_INTEGER),
  };
}

function parseHealth(text: string): Health {
  if (text === 'ok' || text === 'fail') return { kind: text };
  const seconds = /^fail-after:(\d+(?:\.\d+)?)s?$/.exec(text)?.[1];
  if (seconds === undefined) throw new RangeError(`APP_HEALTH=${text}: expected ok, fail or fail-after:<seconds>s`);
  return { kind: 'fail-after', afterMs: Number(seconds) * 1000 };
}

function numberOf(env: Record<string, string | undefined>, name: string, most: number): number {
  const text = env[name] || '0';
  const value = Number(text);
  if (!(value >= 0 && value <= most)) throw new RangeError(`${name}=${text}: expected a number from 0 to ${most}`);
  return value;
}

export function isHealthy(health: Health, upMs: number): boolean {
  return health.kind === 'ok' || (health.kind === 'fail-after' && upMs < health.afterMs);
}

/** Says true for exactly that share of its calls, spread evenly: no luck in a test. */
export function createFailer(share: number): () => boolean {
  let owed = 0;
  return () => {
    owed += share;
    if (owed < 1 - 1e-9) return false;
    owed -= 1;
    return true;
  };
}

/** Waits out the boot delay, and starts the clock of what goes wrong later. */
export async function boot({ bootDelayMs, crashAfterMs, eatMemoryMb }: Misbehaviour): Promise<void> {
  if (crashAfterMs > 0) {
    setTimeout(() => {
      log('crashing as APP_CRASH_AFTER_MS asks');
      process.exit(1);
    }, crashAfterMs);
  }
  if (eatMemoryMb > 0) eatMemory(eatMemoryMb);
  if (bootDelayMs > 0) await sleep(bootDelayMs);
}

function eatMemory(megabytes: number): void {
  const eaten: Buffer[] = [];
  const timer = setInterval(() => {
    // Filled with ones: pages of zeros that nobody wrote to take no memory.
    for (let i = 0; i < 16 && eaten.length < megabytes; i++) eaten.push(Buffer.alloc(1 << 20, 1));
    if (eaten.length >= megabytes) clearInterval(timer);
  }, 20);
}

/** Installs what SIGTERM and SIGINT do. `drain` runs once; the process exits when it is done. */
export function onStop(how: OnSigterm, drain: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (how === 'ignore' && signal === 'SIGTERM') {
        log('ignoring SIGTERM as APP_ON_SIGTERM asks');
        return;
      }
      if (how === 'exit') process.exit(0);
      if (stopping) return;
      stopping = true;
      log('stopping', { signal });
      drain().then(
        () => {
          log('stopped');
          process.exit(0);
        },
        (error: unknown) => {
          log('did not stop cleanly', { error: String(error) });
          process.exit(1);
        },
      );
    });
  }
}
