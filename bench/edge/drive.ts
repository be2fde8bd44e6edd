import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { run } from '../../src/kit/spawn.ts';
import { must } from '../support/must.ts';
import { quantile } from '../support/numbers.ts';

export interface Target {
  address: string;
  port: number;
  /** The Host header, and the name in TLS. */
  host: string;
  tls: boolean;
}

export interface DriveOptions {
  connections: number;
  seconds: number;
  /** A connection for each request, or one for all. */
  fresh: boolean;
}

export interface Driven {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Answers other than 2xx, and connections that failed. */
  failed: number;
}

export type Driver = (target: Target, options: DriveOptions) => Promise<Driven>;

/** `wrk` where it is installed: it takes the least time for itself. Otherwise a client of our own, which takes most of a small machine for itself: its ratios look better than they are. */
export async function findDriver(): Promise<{ name: string; drive: Driver }> {
  const { code } = await run('wrk', ['-v']);
  return code === 127 ? { name: 'own client', drive: driveOurselves } : { name: 'wrk', drive: driveWrk };
}

const driveWrk: Driver = async (target, { connections, seconds, fresh }) => {
  const url = `${target.tls ? 'https' : 'http'}://${target.address}:${target.port}/`;
  const headers = ['-H', `Host: ${target.host}`, ...(fresh ? ['-H', 'Connection: close'] : [])];
  return readWrk(await must('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...headers, url]));
};

/** The figures in what wrk prints. */
export function readWrk(text: string): Driven {
  const find = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? '';
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  return {
    perSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)),
    p50Ms: readMs(find(/50%\s+(\S+)/)),
    p99Ms: readMs(find(/99%\s+(\S+)/)),
    failed: [find(/Non-2xx or 3xx responses: (\d+)/), ...errors].reduce((sum, count) => sum + Number(count), 0),
  };
}

function readMs(text: string): number {
  const unit = text.replace(/[\d.]/g, '');
  return Number.parseFloat(text) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1);
}

export interface ClientReport {
  latencies: number[];
  failed: number;
}

const driveOurselves: Driver = async (target, options) => {
  const report = await new Promise<ClientReport>((resolve, reject) => {
    const worker = new Worker(fileURLToPath(new URL('./client.ts', import.meta.url)), { workerData: { target, options } });
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  const { latencies, failed } = report;
  return { perSecond: latencies.length / options.seconds, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), failed };
};
