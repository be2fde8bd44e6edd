import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { Failure } from '../src/kit/errors.ts';
import { run } from '../src/kit/spawn.ts';
import { loadProject } from '../src/project/load.ts';

/** Compose files of real projects: COMPOSURE_CORPUS, or a folder beside the repository. They are data and not part of it. */
const corpus = resolve(process.env.COMPOSURE_CORPUS ?? join(import.meta.dirname, '../../shared/corpus'));
const there = existsSync(corpus);
if (!there)
  console.log(`corpus skipped: there is no folder ${relative(process.cwd(), corpus)}; set COMPOSURE_CORPUS to one with compose files`);

/** Every YAML file that has a top-level `services`, and those that are meant to be one but are broken. */
function composeFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => /^services:/m.test(readFileSync(file, 'utf8')) || /compose[^/]*\.ya?ml$/.test(file))
    .sort()
    .filter(chosen);
}

/** Templates that are there in plain form as well are tried one in three, or all with COMPOSURE_CORPUS_ALL=1. */
function chosen(file: string, index: number): boolean {
  const [first, ...rest] = relative(corpus, file).split(sep);
  return Boolean(process.env.COMPOSURE_CORPUS_ALL) || index % 3 === 0 || !existsSync(join(corpus, `${first}-normalised`, ...rest));
}

/** Docker's reason; what follows its first line may quote the file. */
function firstLine(stderr: string): string {
  return (
    stderr
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '' && !line.startsWith('time="')) ?? ''
  );
}

/** A reason without names: of several faults of a kind Docker names any. */
function shape(line: string): string {
  return line
    .replaceAll(/"[^"]*"|'[^']*'/g, '…')
    .replaceAll(/(…, )+…/g, '…')
    .replaceAll(/services\.[^\s:]+|\/\S+/g, '…')
    .replaceAll(/(undefined \w+|variable|missing a value:?|cycle detected:) .*?(?=:|$| is )/g, '$1 …');
}

/** Values for the variables that a file insists on; short-lived Go programs run faster without garbage collection. */
function placeholders(file: string): Record<string, string> {
  const texts = readdirSync(dirname(file))
    .filter((name) => /\.ya?ml$/.test(name))
    .map((name) => readFileSync(join(dirname(file), name), 'utf8'));
  const names = texts.flatMap((text) => [...text.matchAll(/\$\{(\w+):?\?/g)].map((match) => match[1] ?? ''));
  return { GOGC: 'off', ...Object.fromEntries(names.filter((name) => name !== 'HOME' && name !== 'PATH').map((name) => [name, '1'])) };
}

async function eachAtOnce<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

test.skipIf(!there)(
  'what Docker accepts is accepted unmodified, what it refuses is refused with its reason and a file',
  { timeout: 180_000 },
  async () => {
    const wrong: string[] = [];
    const counts = { accepted: 0, refused: 0, placed: 0, services: 0, warnings: 0 };
    const files = composeFiles(corpus);
    await eachAtOnce(files, 4, async (file) => {
      const variables = placeholders(file);
      const name = relative(corpus, file);
      const args = ['compose', '-p', 'corpus', '-f', file, 'config'];
      const [docker, ours] = await Promise.all([
        run('docker', args, { cwd: dirname(file), env: variables }),
        loadProject({ cwd: dirname(file), files: [file], projectName: 'corpus', environment: { ...process.env, ...variables } }).catch(
          (error: unknown) => error,
        ),
      ]);
      if (docker.code === 0) {
        counts.accepted++;
        if (ours instanceof Error) {
          wrong.push(
            `${name}: Docker accepts it, we say ${ours.message} ${ours instanceof Failure ? ours.details.join('; ') : ours.stack}`,
          );
          return;
        }
        const project = ours as Awaited<ReturnType<typeof loadProject>>;
        const services = Object.keys((parse(docker.stdout) as { services?: object }).services ?? {}).sort();
        counts.services += services.length;
        counts.warnings += project.warnings.length;
        if (Object.keys(project.services).sort().join() !== services.join()) wrong.push(`${name}: services differ from Docker’s`);
        for (const service of Object.values(project.services))
          if (!/^[0-9a-f]{64}$/.test(service.configHash)) wrong.push(`${name}: ${service.name} has no config hash`);
        return;
      }
      counts.refused++;
      if (!(ours instanceof Failure)) {
        wrong.push(`${name}: Docker refuses it, we say ${ours instanceof Error ? ours.stack : 'nothing'}`);
        return;
      }
      if (!['PROJECT_INVALID', 'VARIABLE_UNSET'].includes(ours.code)) wrong.push(`${name}: ${ours.code}`);
      const said = shape(ours.details.join('\n'));
      let reason = firstLine(docker.stderr);
      // Of several faults Docker names any, by chance: so often that the one we had comes too.
      for (let again = 0; again < 100 && !said.includes(shape(reason)); again++)
        reason = firstLine((await run('docker', args, { cwd: dirname(file), env: variables })).stderr);
      if (!said.includes(shape(reason))) wrong.push(`${name}: Docker’s reason is missing: ${reason}`);
      if (!/\.ya?ml/.test(ours.where ?? '')) wrong.push(`${name}: no file in "${ours.where}"`);
      if (/\.ya?ml:\d+:\d+$/.test(ours.where ?? '')) counts.placed++;
      else if (process.env.CORPUS_VERBOSE) console.log(`without a line: ${name}: ${ours.details.join(' / ')}`);
    });
    console.log(
      `corpus: ${files.length} files, ${counts.accepted} accepted (${counts.services} services, ${counts.warnings} warnings), ${counts.refused} refused, ${counts.placed} of them with a line`,
    );
    expect(files.length).toBeGreaterThan(0);
    expect(wrong).toEqual([]);
  },
);
