import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from './alive.ts';

const FOLDER = join(tmpdir(), 'composure-test-ports');
/** Below the range that the kernel hands out by itself, so that no outgoing connection sits on a port that was promised. */
const FIRST = 20_000;
const LAST = 29_999;

const held = new Set<number>();
process.once('exit', () => held.forEach(releasePort));

/** A TCP port that nobody listens on and that no other test process gets until `releasePort`, or until this process ends. */
export async function freePort(): Promise<number> {
  mkdirSync(FOLDER, { recursive: true });
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (!reserve(port)) continue;
    if (await isFree(port)) {
      held.add(port);
      return port;
    }
    releasePort(port);
  }
  throw new Error(`no free port between ${FIRST} and ${LAST}`);
}

export function releasePort(port: number): void {
  held.delete(port);
  rmSync(join(FOLDER, String(port)), { force: true });
}

/** Reservations of processes that are gone. */
export function releaseDeadPorts(): void {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) if (!isHeld(join(FOLDER, name))) rmSync(join(FOLDER, name), { force: true });
}

function reserve(port: number): boolean {
  try {
    writeFileSync(join(FOLDER, String(port)), String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    // Another's, or a dead process's: there are ports enough to leave it alone, the teardown clears it.
    return false;
  }
}

function isHeld(path: string): boolean {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    // Created, not yet written: its owner is at it right now.
    return pid === 0 || isAlive(pid);
  } catch {
    return false;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
