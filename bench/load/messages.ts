import type { LoadOptions, LoadReport } from './model.ts';

/** Between the caller and the client's own process. */
export type ToClient =
  | { kind: 'start'; options: LoadOptions }
  | { kind: 'snapshot'; call: number }
  | { kind: 'stop'; call: number }
  | { kind: 'wait'; call: number; version: string; timeoutMs: number };

export type FromClient =
  | { kind: 'started' }
  | { kind: 'report'; call: number; report: LoadReport }
  | { kind: 'seen'; call: number; at: number }
  | { kind: 'error'; call: number; message: string };
