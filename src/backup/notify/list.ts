import { heartbeat } from './heartbeat.ts';
import type { Channel } from './model.ts';
import { webhook } from './webhook.ts';

/** Every way to tell. */
export const CHANNELS: readonly Channel[] = [webhook, heartbeat];
