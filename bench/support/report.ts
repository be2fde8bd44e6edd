import { writeFileSync } from 'node:fs';

export type Row = Record<string, string | number>;

export interface BenchReport {
  bench: string;
  /** The figures that a reader compares; every one has a heading in docs/benchmarks.md. */
  summary: Record<string, number>;
  rows: Row[];
}

/** Prints the rows as one table for each set of columns, then the summary; `file` gets all of it as JSON. */
export function publish(report: BenchReport, file: string | undefined): void {
  for (const rows of groupByColumns(report.rows)) console.log(`\n${formatTable(rows)}`);
  console.log(`\n${formatTable([report.summary])}`);
  if (file) writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

export function formatTable(rows: Row[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? '')));
  const widths = columns.map((column, index) => Math.max(column.length, ...cells.map((line) => line[index]?.length ?? 0)));
  const isNumber = columns.map((column) => rows.every((row) => typeof row[column] === 'number'));
  const line = (texts: string[]): string =>
    texts
      .map((text, index) => (isNumber[index] ? text.padStart(widths[index] ?? 0) : text.padEnd(widths[index] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(columns), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}

function groupByColumns(rows: Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = Object.keys(row).join();
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}

/** What a long measurement is at, for whoever watches; stdout is for the result. */
export function say(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}
