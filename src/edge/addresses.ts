import type { EdgeProject } from './model.ts';

/** An IPv4 network: the first address and the number of leading bits that all its addresses share. */
interface Range {
  first: number;
  bits: number;
}

/** "10.214.0.0/16" or a single address; undefined when the text is neither (IPv6 included). */
function parseRange(text: string): Range | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (!match) return undefined;
  const numbers = match.slice(1, 5).map(Number);
  const bits = match[5] === undefined ? 32 : Number(match[5]);
  if (numbers.some((number) => number > 255) || bits > 32) return undefined;
  const address = numbers.reduce((value, number) => value * 256 + number, 0);
  const size = 2 ** (32 - bits);
  return { first: Math.floor(address / size) * size, bits };
}

const last = (range: Range): number => range.first + 2 ** (32 - range.bits) - 1;
const overlap = (a: Range, b: Range): boolean => a.first <= last(b) && b.first <= last(a);
const formatAddress = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');

/**
 * The /24 networks of a pool that meet none of the given ones (networks, routes or single addresses in CIDR notation), lowest first.
 * Texts that are no IPv4 range are ignored in `taken`; a pool that is none gives nothing.
 */
export function freeSubnets(pool: string, taken: string[]): string[] {
  const range = parseRange(pool);
  if (!range || range.bits > 24) return [];
  const others = taken.flatMap((text) => parseRange(text) ?? []).filter((other) => other.bits > 0);
  const free: string[] = [];
  for (let first = range.first; first <= last(range); first += 256) {
    const candidate = { first, bits: 24 };
    if (!others.some((other) => overlap(candidate, other))) free.push(`${formatAddress(first)}/24`);
  }
  return free;
}

/** The bridge has the first address of its network; the last one is the broadcast address. */
const FIRST_HOST = 2;
const LAST_HOST = 254;

/**
 * The next free address of a project's edge network and the `nextAddress` to store with it. Addresses are handed out in turn,
 * so that one that was freed is given out again as late as possible. Undefined when every address is taken.
 * `taken` are addresses that containers have now, stopped ones included.
 */
export function allocateAddress(
  project: Pick<EdgeProject, 'network' | 'nextAddress'>,
  taken: Iterable<string>,
): { address: string; nextAddress: number } | undefined {
  const range = parseRange(project.network.subnet);
  if (!range) return undefined;
  const used = new Set(taken);
  const count = LAST_HOST - FIRST_HOST + 1;
  const start = project.nextAddress >= FIRST_HOST && project.nextAddress <= LAST_HOST ? project.nextAddress : FIRST_HOST;
  for (let step = 0; step < count; step++) {
    const host = FIRST_HOST + ((start - FIRST_HOST + step) % count);
    const address = formatAddress(range.first + host);
    if (!used.has(address)) return { address, nextAddress: host === LAST_HOST ? FIRST_HOST : host + 1 };
  }
  return undefined;
}
