import type { OpenTrigger, Reading } from '../triggers/model.ts';

/** One trigger of one tier while it is being read. */
export interface Source {
  name: string;
  type: string;
  /** A reading that is begun after this call. Throws what the trigger throws. */
  fresh(): Promise<Reading>;
  /** Reads as soon as the rate allows. */
  soon(): void;
  close(): Promise<void>;
}

export interface SourceOptions {
  name: string;
  type: string;
  trigger: OpenTrigger;
  /** How long to wait after a reading, by what it said; undefined: it failed. */
  pauseMs(reading: Reading | undefined): number;
  onReading(reading: Reading): void;
  onFailure(error: Error): void;
  /** Told before anything is read: a frozen worker may hold what no reading shows. */
  onNotice(): void;
  /** It tells of nothing until the next reading, or never again and is polled. */
  onLost(reason: string, forGood: boolean): void;
  now(): number;
}

/** At most so often, however many changes a source tells of. */
const LEAST_GAP_MS = 50;
/** A delayed job is due at its time, not a moment earlier by another machine's clock. */
const DUE_SLACK_MS = 5;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Reads a trigger one reading at a time: when it tells of a change, when a delayed job becomes due, and otherwise at its interval. */
export function openSource(options: SourceOptions): Source {
  const { trigger } = options;
  let closed = false;
  let running: Promise<Reading> | undefined;
  let following: Promise<Reading> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let beganAt = Number.NEGATIVE_INFINITY;

  function readAt(delayMs: number): void {
    if (closed) return;
    const at = performance.now() + delayMs;
    if (timer && timerAt <= at) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(
      () => {
        timer = undefined;
        timerAt = Number.POSITIVE_INFINITY;
        if (!closed) fresh().catch(() => {});
      },
      Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS),
    );
  }

  async function readNow(): Promise<Reading> {
    beganAt = performance.now();
    let reading: Reading | undefined;
    try {
      reading = await trigger.read();
      if (!closed) options.onReading(reading);
      return reading;
    } catch (error) {
      if (!closed) options.onFailure(error as Error);
      throw error;
    } finally {
      running = undefined;
      readAt(options.pauseMs(reading));
      const dueMs = reading?.queue?.nextDueMs;
      if (dueMs !== undefined) readAt(Math.max(LEAST_GAP_MS, dueMs - options.now() + DUE_SLACK_MS));
    }
  }

  function fresh(): Promise<Reading> {
    if (closed) return Promise.reject(new Error('the source is closed'));
    if (running === undefined) {
      running = readNow();
      return running;
    }
    // What is under way began before it was asked for.
    following ??= running
      .catch(() => {})
      .then(() => {
        following = undefined;
        running ??= readNow();
        return running;
      });
    return following;
  }

  const soon = (): void => readAt(Math.max(0, beganAt + LEAST_GAP_MS - performance.now()));

  trigger.watch?.((notice) => {
    if (closed) return;
    if (notice.kind === 'changed') options.onNotice();
    else options.onLost(notice.reason, notice.forGood === true);
    soon();
  });
  readAt(0);

  return {
    name: options.name,
    type: options.type,
    fresh,
    soon,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await trigger.close();
    },
  };
}
