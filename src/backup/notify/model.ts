import type { BackupResult } from '../model.ts';

/** What is told about one result. It holds names, times and figures, never a value of a secret. */
export interface Tidings {
  /** `succeeded` matters only to who waits for it: a dead-man switch. */
  event: 'failed' | 'recovered' | 'succeeded';
  project: string;
  host: string;
  result: BackupResult;
  /** The whole in one line, for people. */
  text: string;
}

/** A way to tell: one file in notify/, one line in list.ts, proved by contract.ts. */
export interface Channel {
  kind: 'webhook' | 'heartbeat';
  events: readonly Tidings['event'][];
  /** Throws when it was not taken; the message says nothing of the address. */
  send(address: URL, tidings: Tidings, signal: AbortSignal): Promise<void>;
}
