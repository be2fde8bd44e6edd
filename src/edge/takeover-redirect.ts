import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../kit/errors.ts';
import { run } from '../kit/spawn.ts';

export type RedirectAbility = { can: true; warnings: readonly string[] } | { can: false; why: string };

export interface Redirect {
  port: number;
  to: number;
  family: 'ipv4' | 'ipv6';
  chain: 'PREROUTING' | 'OUTPUT';
}

/**
 * Redirects of the host's own ports for new connections: those that are open already stay where they are, by connection tracking.
 * PREROUTING catches what comes from outside and from containers, OUTPUT what this machine sends to itself; the latter
 * is what Docker serves by docker-proxy, so it must be caught too. Everything carries a comment "composure:<edge>:<port>",
 * and nothing else is ever removed.
 */
const CHAINS = ['PREROUTING', 'OUTPUT'] as const;
const PROGRAMS = { ipv4: 'iptables', ipv6: 'ip6tables' } as const;

const isRoot = (): boolean => process.getuid?.() === 0;

/** Whether new connections to a port can be sent elsewhere on this machine, and if not, why. */
export async function canRedirect(): Promise<RedirectAbility> {
  if (process.platform !== 'linux') return { can: false, why: 'redirects of ports need Linux' };
  if (!isRoot()) return { can: false, why: 'redirects of ports need root' };
  const program = findProgram(PROGRAMS.ipv4);
  if (!program) return { can: false, why: 'the program iptables is not on this machine' };
  const nat = await run(program, ['-w', '5', '-t', 'nat', '-S', 'PREROUTING'], { timeoutMs: 10_000 });
  if (nat.code !== 0) return { can: false, why: `iptables has no nat table here: ${firstLine(nat.stderr)}` };
  const input = await run(program, ['-w', '5', '-S', 'INPUT'], { timeoutMs: 10_000 });
  // Ports that Docker publishes pass by the INPUT chain; those that the edge listens on itself do not.
  const closed = /^-P INPUT (DROP|REJECT)/m.test(input.stdout);
  const text =
    'the firewall of this host refuses incoming connections unless a rule allows them: allow the ports of the edge (for example ufw allow 80,443/tcp), and while a port is taken over also its temporary one';
  return { can: true, warnings: closed ? [text] : [] };
}

/** Sends new connections to `port` of any of this host's addresses to port `to`. Repeating it changes nothing; another `to` replaces the old one. */
export async function addRedirect(edge: string, port: number, to: number): Promise<void> {
  const present = await listRedirects(edge);
  for (const family of families()) {
    for (const chain of CHAINS) {
      const own = present.filter((redirect) => redirect.port === port && redirect.family === family && redirect.chain === chain);
      if (!own.some((redirect) => redirect.to === to)) await change(family, ['-I', chain, '1', ...match(edge, port, to)]);
      for (const old of own.filter((redirect) => redirect.to !== to)) await change(family, ['-D', chain, ...match(edge, port, old.to)]);
    }
  }
}

/** Takes the redirect of a port away; one that is not there is fine. Connections that came by it go on. */
export async function removeRedirect(edge: string, port: number): Promise<void> {
  for (const redirect of await listRedirects(edge)) {
    if (redirect.port === port) await change(redirect.family, ['-D', redirect.chain, ...match(edge, port, redirect.to)]);
  }
}

/** The redirects of an edge that are in force; none where they cannot be read. */
export async function listRedirects(edge: string): Promise<Redirect[]> {
  const lists = await Promise.all(
    families().flatMap((family) =>
      CHAINS.map(async (chain) => {
        const program = findProgram(PROGRAMS[family]);
        const result = program ? await run(program, ['-w', '5', '-t', 'nat', '-S', chain], { timeoutMs: 10_000 }) : undefined;
        return parseRedirects(result?.stdout ?? '', edge).map((redirect) => ({ ...redirect, family, chain }));
      }),
    ),
  );
  return lists.flat();
}

/** Reads `iptables -t nat -S`. */
export function parseRedirects(text: string, edge: string): { port: number; to: number }[] {
  return text.split('\n').flatMap((line) => {
    const comment = /--comment "?composure:(\S+?):(\d+)"?(?:\s|$)/.exec(line);
    const to = /--to-ports (\d+)/.exec(line);
    return comment?.[1] === edge && to ? [{ port: Number(comment[2]), to: Number(to[1]) }] : [];
  });
}

const match = (edge: string, port: number, to: number): string[] => [
  ...['-p', 'tcp', '-m', 'addrtype', '--dst-type', 'LOCAL', '-m', 'tcp', '--dport', String(port)],
  ...['-m', 'comment', '--comment', `composure:${edge}:${port}`, '-j', 'REDIRECT', '--to-ports', String(to)],
];

async function change(family: Redirect['family'], args: string[]): Promise<void> {
  const program = findProgram(PROGRAMS[family]);
  const result = program ? await run(program, ['-w', '5', '-t', 'nat', ...args], { timeoutMs: 15_000 }) : undefined;
  if (result?.code === 0) return;
  // Without IPv6 NAT in the kernel nothing listens there through NAT either.
  if (family === 'ipv6') return;
  throw new Failure('EDGE_FAILED', 'new connections to a port could not be redirected', {
    where: `iptables ${args.slice(0, 2).join(' ')}`,
    next: 'run as root on the server itself',
    details: [firstLine(result?.stderr ?? 'the program iptables is not on this machine')],
  });
}

const families = (): Redirect['family'][] =>
  isRoot() ? (['ipv4', 'ipv6'] as const).filter((family) => findProgram(PROGRAMS[family]) !== undefined) : [];

/** In PATH, in the usual system folders, else where the Docker daemon itself finds it. */
function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', ...daemonPath()];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

let known: string[] | undefined;

function daemonPath(): string[] {
  known ??= readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'dockerd') return [];
        const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        return (variables.find((text) => text.startsWith('PATH='))?.slice('PATH='.length) ?? '').split(':');
      } catch {
        return [];
      }
    });
  return known;
}

const firstLine = (text: string): string => text.trim().split('\n')[0] ?? '';
