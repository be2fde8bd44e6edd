import { Failure } from '../kit/errors.ts';
import type { OpenTrigger, Reading } from './model.ts';

/** A read ends within 5 s whatever happens; this leaves time to let go. */
export const READ_LIMIT_MS = 4_500;

export interface PolledSource<Client> {
  type: string;
  /** What is read, without a secret: an address, a service. */
  where: string;
  /** Never to be seen in a failure, whatever the client or the server says. */
  secrets: readonly (string | undefined)[];
  /** Below READ_LIMIT_MS. */
  limitMs?: number;
  /** `signal` ends the attempt: time is over, or the trigger is closed. */
  connect(signal: AbortSignal): Promise<Client>;
  look(client: Client, signal: AbortSignal): Promise<Reading>;
  /** Lets go of a client at once, whatever state it is in. */
  drop(client: Client): Promise<void> | void;
}

/** What a source that keeps no connection gives instead of connect and drop. It is asked once a read, whatever comes of it. */
export const WITHOUT_CONNECTION = { connect: async () => undefined, drop: () => {} };

/**
 * A source that only answers when asked: one client is kept between reads and replaced when it fails. A kept one that fails is tried once
 * more with a fresh connection, because it may have died unseen.
 */
export function polled<Client>(source: PolledSource<Client>): OpenTrigger {
  const limitMs = Math.min(source.limitMs ?? READ_LIMIT_MS, READ_LIMIT_MS);
  let kept: { client: Client } | undefined;
  let underWay: AbortController | undefined;
  let closed = false;

  async function letGo(holder = kept): Promise<void> {
    if (holder === kept) kept = undefined;
    // The connection is of no use any more; that it cannot even be ended properly tells nothing new.
    if (holder) await Promise.resolve(source.drop(holder.client)).catch(() => {});
  }

  async function attempt(signal: AbortSignal): Promise<Reading> {
    if (!kept) {
      const client = await source.connect(signal);
      if (signal.aborted) {
        await letGo({ client });
        signal.throwIfAborted();
      }
      kept = { client };
    }
    return source.look(kept.client, signal);
  }

  async function read(): Promise<Reading> {
    if (closed) throw failure('it is closed');
    const stop = new AbortController();
    underWay = stop;
    const timer = setTimeout(() => stop.abort(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
    const ended = new Promise<never>((_, reject) => stop.signal.addEventListener('abort', () => reject(stop.signal.reason)));
    const within = (step: Promise<Reading>) => Promise.race([step, ended]);
    ended.catch(() => {});
    try {
      const reused = kept?.client !== undefined;
      try {
        return await within(attempt(stop.signal));
      } catch (error) {
        void letGo();
        if (!reused || stop.signal.aborted) throw error;
        return await within(attempt(stop.signal));
      }
    } catch (error) {
      void letGo();
      throw failure(stop.signal.aborted ? reasonOf(stop.signal.reason) : reasonOf(error));
    } finally {
      clearTimeout(timer);
      underWay = undefined;
    }
  }

  function failure(reason: string): Failure {
    const where = withoutSecrets(source.where, source.secrets);
    return new Failure('TRIGGER_FAILED', `the ${source.type} trigger cannot be read: ${withoutSecrets(reason, source.secrets)}`, {
      where,
      next: NO_CONNECTION.test(reason)
        ? `check that ${where} runs and is the address that the service itself uses`
        : 'check the fields of the trigger, and the variables that its …FromEnv fields name, against the source',
    });
  }

  return {
    read,
    async close() {
      closed = true;
      underWay?.abort(new Error('it was closed meanwhile'));
      await letGo();
    },
  };
}

/** What Node and the clients say where nobody is there. */
const NO_CONNECTION =
  /E(CONNREFUSED|CONNRESET|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH|TIMEDOUT|PIPE)|no answer within|fetch failed|socket hang up/;

function reasonOf(error: unknown): string {
  // A name with several addresses fails with one error for each, and no text of its own.
  if (error instanceof AggregateError && error.errors.length > 0 && error.message === '') return reasonOf(error.errors[0]);
  const text = error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code || error.name : String(error);
  return text.replace(/\s*\n\s*/g, ' ').slice(0, 500);
}

/** The text with every secret, as written and as it looks inside a URL, replaced. */
export function withoutSecrets(text: string, secrets: readonly (string | undefined)[]): string {
  const hidden = secrets.flatMap((secret) => (secret ? [secret, encodeURIComponent(secret)] : []));
  return hidden.sort((a, b) => b.length - a.length).reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}
