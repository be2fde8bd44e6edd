import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileIfThere, writeFileDurably } from '../kit/files.ts';
import { projectFolder } from './folder.ts';

/** What is kept of a release that was committed. It holds no secret; the resolved model lies in a file of its own, mode 600. */
export interface ReleaseRecord {
  number: number;
  /** ISO 8601. */
  at: string;
  by: string;
  /** 'found': what ran before the first release. */
  kind: 'deploy' | 'rollback' | 'found';
  /** For a rollback: the release whose content this is. */
  of?: number;
  services: Record<string, ReleasedService>;
  /** Hash of each network's definition, by its name in Docker. Compose can change a network only by taking all its containers down. */
  networks?: Record<string, string>;
}

export interface ReleasedService {
  image: string;
  imageId: string;
  /** repository@sha256:…, when the image came from a registry. */
  digest?: string;
  configHash: string;
  contentHash: string;
  replicas: number;
  /** Of a service that the autoscaler counts: within what (no `max`: what fits the host), and a hash of its settings. `replicas` is what ran at that moment. */
  autoscale?: { min: number; max?: number; settings: string };
  /** Containers that carried this release when it was committed. */
  containers: string[];
}

/** "0-8", or "0+" where what fits the host is the limit. */
export const describeLimits = ({ min, max }: { min: number; max?: number }): string => (max === undefined ? `${min}+` : `${min}-${max}`);

const folderOf = (state: string, project: string): string => join(projectFolder(state, project), 'releases');
const recordPath = (state: string, project: string, number: number): string => join(folderOf(state, project), `${number}.json`);

export const modelPath = (state: string, project: string, number: number): string =>
  join(folderOf(state, project), `${number}.compose.json`);

/** All committed releases, oldest first. */
export async function readReleases(state: string, project: string): Promise<ReleaseRecord[]> {
  const names = await readdir(folderOf(state, project)).catch(() => [] as string[]);
  const numbers = names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])).sort((a, b) => a - b);
  const records: ReleaseRecord[] = [];
  for (const number of numbers) {
    const text = await readFileIfThere(recordPath(state, project, number));
    if (text) records.push(JSON.parse(text) as ReleaseRecord);
  }
  return records;
}

/** The newest committed release, read without opening the older ones. */
export async function readCurrentRelease(state: string, project: string): Promise<ReleaseRecord | undefined> {
  const names = await readdir(folderOf(state, project)).catch(() => [] as string[]);
  const newest = Math.max(0, ...names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])));
  const text = newest > 0 ? await readFileIfThere(recordPath(state, project, newest)) : undefined;
  return text ? (JSON.parse(text) as ReleaseRecord) : undefined;
}

/** Stores a release: first its model, then the record that makes it count. */
export async function writeRelease(state: string, project: string, record: ReleaseRecord, resolvedModel: string): Promise<void> {
  await writeFileDurably(modelPath(state, project, record.number), resolvedModel);
  await writeFileDurably(recordPath(state, project, record.number), `${JSON.stringify(record, null, 2)}\n`);
}

/** Forgets all but the newest `keep` releases. */
export async function pruneReleases(state: string, project: string, keep: number): Promise<void> {
  const records = await readReleases(state, project);
  for (const record of records.slice(0, Math.max(0, records.length - keep))) {
    await rm(recordPath(state, project, record.number), { force: true });
    await rm(modelPath(state, project, record.number), { force: true });
  }
}
