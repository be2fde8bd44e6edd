import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromClient, ToClient } from './messages.ts';
import type { Load, LoadOptions, LoadReport } from './model.ts';
import { runLoad } from './run.ts';

/**
 * Starts a steady load and resolves when it runs. The client never retries: every reset, refusal, timeout, truncation, wrong body or
 * answer other than 2xx is a failure, every stream that the server does not end in order a cut.
 */
export async function startLoad(options: LoadOptions): Promise<Load> {
  if (options.isolated === false) return runLoad(options);

  const child = fork(fileURLToPath(new URL('./process.ts', import.meta.url)), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const calls = new Map<number, { resolve: (message: FromClient) => void; reject: (error: Error) => void }>();
  let nextCall = 1;
  let started: () => void = () => {};
  let notStarted: (error: Error) => void = () => {};
  const start = new Promise<void>((resolve, reject) => {
    started = resolve;
    notStarted = reject;
  });
  child.on('message', (message: FromClient) => {
    if (message.kind === 'started') return started();
    const call = calls.get(message.call);
    calls.delete(message.call);
    if (message.kind === 'error') call?.reject(new Error(message.message));
    else call?.resolve(message);
  });
  child.on('exit', (code, signal) => {
    const error = new Error(`the load client ended by itself (${signal ?? `exit code ${code}`})`);
    notStarted(error);
    for (const call of calls.values()) call.reject(error);
    calls.clear();
  });

  function ask(message: Exclude<ToClient, { kind: 'start' }>): Promise<FromClient> {
    if (!child.connected) return Promise.reject(new Error('the load client is not running'));
    return new Promise((resolve, reject) => {
      calls.set(message.call, { resolve, reject });
      child.send(message);
    });
  }

  async function report(kind: 'snapshot' | 'stop'): Promise<LoadReport> {
    const message = await ask({ kind, call: nextCall++ });
    if (message.kind !== 'report') throw new Error(`unexpected answer ${message.kind}`);
    return message.report;
  }

  child.send({ kind: 'start', options } satisfies ToClient);
  await start;

  let final: Promise<LoadReport> | undefined;
  return {
    stop() {
      final ??= (async () => {
        const last = await report('stop');
        const gone = once(child, 'exit');
        child.disconnect();
        await gone;
        return last;
      })();
      return final;
    },
    snapshot: () => final ?? report('snapshot'),
    async waitForVersion(version, timeoutMs) {
      const message = await ask({ kind: 'wait', call: nextCall++, version, timeoutMs });
      if (message.kind !== 'seen') throw new Error(`unexpected answer ${message.kind}`);
      return message.at;
    },
  };
}
