import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDocker } from '../../docker/api.ts';
import { run } from '../../kit/spawn.ts';
import { waitFor } from '../../kit/wait.ts';
import type { DumpContext, DumpType } from '../model.ts';
import { openRestic, type Restic } from '../restic/program.ts';
import { saveDump } from '../save-dump.ts';

export interface DumpCase {
  image: string;
  /** The kind that the image is known as, where it is another one. */
  foundAs?: DumpType;
  /** `docker run` arguments before the image: environment. */
  run: string[];
  /** Arguments after the image. */
  command?: string[];
  database: string;
  /** Commands for the container that put something in, and more of it than all buffers on a dump's way hold: at least 16 MB. */
  fill: string[][];
  /** A command whose words are the same before and after: what no count shows. */
  same?: string[];
  /** Its program, to be killed in the middle. */
  program: string;
}

/** What every kind of dump has to prove against its real server. */
export function dumpContract(type: DumpType, given: DumpCase): void {
  const docker = openDocker();
  const started: string[] = [];
  let scratch = '';
  let restic: Restic;
  let source: DumpContext;

  const start = async (): Promise<DumpContext> => {
    const name = `composure-test-dump-${randomBytes(4).toString('hex')}`;
    started.push(name);
    const made = await run('docker', ['run', '-d', '--name', name, ...given.run, given.image, ...(given.command ?? [])]);
    expect(made.stderr).toBe('');
    const context: DumpContext = {
      docker,
      container: await docker.inspectContainer(name),
      service: 'db',
      name: given.database,
      report: () => {},
    };
    const ready = await waitFor(async () => ((await type.ready(context)) ? true : undefined), { everyMs: 300, timeoutMs: 90_000 });
    expect(ready).toBe(true);
    return context;
  };
  const save = (kind: DumpType = type) =>
    saveDump(restic, kind, { id: `db/${type.kind}`, kind: type.kind, service: 'db', name: given.database }, source, {
      tags: ['composure', 'store=db'],
      scratch,
      host: 'here',
    });
  /** Looked at in the folder: restic takes half a second to open a repository. */
  const inRepository = (what: 'snapshots' | 'locks') => readdir(join(scratch, 'repository', what));

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'composure-dump-'));
    restic = await openRestic(
      { repository: join(scratch, 'repository'), timezone: 'UTC', keep: {}, secrets: [] },
      { RESTIC_PASSWORD: 'for tests only' },
    );
    expect((await restic.run(['init'])).code).toBe(0);
    source = await start();
    for (const command of given.fill) {
      const { code, output } = await docker.exec(source.container.Id, command);
      expect(code, output).toBe(0);
    }
  });
  afterAll(async () => {
    await Promise.all(started.map((name) => run('docker', ['rm', '-fv', name])));
    await rm(scratch, { recursive: true, force: true });
  });

  test('a dump is saved, and loaded into a fresh server of the same image it counts the same', async () => {
    expect((given.foundAs ?? type).images).toContain(given.image.replace(/:.*/, ''));
    expect(await type.list(source)).toContain(given.database);
    const saved = await save();
    expect(saved.bytes).toBeGreaterThan(0);
    const content = await restic.run(['dump', saved.snapshot, saved.path, '--target', join(scratch, 'dump')]);
    expect(content).toMatchObject({ code: 0 });
    const target = await start();
    await type.load(target, createReadStream(join(scratch, 'dump')));
    expect(await type.count(target)).toEqual(saved.facts);
    expect(await type.count(source)).toEqual(saved.facts);
    const [before, after] = await Promise.all([source, target].map(({ container }) => docker.exec(container.Id, given.same ?? ['true'])));
    expect(before).toMatchObject({ code: 0 });
    expect(after).toEqual(before);
  });

  test('a dump whose program is killed leaves no snapshot and no lock', async () => {
    const before = await inRepository('snapshots');
    const slow: DumpType = {
      ...type,
      async dump(context) {
        const dump = await type.dump(context);
        return { ...dump, stream: killedAfterFirst(dump.stream) };
      },
    };
    await expect(save(slow)).rejects.toMatchObject({ code: 'BACKUP_FAILED', message: expect.stringContaining('exit code 137') });
    expect(await inRepository('snapshots')).toEqual(before);
    expect(await inRepository('locks')).toEqual([]);
  });

  async function* killedAfterFirst(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let isKilled = false;
    for await (const chunk of stream) {
      if (!isKilled) {
        isKilled = true;
        const victims = (await docker.processes(source.container.Id)).filter(({ title }) => title.includes(given.program));
        if (victims.length === 0) throw new Error(`${given.program} had ended before it could be killed: the dump is too small`);
        for (const { pid } of victims) process.kill(Number(pid), 'SIGKILL');
      }
      yield chunk;
    }
  }

  test.each([
    ['is cut short although its program says nothing', 0.6],
    ['is cut one byte before its end', -1],
    ['is empty', 0],
  ])('a dump that %s leaves no snapshot', async (_title, part) => {
    const before = await inRepository('snapshots');
    const cut: DumpType = {
      ...type,
      async dump(context) {
        const dump = await type.dump(context);
        const chunks: Uint8Array[] = [];
        for await (const chunk of dump.stream) chunks.push(chunk);
        const all = Buffer.concat(chunks);
        const end = part === -1 ? all.length - 1 : Math.floor(all.length * part);
        return {
          ...dump,
          stream: (async function* () {
            if (end > 0) yield all.subarray(0, end);
          })(),
        };
      },
    };
    await expect(save(cut)).rejects.toMatchObject({ code: 'BACKUP_FAILED' });
    expect(await inRepository('snapshots')).toEqual(before);
  });
}
