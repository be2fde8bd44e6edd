import type { QueueReading, TriggerContext, WorkerReading } from '../../model.ts';
import type { Asking, Hearing } from '../link.ts';

/** How a library keeps one queue in Redis, and its workers. */
export interface QueueLayout {
  /** Reads all of the queue, in one transaction where that is possible. All keys that it asks for are watched. */
  read(asking: Asking, nowMs: number): Promise<LayoutReading>;
  /** What the library's workers tell over pub/sub. */
  hearing?: Hearing;
}

export interface LayoutReading {
  queue: QueueReading;
  workers?: WorkerReading[];
}

export interface LayoutOptions {
  /** The queue's name as the library has it. */
  queue: string;
  /** What the application has told the library to put before its keys. */
  keyPrefix?: string;
  database: number;
  /** Celery: the application acknowledges tasks after they ran. */
  acksLate: boolean;
  context: Pick<TriggerContext, 'now' | 'workers'>;
}

export type OpenLayout = (options: LayoutOptions) => QueueLayout;

export const numberOf = (answer: unknown): number => {
  if (answer instanceof Error) throw answer;
  return Number(answer);
};

export const textsOf = (answer: unknown): string[] => {
  if (answer instanceof Error) throw answer;
  return (answer as (string | null)[] | null)?.map((text) => text ?? '') ?? [];
};

export const json = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
