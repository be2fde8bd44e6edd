/** A running query is ended by the server before the read that asked for it gives up: it must not go on, and be joined by the next. */
export const STATEMENT_LIMIT_MS = 4_000;

/** The one number in the rows of a query. Throws when they hold anything else. */
export function oneNumber(rows: unknown): number {
  if (!Array.isArray(rows) || rows.length !== 1 || !Array.isArray(rows[0]) || rows[0].length !== 1) {
    throw new Error(`the query answers ${shape(rows)}; one row with one number is needed`);
  }
  const [value] = rows[0] as unknown[];
  if (value === null) throw new Error('the query answers NULL, not a number; COALESCE(…, 0) makes it one');
  // Numbers that JavaScript's cannot hold exactly arrive as text.
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new Error('the query answers something that is no number');
}

function shape(rows: unknown): string {
  if (!Array.isArray(rows)) return 'no rows';
  if (rows.length !== 1) return `${rows.length} rows`;
  return `${Array.isArray(rows[0]) ? rows[0].length : 0} columns`;
}
