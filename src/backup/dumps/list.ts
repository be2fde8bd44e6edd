import type { DumpType, StoreKind } from '../model.ts';
import { mongodb } from './mongodb.ts';
import { mysql } from './mysql.ts';
import { mysqlAccounts } from './mysql-accounts.ts';
import { postgres } from './postgres.ts';
import { postgresRoles } from './postgres-roles.ts';
import { redis } from './redis.ts';

/** Every kind of database that is dumped. */
export const DUMP_TYPES: readonly DumpType[] = [postgres, postgresRoles, mysql, mysqlAccounts, mongodb, redis];

/** What of a server belongs to none of its databases. Pure. */
export const isServerWide = (kind: StoreKind): boolean => DUMP_TYPES.some((type) => type.kind === kind && type.server !== undefined);

/** The kind of server that a store was dumped from. Pure. */
export function serverTypeOf(kind: StoreKind | undefined): DumpType | undefined {
  const type = DUMP_TYPES.find((one) => one.kind === kind);
  return type?.server === undefined ? type : DUMP_TYPES.find((one) => one.kind === type.server);
}

/** Whose images a name is, without registry and tag: "ghcr.io/pgvector/pgvector:pg18" is pgvector/pgvector. Pure. */
export function dumpTypeOf(image: string, types: readonly DumpType[] = DUMP_TYPES): DumpType | undefined {
  const parts = image
    .replace(/@sha256:.*$/, '')
    .replace(/:[^/:]*$/, '')
    .split('/');
  const names = [parts.slice(-2).join('/'), parts.length === 1 || parts.at(-2) === 'library' ? (parts.at(-1) ?? '') : ''];
  return types.find(({ images }) => names.some((name) => images.includes(name)));
}
