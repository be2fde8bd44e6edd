import { ask } from './ask.ts';
import type { Channel } from './model.ts';

/** POST of a JSON document. Its `text` is the field that chat services show. */
export const webhook: Channel = {
  kind: 'webhook',
  events: ['failed', 'recovered'],
  async send(address, { event, project, host, result, text }, signal) {
    await ask(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text, event, project, host, ...result }),
      signal,
    });
  },
};
