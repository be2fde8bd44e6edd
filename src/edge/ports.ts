import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ContainerSummary } from '../docker/api.ts';

/** TCP ports that something on this host listens on, with the inode of each socket. Reads /proc/net/tcp and tcp6. */
export function parseListeners(text: string): { port: number; inode: string }[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local, , state] = fields;
    if (state !== '0A' || !local) return [];
    return [{ port: Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16), inode: fields[9] ?? '' }];
  });
}

export function listeners(): { port: number; inode: string }[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => {
    try {
      return parseListeners(readFileSync(path, 'utf8'));
    } catch {
      return [];
    }
  });
}

/** Who holds a port, in words: the container that publishes it, else the process. */
export function describeHolder(port: number, inodes: string[], containers: ContainerSummary[]): string {
  const publisher = containers.find((container) =>
    container.Ports?.some((binding) => binding.PublicPort === port && binding.Type === 'tcp'),
  );
  if (publisher) return `container ${publisher.Names[0]?.replace(/^\//, '') ?? publisher.Id.slice(0, 12)}`;
  const pid = processWith(inodes);
  if (pid === undefined) return 'a process that cannot be seen from here';
  try {
    return `process ${pid} (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()})`;
  } catch {
    return `process ${pid}`;
  }
}

function processWith(inodes: string[]): string | undefined {
  const wanted = new Set(inodes.map((inode) => `socket:[${inode}]`));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) if (wanted.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) return pid;
    } catch {}
  }
  return undefined;
}
