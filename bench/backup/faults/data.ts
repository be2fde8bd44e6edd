import { mkdir, open, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDocker } from '../../../src/docker/api.ts';
import { eventually } from '../../../test/support/eventually.ts';
import { must } from '../../support/must.ts';
import type { Answer, Fault, Finder, Subject } from './model.ts';
import { compose, idOf, mountPhotos, photosOf, sql, uploadsOf } from './subject.ts';

/** What goes wrong with the data while it is saved. */
export const dataFaults: readonly Fault[] = [
  {
    name: 'the database is stopped',
    by: ['backup', 'run', '--only', 'db'],
    code: 'BACKUP_FAILED',
    says: 'has no running container',
    async happen(subject, { run }) {
      await compose(subject, ['stop', '--timeout', '5', 'db']);
      try {
        return await run();
      } finally {
        await compose(subject, ['up', '--detach', '--wait', 'db']);
      }
    },
  },
  {
    name: 'the dump’s program is killed in the middle',
    by: ['backup', 'run', '--only', 'db'],
    code: 'BACKUP_FAILED',
    says: 'the dump ended with exit code 137',
    async happen(subject, { start }) {
      const running = await whileLocked(subject, async (dumpWaits) => {
        const begun = start();
        await dumpWaits();
        for (const { pid, title } of await openDocker().processes(await idOf(subject, 'db')))
          if (title.includes('pg_dump')) process.kill(Number(pid), 'SIGKILL');
        return begun;
      });
      return running.answer;
    },
  },
  {
    name: 'the dump’s program writes nothing and ends well',
    by: ['backup', 'run', '--only', 'db'],
    code: 'BACKUP_FAILED',
    says: 'db/postgres/shop',
    happen: (subject, finder) => withDumpProgram(subject, 'exit 0', finder),
  },
  {
    name: 'the dump’s program stops half way and ends well',
    by: ['backup', 'run', '--only', 'db'],
    code: 'BACKUP_FAILED',
    says: 'db/postgres/shop',
    happen: (subject, finder) => withDumpProgram(subject, '"$program" "$@" | head -c 20000; exit 0', finder),
  },
  {
    name: 'the volume is empty',
    by: ['backup', 'run', '--only', 'app'],
    code: 'BACKUP_FAILED',
    says: 'holds no file',
    async happen(subject, { run }) {
      const folder = await uploadsOf(subject);
      await rename(folder, `${folder}.aside`);
      await mkdir(folder);
      try {
        return await run();
      } finally {
        await rmdir(folder);
        await rename(`${folder}.aside`, folder);
      }
    },
  },
  {
    name: 'the disk of a bind mount is not mounted, and files lie in its place',
    by: ['backup', 'run', '--only', 'photos'],
    code: 'BACKUP_FAILED',
    says: 'is not mounted',
    async happen(subject, { run }) {
      const below = join(photosOf(subject), 'photo');
      await must('umount', [photosOf(subject)]);
      try {
        await writeFile(below, 'below the disk');
        return await run();
      } finally {
        await rm(below);
        await mountPhotos(subject);
      }
    },
  },
  {
    name: 'an SQLite database is damaged',
    by: ['backup', 'run', '--only', 'app'],
    code: 'BACKUP_FAILED',
    says: 'the SQLite database data/shop.sqlite cannot be copied whole',
    async happen(subject, { run }) {
      const path = join(await uploadsOf(subject), 'data/shop.sqlite');
      const whole = await readFile(path);
      try {
        await overwrite(path, Buffer.alloc(4096, 0x5a), 4096);
        return await run();
      } finally {
        await overwrite(path, whole, 0);
      }
    },
  },
];

async function overwrite(path: string, content: Buffer, at: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(content, 0, content.length, at);
  } finally {
    await file.close();
  }
}

/** While `body` runs, a table is locked, and a dump waits for it once it has begun. */
export async function whileLocked<T>(subject: Subject, body: (dumpWaits: () => Promise<void>) => Promise<T>): Promise<T> {
  const holder = sql(subject, 'BEGIN; LOCK TABLE orders; SELECT pg_sleep(120)').catch(() => {});
  const counts = (text: string) =>
    eventually(
      async () => {
        if ((await sql(subject, `SELECT count(*) FROM ${text}`)) === '0') throw new Error(`there is none of ${text}`);
      },
      { timeoutMs: 30_000 },
    );
  try {
    await counts("pg_locks WHERE mode = 'AccessExclusiveLock'");
    return await body(() => counts("pg_stat_activity WHERE query LIKE '%LOCK TABLE%' AND wait_event_type = 'Lock'"));
  } finally {
    const holders = "pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()";
    await sql(subject, `SELECT pg_terminate_backend(pid) FROM ${holders}`);
    await holder;
  }
}

/** Finds what the container's own pg_dump does wrong: a program in its place that answers for its version and then does this. */
async function withDumpProgram(subject: Subject, does: string, { run }: Finder): Promise<Answer> {
  const container = await idOf(subject, 'db');
  const inside = (args: string[], input = '') => must('docker', ['exec', '--interactive', '--user', '0', container, ...args], { input });
  const program = await inside(['sh', '-c', 'command -v pg_dump']);
  const instead = '/usr/local/sbin/pg_dump';
  if (program === instead) throw new Error(`${instead} is the image’s own`);
  const text = `#!/bin/sh\nprogram=${program}\nif [ "$1" = --version ]; then exec "$program" "$1"; fi\n${does}\n`;
  await inside(['sh', '-c', 'cat >"$1" && chmod 755 "$1"', 'sh', instead], text);
  try {
    if ((await inside(['sh', '-c', 'command -v pg_dump'])) !== instead) throw new Error(`${program} is found before ${instead}`);
    return await run();
  } finally {
    await inside(['rm', instead]);
  }
}
