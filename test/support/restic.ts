import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRestic, type Restic } from '../../src/backup/restic/program.ts';

export interface TestRepository {
  restic: Restic;
  /** For what is needed only meanwhile. */
  scratch: string;
  /** Ids of the snapshots, read from the folder: restic itself takes half a second to open a repository. */
  snapshots(): Promise<string[]>;
  /** Restores a folder of a snapshot into a new one. */
  restore(snapshot: string, path?: string): Promise<string>;
  remove(): Promise<void>;
}

/** A repository of its own in a folder of its own. */
export async function testRepository(): Promise<TestRepository> {
  const scratch = await mkdtemp(join(tmpdir(), 'composure-restic-'));
  const settings = { repository: join(scratch, 'repository'), timezone: 'UTC', keep: {}, secrets: [] };
  const restic = await openRestic(settings, { RESTIC_PASSWORD: 'for tests only' });
  const made = await restic.run(['init']);
  if (made.code !== 0) throw new Error(made.stderr);
  return {
    restic,
    scratch,
    snapshots: () => readdir(join(scratch, 'repository/snapshots')),
    async restore(snapshot, path = '/') {
      const target = await mkdtemp(join(scratch, 'restored-'));
      const result = await restic.run(['restore', `${snapshot}:${path}`, '--target', target]);
      if (result.code !== 0) throw new Error(result.stderr);
      return target;
    },
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}
