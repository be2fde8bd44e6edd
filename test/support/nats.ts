import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

/** One request over NATS' client protocol, which is lines of text, and its first answer. */
// biome-ignore lint/suspicious/noExplicitAny: what the server answers is looked at by the tests
export async function natsRequest(host: string, subject: string, body: unknown): Promise<any> {
  const socket = connect({ host, port: 4222 });
  const inbox = `_INBOX.${randomBytes(8).toString('hex')}`;
  const payload = JSON.stringify(body);
  let received = '';
  try {
    await once(socket, 'connect');
    socket.write(
      `CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB ${inbox} 1\r\nPUB ${subject} ${inbox} ${Buffer.byteLength(payload)}\r\n${payload}\r\n`,
    );
    const timer = setTimeout(() => socket.destroy(new Error(`no answer to ${subject}`)), 5_000);
    for await (const part of socket) {
      received += part;
      const plain = /^MSG \S+ \d+ (?:\S+ )?(\d+)\r\n/m.exec(received);
      const headed = /^HMSG \S+ \d+ (?:\S+ )?(\d+) (\d+)\r\n/m.exec(received);
      const match = plain ?? headed;
      if (!match) continue;
      const start = match.index + match[0].length;
      const [skip, size] = plain ? [0, Number(match[1])] : [Number(match[1]), Number(match[2])];
      if (Buffer.byteLength(received.slice(start)) < size) continue;
      clearTimeout(timer);
      const text = received.slice(start + skip, start + size);
      if (headed && text === '') throw new Error(received.slice(start, start + skip).split('\r\n')[0]);
      return JSON.parse(text);
    }
    throw new Error(`the server closed before it answered ${subject}`);
  } finally {
    socket.destroy();
  }
}
