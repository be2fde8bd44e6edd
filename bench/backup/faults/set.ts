import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { postgres } from '../../../src/backup/dumps/postgres.ts';
import type { Manifest } from '../../../src/backup/model.ts';
import { saveDump } from '../../../src/backup/save-dump.ts';
import { tagsOf } from '../../../src/backup/sets.ts';
import { openDocker } from '../../../src/docker/api.ts';
import { type Spoiling, spoilCopy } from '../../../test/support/spoil.ts';
import { must } from '../../support/must.ts';
import { PASSWORD } from '../methods.ts';
import type { Fault, Subject } from './model.ts';
import { idOf, sql } from './subject.ts';

const without =
  (kind: string) =>
  async ({ manifest }: Spoiling): Promise<Manifest> => ({
    ...manifest,
    stores: manifest.stores.filter((store) => store.kind !== kind),
  });

/** What is wrong with a set in a repository that is whole: only restoring it tells. */
export const setFaults: readonly Fault[] = [
  spoiledSet('a table has a row less than when it was counted', 'DRILL_FAILED', 'has 1999 rows, the manifest says 2000', rowLess),
  spoiledSet('a role that owns a table is not in the set', 'RESTORE_FAILED', 'role "accountant" does not exist', without('postgres-roles')),
  spoiledSet('the cache is not in the set', 'DRILL_FAILED', 'app unhealthy: the cache has no greeting', without('redis')),
  spoiledSet('the image has no longer the extension', 'RESTORE_FAILED', 'extension "shoptools" is not available', async ({ manifest }) => {
    const plain = await must('docker', ['image', 'inspect', '--format', '{{.Id}}', 'postgres:18-alpine']);
    const { db = { reference: '', id: '' } } = manifest.images;
    return { ...manifest, images: { ...manifest.images, db: { reference: db.reference, id: plain } } };
  }),
  spoiledSet('the set does not fit on this disk', 'DRILL_IMPOSSIBLE', 'the drill could not run: it takes', async ({ manifest }) => ({
    ...manifest,
    stores: manifest.stores.map((store) => ({ ...store, bytes: 2 ** 48 })),
  })),
];

function spoiledSet(
  name: string,
  code: Fault['code'],
  says: string,
  spoil: (spoiling: Spoiling, subject: Subject) => Promise<Manifest>,
): Fault {
  return {
    name,
    by: ['backup', 'drill'],
    code,
    says,
    async happen(subject, { run }) {
      const { project, repository } = subject;
      const folder = join(project.folder, 'spoiled');
      try {
        await spoilCopy({ from: repository, to: folder, password: PASSWORD, project: project.name }, (spoiling) =>
          spoil(spoiling, subject),
        );
        return await run({ REPOSITORY: folder });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** A real dump of the table as it is a row later takes the place of the set's own; what was counted stays. */
async function rowLess({ manifest, restic, set }: Spoiling, subject: Subject): Promise<Manifest> {
  const { project } = subject;
  const counted = manifest.stores.find(({ kind }) => kind === 'postgres');
  if (!counted) throw new Error('the set has no database');
  const docker = openDocker();
  const container = await docker.inspectContainer(await idOf(subject, 'db'));
  await sql(subject, 'CREATE TABLE aside AS SELECT * FROM orders WHERE id = 1; DELETE FROM orders WHERE id = 1');
  try {
    const { id, kind, service, name } = counted;
    const saved = await saveDump(
      restic,
      postgres,
      { id, kind, service, name },
      { docker, container, service, name, report: () => {} },
      { tags: tagsOf(project.name, set.set, id), scratch: project.folder, host: 'here' },
    );
    return {
      ...manifest,
      stores: manifest.stores.map((store) => (store === counted ? { ...store, snapshot: saved.snapshot, bytes: saved.bytes } : store)),
    };
  } finally {
    await sql(subject, 'INSERT INTO orders SELECT * FROM aside; DROP TABLE aside');
  }
}
