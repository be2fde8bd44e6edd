import { basename } from 'node:path';
import type { Manifest, SavedStore } from '../model.ts';

/** The one folder of an archive. */
export const rootOf = ({ project, set }: Pick<Manifest, 'project' | 'set'>): string => `${project}-${set}`;

/** Whether a store's snapshot holds a folder, and not one dump. */
export const isFolder = ({ kind }: Pick<SavedStore, 'kind'>): boolean => kind === 'files' || kind === 'sqlite' || kind === 'project';

const safe = (text: string): string => {
  const word = text.replace(/^\/+/, '').replace(/[/\0\n\r]/g, '_');
  return /^\.*$/.test(word) ? `_${word}` : word;
};

/** Where a store lies in the archive's folder: one file for a dump, a folder for files. No part of it can lead elsewhere. Pure. */
export function placeOf({ kind, service, name, path }: Pick<SavedStore, 'kind' | 'service' | 'name' | 'path'>): string {
  if (kind === 'project') return 'project';
  if (kind === 'files' || kind === 'sqlite') return [safe(service), kind, safe(name || 'data')].join('/');
  return [safe(service), kind, safe(basename(path))].join('/');
}
