import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { edgeFolder } from '../state/folder.ts';
import type { ServerStats } from './model.ts';
import { type EdgeMap, HOLD_SERVER, MAPS } from './render.ts';
import { adminSocket, ask, isSilent, masterSocket } from './socket.ts';

/** What a running HAProxy reports of itself. */
export interface ObservedEdge {
  /** Hash of the file it was started or last reloaded with, without the servers. */
  structure: string | undefined;
  servers: ObservedServer[];
  maps: Record<'routes' | 'redirects', EdgeMap>;
}

export interface ObservedServer {
  backend: string;
  name: string;
  address: string;
  port: number;
  state: 'ready' | 'drain' | 'maint';
}

const ADMIN_MAINT = 0x01 | 0x02 | 0x04 | 0x20;
const ADMIN_DRAIN = 0x08 | 0x10;

/** Reads the answer of `show servers state`: a version, a head line beginning with "#", then one line a server. */
export function parseServersState(text: string): ObservedServer[] {
  const rows = text.split('\n').filter((line) => line.trim() !== '');
  const head =
    rows
      .find((line) => line.startsWith('# '))
      ?.slice(2)
      .split(' ') ?? [];
  const column = (name: string): number => head.indexOf(name);
  return rows.flatMap((line) => {
    const fields = line.split(' ');
    if (line.startsWith('#') || fields.length < head.length || head.length === 0) return [];
    const admin = Number(fields[column('srv_admin_state')]);
    const weight = Number(fields[column('srv_uweight')]);
    const state = (admin & ADMIN_MAINT) !== 0 ? 'maint' : (admin & ADMIN_DRAIN) !== 0 || weight === 0 ? 'drain' : 'ready';
    return [
      {
        backend: fields[column('be_name')] ?? '',
        name: fields[column('srv_name')] ?? '',
        address: fields[column('srv_addr')] ?? '',
        port: Number(fields[column('srv_port')]),
        state,
      },
    ];
  });
}

/** Reads the answer of `show map`: "0x… key value" a line. */
export function parseMap(text: string): EdgeMap {
  const map: EdgeMap = {};
  for (const line of text.split('\n')) {
    const match = /^0x[0-9a-f]+ (\S+) (.*)$/.exec(line.trim());
    if (match?.[1] !== undefined && match[2] !== undefined) map[match[1]] = match[2];
  }
  return map;
}

export interface StatRow {
  [field: string]: string;
}

/** Reads the CSV of `show stat`; a field with commas or quotes stands in quotes. */
export function parseStat(text: string): StatRow[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const head = lines.find((line) => line.startsWith('# '));
  if (!head) return [];
  const names = splitCsv(head.slice(2));
  return lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => {
      const values = splitCsv(line);
      return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
    });
}

function splitCsv(line: string): string[] {
  const values: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  return values;
}

/** Workers that the master still runs: the present one and those that only finish their streams. Reads `show proc`. */
export function parseWorkers(text: string): { current: number[]; old: number[] } {
  const workers = { current: [] as number[], old: [] as number[] };
  let list: number[] | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('# workers')) list = workers.current;
    else if (line.startsWith('# old workers')) list = workers.old;
    else if (line.startsWith('#')) list = undefined;
    else {
      const match = /^(\d+)\s+worker\s/.exec(line);
      if (match) list?.push(Number(match[1]));
    }
  }
  return workers;
}

/** Generations that have a folder for their sockets, newest first. */
export async function knownGenerations(folder: string): Promise<number[]> {
  const names = await readdir(join(edgeFolder(folder), 'run')).catch(() => [] as string[]);
  return names.flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : [])).sort((a, b) => b - a);
}

/** The newest generation that takes new connections. */
export async function servingGeneration(folder: string): Promise<number | undefined> {
  for (const generation of await knownGenerations(folder)) if (await serves(folder, generation)) return generation;
  return undefined;
}

/** A worker that only finishes its streams still answers, and says so. */
export async function serves(folder: string, generation: number): Promise<boolean> {
  try {
    return /^Stopping: 0$/m.test(await ask(adminSocket(folder, generation), 'show info', { timeoutMs: 3000 }));
  } catch {
    return false;
  }
}

export async function observeEdge(folder: string, generation: number): Promise<ObservedEdge> {
  const socket = adminSocket(folder, generation);
  const [structure, servers, routes, redirects] = await Promise.all([
    ask(socket, 'get var proc.structure'),
    ask(socket, 'show servers state'),
    ask(socket, `show map ${MAPS.routes}`),
    ask(socket, `show map ${MAPS.redirects}`),
  ]);
  return {
    structure: /value=<([^>]*)>/.exec(structure)?.[1],
    servers: parseServersState(servers),
    maps: { routes: parseMap(routes), redirects: parseMap(redirects) },
  };
}

/** Sends a line to every process of the edge that still has sessions. The newest comes first; the others only finish. */
export async function askAll(folder: string, line: string): Promise<string[]> {
  const answersOf: string[] = [];
  for (const generation of await knownGenerations(folder)) {
    const master = masterSocket(folder, generation);
    let processes: string;
    try {
      processes = await ask(master, 'show proc', { master: true });
    } catch (error) {
      if (isSilent(error) || (error as NodeJS.ErrnoException).code === 'ECONNRESET') continue;
      throw error;
    }
    const { current, old } = parseWorkers(processes);
    for (const pid of [...current, ...old]) {
      const text = await ask(master, `@!${pid} ${line}`, { master: true }).catch(() => undefined);
      if (text !== undefined) answersOf.push(text);
    }
  }
  return answersOf;
}

/** Adds up what several processes report of the same servers; the first process decides on status and check. */
export function sumStats(processes: StatRow[][], backends?: string[]): ServerStats[] {
  const sum = new Map<string, ServerStats>();
  const number = (row: StatRow, field: string): number => Number(row[field] || 0);
  processes.forEach((rows, index) => {
    for (const row of rows) {
      const backend = row.pxname ?? '';
      const server = row.svname ?? '';
      if (row.type !== '2' || server === HOLD_SERVER || (backends && !backends.includes(backend))) continue;
      const key = `${backend}/${server}`;
      const known = sum.get(key);
      if (known) {
        known.sessions += number(row, 'scur');
        known.requests += number(row, 'stot');
        known.responses5xx += number(row, 'hrsp_5xx');
        known.connectionErrors += number(row, 'econ');
        known.responseErrors += number(row, 'eresp');
      } else if (index === 0 || number(row, 'scur') > 0) {
        sum.set(key, {
          backend,
          server,
          status: statusOf(row),
          ...checkOf(row),
          sessions: number(row, 'scur'),
          requests: number(row, 'stot'),
          responses5xx: number(row, 'hrsp_5xx'),
          connectionErrors: number(row, 'econ'),
          responseErrors: number(row, 'eresp'),
          responseTimeMs: number(row, 'rtime'),
        });
      }
    }
  });
  return [...sum.values()];
}

/** Without the count of checks on the way up or down ("UP 1/2"). One that drains by its weight is reported like any that drains. */
function statusOf(row: StatRow): string {
  const status = (row.status ?? '').replace(/ \d+\/\d+$/, '');
  return status === 'UP' && row.weight === '0' ? 'DRAIN' : status;
}

function checkOf(row: StatRow): { checkPassed: boolean; checkText: string } {
  // "* L4OK" means that the next check is under way.
  const status = (row.check_status ?? '').replace(/^\* /, '');
  const passed = /^L[467]OKC?$/.test(status);
  if (status === '' || status === 'INI') return { checkPassed: false, checkText: 'not checked yet' };
  // While the next check is under way the last one's code is gone.
  const code = row.check_code && row.check_code !== '0' ? `/${row.check_code}` : '';
  if (passed) return { checkPassed: true, checkText: `${status}${code} in ${row.check_duration || 0} ms` };
  return { checkPassed: false, checkText: `${status}${code}: ${row.last_chk || row.check_desc || 'no answer'}` };
}

export async function readStats(folder: string, backends?: string[]): Promise<ServerStats[]> {
  const answersOf = await askAll(folder, 'show stat -1 4 -1');
  return sumStats(answersOf.map(parseStat), backends);
}

/** Tells the sessions of `show sess all` apart: those without an answer yet, and those whose answer has begun. */
export function parseSessions(text: string): { waiting: number; answering: number } {
  const count = { waiting: 0, answering: 0 };
  for (const block of text.split(/^(?=0x[0-9a-f]+: )/m)) {
    if (!block.startsWith('0x')) continue;
    const status = /^\s+txn=.* status=(-?\d+)/m.exec(block)?.[1];
    if (status !== undefined && Number(status) < 100) count.waiting += 1;
    else count.answering += 1;
  }
  return count;
}

export async function countInFlight(folder: string, servers: string[]): Promise<{ waiting: number; answering: number }> {
  const busy = (await readStats(folder)).filter(({ server, sessions }) => servers.includes(server) && sessions > 0);
  const total = { waiting: 0, answering: 0 };
  for (const { backend, server } of busy) {
    for (const text of await askAll(folder, `show sess all server ${backend}/${server}`)) {
      const count = parseSessions(text);
      total.waiting += count.waiting;
      total.answering += count.answering;
    }
  }
  return total;
}
