import type { DumpType } from '../model.ts';
import { mongodb } from './mongodb.ts';
import { mysql } from './mysql.ts';
import { postgres } from './postgres.ts';
import { postgresRoles } from './postgres-roles.ts';
import { redis } from './redis.ts';

/** Every kind of database that is dumped. */
export const DUMP_TYPES: readonly DumpType[] = [postgres, postgresRoles, mysql, mongodb, redis];

/** Whose images a name is, without registry and tag: "ghcr.io/pgvector/pgvector:pg18" is pgvector/pgvector. Pure. */
export function dumpTypeOf(image: string, types: readonly DumpType[] = DUMP_TYPES): DumpType | undefined {
  const parts = image
    .replace(/@sha256:.*$/, '')
    .replace(/:[^/:]*$/, '')
    .split('/');
  const names = [parts.slice(-2).join('/'), parts.length === 1 || parts.at(-2) === 'library' ? (parts.at(-1) ?? '') : ''];
  return types.find(({ images }) => names.some((name) => images.includes(name)));
}
