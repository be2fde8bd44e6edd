/** The load client as a process of its own; load.ts starts it and talks to it over IPC. */
import type { FromClient, ToClient } from './messages.ts';
import type { Load } from './model.ts';
import { runLoad } from './run.ts';

let load: Load | undefined;

// Whoever started us is gone: nobody will ever read the figures.
process.on('disconnect', () => process.exit(0));

process.on('message', (message: ToClient) => {
  if (message.kind === 'start') {
    load = runLoad(message.options);
    return send({ kind: 'started' });
  }
  answer(message).then(send, (error: Error) => send({ kind: 'error', call: message.call, message: error.message }));
});

async function answer(message: Exclude<ToClient, { kind: 'start' }>): Promise<FromClient> {
  if (!load) throw new Error('the load was not started');
  const { call } = message;
  if (message.kind === 'wait') return { kind: 'seen', call, at: await load.waitForVersion(message.version, message.timeoutMs) };
  return { kind: 'report', call, report: await (message.kind === 'stop' ? load.stop() : load.snapshot()) };
}

function send(message: FromClient): void {
  process.send?.(message);
}
