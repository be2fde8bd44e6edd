import type { Facts, FileFacts, TableFact } from '../model.ts';

/** How many differences of one store are told; a database that is empty has as many as it has tables. */
const TOLD = 20;

/** What was counted otherwise than the manifest says, one sentence each. Pure. */
export function differences(expected: Facts | undefined, found: Facts): string[] {
  if (expected === undefined) return [];
  if (expected.kind !== found.kind) return [`the manifest counts ${expected.kind}, and there are ${found.kind}`];
  const all = compare(expected, found);
  return all.length > TOLD ? [...all.slice(0, TOLD), `and ${all.length - TOLD} more`] : all;
}

function compare(expected: Facts, found: Facts): string[] {
  if (expected.kind === 'tables' && found.kind === 'tables') return tables(expected.tables, found.tables);
  if ((expected.kind === 'roles' && found.kind === 'roles') || (expected.kind === 'accounts' && found.kind === 'accounts')) {
    const noun = expected.kind === 'roles' ? 'role' : 'account';
    return expected.names.filter((name) => !found.names.includes(name)).map((name) => `the ${noun} ${name} is missing`);
  }
  if (expected.kind === 'keys' && found.kind === 'keys') {
    // Keys with a time to live may have ended it since.
    const least = expected.keys - expected.expiring;
    return found.keys < least || found.keys > expected.keys ? [`${found.keys} keys, the manifest says ${range(least, expected.keys)}`] : [];
  }
  if (expected.kind === 'collections' && found.kind === 'collections') {
    return expected.collections.flatMap(({ name, documents, documentsAtMost = documents }) =>
      counted(
        `the collection ${name}`,
        'documents',
        [documents, documentsAtMost],
        found.collections.find((one) => one.name === name)?.documents,
      ),
    );
  }
  return expected.kind === 'files' && found.kind === 'files' ? files(expected, found) : [];
}

function tables(expected: readonly TableFact[], found: readonly TableFact[]): string[] {
  const there = new Map(found.map((table) => [table.name, table]));
  return expected.flatMap(({ name, rows, rowsAfter = rows, newest }) => {
    const table = there.get(name);
    const wrong = counted(`the table ${name}`, 'rows', [rows, rowsAfter], table?.rows);
    if (wrong.length > 0 || newest === undefined || rows !== rowsAfter || table?.newest?.value === newest.value) return wrong;
    return [`the newest ${newest.column} in ${name} is ${table?.newest?.value ?? 'nothing'}, the manifest says ${newest.value}`];
  });
}

function counted(what: string, of: string, [one, other]: [number, number], found: number | undefined): string[] {
  const [least, most] = [Math.min(one, other), Math.max(one, other)];
  if (found === undefined) return [`${what} is missing`];
  return found < least || found > most ? [`${what} has ${found} ${of}, the manifest says ${range(least, most)}`] : [];
}

const range = (least: number, most: number): string => (least === most ? `${most}` : `${least} to ${most}`);

function files(expected: FileFacts, found: FileFacts): string[] {
  const counts = (['files', 'folders', 'bytes'] as const).flatMap((key) =>
    expected[key] === found[key] ? [] : [`${found[key]} ${key}, the manifest says ${expected[key]}`],
  );
  if (counts.length > 0 || expected.listing === found.listing) return counts;
  return ['as many files and bytes, but names, sizes, modes, owners or times are not those of the manifest'];
}
