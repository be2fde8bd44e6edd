import type { Store } from '../model.ts';

/** A store's id. restic takes a comma as the end of a tag. Pure. */
export function storeId(service: string, kind: Store['kind'], name: string): string {
  const safe = name.replaceAll('%', '%25').replaceAll(',', '%2C');
  return `${service}/${kind}${safe === '' ? '' : `/${safe}`}`;
}
