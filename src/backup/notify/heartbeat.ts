import { ask } from './ask.ts';
import type { Channel } from './model.ts';

/** GET after every backup that went well: whoever waits for it raises the alarm when it stays away, also when this host is gone. */
export const heartbeat: Channel = {
  kind: 'heartbeat',
  events: ['recovered', 'succeeded'],
  async send(address, { result }, signal) {
    if (result.kind === 'run' && result.only === undefined) await ask(address, { signal });
  },
};
