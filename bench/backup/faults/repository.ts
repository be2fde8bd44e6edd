import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../../test/support/eventually.ts';
import { type Fault as Refusal, type S3, startS3 } from '../../../test/support/s3.ts';
import { flipBit, forget, largestPack, openFolder } from '../../../test/support/spoil.ts';
import { must } from '../../support/must.ts';
import { PASSWORD } from '../methods.ts';
import { whileLocked } from './data.ts';
import { type Answer, type Fault, type Finder, leavingNothing, type Subject } from './model.ts';
import { finder, settingsOf, uploadsOf } from './subject.ts';

/** What is wrong with where backups go, or happens to it while one is made. */
export const repositoryFaults: readonly Fault[] = [
  {
    name: 'the password is another',
    by: ['backup', 'run'],
    code: 'REPOSITORY_PASSWORD',
    says: 'the password is not the repository’s',
    happen: (_subject, { run }) => run({ RESTIC_PASSWORD: 'another' }),
  },
  {
    name: 'the repository is gone',
    by: ['backup', 'run'],
    code: 'REPOSITORY_MISSING',
    says: 'there is no repository',
    happen: ({ project }, { run }) => run({ REPOSITORY: join(project.folder, 'gone') }),
  },
  {
    name: 'the disk of the repository becomes full',
    by: ['backup', 'run', '--only', 'app'],
    code: 'DISK_FULL',
    says: 'no space left on device',
    happen: fullDisk,
  },
  {
    name: 'the object store refuses from half way on',
    by: ['backup', 'run'],
    code: 'REPOSITORY_FAILED',
    says: 'Access Denied',
    happen: (subject, { run }) => withObjectStore(subject, 403, run),
  },
  {
    name: 'the object store is down from half way on, until somebody stops the backup',
    by: ['backup', 'run'],
    code: 'INTERRUPTED',
    says: 'does not answer as it should',
    happen: (subject, { start }) =>
      withObjectStore(subject, 503, async (env) => {
        const running = start(env);
        await running.says('does not answer as it should');
        running.kill('SIGINT');
        return running.answer;
      }),
  },
  ...damages('one bit of a pack is flipped', async (folder) => flipBit(await largestPack(folder)), [
    { by: ['backup', 'verify', '--all'], code: 'REPOSITORY_DAMAGED', says: 'the repository is damaged' },
    { by: ['backup', 'drill'], code: 'REPOSITORY_FAILED', says: 'ciphertext verification failed' },
    { by: ['backup', 'restore', '--to', './restored'], code: 'REPOSITORY_FAILED', says: 'ciphertext verification failed' },
  ]),
  ...damages('a pack is a byte shorter', shorten, [
    { by: ['backup', 'verify'], code: 'REPOSITORY_DAMAGED', says: 'the repository is damaged' },
  ]),
  ...damages('a pack is deleted', async (folder) => rm(await largestPack(folder)), [
    { by: ['backup', 'verify'], code: 'REPOSITORY_DAMAGED', says: 'the repository is damaged' },
  ]),
  ...damages('the index is deleted', (folder) => emptied(join(folder, 'index')), [
    { by: ['backup', 'verify'], code: 'REPOSITORY_DAMAGED', says: 'the repository is damaged' },
  ]),
  ...damages('a snapshot of a set was forgotten by hand', forgetOne, [
    { by: ['backup', 'verify'], code: 'REPOSITORY_DAMAGED', says: 'the snapshot of cache/redis is gone' },
    { by: ['backup', 'drill'], code: 'DRILL_FAILED', says: 'cache/redis: snapshot' },
  ]),
  {
    name: 'the rules of retention would keep nothing',
    by: ['backup', 'prune', '--yes'],
    code: 'RETENTION_REFUSED',
    says: 'would keep no backup at all',
    async happen({ project, repository }, { run }) {
      const snapshots = await readdir(join(repository, 'snapshots'));
      await project.write('compose.override.yaml', settingsOf(0));
      try {
        const answer = await run();
        const left = await readdir(join(repository, 'snapshots'));
        return leavingNothing(answer, left.length === snapshots.length ? [] : ['fewer snapshots']);
      } finally {
        await project.write('compose.override.yaml', settingsOf(3));
      }
    },
  },
  {
    name: 'a run was killed with kill -9 in the middle',
    by: ['backup', 'run', '--only', 'db'],
    code: 'OK',
    says: 'is not finished: what was saved of it is taken back',
    happen: killedRun,
  },
  {
    name: 'a restic that died has left its lock',
    by: ['backup', 'run', '--only', 'photos'],
    code: 'OK',
    says: 'removed a dead lock of',
    happen: deadLock,
  },
  {
    name: 'the place of a restore is not empty',
    by: ['backup', 'restore', '--to', './taken'],
    code: 'RESTORE_REFUSED',
    says: 'is not empty',
    async happen({ project }, { run }) {
      await project.write('taken/precious', 'data');
      const answer = await run();
      return leavingNothing(
        answer,
        (await readdir(join(project.folder, 'taken'))).filter((name) => name !== 'precious'),
      );
    },
  },
];

/** One damage, in a copy of the repository each for everybody who has to find it. */
function damages(
  name: string,
  damage: (folder: string) => Promise<void>,
  finders: readonly Pick<Fault, 'by' | 'code' | 'says'>[],
): Fault[] {
  return finders.map((found) => ({
    ...found,
    name,
    async happen({ project, repository }, { run }) {
      const folder = join(project.folder, 'damaged');
      await cp(repository, folder, { recursive: true });
      try {
        await damage(folder);
        return await run({ REPOSITORY: folder });
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  }));
}

async function shorten(folder: string): Promise<void> {
  const pack = await largestPack(folder);
  await truncate(pack, (await stat(pack)).size - 1);
}

async function emptied(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name));
}

async function forgetOne(folder: string): Promise<void> {
  const restic = await openFolder(folder, PASSWORD);
  const found = await restic.run(['snapshots', '--json', '--tag', 'store=cache/redis']);
  const [snapshot] = JSON.parse(found.stdout) as { id: string }[];
  await forget(restic, snapshot?.id ?? '');
}

async function fullDisk(subject: Subject, { run }: Finder): Promise<Answer> {
  const small = join(subject.project.folder, 'small');
  const repository = join(small, 'repository');
  const large = join(await uploadsOf(subject), 'large');
  await mkdir(small);
  await must('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  try {
    await must('restic', ['init', '--repo', repository], { env: { RESTIC_PASSWORD: PASSWORD } });
    await writeFile(large, randomBytes(3 << 20));
    const answer = await run({ REPOSITORY: repository });
    return leavingNothing(answer, await readdir(join(repository, 'snapshots')));
  } finally {
    await rm(large, { force: true });
    await must('umount', ['-l', small]);
  }
}

/** A new repository in an object store that answers so from its second pack on. */
async function withObjectStore(subject: Subject, fault: Refusal, run: (env: Record<string, string>) => Promise<Answer>): Promise<Answer> {
  const s3 = await startS3();
  try {
    const env = { REPOSITORY: s3.repository, ...s3.credentials };
    const made = await finder(subject, ['backup', 'init', '--yes']).run(env);
    if (made.exitCode !== 0) throw new Error(made.text);
    let packs = 0;
    s3.fault = (method, path) => {
      if (method !== 'PUT' || !path.includes('/data/')) return undefined;
      packs += 1;
      return packs > 1 ? fault : undefined;
    };
    const answer = await run(env);
    if (packs < 2) throw new Error(`the object store was asked for ${packs} packs: no fault was injected`);
    return leavingNothing(answer, snapshotsOf(s3));
  } finally {
    await s3.stop();
  }
}

const snapshotsOf = ({ objects }: S3): string[] => [...objects.keys()].filter((path) => path.includes('/snapshots/'));

async function killedRun(subject: Subject, { start, run }: Finder): Promise<Answer> {
  const snapshots = () => readdir(join(subject.repository, 'snapshots'));
  const before = await snapshots();
  await whileLocked(subject, async (dumpWaits) => {
    const running = start();
    await dumpWaits();
    // The roles are saved beside it.
    await eventually(async () => {
      if ((await snapshots()).length === before.length) throw new Error('nothing is saved yet');
    });
    running.kill('SIGKILL');
    await running.answer;
  });
  const list = await finder(subject, ['backup', 'list', '--json']).run();
  const line = list.text.split('\n').find((text) => text.includes('"sets"')) ?? '{"sets":[]}';
  const { sets } = JSON.parse(line) as { sets: { complete: boolean }[] };
  if (sets[0]?.complete !== false) return { ...list, code: 'it counts' };
  const answer = await run();
  return leavingNothing(answer, (await snapshots()).length === before.length + 3 ? [] : ['other snapshots than those of the next run']);
}

async function deadLock({ repository }: Subject, { run }: Finder): Promise<Answer> {
  const locks = () => readdir(join(repository, 'locks'));
  const child = spawn('restic', ['backup', '--stdin', '--quiet', '--repo', repository], {
    env: { ...process.env, RESTIC_PASSWORD: PASSWORD },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    await eventually(async () => {
      if ((await locks()).length === 0) throw new Error('there is no lock yet');
    });
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
  return leavingNothing(await run(), await locks());
}
