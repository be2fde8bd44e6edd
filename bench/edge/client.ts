/** A client that does nothing but ask: raw sockets in a thread of its own, answers with a content-length only. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import type { ClientReport, DriveOptions, Target } from './drive.ts';

const { target, options } = workerData as { target: Target; options: DriveOptions };
const question = `GET / HTTP/1.1\r\nHost: ${target.host}\r\n${options.fresh ? 'Connection: close\r\n' : ''}\r\n`;
const report: ClientReport = { latencies: [], failed: 0 };
const end = performance.now() + options.seconds * 1000;
let open = options.connections;

for (let index = 0; index < options.connections; index += 1) follow();

/** One connection after the other, one request at a time. */
function follow(): void {
  if (performance.now() >= end) {
    open -= 1;
    if (open === 0) parentPort?.postMessage(report);
    return;
  }
  let begun = performance.now();
  let answer = '';
  let whole = false;
  const ask = (): void => {
    whole = false;
    answer = '';
    socket.write(question);
  };
  const socket: Socket = target.tls
    ? connectTls({ host: target.address, port: target.port, servername: target.host, rejectUnauthorized: false }, ask)
    : connect(target.port, target.address, ask);
  socket.setEncoding('latin1').setNoDelay(true);
  socket.on('data', (text: string) => {
    answer += text;
    whole = isWhole(answer);
    if (!whole) return;
    if (answer.startsWith('HTTP/1.1 2')) report.latencies.push(performance.now() - begun);
    else report.failed += 1;
    if (options.fresh || performance.now() >= end) return void socket.end();
    begun = performance.now();
    ask();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (!whole) report.failed += 1;
    follow();
  });
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(answer.slice(0, head))?.[1];
  return length !== undefined && answer.length >= head + 4 + Number(length);
}
